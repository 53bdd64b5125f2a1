"""Registers the marks that transformers' shared tests carry, which pytest would refuse as unknown."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    source = os.environ.get("TRANSFORMERS_SOURCE")
    if not source:
        return
    import transformers

    files = [Path(transformers.__file__).with_name("testing_utils.py"), *Path(source, "tests").glob("test_*.py")]
    for mark in sorted({mark for file in files for mark in re.findall(r"\bmark\.(\w+)", file.read_text("utf-8"))}):
        config.addinivalue_line("markers", f"{mark}: a mark of transformers' own tests")
