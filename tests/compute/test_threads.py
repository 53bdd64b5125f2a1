"""The command lets waiting threads sleep soon, unless the user has said how they wait."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hf_sentiment.compute.threads import SPINS, wait_briefly


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, str(SPINS)),
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"OMP_WAIT_POLICY": "active"}, None),
    ],
)
def test_what_the_user_says_wins(said: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected


def test_the_command_says_so_before_torch_is_imported() -> None:
    script = (
        "import os, sys, hf_sentiment.cli as cli\n"
        "cli._run = lambda *_: print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT')) or 0\n"
        "cli.main(['--version'])"
    )
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", str(SPINS)]
