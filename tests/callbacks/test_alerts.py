"""In every tracker the alarm's scalars stand under evaluation, and its alarms are alerts: real trackers, offline."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from transformers.integrations import TensorBoardCallback
from two_processes import make_model, rows

from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback


def alarmed(folder: Path, *trackers: str) -> tuple[list[dict[str, Any]], str]:
    """The alarms of a run with these trackers, and what it wrote to stdout."""
    for tracker in trackers:
        if importlib.util.find_spec(tracker) is None:
            pytest.skip(f"{tracker} not installed: make install-all")
    own = {"PYTHONPATH": os.pathsep.join(sys.path), "TRACKIO_DIR": str(folder / "trackio"), "WANDB_MODE": "offline"}
    own |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}", "WANDB_DIR": str(folder)}
    script = Path(__file__).with_name("alarming.py")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *trackers],
        env=os.environ | own,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "has not taken the alert" not in done.stderr
    alarms: list[dict[str, Any]] = json.loads((folder / "alarms.json").read_text())
    assert alarms
    return alarms, done.stdout


def test_tensorboard_and_trackio_show_the_gap_and_are_alerted(tmp_path: Path) -> None:
    alarms, stdout = alarmed(tmp_path, "tensorboard", "trackio")
    assert "overconfident at step" not in stdout  # trackio prints its alerts

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = tmp_path.rglob("*tfevents*")
    events = EventAccumulator(str(file))
    events.Reload()
    shown = events.Tags()
    assert {"eval/gap/gap", "eval/gap/train_loss_low", "eval/loss"} <= set(shown["scalars"])
    assert not any(name.startswith("train/gap") for name in shown["scalars"])
    texts = events.Tensors("eval/gap/alert/text_summary")
    assert [text.step for text in texts] == [alarm["step"] for alarm in alarms]
    assert texts[0].tensor_proto.string_val[0].decode() == alarms[0]["message"]

    (database,) = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as opened:
        alerts = opened.execute("select title, text, level from alerts order by rowid").fetchall()
        logged = " ".join(str(row) for row in opened.execute("select metrics from metrics"))
    assert alerts == [(f"{alarm['level']} at step {alarm['step']}", alarm["message"], "warn") for alarm in alarms]
    assert "eval/gap/gap" in logged and "train/gap" not in logged


def test_a_tracker_that_fails_does_not_end_the_run(make_trainer: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Full:
        """A writer whose disk is full when the alarm comes."""

        def add_text(self, tag: str, text: str, step: int | None = None) -> None:
            if "alert" in tag:
                raise OSError("no space left on device")

        def __getattr__(self, name: str) -> Any:
            return lambda *words: None

    alarm, data = OverfittingGapCallback(), {"train": rows(48, 0), "evaluation": rows(61, 1)}
    options = {"learning_rate": 3e-3, "lr_scheduler_type": "constant", "per_device_train_batch_size": 8}
    run = make_trainer(alarm, TensorBoardCallback(Full()), model=make_model(), num_train_epochs=8, **data, **options)
    run.train()
    assert alarm.alarms and run.state.epoch == 8
    step, level = alarm.alarms[0]["step"], alarm.alarms[0]["level"]
    assert f"TensorBoardCallback has not taken the alert '{level} at step {step}': no space left on device" in [
        record.getMessage() for record in caplog.records
    ]
