"""The rows of a file to predict: every one of them, in order, with all its columns, in memory for some thousand."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from hf_sentiment.data.sources import FileTable, read_file, table_rows
from hf_sentiment.data.tables import WantedColumns, choose_columns
from hf_sentiment.errors import CallError


@dataclass(frozen=True)
class InputRow:
    """One row.

    Attributes:
        number: Its number as the user finds it (see `RawData`); of standard input the line.
        values: Column → value, as the file has it.
        text: What is to be predicted; `None` where there is nothing.
        fault: Why the row cannot be read, or "".
    """

    number: int
    values: dict[str, Any]
    text: Any
    fault: str = ""


@dataclass(frozen=True)
class InputRows:
    """The rows of a file or a stream, to be read once.

    Attributes:
        name: For messages.
        columns: Their names, in order.
        total: How many rows there are; of a stream nobody knows.
        rows: They themselves.
    """

    name: str
    columns: list[str]
    total: int | None
    rows: Iterable[InputRow] = field(repr=False)


def read_rows(file: str, text_column: str | None = None, encoding: str | None = None) -> InputRows:
    """The rows of a file of any kind that `train` reads, or of standard input.

    Blank rows between others are rows too, so that what is predicted lines up with the file.

    Args:
        file: A path or URL; `-` for a text a line on standard input.
        text_column: The column of the texts; guessed if only one can be it.
        encoding: Of a text file, where its content does not tell it.

    Raises:
        CallError: An unknown file, column or encoding.
        DataError: Content that cannot be read at all.
    """
    if file == "-":
        return InputRows("standard input", ["text"], None, _lines(sys.stdin.buffer))
    wanted = WantedColumns(text_column, None, True)
    table = read_file(file, wanted=wanted, encoding=encoding, keep_broken=True, keep_blank=True)
    text, _ = choose_columns(table.columns, wanted, table.source)
    # The reader leaves blank rows out: what it knows of lines tells where they were.
    blank = _blank_rows(table)
    rows = _with_blank_rows(_of_table(table, text), blank, table.columns)
    return InputRows(table.source, table.columns, len(table.dataset) + len(blank), rows)


def _lines(stream: BinaryIO) -> Iterator[InputRow]:
    """The lines of a UTF-8 stream, whatever the locale is."""
    for number, line in enumerate(stream, start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise CallError(f"standard input, row {number}: not UTF-8: convert it first") from error
        yield InputRow(number, {"text": text}, text)


def _of_table(table: FileTable, text: str) -> Iterator[InputRow]:
    """The rows that the reader took."""
    faults = table.faults or {}
    for number, values in table_rows(table):
        yield InputRow(number, values, values.get(text), faults.get(number, ""))


def _blank_rows(table: FileTable) -> list[int]:
    """The numbers of rows between others of which the table knows nothing, as nothing at all is written there.

    In a file of several columns a line without a separator is no row to anybody; in one of one column, or in a sheet,
    it is.
    """
    if table.layout is None or (table.kind != "excel" and len(table.columns) > 1):
        return []
    # A row may begin just below the one before: where it begins later, nothing is written in between.
    begin = np.append(table.layout.header_row + 1, table.last[:-1] + 1)
    gaps = np.flatnonzero(table.rows > begin)
    return [number for i in gaps for number in range(int(begin[i]), int(table.rows[i]))]


def _with_blank_rows(rows: Iterator[InputRow], blank: list[int], columns: list[str]) -> Iterator[InputRow]:
    # Two ascending sequences in one, by row number; neither is held in memory.
    waiting = iter(blank)
    following = next(waiting, None)
    for row in rows:
        while following is not None and following < row.number:
            yield InputRow(following, dict.fromkeys(columns, ""), None)
            following = next(waiting, None)
        yield row
    for number in itertools.chain([] if following is None else [following], waiting):
        yield InputRow(number, dict.fromkeys(columns, ""), None)
