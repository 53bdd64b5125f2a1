"""SIGKILL at any moment of `train`: the same command, said again, ends with the same bits and the same decisions."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

pytestmark = pytest.mark.faults

SUITES = {
    "rollback": ["--alarm", "rollback", "--learning_rate", "1e-2", "--classifier_dropout", "0.0"],
    "lora": ["--lora", "true", "--learning_rate", "2e-3", "--alarm", "stop"],
    "half_way": ["--pooling", "mean", "--head_first", "true", "--fine_tuned_share", "0.5"],
    "steps": ["--eval_strategy", "steps", "--eval_steps", "3", "--save_steps", "5", "--save_strategy", "steps"],
}


def start(words: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hf_sentiment", "train", *words, "--output_dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
    )


def finish(words: list[str], folder: Path) -> str:
    process = start(words, folder)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-3000:]
    return err


def outcome(folder: Path) -> dict[str, Any]:
    # After a resume the Trainer's running mean of the training loss begins at the checkpoint.
    left_out = ("elapsed_seconds", "train_loss")
    rows = [json.loads(line) for line in (folder / "records" / "history.jsonl").read_text().splitlines()]
    training = json.loads((folder / "records" / "evaluation.json").read_text())["training"]
    return {
        "weights": {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()},
        "history": [{name: value for name, value in row.items() if name not in left_out} for row in rows],
        "decisions": {name: training[name] for name in ("best_epoch", "stopped", "alarms")},
    }


@pytest.mark.parametrize("suite", list(SUITES))
def test_a_killed_run_ends_like_one_that_was_not(
    suite: str, tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--use_cpu", "true"]
    words += [
        "--num_train_epochs",
        "6",
        "--disable_tqdm",
        "true",
        "--max_train_samples",
        "60",
        "--save_total_limit",
        "3",
    ]
    words += ["--early_stopping_patience", "5", *SUITES[suite]]
    began = time.monotonic()
    finish(words, tmp_path / "whole")
    length = time.monotonic() - began
    expected = outcome(tmp_path / "whole")
    draw = random.Random(suite)
    for attempt in range(3):
        folder = tmp_path / f"killed-{attempt}"
        for _ in range(2):  # killed twice, most often while it trains or writes its end
            process = start(words, folder)
            time.sleep(draw.uniform(0.5, 1.0) * length)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        finish(words, folder)
        assert outcome(folder) == expected, attempt
