"""What the extra `track` brings: the trackers of `--report_to` get the run's losses and the alarm's figures."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("tracker", ["tensorboard", "trackio"])
def test_a_tracker_gets_the_losses_and_the_gap(
    tracker: str, tmp_path: Path, tiny_checkpoint: Path, reviews_file: Path
) -> None:
    if importlib.util.find_spec(tracker) is None:
        pytest.skip(f"{tracker} not installed: make install-all")
    words = ["--train_file", str(reviews_file), "--model_name_or_path", str(tiny_checkpoint), "--use_cpu", "true"]
    words += ["--validation_share", "0.2", "--num_train_epochs", "1", "--output_dir", str(tmp_path / "run")]
    environment = os.environ | {"TRACKIO_DIR": str(tmp_path / "trackio")}  # trackio reads it when it is imported
    done = subprocess.run(
        [sys.executable, "-m", "hf_sentiment", "train", *words, "--report_to", tracker],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    files = [*(tmp_path / "trackio").glob("*.db*"), *(tmp_path / "run").rglob("*tfevents*")]
    written = b"".join(path.read_bytes() for path in files)
    for name in (b"train/loss", b"eval/loss", b"eval/gap/gap", b"eval/gap/alarm"):
        assert name in written, name
    assert b"train/gap/" not in written
