"""What the extra `track` brings: the trackers of `--report_to` get the run's losses and the alarm's figures."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_NAMES = {"train/loss", "eval/loss", "train/gap/gap", "train/gap/alarm"}


def scalars_of_tensorboard(run: Path) -> set[str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = run.rglob("*tfevents*")
    events = EventAccumulator(str(file))
    events.Reload()
    return set(events.Tags()["scalars"])


def scalars_of_trackio(run: Path) -> set[str]:
    from trackio.sqlite_storage import SQLiteStorage

    (name,) = SQLiteStorage.get_runs("reviews")
    return {scalar for row in SQLiteStorage.get_logs("reviews", name) for scalar in row}


@pytest.mark.parametrize(
    ("tracker", "scalars"), [("tensorboard", scalars_of_tensorboard), ("trackio", scalars_of_trackio)]
)
def test_a_tracker_gets_the_losses_and_the_gap(
    tracker: str,
    scalars: Callable[[Path], set[str]],
    tmp_path: Path,
    tiny_checkpoint: Path,
    reviews_file: Path,
    run_cli: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} not installed: make install-all")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    words = ["--train_file", reviews_file, "--model_name_or_path", tiny_checkpoint, "--use_cpu", "true"]
    words += ["--validation_share", "0.2", "--num_train_epochs", "1", "--project", "reviews"]
    code, _, err = run_cli("train", *words, "--output_dir", tmp_path / "run", "--report_to", tracker)
    assert code == 0, err
    assert scalars(tmp_path / "run") >= _NAMES
