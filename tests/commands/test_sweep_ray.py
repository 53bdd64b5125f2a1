"""`sweep --backend ray`: trials on a local cluster of two workers, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.faults


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Processes of the cluster that are at a trial."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "ImplicitFunc" in " ".join(child.cmdline()):
                found.append(child.pid)
        except psutil.Error:
            continue
    return found


def test_a_worker_is_killed_and_the_sweep_ends(tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    words = ["sweep", "--model_name_or_path", os.path.relpath(tiny_checkpoint, tmp_path), "--trials", "4"]
    words += ["--train_file", os.path.relpath(reviews_file, tmp_path)]
    words += ["--jobs", "2", "--backend", "ray", "--repeat", "1", "--seeds", "2", "--max_train_samples", "24"]
    # Workers have other folders: what is said is of the command's own.
    words += ["--num_train_epochs", "3", "--report_to", "none", "--output_dir", folder.name]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    command = [sys.executable, "-m", "hf_sentiment", *words]
    with (tmp_path / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command, stdout=said, stderr=said, text=True, env=environment, cwd=tmp_path, start_new_session=True
        )
    end = time.monotonic() + 500
    # In the middle: a first checkpoint is there.
    while not list(folder.glob("trials/trial-*/checkpoint-*/trainer_state.json")):
        assert process.poll() is None and time.monotonic() < end, (tmp_path / "said.txt").read_text()
        time.sleep(0.1)
    victim = workers(process)[0]
    os.kill(victim, signal.SIGKILL)
    assert process.wait(600) == 0, (tmp_path / "said.txt").read_text()
    with closing(sqlite3.connect(folder / "trials" / "study.sqlite")) as storage:
        states = dict(storage.execute("select number, state from trials"))
    assert sorted(states) == [0, 1, 2, 3] and set(states.values()) <= {"COMPLETE", "PRUNED"}
    said = (tmp_path / "said.txt").read_text()
    assert "View detailed" not in said and "Configuration for experiment" not in said
    table = json.loads((folder / "records" / "sweep.json").read_text())
    assert table["summary"]["seeds"] == 2 and table["trials"][0]["values"]["learning_rate"] == 1e-4
    evaluation = json.loads((folder / "records" / "evaluation.json").read_text())
    assert evaluation["split"] == "test" and evaluation["training"]["sweep"] == table["summary"]
    assert not list(folder.glob("trials/**/*.safetensors"))
