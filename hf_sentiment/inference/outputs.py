"""Files of predictions: the rows of the input with all their columns, and what is predicted of each.

CSV, TSV, Excel and Parquet have, after the input's columns: `label`, `score`, `p_LABEL` for each label, and `note`.
JSON lines have `row` (the number in the input), the input's columns, `label`, `score`, `scores` and `note`. A column of
the input that has the name of one of these is called `original_NAME`. A file is written in parts, and gone on with by
the same call after a kill (see `hf_sentiment.records.resumable`).
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from hf_sentiment.data.sources import text_cell
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.parser import local_file
from hf_sentiment.records.atomic import refuse_existing
from hf_sentiment.records.resumable import Part, resumable_file

if TYPE_CHECKING:
    from hf_sentiment.inference.classifier import Prediction
    from hf_sentiment.inference.rows import InputRow

logger = logging.getLogger(__name__)

# Decimals of a probability in a table that people look at.
_DIGITS = 6
# A group of rows of a Parquet file, in parts: 65,536 where a part has 2,048 rows.
_PARTS_OF_A_GROUP = 32

# What a spreadsheet takes for a formula (OWASP, CSV injection), its full-width forms, and what hides one.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*([eE][+-]?\d+)?%?")
_PLAIN_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?")
# What Excel reads as the character of that number.
_ESCAPED = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")
# Beside the controls that openpyxl refuses, what makes a workbook that nothing opens.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_EXCEL_ROWS, _EXCEL_COLUMNS = 1_048_576, 16_384
_EXCEL_CHARACTERS = 32_767
_EXCEL_EXACT = 10**15


class Output:
    """Where predictions go.

    Args:
        columns: Those of the input that are kept, in order.
        labels: The model's, in order.

    Attributes:
        renamed: The input's columns that are called something else here, and what.
        part: What is written of a file until now.
    """

    part: Part | None = None

    def __init__(self, columns: Sequence[str], labels: Sequence[str]) -> None:
        self.columns, self.labels = list(columns), list(labels)
        # A column of the input keeps its name, unless it is one of ours; its new name must be free too.
        taken = {*self.ours(), *columns}
        self.renamed: dict[str, str] = {}
        for column in columns:
            if column in self.ours():
                name = f"original_{column}"
                while name in taken:
                    name = f"original_{name}"
                taken.add(name)
                self.renamed[column] = name

    def ours(self) -> list[str]:
        """The names of the columns that are added."""
        return ["label", "score", *(f"p_{label}" for label in self.labels), "note"]

    @property
    def header(self) -> list[str]:
        """The names of all columns."""
        return [*(self.renamed.get(column, column) for column in self.columns), *self.ours()]

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Write one row."""
        raise NotImplementedError

    def flush(self) -> None:
        """See that all rows until now are in the file."""

    def finish(self) -> None:
        """Make of what was written the file that was asked for."""

    def predicted(self, prediction: Prediction) -> list[Any]:
        """The values of the added columns, `None` for empty ones."""
        # Of a row without a text there is neither; its note says why.
        scores = prediction["scores"] or dict.fromkeys(self.labels)
        return [prediction["label"], prediction["score"], *scores.values(), prediction.get("note")]

    def shown(self, prediction: Prediction) -> list[Any]:
        """The same, for people."""
        return [round(value, _DIGITS) if isinstance(value, float) else value for value in self.predicted(prediction)]


class InMemory(Output):
    """The added columns of a table in memory.

    Attributes:
        added: Name → values.
    """

    def __init__(self, columns: Sequence[str], labels: Sequence[str]) -> None:
        super().__init__(columns, labels)
        self.added: dict[str, list[Any]] = {name: [] for name in self.ours()}

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Add one row."""
        for values, value in zip(self.added.values(), self.predicted(prediction), strict=True):
            values.append(value)


class Written(Output):
    """A file of lines.

    Args:
        columns: Those of the input that are kept, in order.
        labels: The model's, in order.
        file: Where they go.
    """

    def __init__(self, columns: Sequence[str], labels: Sequence[str], file: TextIO) -> None:
        super().__init__(columns, labels)
        self.file = file

    def flush(self) -> None:
        """See that all rows until now are in the file."""
        self.file.flush()


class JsonLines(Written):
    """One JSON object a line; nothing in it is altered."""

    def ours(self) -> list[str]:
        """The names of the keys that are added."""
        return ["row", "label", "score", "scores", "note"]

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Write one line."""
        kept = ((column, row.values[column]) for column in self.columns if column in row.values)
        values = {self.renamed.get(column, column): _json_value(value) for column, value in kept}
        ours = _json_value({**prediction, "note": prediction.get("note")})
        self.file.write(json.dumps({"row": row.number, **values, **ours}, ensure_ascii=False) + "\n")


class Delimited(Written):
    """CSV or TSV in UTF-8; a cell that a spreadsheet would run is written with a ' in front."""

    def __init__(self, columns: Sequence[str], labels: Sequence[str], file: TextIO, separator: str, new: bool) -> None:
        super().__init__(columns, labels, file)
        self.writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        if new:
            self.writer.writerow([harmless(name) for name in self.header])

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Write one record."""
        cells = [row.values.get(column) for column in self.columns]
        cells = [harmless(as_cell(value)) for value in cells]
        ours = [harmless(value) if isinstance(value, str) else value for value in self.shown(prediction)]
        self.writer.writerow([*cells, *ours])


class Excel(Written):
    """A workbook of one sheet; text is written as text, whatever it looks like.

    A workbook is written in one go, so until then its rows are lines of JSON.
    """

    rows, cut = 0, 0

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Add one row.

        Raises:
            DataError: A sheet has no room for it.
        """
        self.rows += 1
        check_excel_size(self.rows)
        cells = [self._cell(row.values.get(column)) for column in self.columns]
        self.file.write(json.dumps([*cells, *self.shown(prediction)]) + "\n")

    def finish(self) -> None:
        """Write the workbook."""
        from openpyxl import Workbook

        assert self.part is not None
        book = Workbook(write_only=True)
        sheet = book.create_sheet("predictions")
        sheet.freeze_panes = "A2"
        # openpyxl's open sheet is a temporary file: it is closed even where a row could not be written.
        try:
            sheet.append([self._text(sheet, name) for name in self.header])
            with self.part.whole.open(encoding="ascii") as lines:
                for line in lines:
                    cells = json.loads(line)
                    sheet.append([self._text(sheet, cell) if isinstance(cell, str) else cell for cell in cells])
        finally:
            sheet.close()
        self.part.whole = self.part.folder / "whole.xlsx"
        book.save(self.part.whole)
        if self.cut:
            logger.warning(
                "%d cells are longer than the %d characters of Excel and were cut", self.cut, _EXCEL_CHARACTERS
            )

    def _cell(self, value: Any) -> Any:
        """A number as a number where nothing of it is lost, all else as text."""
        if isinstance(value, bool) or (isinstance(value, int | float) and abs(value) < _EXCEL_EXACT):
            return value
        text = as_cell(value)
        if not text:
            return None
        # "007", "1.10" and long ids would lose digits as numbers: a spreadsheet keeps 15.
        if not _PLAIN_NUMBER.fullmatch(text):
            return text
        number = float(text) if "." in text else int(text)
        return number if f"{number:.15g}" == text else text

    def _text(self, sheet: Any, text: str) -> Any:
        text = _NOT_IN_XML.sub("", text)
        self.cut += len(text) > _EXCEL_CHARACTERS
        return text_cell(sheet, _ESCAPED.sub("_x005F_", text[:_EXCEL_CHARACTERS]))


class Parquet(Output):
    """Columns of the types that they had; `label` and `note` are strings, the rest of ours numbers.

    A Parquet file ends with its table of contents and cannot be added to, so until then its rows are Arrow's.
    """

    def __init__(
        self, columns: Sequence[str], labels: Sequence[str], part: Part, types: Mapping[str, pa.DataType]
    ) -> None:
        super().__init__(columns, labels)
        self.part = part
        added = [pa.string(), *[pa.float64()] * (1 + len(self.labels)), pa.string()]
        kinds = [types.get(column, pa.string()) for column in columns] + added
        self.schema = pa.schema(list(zip(self.header, kinds, strict=True)))
        self.waiting: list[list[Any]] = []

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Keep one row."""
        cells = [_typed(row.values.get(column), self.schema.field(i).type) for i, column in enumerate(self.columns)]
        self.waiting.append([*cells, *self.predicted(prediction)])

    def flush(self) -> None:
        """Write a part: a whole stream of Arrow's, of which there can be any number in a file."""
        assert self.part is not None
        if self.waiting:
            columns = zip(zip(*self.waiting, strict=True), self.schema, strict=True)
            arrays = [pa.array(values, kind.type) for values, kind in columns]
            with pa.ipc.new_stream(self.part.file, self.schema) as stream:
                stream.write_batch(pa.record_batch(arrays, schema=self.schema))
        self.waiting = []

    def finish(self) -> None:
        """Put the parts together."""
        assert self.part is not None
        whole = self.part.folder / "whole.parquet"
        with pq.ParquetWriter(whole, self.schema) as writer:
            parts = self._parts(self.part.whole)
            while group := list(islice(parts, _PARTS_OF_A_GROUP)):
                writer.write_table(pa.concat_tables(group))
        self.part.whole = whole

    @staticmethod
    def _parts(path: Path) -> Iterator[pa.Table]:
        with pa.OSFile(str(path)) as file:
            while file.tell() < file.size():
                with pa.ipc.open_stream(file) as stream:
                    yield stream.read_all()


# The extensions that an output may have.
OUTPUTS = (".csv", ".tsv", ".xlsx", ".parquet", ".jsonl", ".ndjson")


def check_output(said: str | os.PathLike[str]) -> Path:
    """The path of a file of predictions, which can be written there.

    Raises:
        CallError: It exists, it is not on this machine, or its format is not known.
    """
    path = local_file(said)
    if path.suffix.lower() not in OUTPUTS:
        raise CallError(f"--output {path}: unknown file type {path.suffix or '(none)'}; known: {', '.join(OUTPUTS)}")
    refuse_existing(path)
    return path


def check_excel_size(rows: int, columns: int = 0) -> None:
    """See that a sheet has room.

    Raises:
        DataError: It has not.
    """
    if rows >= _EXCEL_ROWS:
        raise DataError(f"a sheet of Excel holds {_EXCEL_ROWS - 1:,} rows, and there are more: write .csv or .parquet")
    if columns > _EXCEL_COLUMNS:
        raise DataError(f"a sheet of Excel holds {_EXCEL_COLUMNS:,} columns, and there are {columns:,}: write .parquet")


@contextmanager
def open_output(
    path: str | os.PathLike[str],
    columns: Sequence[str],
    labels: Sequence[str],
    types: Mapping[str, pa.DataType] | None = None,
    call: Mapping[str, Any] | None = None,
) -> Iterator[Output]:
    """The output of a file by its extension: written beside it, and there under its name once it is whole.

    Args:
        path: As `check_output` has it.
        columns: Those of the input that are kept, in order.
        labels: The model's, in order.
        types: Column → type, for a Parquet file; strings where it is not said.
        call: What was asked for; see `resumable_file`.
    """
    extension = Path(path).suffix.lower()
    with resumable_file(path, call) as part:
        new = part.file.tell() == 0
        text = io.TextIOWrapper(part.file, encoding="utf-8", newline="")
        output: Output
        if extension == ".parquet":
            output = Parquet(columns, labels, part, types or {})
        elif extension == ".xlsx":
            output = Excel(columns, labels, text)
        elif extension in (".csv", ".tsv"):
            output = Delimited(columns, labels, text, "," if extension == ".csv" else "\t", new)
        else:
            output = JsonLines(columns, labels, text)
        output.part = part
        try:
            yield output
            output.flush()
            part.file.flush()
            output.finish()
        finally:
            text.detach()  # or it would close the file, which is closed elsewhere


def _typed(value: Any, kind: pa.DataType) -> Any:
    """A value for a column of a type; in one of strings there may be anything, where a file has mixed them."""
    if value is None or isinstance(value, str) or not pa.types.is_string(kind):
        # A row that could not be read has empty cells.
        return None if value == "" and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) else value
    return as_cell(value)


def as_cell(value: Any) -> str:
    """A value of any type as the text of a cell, dates and times as ISO 8601 has them; what is missing is ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=as_cell)
    return value.isoformat() if isinstance(value, datetime.date | datetime.time) else str(value)


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs: with a ' in front where it would be a formula and is no number."""
    return f"'{cell}" if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def _json_value(value: Any) -> Any:
    """A value that JSON has: a date as text, NaN as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    return value if value is None or isinstance(value, str | int) else as_cell(value)
