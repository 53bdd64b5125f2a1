"""What the extra `track` brings: the trackers of `--report_to` get the run's losses and the alarm's figures."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("tracker", ["tensorboard", "trackio"])
def test_a_tracker_gets_the_losses_and_the_gap(
    tracker: str, tmp_path: Path, tiny_checkpoint: Path, reviews_file: Path, run_cli: Callable[..., Any]
) -> None:
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} not installed: make install-all")
    words = ["--train_file", str(reviews_file), "--model_name_or_path", str(tiny_checkpoint), "--use_cpu", "true"]
    words += ["--validation_share", "0.2", "--num_train_epochs", "1", "--output_dir", str(tmp_path / "run")]
    words = ["train", *words, "--report_to", tracker]
    if tracker == "trackio":  # which reads its folder when it is imported
        environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")}
        command = [sys.executable, "-m", "hf_sentiment", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    else:
        code, _, err = run_cli(*words)
        assert code == 0, err
    files = [*(tmp_path / "trackio").glob("*.db*"), *(tmp_path / "run").rglob("*tfevents*")]
    written = b"".join(path.read_bytes() for path in files)
    for name in (b"train/loss", b"eval/loss", b"eval/gap/gap", b"eval/gap/alarm"):
        assert name in written, name
    assert b"train/gap/" not in written
