"""Cleaned copies of data files: the same files without the rows that `audit.removals` names, never the originals."""

from __future__ import annotations

import io
import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from ..errors import CallError, DataError
from ..files import folder_atomically, write_atomically
from .audit import CONFLICT, EMPTY, LEAK, REPEAT, UNKNOWN, UNREADABLE, removals
from .audit_rows import AuditRows
from .encodings import encode_lines, open_lines
from .files import EXTENSIONS, FileTable
from .sources import RawData

_WHY = {
    EMPTY: "without text or label",
    UNREADABLE: "unreadable",
    UNKNOWN: "with an unknown label",
    CONFLICT: "same text, other label",
    LEAK: "also in validation or test",
    REPEAT: "repeated",
}


@dataclass(frozen=True)
class CleanedFile:
    """A copy: of which split, where, how many rows it has, and how many were removed for each reason."""

    split: str
    path: str
    kept: int
    removed: dict[str, int]

    def __str__(self) -> str:
        """`path: N rows kept, N removed (why)`."""
        why = ", ".join(f"{count:,} {_WHY[reason]}" for reason, count in self.removed.items())
        removed = f"{sum(self.removed.values()):,} removed"
        return f"{self.path}: {self.kept:,} rows kept, {removed}" + (f" ({why})" if why else "")


def check_free(folder: str | os.PathLike[str], overwrite: bool = False, sources: Iterable[str] = ()) -> None:
    """See that the copies have a place.

    Args:
        folder: Where they are to go.
        overwrite: A folder of data files alone may be replaced.
        sources: The files that are copied.

    Raises:
        CallError: There is something, and it is not to be overwritten, or is more than copies, or is copied itself.
    """
    path = Path(folder).expanduser()
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not overwrite:
        raise CallError(f"--fix {folder} exists and is not overwritten: name another folder, or say --overwrite")
    if not path.is_dir():
        raise CallError(f"--fix {folder} is a file: name a folder")
    for entry in path.iterdir():
        if not entry.is_file() or entry.suffix.lower() not in EXTENSIONS:
            raise CallError(f"--fix {folder} holds {entry.name}, which is no copy of data: name another folder")
    for source in sources:
        if path.resolve() in Path(source).expanduser().resolve().parents:
            raise CallError(f"--fix {folder} holds {source}, which is to be copied: name another folder")


def write_cleaned(
    rows: AuditRows, raw: RawData, from_files: bool, folder: str | os.PathLike[str], overwrite: bool = False
) -> list[CleanedFile]:
    """Write the copies, all of them or none.

    Files keep their format, columns, order and, in CSV, TSV and JSON lines, the bytes of every row that stays; other
    sources become JSON lines with `text`, `label` and, where there is one, `group`. Rows that the label rule drops
    stay.

    Args:
        rows: of `raw`.
        raw: what was audited.
        from_files: whether `raw.sources` are files.
        folder: where to write.
        overwrite: as in `check_free`.

    Returns:
        The copies.

    Raises:
        CallError: as `check_free`.
        DataError: no row of a split would be left.
    """
    folder = Path(folder).expanduser()
    check_free(folder, overwrite, raw.sources.values() if from_files else ())
    reasons = removals(rows)
    targets = _targets(raw, from_files)
    written = []
    with folder_atomically(folder) as beside:
        for split, name in targets.items():
            of_split = rows.split == split
            gone = {int(row) for row in rows.row[of_split & (reasons != "")]}
            if len(gone) == of_split.sum():
                raise DataError(
                    f"{raw.sources[split]}: --fix would remove every row of the {split} split: is one file given twice?"
                )
            if from_files:
                _copy_file(raw.files[split], beside / name, gone)
            else:
                _write_rows(raw, split, beside / name, gone)
            counts = Counter(reasons[of_split & (reasons != "")].tolist())
            removed = {reason: counts[reason] for reason in _WHY if counts[reason]}
            written.append(CleanedFile(split, str(folder / name), int(of_split.sum()) - len(gone), removed))
    return written


def _targets(raw: RawData, from_files: bool) -> dict[str, str]:
    """The name of each split's copy: that of the file, unless two files have the same name."""
    if not from_files:
        return {split: f"{split}.jsonl" for split in raw.splits}
    names = {split: _base_name(raw.sources[split]) for split in raw.splits}
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    return {split: f"{split}-{name}" if name in twice else name for split, name in names.items()}


def _base_name(source: str) -> str:
    return Path(urlsplit(source).path if "://" in source else source).name


def _copy_file(table: FileTable, target: Path, gone: set[int]) -> None:
    """One file without the rows in `gone`, which are numbered as the user sees them."""
    if table.encoding is None or table.kind == "array":
        _copy_table(table, target, gone)
        return
    left_out = {
        line
        for row, last in zip(table.rows.tolist(), table.last.tolist(), strict=True)
        if row in gone
        for line in range(row, last + 1)
    }
    lines = enumerate(open_lines(table.path, table.encoding, exact=True), start=1)
    kept = "".join(line for number, line in lines if number not in left_out)
    write_atomically(target, encode_lines(kept, table.encoding))


def _copy_table(table: FileTable, target: Path, gone: set[int]) -> None:
    """A Parquet file, or a JSON array; their rows are numbered from 1."""
    if table.kind == "parquet":
        import pyarrow.parquet as pq

        whole = pq.read_table(table.path)
        kept = np.array([row not in gone for row in range(1, whole.num_rows + 1)])
        buffer = io.BytesIO()
        pq.write_table(whole.filter(kept), buffer)
        write_atomically(target, buffer.getvalue())
        return
    rows = json.loads(table.path.read_text(encoding="utf-8-sig"))
    left = [value for row, value in enumerate(rows, start=1) if row not in gone]
    write_atomically(target, json.dumps(left, indent=2, ensure_ascii=False) + "\n")


def _write_rows(raw: RawData, split: str, target: Path, gone: set[int]) -> None:
    """A split that is from no file, as JSON lines."""
    lines = []
    for row in raw.splits[split]:
        if row["row"] in gone:
            continue
        group = {"group": row["group"]} if row.get("group") is not None else {}
        lines.append(json.dumps({"text": row["text"], "label": row["label"], **group}, ensure_ascii=False) + "\n")
    write_atomically(target, "".join(lines))
