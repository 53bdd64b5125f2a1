"""`train` on several processes: the steps, records and words of one; all end together, and the command goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file
from transformers import TrainerControl, TrainerState

from hf_sentiment.commands.train import _check_same_batch
from hf_sentiment.compute import processes
from hf_sentiment.errors import CallError
from hf_sentiment.records.folder import RunFolder
from hf_sentiment.training.interruption import SeedEveryEpoch
from hf_sentiment.training.plan import Facts, make_plan, plan_record

SCRIPT = Path(__file__).with_name("ranks.py")


def start(processes: int, words: list[str], *script: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return subprocess.Popen(
        [*launcher, *(script or ("-m", "hf_sentiment", "train")), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def ended(launched: subprocess.Popen[str], code: int = 0) -> str:
    _, err = launched.communicate(timeout=300)
    assert launched.returncode == code, err[-3000:]
    return err


def close(one: Any, other: Any, apart: float = 1e-5) -> None:
    """The same, but for numbers that are no farther apart."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one.keys() - {"elapsed_seconds"}:
            close(one[name], other[name], apart)
    elif isinstance(one, float):
        assert other == pytest.approx(one, abs=apart, rel=10 * apart)
    else:
        assert other == one


def history(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records" / "history.jsonl").read_text().splitlines()]


@pytest.fixture
def without_dropout(tiny_sentence_encoder: Path, tmp_path: Path) -> Path:
    """A checkpoint whose processes can be compared with one."""
    folder = shutil.copytree(tiny_sentence_encoder, tmp_path / "encoder")
    config = json.loads((folder / "config.json").read_text())
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config | none))
    return folder


@pytest.fixture
def words(without_dropout: Path, reviews: list[tuple[str, str]], tmp_path: Path) -> list[str]:
    file = tmp_path / "reviews.csv"
    # Of several lengths, which are grouped.
    rows = [f'"{text}{" it" * (row % 7)}",{label}' for row, (text, label) in enumerate(reviews)]
    file.write_text("\n".join(["text,label", *rows]))
    words = ["--model_name_or_path", str(without_dropout), "--train_file", str(file)]
    # 106 texts are six batches of 16 and one of 10: of two processes the second has 2 of these, of four the last none.
    words += ["--max_train_samples", "106", "--classifier_dropout", "0", "--disable_tqdm", "true"]
    words += ["--learning_rate", "3e-4", "--head_first", "true", "--early_stopping_patience", "0"]
    return [*words, "--eval_strategy", "epoch"]


def test_two_processes_do_what_one_does(
    words: list[str], finish: Callable[[list[str], Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words += ["--num_train_epochs", "2", "--fine_tuned_share", "0.5", "--imbalance", "logit_adjustment"]
    words += ["--eval_on_start", "true", "--layerwise_lr_decay", "0.9"]
    monkeypatch.setenv("NOTES", str(tmp_path))
    one, two = tmp_path / "one", tmp_path / "two"
    finish(words, one)
    err = ended(start(2, [*words, "--output_dir", str(two)], str(SCRIPT), "train"))

    assert (tmp_path / "0").read_text() == (tmp_path / "1").read_text()  # the weights of both
    rows = history(two)
    assert len(rows) == 3 and rows[-1]["step"] == 14
    for row, other in zip(history(one), rows, strict=True):
        close(row, other)
    found, other = (json.loads((folder / "records" / "evaluation.json").read_text()) for folder in (one, two))
    assert found["model"]["accuracy"] == other["model"]["accuracy"] and found["model"]["accuracy"]["value"] > 0.9
    close(found["model"]["log_loss"], other["model"]["log_loss"])
    close(found["temperature"], other["temperature"])
    for name, tensor in load_file(one / "model.safetensors").items():
        torch.testing.assert_close(load_file(two / "model.safetensors")[name], tensor, atol=1e-4, rtol=1e-4)
    assert other["training"]["processes"] == 2 and "on 2 processes of 1 CPU thread" in (two / "README.md").read_text()
    plan = json.loads((two / "records" / "plan.json").read_text())
    assert plan["facts"]["exchange"] > 0 and plan["facts"]["processes"] == 2
    assert plan["decisions"]["per_device_train_batch_size"]["value"] == 8

    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())
    for once in ("  per_device_train_batch_size", "Fitting the head", "Learning curve: ", "Done: ", "'train_runtime'"):
        assert err.count(once) == 1, once
    assert "2 processes" in err and "Traceback" not in err and "Warning" not in err


def test_every_process_drops_other_units() -> None:
    state, control = TrainerState(epoch=1.0), TrainerControl()
    draws = []
    for process in (0, 1, 1, 2):
        args: Any = SimpleNamespace(seed=42, process_index=process)
        SeedEveryEpoch().on_epoch_begin(args, state, control)
        order = torch.randperm(9).tolist()
        SeedEveryEpoch().on_step_begin(args, state, control)
        draws.append((order, torch.rand(3).tolist()))
    assert len({str(order) for order, _ in draws}) == 1
    assert draws[1] == draws[2] and len({str(mask) for _, mask in draws}) == 3


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (processes.count(), processes.rank(), processes.is_main()) == (1, 0, True)
    assert processes.main_does(lambda: "done") == "done" and processes.first_to_end() and processes.first_to_end()
    assert not processes.broke_off(RuntimeError("gloo: Connection closed by peer"))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert processes.broke_off(RuntimeError("gloo: Connection closed by peer"))
    assert not processes.broke_off(RuntimeError("out of memory"))


def test_only_train_is_for_several(
    run_cli: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "started", lambda: 2)
    monkeypatch.setattr(processes, "first_to_end", lambda: True)
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    code, _, err = run_cli("audit", "--train_file", "x.csv")
    assert (code, left) == (
        2,
        [2],
    ) and err == "error: audit is for one process, and WORLD_SIZE is 2: only train shares work\n"


def test_texts_a_step_are_counted_with_those_that_are_accumulated() -> None:
    facts = Facts(num_train=500, tokens=20, max_position=128, hidden_size=384, layers=6, pooling="mean", halvings=2)
    one, many, others = (make_plan(replace(facts, processes=number), {}) for number in (1, 8, 3))
    assert (one.gradient_accumulation_steps.value, many.gradient_accumulation_steps.value) == (4, 2)
    _check_same_batch(plan_record(one), many)
    with pytest.raises(CallError, match="began on 1 process with 16 texts a step, and on 3 a step would take 15"):
        _check_same_batch(plan_record(one), others)


def test_a_shared_place_is_gone_in_the_end_and_after_a_kill(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with folder.shared_place() as place:
        (place / "data").write_text("x")
    assert not folder.path.exists()  # nothing else was in it
    (folder.path / ".shared-xyz").mkdir(parents=True)
    assert RunFolder.open(folder.path, {}).path == folder.path and not any(folder.path.iterdir())


def _until(there: Callable[[], Any], launched: subprocess.Popen[str]) -> None:
    while not there():
        assert launched.poll() is None, ended(launched)
        time.sleep(0.05)


def _ranks(launched: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(launched.pid).children(recursive=True)
    return sorted((one for one in children if "RANK" in one.environ()), key=lambda one: int(one.environ()["RANK"]))


@pytest.mark.faults
@pytest.mark.parametrize("way", ["full", "lora"])
def test_a_run_that_loses_a_process_goes_on_with_other_numbers_of_them(
    way: str, words: list[str], finish: Callable[[list[str], Path], Path], tmp_path: Path
) -> None:
    # At a low rate, as the last digits of sums over other processes grow from step to step.
    words += ["--num_train_epochs", "12", "--save_steps", "5", "--save_strategy", "steps", "--learning_rate", "3e-5"]
    words += ["--lora", "true"] if way == "lora" else ["--lexicon", "true"]
    whole, folder = tmp_path / "whole", tmp_path / "run"
    finish(words, whole)
    draw = random.Random(way)
    hit: list[tuple[int, Callable[[subprocess.Popen[str], list[psutil.Process]], None], str]] = [
        (4, lambda launched, ranks: ranks[draw.randrange(4)].kill(), "error: another process is gone"),
        (2, lambda launched, ranks: ranks[1].terminate(), "error: stopped at step "),
        (4, lambda launched, ranks: launched.terminate(), "error: stopped at step "),
        (2, lambda launched, ranks: os.killpg(launched.pid, signal.SIGINT), "error: stopped at step "),
        (2, lambda launched, ranks: ranks[0].kill(), "error: another process is gone"),
    ]
    for number, (count, strike, line) in enumerate(hit):
        launched = start(count, [*words, "--output_dir", str(folder)])
        past = 10 * number + 5
        _until(
            lambda past=past: any(
                _step(path.parent) >= past for path in folder.glob("checkpoint-*/trainer_state.json")
            ),
            launched,
        )
        ranks = _ranks(launched)
        assert len(ranks) == count
        strike(launched, ranks)
        err = ended(launched, 1)
        said = [one for one in err.splitlines() if one.startswith("error:")]
        assert len(said) == 1 and said[0].startswith(line) and "run the same command again to go on" in said[0]
        assert not any(one.is_running() for one in ranks)
        assert RunFolder(folder).last_checkpoint(clear=False) is not None
    assert not list(folder.glob(".shared-*")) or "gone" in line
    finish(words, folder)  # on one
    assert not list(folder.glob(".shared-*"))
    for row, other in zip(history(whole), history(folder), strict=True):
        row.pop("train_loss"), other.pop("train_loss")  # after a resume its mean begins at the checkpoint
        close(row, other, 1e-3)
    for name, tensor in load_file(whole / "model.safetensors").items():
        torch.testing.assert_close(load_file(folder / "model.safetensors")[name], tensor, atol=1e-3, rtol=1e-3)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.partition("-")[2])


@pytest.mark.faults
def test_the_script_trains_on_two_processes_without_a_warning(words: list[str], tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "recipes" / "finetune.py"
    lasts = words.index("--head_first")
    said = [*words[:lasts], "--pooling", "mean", "--max_steps", "4", "--eval_strategy", "epoch"]
    err = ended(start(2, [*said, "--output_dir", str(tmp_path / "run")], str(script)))
    assert "Warning" not in err
    assert (tmp_path / "run" / "model.safetensors").is_file() and (tmp_path / "run" / "test_results.json").is_file()


@pytest.mark.faults
def test_an_error_is_said_once_and_leaves_nothing(words: list[str], tmp_path: Path) -> None:
    for wrong, line, code in (
        (["--learnin_rate", "3"], "error: unknown argument --learnin_rate, did you mean --learning_rate?", 2),
        (["--label_column", "none"], 'reviews.csv: no column "none" (columns: text, label)', 2),
        (["--per_device_eval_batch_size", "none"], "--per_device_eval_batch_size", 2),
    ):
        err = ended(start(4, [*words, *wrong, "--output_dir", str(tmp_path / "run")]), 1)
        said = [one for one in err.splitlines() if one.startswith("error:")]
        assert len(said) == 1 and line in said[0] and f"exitcode  : {code} " in err
        assert not (tmp_path / "run").exists()


@pytest.mark.faults
def test_steps_of_another_size_are_refused(words: list[str], tmp_path: Path) -> None:
    words += ["--num_train_epochs", "30", "--save_steps", "2", "--save_strategy", "steps"]
    words += ["--per_device_train_batch_size", "4", "--output_dir", str(tmp_path / "run")]
    launched = start(2, words)
    _until(lambda: list((tmp_path / "run").glob("checkpoint-*")), launched)
    launched.terminate()
    ended(launched, 1)
    err = ended(start(3, words), 1)
    line = "error: the run began on 2 processes with 8 texts a step, and on 3 a step would take 12: start a number of"
    assert sum(one.startswith(line) for one in err.splitlines()) == 1
    err = ended(start(1, words), 1)
    assert "with 8 texts a step, and on 1 a step would take 4: say --per_device_train_batch_size 8\n" in err
    err = ended(start(1, [*words, "--per_device_train_batch_size", "8"]))
    assert "Going on with the unfinished run, from checkpoint-" in err and "Done: " in err
