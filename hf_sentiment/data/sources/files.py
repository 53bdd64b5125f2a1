"""Reading one data file: CSV and its kin, JSON lines, JSON, Parquet or Excel, from a local path or a URL, with the
user's row numbers.

Everything goes through `datasets`, so that it is converted once, cached and memory-mapped. In delimited files, JSON
lines and sheets every cell stays a string (a review that says "NA" is no missing value, an id keeps its zeros), broken
bytes become U+FFFD (found later as bad rows), and a blank line keeps its number.
"""

from __future__ import annotations

import glob
import json
import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from datasets import Dataset, DatasetInfo, Features, Value, load_dataset
from datasets.exceptions import DatasetsError

from hf_sentiment.data.sources.json_files import json_value, list_items, parse_line, shape_fault
from hf_sentiment.data.sources.locations import kind_by_content, kind_of, local_path
from hf_sentiment.data.sources.table_cache import FAULT, LAST, NOTE, ROW, code_hash, delimited_rows, sheet_rows
from hf_sentiment.data.tables import (
    BACKSLASH,
    BARE_SEPARATOR,
    LINES,
    NO_VALUE,
    SEPARATOR_NAMES,
    STRAY_QUOTE,
    Dialect,
    Encoding,
    Layout,
    WantedColumns,
    find_encoding,
    find_layout,
    is_certain_header,
    open_lines,
)
from hf_sentiment.errors import DataError, NoRows, SentimentError, first_line

logger = logging.getLogger(__name__)

# No column is named.
ANY_COLUMNS = WantedColumns(None, None, True)

_TOP_LINES = 2000
_SHOWN_ROWS = 3
_NOTES = {
    STRAY_QUOTE: "a quote opens no cell and is taken as text",
    BARE_SEPARATOR: "a separator without quotes around it is taken as text",
    BACKSLASH: "quotes are escaped by backslashes",
    LINES: "a quoted text goes over several lines",
    NO_VALUE: "a formula has no value: open the workbook in Excel and save it",
}


@dataclass(frozen=True)
class FileTable:
    """A file as a table.

    Attributes:
        source: The path or URL as the user gave it, for messages.
        kind: One of the values of `locations.EXTENSIONS`; "array" for a JSON file that holds one list, "lines" for a
            text a line.
        path: The file on this machine.
        dataset: The columns as loaded, strings but for Parquet; for JSON one column `line`.
        columns: Their names, in order, each once.
        rows: The user's row number of each row (int64).
        last: The line on which each row ends (int64); the row itself where rows have no lines.
        encoding: Of a text file.
        layout: Of a delimited file or a sheet.
        sheet: Of a workbook.
        faults: Row number → why the row can't be read; its cells are empty.
        cells: What the columns are called in the cached file, where not as in `dataset`.
        places: Which rows of the cached file these are; `None` for all.
        cached: The files of the cache, of a table that is not mapped (see `rows.unmapped`).
    """

    source: str
    kind: str
    path: Path
    dataset: Dataset
    columns: list[str]
    rows: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    last: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    encoding: Encoding | None = None
    layout: Layout | None = None
    sheet: str | None = None
    faults: Mapping[int, str] | None = None
    cells: tuple[str, ...] = ()
    places: np.ndarray | None = None
    cached: tuple[str, ...] = ()


def read_file(
    source: str | os.PathLike[str],
    *,
    wanted: WantedColumns = ANY_COLUMNS,
    encoding: str | None = None,
    keep_broken: bool = False,
    keep_blank: bool = False,
    plain: bool = False,
) -> FileTable:
    """Load a file.

    Args:
        source: A path or URL; of a workbook with several tables `book.xlsx#sheet`.
        wanted: The columns that the user named, which tell the header.
        encoding: Of a text file, where its content does not tell it.
        keep_broken: A row that can't be read is no error, as long as there are good ones.
        keep_blank: A record in which nothing is written is a row too, if others follow.
        plain: A `.txt` whose first row is no header has a text a line, in the column `text`.

    Raises:
        CallError: A path, type or encoding that can't be, or no rows (`NoRows`).
        DataError: Content that can't be read.
    """
    name = os.fspath(source)
    kind, file, sheet = kind_of(name)
    path = local_path(file)
    if path.stat().st_size == 0:
        raise NoRows(f"{name}: the file is empty")
    kind = kind_by_content(path, kind, name)
    try:
        if kind == "excel":
            table = _read_excel(name, path, sheet, wanted, keep_blank)
        elif kind == "parquet":
            table = _read_parquet(name, path)
        elif kind in ("csv", "tsv"):
            found = find_encoding(path, name, encoding)
            if plain and file.lower().removesuffix(".gz").endswith(".txt") and _is_plain(path, found, wanted):
                table = _read_lines(name, path, found)
            else:
                table = _read_delimited(name, path, kind, found, wanted, keep_blank)
        else:
            table = _read_json(name, path, kind, find_encoding(path, name, encoding), keep_broken)
    except SentimentError as error:
        raise _at(name, error) from error
    except (pa.ArrowException, OSError) as error:  # of a Parquet file that ends too early, or is damaged
        raise DataError(f"{name}: cannot be read: {first_line(error).rstrip('.')}; write it again") from error
    if not len(table.dataset):
        raise NoRows(f"{name}: the file has no data rows")
    if table.faults and (not keep_broken or len(table.faults) == len(table.dataset)):
        raise DataError(_faults_message(table))
    return table


def json_line_values(table: FileTable, wanted: Mapping[str, str]) -> Dataset:
    """The values of a JSON file under `wanted`, {new name: key}, every one a string or None.

    A label that is a number, a boolean or a list becomes its JSON; a text that is no string becomes None.
    """
    return table.dataset.map(
        _parse_lines,
        batched=True,
        fn_kwargs={"wanted": dict(wanted), "code": code_hash()},
        remove_columns=table.dataset.column_names,
        features=Features({name: Value("string") for name in wanted}),
        desc="Reading lines",
    )


def _at(name: str, error: SentimentError) -> SentimentError:
    """The error with the file in front, where it does not say it yet."""
    message = str(error)
    if message.startswith(name):
        return error
    return type(error)(f"{name}{', ' if message.startswith('row ') else ': '}{message}")


def _load(builder: str, name: str, path: Path, **options: Any) -> Dataset:
    """Let `datasets` load and cache one file; its errors become one line."""
    # A name with [ or * is a pattern to `datasets`, which would load other files.
    files = {"train": glob.escape(str(path))}
    try:
        return load_dataset(builder, data_files=files, split="train", **options)
    except (DatasetsError, ValueError, OSError, TypeError, Warning) as error:
        if "datasets dtype" in str(error):
            raise DataError(
                f"{name}: cannot be read: {first_line(error).rstrip('.')}; leave that column out"
            ) from error
        raise DataError(f"{name}: cannot be read: no {builder} file, or a broken one; write it again") from error


def _read_parquet(name: str, path: Path) -> FileTable:
    if (metadata := pq.read_metadata(path)).num_rows == 0:  # `datasets` takes it for broken
        raise NoRows("the file has no data rows")
    twice = [column for column, times in Counter(metadata.schema.to_arrow_schema().names).items() if times > 1]
    if twice:
        raise DataError(f'several columns are called "{twice[0]}": give each a name of its own')
    dataset = _in_utf8(_load("parquet", name, path))
    rows = np.arange(1, len(dataset) + 1)
    return FileTable(name, "parquet", path, dataset, dataset.column_names, rows, rows)


def _in_utf8(dataset: Dataset) -> Dataset:
    """The data set with U+FFFD for what is broken in its strings, as in the other formats; Arrow takes any bytes."""
    healed = {}
    for name, column in zip(dataset.column_names, dataset.data.columns, strict=True):
        try:
            column.validate(full=pa.types.is_string(column.type) or pa.types.is_large_string(column.type))
        except pa.ArrowInvalid:
            values = column.cast(pa.large_binary()).to_pylist()
            healed[name] = pa.array([value and value.decode("utf-8", "replace") for value in values], pa.string())
    if not healed:
        return dataset
    # In memory: the file in the cache is still broken.
    table = dataset.with_format("arrow")[:]
    for name, values in healed.items():
        table = table.set_column(table.column_names.index(name), name, values)
    return Dataset(table, info=DatasetInfo(features=dataset.features))


def _read_delimited(
    name: str, path: Path, kind: str, encoding: Encoding, wanted: WantedColumns, keep_blank: bool
) -> FileTable:
    """A CSV file or one of its kin; a row's number is that of the line on which it begins."""
    # The first lines tell how the table is laid out; the rows are read with all of it known.
    layout = find_layout(list(islice(open_lines(path, encoding), _TOP_LINES)), kind, wanted)
    dialect = Dialect(layout.separator, len(layout.header), layout.text, layout.spaces)
    try:
        dataset = delimited_rows(path, encoding, dialect, layout.start)
    except DatasetsError as error:
        if isinstance(error.__cause__, SentimentError):
            raise error.__cause__ from error
        raise DataError(f"{name}: cannot be read: {first_line(error.__cause__ or error)}") from error
    table = FileTable(name, kind, path, dataset, layout.columns, encoding=encoding, layout=layout)
    table = _of_rows(table, keep_blank)
    if layout.separator != {"csv": ",", "tsv": "\t"}[kind] and len(layout.header) > 1:
        logger.info("%s: separated by %s", name, SEPARATOR_NAMES.get(layout.separator, layout.separator))
    return table


def _read_excel(name: str, path: Path, sheet: str | None, wanted: WantedColumns, keep_blank: bool) -> FileTable:
    """A sheet of a workbook; a row's number is Excel's."""
    from hf_sentiment.data.sources.excel import find_sheet

    sheet, layout, filled = find_sheet(path, name, sheet, wanted)
    dataset = sheet_rows(path, sheet, layout.start, len(layout.header))
    if filled > 1:
        logger.info("%s: the sheet %s", name, sheet)
    return _of_rows(FileTable(name, "excel", path, dataset, layout.columns, layout=layout, sheet=sheet), keep_blank)


def _of_rows(table: FileTable, keep_blank: bool) -> FileTable:
    """The table with its row numbers and faults; without rows and nameless columns where nothing is written."""
    assert table.layout is not None
    data = table.dataset.data
    rows, last = (np.asarray(data.column(name).to_numpy(), dtype=np.int64) for name in (ROW, LAST))
    # Whether anything is written in a row; a row with a fault has lost what was.
    filled = data.column(FAULT).is_valid().to_numpy()
    cells = [str(i) for i in range(len(table.columns))]
    used = []
    for i, name in enumerate(cells):
        written = pc.not_equal(data.column(name), "").to_numpy()
        filled = filled | written
        if table.layout.header[i] or written.any():
            used.append(name)
    _say_how_it_was_read(table, rows, last, data.column(NOTE).to_numpy())
    broken = pc.drop_null(data.column(FAULT)).to_pylist()
    faults = dict(zip(rows[data.column(FAULT).is_valid().to_numpy()].tolist(), broken, strict=True))
    names = {name: table.columns[int(name)] for name in used}
    dataset = table.dataset.select_columns(used).rename_columns(names)
    table = replace(
        table, dataset=dataset, columns=list(names.values()), rows=rows, last=last, faults=faults, cells=tuple(used)
    )
    # Blank rows between others line up with the file; those at its end are no rows to anybody.
    if keep_blank and filled.any():
        filled[: np.flatnonzero(filled)[-1]] = True
    blank = int((~filled).sum())
    if blank and not keep_blank:
        logger.info("%s: %d blank %s passed over", table.source, blank, "row" if blank == 1 else "rows")
    return _only(table, filled) if blank else table


def _say_how_it_was_read(table: FileTable, rows: np.ndarray, last: np.ndarray, notes: np.ndarray) -> None:
    """One line for each thing about the file that its reader may not expect."""
    assert table.layout is not None
    if table.encoding is not None and table.encoding.detected:
        logger.info("%s: encoded in %s", table.source, table.encoding.title)
    if table.layout.header_row > 1:
        logger.info("%s: the header is row %d", table.source, table.layout.header_row)
    for note, what in _NOTES.items():
        places = rows[notes == note]
        if len(places):
            logger.info("%s: in %s %s", table.source, _listed(places), what)


def _listed(rows: np.ndarray) -> str:
    """ "row 5", "rows 5, 7", "rows 5, 7, 9 and 12 more"."""
    shown = ", ".join(map(str, rows[:_SHOWN_ROWS]))
    more = f" and {len(rows) - _SHOWN_ROWS:,} more" if len(rows) > _SHOWN_ROWS else ""
    return f"{'row' if len(rows) == 1 else 'rows'} {shown}{more}"


def _faults_message(table: FileTable) -> str:
    assert table.faults
    row, fault = next(iter(table.faults.items()))
    others = len(table.faults) - 1
    more = f"; and {others:,} more {'row' if others == 1 else 'rows'}" if others else ""
    lacking = table.layout is not None and len(table.faults) > len(table.rows) / 2
    return f"{table.source}, row {row}: {fault}{more}" + ("; or does the header lack a name?" if lacking else "")


def _is_plain(path: Path, encoding: Encoding, wanted: WantedColumns) -> bool:
    """Whether a text file has no header with the name of a column of texts."""
    try:
        layout = find_layout(list(islice(open_lines(path, encoding), _TOP_LINES)), "csv", wanted)
    except SentimentError:
        return True
    return not any(is_certain_header([layout.header], names) for names in (wanted, ANY_COLUMNS))


def _read_lines(name: str, path: Path, encoding: Encoding) -> FileTable:
    """A text a line."""
    why = "as no name in its first row is that of a column of texts"
    logger.info("%s: a text a line, %s%s", name, why, f", encoded in {encoding.title}" if encoding.detected else "")
    options = {"encoding": encoding.name, "encoding_errors": "replace"}
    dataset = _load("text", name, path, features=Features({"text": Value("string")}), **options)
    rows = np.arange(1, len(dataset) + 1)
    return FileTable(name, "lines", path, dataset, ["text"], rows, rows, encoding)


def _read_json(name: str, path: Path, kind: str, encoding: Encoding, keep_broken: bool) -> FileTable:
    """A file with one JSON object a line, whose rows are its lines, or with one list."""
    if encoding.detected:
        logger.info("%s: encoded in %s", name, encoding.title)
    if _is_list(path, encoding, kind):
        dataset = Dataset.from_dict({"line": list_items(path, encoding, name)}, Features({"line": Value("string")}))
        rows = np.arange(1, len(dataset) + 1)
        table = FileTable(name, "array", path, dataset, [], rows, rows, encoding)
    else:
        options = {"encoding": encoding.name, "encoding_errors": "replace"}
        dataset = _load("text", name, path, features=Features({"line": Value("string")}), **options)
        rows = np.arange(1, len(dataset) + 1)
        filled = ~pc.equal(pc.utf8_trim_whitespace(dataset.data.column("line")), "").to_numpy()
        table = _only(FileTable(name, "jsonl", path, dataset, [], rows, rows, encoding), filled)
        if not filled.all():
            logger.info("%s: %d blank lines passed over", name, int((~filled).sum()))
    if not len(table.dataset):
        return table
    looked = table.dataset.map(
        _look_at_lines,
        batched=True,
        fn_kwargs={"code": code_hash()},
        remove_columns=["line"],
        features=Features({"fault": Value("string"), "keys": Value("string")}),
        desc="Looking at lines",
    ).data
    # Columns are the keys of all lines, in the order in which they come up.
    keys = dict.fromkeys(key for keys in pc.unique(looked.column("keys")).to_pylist() for key in json.loads(keys))
    broken = looked.column("fault").is_valid().to_numpy()
    reasons = pc.drop_null(looked.column("fault")).to_pylist()
    faults = dict(zip(table.rows[broken].tolist(), reasons, strict=True))
    # No line is an object, or there is one line: the file may be one object for the whole table.
    if len(table.dataset) == 1 or len(faults) == len(table.dataset):
        whole = shape_fault(path, encoding) if table.kind != "array" else None
        if whole:
            raise DataError(f"{name}: {whole}")
    return replace(table, columns=list(keys), faults=faults)


def _is_list(path: Path, encoding: Encoding, kind: str) -> bool:
    """Whether a JSON file holds one list: of objects, whatever its name says, or of anything in a `.json`."""
    start = "".join(islice((c for line in open_lines(path, encoding) for c in line if not c.isspace()), 2))
    return start == "[{" or (kind == "json" and start[:1] == "[")


def _only(table: FileTable, kept: np.ndarray) -> FileTable:
    """The rows of a table that are to be kept, with their numbers."""
    if kept.all():
        return table
    chosen = np.flatnonzero(kept)
    dataset = table.dataset.select(chosen)
    return replace(table, dataset=dataset, rows=table.rows[chosen], last=table.last[chosen], places=chosen)


def _look_at_lines(batch: dict[str, list[str]], code: str) -> dict[str, list[str | None]]:
    """For `Dataset.map`: what is wrong with each line, and its keys as JSON; by its cache, for this `code`."""
    parsed = [parse_line(line) for line in batch["line"]]
    return {
        "fault": [value if isinstance(value, str) else None for value in parsed],
        "keys": ["[]" if isinstance(value, str) else json.dumps(list(value)) for value in parsed],
    }


def _parse_lines(batch: dict[str, list[str]], wanted: dict[str, str], code: str) -> dict[str, list[str | None]]:
    """For `Dataset.map`: the wanted values of a batch of lines; None of a line that is no object."""
    parsed = [parse_line(line) for line in batch["line"]]
    rows = [{} if isinstance(value, str) else value for value in parsed]
    return {name: [json_value(row.get(key), name) for row in rows] for name, key in wanted.items()}
