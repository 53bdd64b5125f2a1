"""`history.jsonl`: a flat JSON object a line, of one evaluation or, where nothing is evaluated, of one training loss.

`step`, `epoch` and `elapsed_seconds` are in every line. The other names are those of the metrics, which are the
user's, so a line is a dictionary and no dataclass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.serialization import as_record, from_json, without_version

Row = dict[str, Any]

# What every line has.
_EVERYWHERE = {"step": int, "epoch": float, "elapsed_seconds": float}


def read_history(path: str | Path) -> list[Row]:
    """The lines of a `history.jsonl`; none where there is no such file.

    Args:
        path: Of the file.

    Raises:
        CallError: A line is of another version, or not what it should be.
    """
    path = Path(path)
    if not path.is_file():
        return []
    # The last line may be empty; none is half, as the whole file is replaced at every evaluation.
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return [_row(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]


def _row(line: str, place: str) -> Row:
    """A line as a dictionary without the version."""
    try:
        row = without_version(json.loads(line), place)
        for name, kind in _EVERYWHERE.items():
            from_json(kind, row.get(name), name)
    except CallError:
        raise
    except ValueError as error:
        raise CallError(f"{place}: {error}: restore it, or remove the file, and the curves begin anew") from error
    return row


def write_history(path: Path, rows: Iterable[Row]) -> None:
    """Write a `history.jsonl`, whole or not at all; every line has the version, as it may be read by itself.

    Args:
        path: Of the file.
        rows: Lines, without the version.
    """
    write_atomically(path, "".join(json.dumps(as_record(row)) + "\n" for row in rows))
