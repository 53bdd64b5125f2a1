"""Finished runs of some seconds to publish, and a check of downloads within this process."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# A session's fixture that several modules import is made for each of them.
_RUNS: dict[tuple[str, ...], Path] = {}


def train_tiny(checkpoint: Path, data: Path, folder: Path, *words: str) -> Path:
    """A finished run on the made-up reviews, trained once."""
    if words in _RUNS:
        return _RUNS[words]
    from hf_sentiment.commands.train import train
    from hf_sentiment.training.arguments import parse_call

    call = [
        *("--model_name_or_path", str(checkpoint), "--train_file", str(data), "--num_train_epochs", "4"),
        *(
            "--learning_rate",
            "1e-3",
            "--head_first",
            "true",
            "--use_cpu",
            "true",
            "--disable_tqdm",
            "true",
            "--output_dir",
            str(folder),
        ),
    ]
    arguments = parse_call([*call, *words])
    assert train(**arguments) is not None
    _RUNS[words] = folder
    return folder


@pytest.fixture(scope="session")
def run_folder(tiny_checkpoint: Path, reviews_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of all weights. Read-only."""
    return train_tiny(tiny_checkpoint, reviews_file, tmp_path_factory.mktemp("runs") / "reviews")


@pytest.fixture(scope="session")
def lora_folder(tiny_checkpoint: Path, reviews_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished LoRA run, merged, with its adapter. Read-only."""
    folder = tmp_path_factory.mktemp("runs") / "lora"
    return train_tiny(tiny_checkpoint, reviews_file, folder, "--lora", "true")


@pytest.fixture
def elsewhere(run_folder: Path, tmp_path: Path) -> Path:
    """What a plain Trainer script on another machine leaves: a model, its tokenizer, what is left of training."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(run_folder / name, folder / name)
    config = json.loads((run_folder / "config.json").read_text())
    config["_name_or_path"] = "/home/somebody/bert"  # transformers 4 wrote it
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("training_args.bin", "optimizer.pt", "trainer_state.json"):
        (folder / name).write_bytes(b"\x80\x04")
    (folder / "checkpoint-3").mkdir()
    (folder / "checkpoint-3" / "model.safetensors").write_bytes(b"")
    return folder


def check_in_process(request: dict[str, Any], *, endpoint: str, token: str) -> dict[str, Any]:
    """`verification.run_check` without an interpreter of its own."""
    from hf_sentiment.hub import download_check

    with tempfile.TemporaryDirectory() as cache:
        return download_check.check({**request, "endpoint": endpoint, "token": token, "cache_dir": cache})


@pytest.fixture
def publish_there(hub: Any, client: Any, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`publish_there(**options)`: publish the run, or another `folder`, to me/reviews; no pause between attempts."""
    from hf_sentiment.hub import remote, verification
    from hf_sentiment.hub.publish import publish

    monkeypatch.setattr(remote, "PAUSES", [0.0, 0.0])
    monkeypatch.setattr(verification, "run_check", check_in_process)

    def call(folder: Path = run_folder, repo_id: str = "me/reviews", token: str | None = None, **options: Any) -> Any:
        return publish(
            folder, repo_id, endpoint=hub.endpoint, token=hub.tokens.write if token is None else token, **options
        )

    return call


@pytest.fixture
def hashes_only(publish_there: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Downloads are hashed, and the model is taken to say what it must: for tests of what happens on the way."""
    from huggingface_hub import snapshot_download

    from hf_sentiment.hub import publication, verification

    def run_check(request: dict[str, Any], *, endpoint: str, token: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as cache:
            folder = snapshot_download(
                request["repo_id"],
                revision=request["revision"],
                endpoint=endpoint,
                token=token,
                cache_dir=cache,
                max_workers=1,
            )
            files = [path for path in Path(folder).rglob("*") if path.is_file()]
            hashes = {
                str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)
            }
        return {"hashes": hashes, "logits": [[0.0, 1.0]]}

    def expect(bundle: Any, run: Path) -> Any:
        hashes = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in bundle.files().items()}
        return verification.Expectation(["x"], [[0.0, 1.0]], 1e-5, hashes, None)

    monkeypatch.setattr(verification, "run_check", run_check)
    monkeypatch.setattr(publication, "expect", expect)
