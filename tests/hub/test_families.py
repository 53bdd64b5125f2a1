"""Each family of encoders from a plain checkpoint to a published model that loads without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from families import FAMILIES, family_checkpoint
from huggingface_hub import snapshot_download
from publish_support import check_in_process
from safetensors.torch import load_file
from without_package import BLOCKED

TEXTS = ["the film was great , funny and moving !", "a dull book . i hated it .", "not"]

_PIPELINES = """
import json, sys
from transformers import pipeline
texts = json.loads(sys.argv[1])
answers = {}
for folder in sys.argv[2:]:
    pipe = pipeline("text-classification", model=folder, trust_remote_code=True)
    assert type(pipe.model).__module__.startswith("transformers_modules."), type(pipe.model).__module__
    rows = [sorted(answer, key=lambda row: row["label"]) for answer in pipe(texts, top_k=None)]
    answers[folder] = [[row["score"] for row in answer] for answer in rows]
print("\\n" + json.dumps(answers))
"""
FEW = ("bert", "roberta", "deberta-v2", "modernbert")
OTHERS = [pytest.param(family, marks=pytest.mark.engines) for family in FAMILIES if family not in FEW]
# By family: where the published files lie here, and the probabilities that the run's own folder gives.
_PUBLISHED: dict[str, tuple[Path, list[list[float]]]] = {}


def _call(checkpoint: Path, data: Path, folder: Path) -> list[str]:
    words = ["--num_train_epochs", "1", "--use_cpu", "true", "--disable_tqdm", "true", "--output_dir", str(folder)]
    return [*words, "--model_name_or_path", str(checkpoint), "--train_file", str(data)]


@pytest.fixture
def published(
    hub: Any,
    client: Any,
    reviews_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[str], tuple[Path, list[list[float]]]]:
    """`published(family)`: trained, measured and published, once."""
    from hf_sentiment import SentimentClassifier, evaluate, publish, train
    from hf_sentiment.hub import verification
    from hf_sentiment.training.arguments import parse_call

    monkeypatch.setattr(verification, "run_check", check_in_process)

    def of(family: str) -> tuple[Path, list[list[float]]]:
        if family in _PUBLISHED:
            return _PUBLISHED[family]
        folder = tmp_path_factory.mktemp(f"family-{family}")
        checkpoint = family_checkpoint(family, folder / "checkpoint")
        # Some of everything that looks into a model: its layers, its head, its features.
        words = ["--head_first", "true", "--layerwise_lr_decay", "0.9", "--learning_rate", "1e-3"]
        assert train(**parse_call([*words, *_call(checkpoint, reviews_file, folder / "run")])) is not None
        measured = evaluate(str(folder / "run"), test_file=str(reviews_file))
        assert measured.texts == 240
        answers = SentimentClassifier.from_pretrained(folder / "run").predict(TEXTS)
        probabilities = [[row["scores"][name] for name in sorted(row["scores"])] for row in answers]  # type: ignore[index]
        publish(folder / "run", f"me/{family}", endpoint=hub.endpoint, token=hub.tokens.write)
        there = snapshot_download(
            f"me/{family}", local_dir=folder / "published", endpoint=hub.endpoint, token=hub.tokens.write
        )
        _PUBLISHED[family] = Path(there), probabilities
        return _PUBLISHED[family]

    return of


@pytest.mark.parametrize("family", [*FEW, *OTHERS])
def test_from_a_checkpoint_to_the_hub(family: str, published: Callable[[str], Any]) -> None:
    folder, _ = published(family)
    kind = "bert" if family == "bert" else "encoder"
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["model_type"] == f"{kind}_sentiment"
    assert len(list(folder.glob("*_sentiment.py"))) == (2 if family == "bert" else 4)


@pytest.mark.parametrize("families", [FEW, pytest.param(tuple(FAMILIES), marks=pytest.mark.engines)], ids=len)
def test_all_of_them_without_the_package(
    families: tuple[str, ...], published: Callable[[str], Any], tmp_path: Path
) -> None:
    all_of_them = [published(family) for family in families]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + _PIPELINES, json.dumps(TEXTS), *(str(folder) for folder, _ in all_of_them)],
        env={"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    for folder, probabilities in all_of_them:
        for there, here in zip(answers[str(folder)], probabilities, strict=True):
            assert there == pytest.approx(here, abs=1e-4), folder.parent.name


@pytest.mark.parametrize("family", FEW[1:])
def test_an_adapter(family: str, hub: Any, client: Any, reviews_file: Path, tmp_path: Path, monkeypatch: Any) -> None:
    from hf_sentiment import publish, train
    from hf_sentiment.hub import verification
    from hf_sentiment.training.arguments import parse_call

    monkeypatch.setattr(verification, "run_check", check_in_process)
    checkpoint = family_checkpoint(family, tmp_path / "checkpoint")
    words = [*_call(checkpoint, reviews_file, tmp_path / "run"), "--lora", "true", "--learning_rate", "1e-3"]
    assert train(**parse_call(words)) is not None
    before, after = (load_file(folder / "model.safetensors") for folder in (checkpoint, tmp_path / "run"))
    adapter = load_file(tmp_path / "run" / "adapter" / "adapter_model.safetensors")
    layers = {name.rpartition(".lora_")[0] for name in adapter if ".lora_A" in name}
    assert layers and all(".encoder." in name for name in layers)
    # Where there is an adapter, the merged weights have moved, and nowhere else.
    for name in layers:
        plain = name.removeprefix("base_model.model.encoder.") + ".weight"
        assert not after[f"encoder.{plain}"].equal(before[plain]), name
    assert len(adapter) == 2 * len(layers) + 2  # and the head in full
    client.api.create_repo(f"me/{family}", private=True)
    client.api.upload_folder(repo_id=f"me/{family}", folder_path=checkpoint)
    there = {"endpoint": hub.endpoint, "token": hub.tokens.write, "base_model": f"me/{family}"}
    published = publish(tmp_path / "run", "me/adapter", adapter=True, **there)
    assert published.largest_difference <= 1e-4
