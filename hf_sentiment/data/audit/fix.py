"""Cleaned copies of data files: the same files without the rows that `audit.removals` names, never the originals."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from hf_sentiment.data.audit.checks import CONFLICT, EMPTY, LEAK, REPEAT, UNKNOWN, UNREADABLE, removals
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.sources import EXTENSIONS, FileTable, RawData, copy_rows
from hf_sentiment.data.tables import open_lines
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.records.atomic import file_atomically, folder_atomically, write_atomically

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
    if path.resolve() == Path.cwd():  # which cannot be moved into its place as a whole
        raise CallError(f"--fix {folder!r} is the working directory: name another folder")
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
    rows: Rows, raw: RawData, folder: str | os.PathLike[str], overwrite: bool = False
) -> list[CleanedFile]:
    """Write the copies, all of them or none.

    Files keep their format, columns, order and, in CSV and its kin and in JSON lines, every row that stays as it is
    written; but text is in UTF-8, nothing is packed, and a workbook has the one sheet, with values and no formats.
    Other sources become JSON lines with `text`, `label` and, where there is one, `group`. Rows that the label rule
    drops stay.

    Args:
        rows: Of `raw`.
        raw: What was audited.
        folder: Where to write.
        overwrite: As in `check_free`.

    Returns:
        The copies.

    Raises:
        CallError: As `check_free`.
        DataError: No row of a split would be left.
    """
    folder = Path(folder).expanduser()
    check_free(folder, overwrite, [str(table.path) for table in raw.files.values()])
    reasons = removals(rows)
    targets = _targets(raw)
    written = []
    with folder_atomically(folder) as beside:
        for split, name in targets.items():
            # Files count rows as `Rows.row` does.
            of_split = rows.within(split)
            gone = {int(row) for row in rows.row[of_split & (reasons != "")]}
            if len(gone) == of_split.sum():
                why = ", ".join(sorted({_WHY[reason] for reason in reasons[of_split].tolist()}))
                raise DataError(
                    f"{raw.sources[split]}: --fix would remove every row of the {split} split ({why}): look at the "
                    "rows that it names, or is one file given twice?"
                )
            if raw.files:
                _copy_file(raw.files[split], beside / name, gone)
            else:
                _write_rows(raw, split, beside / name, gone)
            counts = Counter(reasons[of_split & (reasons != "")].tolist())
            removed = {reason: counts[reason] for reason in _WHY if counts[reason]}
            written.append(CleanedFile(split, str(folder / name), int(of_split.sum()) - len(gone), removed))
    return written


def _targets(raw: RawData) -> dict[str, str]:
    """The name of each split's copy: that of the file, unless two files have the same name."""
    if not raw.files:
        return {split: f"{split}.jsonl" for split in raw.splits}
    names = {split: _name_of_copy(table) for split, table in raw.files.items()}
    twice = {name for name, count in Counter(names.values()).items() if count > 1}
    return {split: f"{split}-{name}" if name in twice else name for split, name in names.items()}


def _name_of_copy(table: FileTable) -> str:
    """The file's own name, with the extension of what is in it."""
    source = table.source
    if table.sheet is not None:
        source = source.removesuffix(f"#{table.sheet}")
    name = Path(urlsplit(source).path if "://" in source else source).name
    name = name[:-3] if name.lower().endswith(".gz") else name
    stem, extension = os.path.splitext(name)
    kind = EXTENSIONS.get(extension.lower(), "")
    written = {"array": "json", "jsonl": "json"}.get(table.kind, table.kind)
    same = kind == table.kind or (kind == "json" and written == "json")
    if same and extension.lower() != ".xlsm":  # of which macros are the point
        return name
    return stem + {"excel": ".xlsx", "array": ".json"}.get(table.kind, f".{table.kind}")


def _copy_file(table: FileTable, target: Path, gone: set[int]) -> None:
    """One file without the rows in `gone`, which are numbered as the user sees them."""
    if table.kind == "parquet":
        _copy_parquet(table, target, gone)
    elif table.kind == "excel":
        copy_rows(table.path, str(table.sheet), target, gone)
    elif table.kind == "array":
        kept = zip(table.rows.tolist(), table.dataset["line"], strict=True)
        items = [json.loads(line) for row, line in kept if row not in gone]
        write_atomically(target, json.dumps(items, indent=2, ensure_ascii=False) + "\n")
    else:
        _copy_lines(table, target, gone)


def _copy_lines(table: FileTable, target: Path, gone: set[int]) -> None:
    """A text file without some of its lines."""
    assert table.encoding is not None
    # A row may go over several lines, and blank lines between rows stay.
    left_out = {
        line
        for row, last in zip(table.rows.tolist(), table.last.tolist(), strict=True)
        if row in gone
        for line in range(row, last + 1)
    }
    lines = enumerate(open_lines(table.path, table.encoding, exact=True), start=1)
    with file_atomically(target) as beside, beside.open("wb") as file:
        for number, line in lines:
            if number not in left_out:
                file.write(line.encode("utf-8", "surrogateescape"))


def _copy_parquet(table: FileTable, target: Path, gone: set[int]) -> None:
    import pyarrow.parquet as pq

    whole = pq.read_table(table.path)
    kept = np.array([row not in gone for row in range(1, whole.num_rows + 1)])
    with file_atomically(target) as beside:
        pq.write_table(whole.filter(kept), beside)


def _write_rows(raw: RawData, split: str, target: Path, gone: set[int]) -> None:
    """A split that is from no file, as JSON lines."""
    lines = []
    for row in raw.splits[split]:
        if row["row"] in gone:
            continue
        group = {"group": row["group"]} if row.get("group") is not None else {}
        lines.append(json.dumps({"text": row["text"], "label": row["label"], **group}, ensure_ascii=False) + "\n")
    write_atomically(target, "".join(lines))
