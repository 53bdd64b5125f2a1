"""The lines of a delimited file as records, without a thought for what its columns hold."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# In place of a separator: a file of one column, where whatever stands in a line is its cell.
WHOLE_LINE = "\ufdd0"

# How a record was read: as it is written; with a quote that opens nothing taken as text; with separators in the text
# taken as text; with quotes escaped by backslashes; over several lines, where no other column bears that out; with a
# formula whose value the workbook does not have.
AS_WRITTEN, STRAY_QUOTE, BARE_SEPARATOR, BACKSLASH, LINES, NO_VALUE = range(6)


class Record(NamedTuple):
    """Cells, the first and the last line (from 1), how they were read, and what is wrong with them."""

    cells: Sequence[str]
    first: int
    last: int
    note: int = AS_WRITTEN
    fault: str | None = None


@dataclass(frozen=True)
class Dialect:
    """How records are written.

    Attributes:
        separator: One character, or `WHOLE_LINE`.
        width: Cells of the header.
        text: Which column may hold separators without quotes, or None.
        spaces: White space before a quoted cell is none of it.
    """

    separator: str
    width: int
    text: int | None = None
    spaces: bool = False


class Lines:
    """The lines of a file for the csv module: notes those that a record takes, and takes them back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken: list[str] = []
        self._lines = lines
        self._again: deque[str] = deque()

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        """Have the lines come again, before the others."""
        self._again.extendleft(reversed(lines))


def parse_alone(line: str, separator: str, spaces: bool = True) -> list[str]:
    """The cells of one line that is a record of its own; a quote that does not close is text."""
    line = line.rstrip("\r\n")
    cells = strict_cells(line, separator, spaces)
    return literal_cells(line, separator) if cells is None else cells


def rough_records(lines: Iterable[str], separator: str) -> Iterator[tuple[Record, str]]:
    """The records as the csv module takes them, each with its first line; a line whose quotes are not in order is a
    record of its own, with the note `STRAY_QUOTE`."""
    source = Lines(iter(lines))
    reader = csv.reader(source, delimiter=separator, strict=True, skipinitialspace=True)
    at = 1
    while True:
        source.taken.clear()
        note = AS_WRITTEN
        try:
            cells = next(reader)
        except StopIteration:
            return
        # A quote that never closes has read on to the end: all but the first line come again.
        except csv.Error:
            source.put_back(source.taken[1:])
            del source.taken[1:]
            cells, note = parse_alone(source.taken[0], separator), STRAY_QUOTE
        if cells:
            yield Record(cells, at, at + len(source.taken) - 1, note), source.taken[0]
        at += len(source.taken)


def strict_cells(line: str, separator: str, spaces: bool) -> list[str] | None:
    """The cells of a line, or None where its quotes are not in order."""
    try:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=spaces), [])
    except csv.Error:
        return None


def literal_cells(line: str, separator: str) -> list[str]:
    """The cells of a line where quotes are text, but for those around a whole cell."""
    cells = line.split(separator)
    for i, cell in enumerate(cells):
        stripped = cell.strip()
        inside = stripped[1:-1]
        if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' and '"' not in inside.replace('""', ""):
            cells[i] = inside.replace('""', '"')
    return cells
