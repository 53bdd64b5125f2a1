"""Files of predictions: the rows of the input with all their columns, and what is predicted of each.

CSV, TSV and Excel have, after the input's columns: `label`, `score`, `p_LABEL` for each label, and `note`. JSON lines
have `row` (the number in the input), the input's columns, `label`, `score`, `scores` and `note`. A column of the input
that has the name of one of these is called `original_NAME`.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from hf_sentiment.data.sources import text_cell
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.records.atomic import file_atomically, refuse_existing

if TYPE_CHECKING:
    from hf_sentiment.inference.classifier import Prediction
    from hf_sentiment.inference.rows import InputRow

logger = logging.getLogger(__name__)

# Decimals of a probability in a table.
_DIGITS = 6

# What a spreadsheet takes for a formula (OWASP, CSV injection), its full-width forms, and what hides one.
_FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*([eE][+-]?\d+)?%?")
# Numbers that a spreadsheet keeps exactly: no leading zero, at most 15 digits.
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d{0,14})(\.\d{1,10})?")
# Beside the controls that openpyxl refuses, what makes a workbook that nothing opens.
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_EXCEL_ROWS = 1_048_576
_EXCEL_CHARACTERS = 32_767
_EXCEL_EXACT = 10**15


class Output(ABC):
    """Where predictions go.

    Args:
        columns: The input's, in order.
        labels: The model's, in order.

    Attributes:
        renamed: The input's columns that are called something else here, and what.
    """

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

    @abstractmethod
    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Write one row."""

    def predicted(self, prediction: Prediction) -> list[Any]:
        """The values of the added columns, `None` for empty ones."""
        # Of a row without a text there is neither; its note says why.
        score, scores = prediction["score"], prediction["scores"]
        shown = [None] * len(self.labels) if scores is None else [round(p, _DIGITS) for p in scores.values()]
        return [prediction["label"], None if score is None else round(score, _DIGITS), *shown, prediction.get("note")]


class JsonLines(Output):
    """One JSON object a line; nothing in it is altered."""

    def __init__(self, columns: Sequence[str], labels: Sequence[str], file: TextIO) -> None:
        super().__init__(columns, labels)
        self.file = file

    def ours(self) -> list[str]:
        """The names of the keys that are added."""
        return ["row", "label", "score", "scores", "note"]

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Write one line."""
        values = {self._name(column): _json_value(value) for column, value in row.values.items()}
        note = {"note": prediction.get("note")}
        self.file.write(json.dumps({"row": row.number, **values, **prediction, **note}, ensure_ascii=False) + "\n")

    def _name(self, column: str) -> str:
        if column not in self.renamed and column in self.ours():  # a key that the first lines do not have
            self.renamed[column] = f"original_{column}"
        return self.renamed.get(column, column)


class Delimited(Output):
    """CSV or TSV in UTF-8; a cell that a spreadsheet would run is written with a ' in front."""

    def __init__(self, columns: Sequence[str], labels: Sequence[str], file: TextIO, separator: str) -> None:
        super().__init__(columns, labels)
        self.writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        self.writer.writerow([harmless(name) for name in self.header])

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Write one record."""
        cells = [row.values.get(column) for column in self.columns]
        cells = [harmless(as_cell(value)) for value in cells]
        ours = [harmless(value) if isinstance(value, str) else value for value in self.predicted(prediction)]
        self.writer.writerow([*cells, *ours])


class Excel(Output):
    """A workbook of one sheet; text is written as text, whatever it looks like."""

    def __init__(self, columns: Sequence[str], labels: Sequence[str], path: Path) -> None:
        from openpyxl import Workbook

        super().__init__(columns, labels)
        self.path, self.book, self.rows, self.cut = path, Workbook(write_only=True), 1, 0
        self.sheet = self.book.create_sheet("predictions")
        self.sheet.freeze_panes = "A2"
        self.sheet.append([self._text(name) for name in self.header])

    def write(self, row: InputRow, prediction: Prediction) -> None:
        """Append one row.

        Raises:
            DataError: A sheet has no room for it.
        """
        self.rows += 1
        check_excel_rows(self.rows - 1)
        cells = [self._cell(row.values.get(column)) for column in self.columns]
        ours = [self._text(value) if isinstance(value, str) else value for value in self.predicted(prediction)]
        self.sheet.append([*cells, *ours])

    def finish(self) -> None:
        """Write the workbook."""
        self.book.save(self.path)
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
        # "007" and long ids would lose digits as numbers.
        if _PLAIN_NUMBER.fullmatch(text):
            return float(text) if "." in text else int(text)
        return self._text(text)

    def _text(self, text: str) -> Any:
        text = _NOT_IN_XML.sub("", text)
        self.cut += len(text) > _EXCEL_CHARACTERS
        return text_cell(self.sheet, text[:_EXCEL_CHARACTERS])


# The extensions that an output may have.
OUTPUTS = (".csv", ".tsv", ".xlsx", ".jsonl", ".ndjson")


def check_output(path: str | os.PathLike[str]) -> None:
    """See that a file of predictions can be written there.

    Raises:
        CallError: It exists, or its format is not known.
    """
    path = Path(path)
    if path.suffix.lower() not in OUTPUTS:
        raise CallError(f"--output {path}: unknown file type {path.suffix or '(none)'}; known: {', '.join(OUTPUTS)}")
    refuse_existing(path)


def check_excel_rows(rows: int) -> None:
    """See that a sheet has room.

    Raises:
        DataError: It has not.
    """
    if rows >= _EXCEL_ROWS:
        raise DataError(f"a sheet of Excel holds {_EXCEL_ROWS - 1:,} rows, and there are more: write .csv or .jsonl")


@contextmanager
def open_output(path: str | os.PathLike[str], columns: Sequence[str], labels: Sequence[str]) -> Iterator[Output]:
    """The output of a file by its extension: written beside it, and there under its name once it is whole.

    Args:
        path: A name that `check_output` lets pass.
        columns: The input's, in order.
        labels: The model's, in order.
    """
    extension = Path(path).suffix.lower()
    with file_atomically(path) as beside:
        if extension == ".xlsx":
            # openpyxl's open sheet is a temporary file: it is closed even where a row could not be written.
            excel = Excel(columns, labels, beside)
            try:
                yield excel
            finally:
                excel.sheet.close()
            excel.finish()
            return
        with beside.open("w", encoding="utf-8", newline="") as file:
            if extension in (".csv", ".tsv"):
                yield Delimited(columns, labels, file, "," if extension == ".csv" else "\t")
            else:
                yield JsonLines(columns, labels, file)


def as_cell(value: Any) -> str:
    """A value of any type as the text of a cell; what is missing is ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


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
    return value if value is None or isinstance(value, str | int) else str(value)
