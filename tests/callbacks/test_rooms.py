"""The order of the sub-packages of `callbacks/`: gap_test, then shared, then the callbacks beside each other."""

from __future__ import annotations

import re
from pathlib import Path

import hf_sentiment.callbacks

ROOMS = Path(hf_sentiment.callbacks.__file__).parent
BELOW = {"gap_test": set(), "shared": {"gap_test"}}


def test_no_callback_imports_another_and_nothing_imports_upward() -> None:
    for path in ROOMS.glob("*/*.py"):
        imported = set(re.findall(r"hf_sentiment\.callbacks\.(\w+)", path.read_text())) - {path.parent.name}
        assert imported <= BELOW.get(path.parent.name, {"gap_test", "shared"}), path
    for path in ROOMS.rglob("*.py"):
        rooms = set(re.findall(r"from hf_sentiment\.(\w+)", path.read_text()))
        assert rooms <= {"callbacks", "compute", "records", "errors"}, path
