"""Nothing is lost: damaged checkpoints, a clock that is put back, two equal commands at once, memory that runs out."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from hf_sentiment.model import BertForSentimentAnalysis
from hf_sentiment.records.folder import RunFolder
from hf_sentiment.training.checkpoints import CheckedCheckpoints

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def call(tiny_checkpoint: Path, reviews_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A call without dropout, so that it is equal to one that adds its batches up from smaller ones."""
    still = tmp_path_factory.mktemp("still") / "tiny-bert"
    shutil.copytree(tiny_checkpoint, still)
    config = json.loads((still / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(config))
    return [
        *("--model_name_or_path", str(still), "--train_file", str(reviews_file), "--num_train_epochs", "3"),
        *("--learning_rate", "1e-3", "--classifier_dropout", "0.0", "--use_cpu", "true", "--disable_tqdm", "true"),
        *("--max_train_samples", "48", "--metric_for_best_model", "loss", "--keep_checkpoints"),
    ]


@pytest.fixture(scope="module")
def finished(call: list[str], finish: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with its checkpoints of steps 6 and 9. Read-only."""
    return finish(call, tmp_path_factory.mktemp("runs") / "run")


def unfinished(finished: Path, folder: Path) -> Path:
    """The run as a kill leaves it that comes when everything is written but what makes it finished."""
    shutil.copytree(finished, folder)
    (folder / "records" / "evaluation.json").unlink()
    return folder


def weights(folder: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def damage(folder: Path, what: str) -> None:
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
    if what == "both":
        flip(checkpoints[0] / "optimizer.pt")
    if what in ("optimizer", "both"):
        flip(checkpoints[1] / "optimizer.pt")
    elif what == "weights":
        (checkpoints[1] / "model.safetensors").unlink()
    elif what == "list":
        (checkpoints[1] / "sha256.json").write_text("[]")
    elif what == "best":
        flip(max(folder.glob("_best-*-9/*")))


@pytest.mark.parametrize("what", ["optimizer", "weights", "list", "best", "both"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_is_used(
    what: str, call: list[str], finished: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = unfinished(finished, tmp_path / "run")
    damage(folder, what)
    code, _, err = run_cli("train", *call, "--output_dir", folder)
    assert code == 0, err
    said = [line for line in err.splitlines() if "is damaged or gone" in line]
    assert len(said) == (2 if what == "both" else 1)
    assert said[0].endswith("checkpoint-9 is set aside as damaged-checkpoint-9") and str(folder) in said[0]
    assert ("Going on with the unfinished run, from checkpoint-6" in err) == (what != "both")
    assert weights(folder) == weights(finished)
    rows = [[json.loads(line) for line in (one / "records" / "history.jsonl").open()] for one in (folder, finished)]
    assert [row["eval_loss"] for row in rows[0]] == [row["eval_loss"] for row in rows[1]]


def test_a_whole_checkpoint_is_not_set_aside_and_damaged_ones_are_cleared_up(
    call: list[str], finished: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = unfinished(finished, tmp_path / "run")
    (folder / "damaged-checkpoint-3").mkdir()
    (folder / "checkpoint-6" / "sha256.json").unlink()  # a kill before it was written
    shutil.rmtree(folder / "checkpoint-9")
    code, _, err = run_cli("train", *[word for word in call if word != "--keep_checkpoints"], "--output_dir", folder)
    assert code == 2 and "keep_checkpoints" in err
    code, _, err = run_cli("train", *call, "--output_dir", folder)
    assert code == 0 and "set aside" not in err and "from checkpoint-6" in err, err
    assert weights(folder) == weights(finished)
    RunFolder(folder).clear_up()
    assert not [path.name for path in folder.iterdir() if "checkpoint" in path.name or "best" in path.name]


def test_the_latest_checkpoints_are_kept_though_the_clock_is_put_back(
    call: list[str], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: Callable[..., Path]
) -> None:
    now, began = time.time, time.time()
    # An hour back after a second or so, and what was written before is of the future.
    monkeypatch.setattr(time, "time", lambda: now() - (3600 if now() > began + 1 else 0))
    folder = tmp_path / "run"
    on_save = CheckedCheckpoints.on_save

    def put_back(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        on_save(self, args, state, control, **kwargs)
        then = now() + 3600 - 600 * state.global_step
        os.utime(folder / f"checkpoint-{state.global_step}", (then, then))

    monkeypatch.setattr(CheckedCheckpoints, "on_save", put_back)
    finish(call, folder)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-6", "checkpoint-9"]
    assert weights(folder) == weights(finished)
    elapsed = [json.loads(line)["elapsed_seconds"] for line in (folder / "records" / "history.jsonl").open()]
    assert elapsed == sorted(elapsed) and elapsed[0] >= 0
    assert json.loads((folder / "records" / "evaluation.json").read_text())["training"]["seconds"] >= elapsed[-1] - 0.1


def test_two_equal_commands_at_once(call: list[str], tmp_path: Path, run_cli: Cli) -> None:
    folder = tmp_path / "runs" / "run"
    with RunFolder(folder).locked():
        before = sorted(folder.rglob("*"))
        code, out, err = run_cli("train", *call, "--output_dir", folder)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1] == (
            f"error: {folder}: another process trains there: wait for it, or name another --output_dir"
        )
        assert sorted(folder.rglob("*")) == before
    assert not (tmp_path / "runs").exists()  # nothing was begun


def test_where_memory_runs_out_fewer_texts_are_taken_at_once(
    call: list[str],
    finished: Path,
    finish: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forward, calls = BertForSentimentAnalysis.forward, [0]

    @functools.wraps(forward)  # the Trainer looks at its arguments
    def narrow(self: Any, input_ids: Any = None, **kwargs: Any) -> Any:
        if self.training and torch.is_grad_enabled():
            calls[0] += 1
            if calls[0] > 12 and len(input_ids) > 4:  # in the second epoch: there is a checkpoint
                torch.empty(2**50)
        return forward(self, input_ids=input_ids, **kwargs)

    monkeypatch.setattr(BertForSentimentAnalysis, "forward", narrow)
    with caplog.at_level("WARNING"):
        folder = finish(call, tmp_path / "run")
    lines = [message for message in caplog.messages if message.startswith("Memory ran out")]
    assert [line.split(":")[0] for line in lines] == [f"Memory ran out at {n} texts at once" for n in (16, 8)]
    plan = json.loads((folder / "records" / "plan.json").read_text())["decisions"]
    names = ("per_device_train_batch_size", "gradient_accumulation_steps", "per_device_eval_batch_size")
    assert [plan[name]["value"] for name in names] == [4, 4, 8]
    assert plan[names[0]]["reason"] == "memory ran out at 8 texts at once"
    # Without dropout the steps are the same ones.
    one, two = (load_file(path / "model.safetensors") for path in (folder, finished))
    assert all(torch.allclose(one[name], two[name], atol=1e-4) for name in one)
    rows = [[json.loads(line) for line in (path / "records" / "history.jsonl").open()] for path in (folder, finished)]
    assert [row["step"] for row in rows[0]] == [3, 6, 9] == [row["step"] for row in rows[1]]
    assert [row["eval_loss"] for row in rows[0]] == pytest.approx([row["eval_loss"] for row in rows[1]], abs=1e-4)


def test_where_memory_runs_out_at_one_text_it_says_so(
    call: list[str], tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = BertForSentimentAnalysis.forward

    @functools.wraps(forward)
    def none(self: Any, **kwargs: Any) -> Any:
        if self.training and torch.is_grad_enabled():
            torch.empty(2**50)
        return forward(self, **kwargs)

    monkeypatch.setattr(BertForSentimentAnalysis, "forward", none)
    code, _, err = run_cli("train", *call, "--output_dir", tmp_path / "run", "--bf16", "false")
    assert code == 1 and err.splitlines()[-1].startswith("error: memory ran out"), err


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """As a full disk: no file becomes larger."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("size", [3_000, 15_000, 30_000])  # the records, the weights, the optimizer
def test_what_cannot_be_written_whole_is_gone_on_with(
    size: int, call: list[str], finished: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = tmp_path / "run"
    with largest_file(size):
        code, _, err = run_cli("train", *call, "--output_dir", folder)
    error = err.splitlines()[-1]
    assert code == 1 and error.startswith(f"error: {folder}") and "make room there" in error, err
    assert not (folder / "config.json").exists()
    code, _, err = run_cli("train", *call, "--output_dir", folder)
    assert code == 0 and weights(folder) == weights(finished), err


def test_a_folder_that_nothing_can_be_written_into(call: list[str], tmp_path: Path, run_cli: Cli) -> None:
    place = tmp_path / "place"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)]
    if os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("whom rights do not bind, and who cannot mount, can write everywhere")
    place.chmod(0o555) if os.geteuid() else None
    try:
        for folder in (place, place / "run"):
            code, _, err = run_cli("train", *call, "--output_dir", folder)
            error = err.splitlines()[-1]
            assert code == 1 and str(folder) in error and "name another place, or change its rights" in error, err
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", str(place)], check=True)
