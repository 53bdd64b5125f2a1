"""Reading one data file: CSV, TSV, JSONL, JSON or Parquet, from a local path or a URL, with the user's row
numbers.

Everything is loaded by `datasets`, so that it is converted once, cached and memory-mapped. Delimited files
and JSONL get care of their own: every cell stays a string (a review that says "NA" is no missing value, an id
keeps its zeros), broken bytes become U+FFFD (found later as bad rows), and a blank line keeps its number.
"""

from __future__ import annotations

import glob
import json
import logging
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow.compute as pc
from datasets import Dataset, DownloadManager, Features, Value, load_dataset
from datasets.exceptions import DatasetsError

from ..errors import CallError, DataError

logger = logging.getLogger(__name__)

EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
"""Known file extensions and their formats."""

NOT_JSON = ("not JSON", "not a JSON object")
"""How the fault of a broken line begins."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_QUOTE_HINT = " (quote every cell that contains the separator, a line break or a quote)"
_KEY_SAMPLE = 1000
"""Lines of a JSONL file that are read to learn its columns."""


@dataclass(frozen=True)
class FileTable:
    """A file as a table.

    Attributes:
        source: the path or URL as the user gave it, for messages.
        kind: one of the values of `EXTENSIONS`, or "array" for a JSON file that holds one list.
        path: the file on this machine.
        dataset: the columns as loaded; for JSONL one column `line`.
        columns: the names to choose from.
        rows: the user's row number of each row (int64).
    """

    source: str
    kind: str
    path: Path
    dataset: Dataset
    columns: list[str]
    rows: np.ndarray


def read_file(source: str | os.PathLike[str], *, keep_broken: bool = False) -> FileTable:
    """Load a file. `CallError` for a path or type that can't be, `DataError` for content that can't.

    With `keep_broken`, a line of a JSONL file that is not JSON is no error as long as there are good ones.
    """
    name = os.fspath(source)
    kind = _kind_of(name)
    path = _local_path(name)
    if path.stat().st_size == 0:
        raise CallError(f"{name}: the file is empty")
    if kind == "json":
        kind = "array" if _first_character(path) == "[" else "jsonl"
    if kind in ("csv", "tsv"):
        table = _read_delimited(name, path, kind)
    elif kind == "jsonl":
        table = _read_json_lines(name, path, keep_broken)
    else:
        dataset = _load("json" if kind == "array" else "parquet", name, path)
        table = FileTable(name, kind, path, dataset, dataset.column_names, np.arange(1, len(dataset) + 1))
    if not len(table.dataset):
        raise CallError(f"{name}: the file has no data rows")
    return table


def json_line_values(table: FileTable, wanted: Mapping[str, str], *, keep_broken: bool = False) -> Dataset:
    """The values of a JSONL file under `wanted`, {new name: key}, every one a string or None.

    A label that is a number, a boolean or a list becomes its JSON; a text that is no string becomes None. With
    `keep_broken` there is a column `fault` more, which says of a broken line what is wrong with it.
    """
    features = Features({name: Value("string") for name in [*wanted, *(["fault"] if keep_broken else [])]})
    return table.dataset.map(
        _parse_lines,
        batched=True,
        with_indices=True,
        fn_kwargs={"wanted": dict(wanted), "source": table.source, "rows": table.rows, "keep_broken": keep_broken},
        remove_columns=table.dataset.column_names,
        features=features,
        desc="Reading lines",
    )


def _kind_of(name: str) -> str:
    path = urlsplit(name).path if "://" in name else name
    extension = os.path.splitext(path)[1].lower()
    if extension not in EXTENSIONS:
        known = ", ".join(EXTENSIONS)
        raise CallError(f"{name}: unknown file type {extension or '(no extension)'}; known: {known}")
    return EXTENSIONS[extension]


def _local_path(name: str) -> Path:
    """The file itself, or the cached download of a URL."""
    if "://" in name:
        try:
            return Path(DownloadManager().download(name))
        except (OSError, ValueError, DatasetsError) as error:
            raise CallError(f"{name}: cannot be downloaded ({_first_line(error)})") from error
    path = Path(name).expanduser()
    if not path.exists():
        raise CallError(f"{name}: no such file{_nearest_file(path)}")
    if not path.is_file():
        raise CallError(f"{name}: is a folder; name a file in it ({', '.join(EXTENSIONS)})")
    return path.resolve()


def _nearest_file(path: Path) -> str:
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    near = get_close_matches(path.name, [p.name for p in path.parent.iterdir() if p.is_file()], n=1)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""


def _first_character(path: Path) -> str:
    """The first character of a UTF-8 file that is no white space."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        while block := file.read(4096):
            if block.strip():
                return block.lstrip()[0]
    return ""


def _first_line(error: BaseException) -> str:
    """What went wrong, in one line: `datasets` wraps the reader's own message."""
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return lines[0] if lines else type(cause).__name__


def _load(builder: str, name: str, path: Path, **options: Any) -> Dataset:
    """Let `datasets` load and cache one file; its errors become one line."""
    # A name with [ or * is a pattern to `datasets`, which would load other files.
    files = {"train": glob.escape(str(path))}
    try:
        loaded = load_dataset(builder, data_files=files, split="train", **options)
    except (DatasetsError, ValueError, OSError, TypeError, Warning) as error:
        hint = _QUOTE_HINT if builder == "csv" else ""
        raise DataError(f"{name}: cannot be read as {builder}: {_first_line(error)}{hint}") from error
    return loaded


def _read_delimited(name: str, path: Path, kind: str) -> FileTable:
    """A CSV or TSV file, every cell a string; row 1 is the header, as a spreadsheet counts."""
    import pandas as pd

    with path.open("rb") as file:
        if file.read(2) in (b"\xff\xfe", b"\xfe\xff"):
            raise CallError(f"{name}: the file is in UTF-16; save it as UTF-8")
    options: dict[str, Any] = {"sep": "\t" if kind == "tsv" else ",", "encoding": "utf-8-sig"}
    options |= {"encoding_errors": "replace", "keep_default_na": False, "index_col": False}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            top = pd.read_csv(path, nrows=1, dtype=str, **options)
    except (ValueError, pd.errors.ParserWarning) as error:
        raise DataError(f"{name}: cannot be read as {kind}: {_first_line(error)}{_QUOTE_HINT}") from error
    if top.empty:
        raise CallError(f"{name}: the file has no data rows")
    columns = [str(column) for column in top.columns]
    features = Features({column: Value("string") for column in columns})
    with warnings.catch_warnings():
        # pandas only warns when every row is longer than the header, and drops the rest.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        dataset = _load("csv", name, path, features=features, skip_blank_lines=False, **options)
    rows = np.arange(2, len(dataset) + 2)
    blank = np.ones(len(dataset), dtype=bool)
    for column in columns:
        values = dataset.data.column(column)
        blank &= pc.equal(pc.fill_null(values, ""), "").to_numpy()
    return _without(FileTable(name, kind, path, dataset, columns, rows), blank)


def _read_json_lines(name: str, path: Path, keep_broken: bool) -> FileTable:
    """A file with one JSON object a line; rows are line numbers from 1."""
    options = {"encoding": "utf-8-sig", "encoding_errors": "replace"}
    dataset = _load("text", name, path, features=Features({"line": Value("string")}), **options)
    lines = dataset.data.column("line")
    blank = pc.equal(pc.utf8_trim_whitespace(lines), "").to_numpy()
    table = _without(FileTable(name, "jsonl", path, dataset, [], np.arange(1, len(dataset) + 1)), blank)
    keys: dict[str, None] = {}
    broken: list[DataError] = []
    for row, line in zip(table.rows, table.dataset[:_KEY_SAMPLE]["line"], strict=False):
        value = _parse(line)
        if isinstance(value, str):
            broken.append(DataError(f"{name}, line {row}: {value}"))
        else:
            keys.update(dict.fromkeys(value))
    if broken and not (keep_broken and keys):
        raise broken[0]
    return FileTable(name, "jsonl", path, table.dataset, list(keys), table.rows)


def _without(table: FileTable, blank: np.ndarray) -> FileTable:
    """The table without its blank lines; the others keep their row numbers."""
    if not blank.any():
        return table
    logger.info("%s: %d blank lines passed over", table.source, int(blank.sum()))
    kept = np.flatnonzero(~blank)
    return FileTable(table.source, table.kind, table.path, table.dataset.select(kept), table.columns, table.rows[kept])


def _parse(line: str) -> dict[str, Any] | str:
    """One line as a JSON object, or what is wrong with it."""
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        message = re.sub(r": line 1 column (\d+).*", r" at column \1", str(error))
        return f"{NOT_JSON[0]} ({message}); write one JSON object a line"
    if not isinstance(value, dict):
        return f'{NOT_JSON[1]}; write lines such as {{"text": "...", "label": "..."}}'
    return value


def _parse_lines(
    batch: dict[str, list[str]],
    indices: list[int],
    wanted: dict[str, str],
    source: str,
    rows: np.ndarray,
    keep_broken: bool,
) -> dict[str, list[str | None]]:
    """For `Dataset.map`: the wanted values of a batch of lines."""
    values: dict[str, list[str | None]] = {name: [] for name in [*wanted, *(["fault"] if keep_broken else [])]}
    for line, i in zip(batch["line"], indices, strict=True):
        parsed = _parse(line)
        if isinstance(parsed, str) and not keep_broken:
            raise DataError(f"{source}, line {rows[i]}: {parsed}")
        row = {} if isinstance(parsed, str) else parsed
        for name, key in wanted.items():
            values[name].append(_value(row.get(key), name))
        if keep_broken:
            values["fault"].append(parsed if isinstance(parsed, str) else None)
    return values


def _value(value: object, name: str) -> str | None:
    if isinstance(value, str):
        # A lone surrogate (half of an escaped emoji) is broken encoding too, and Arrow can't hold it.
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if value is None or name == "text":
        return None
    return json.dumps(value)
