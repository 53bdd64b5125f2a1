"""Launches a script of this folder in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TWO_DEVICES = ("--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")


def launch(script: str, *words: str | Path, launcher: Sequence[str] = TWO_DEVICES) -> subprocess.CompletedProcess[str]:
    """Run it to its end, with these words behind it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    port = str(29500 + os.getpid() % 2000)  # several of these may run at once
    accelerate = [sys.executable, "-m", "accelerate.commands.launch", *launcher, "--num_processes", "2"]
    done = subprocess.run(
        [*accelerate, "--main_process_port", port, str(Path(__file__).with_name(script)), *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done
