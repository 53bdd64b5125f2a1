"""The records of a delimited text file, whatever its quotes: one after the other, each with the lines it stands on.

Python's csv module reads them, strictly. Where a record isn't what it takes it for (a quote that is never closed and
swallows the rows below, a quote escaped by a backslash, a separator in a text without quotes), the record's first line
is read again in the ways that people and programs write such lines, and taken where it then fits the header and the
values of the other rows. What fits in no way is a record with a fault.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from ..errors import DataError

WHOLE_LINE = "\x1f"
"""In place of a separator: a file of one column, where whatever stands in a line is its cell."""

AS_WRITTEN, STRAY_QUOTE, BARE_SEPARATOR, BACKSLASH, LINES, NO_VALUE = range(6)
"""How a record was read: as it is written; with a quote that opens nothing taken as text; with separators in the text
taken as text; with quotes escaped by backslashes; over several lines, where no other column bears that out;
with a formula whose value the workbook does not have."""

TOO_MANY = "too many cells"
"""How the fault of a record begins that is longer than the header."""

_LONGEST_CELL = 2**24
_LONE_CR = "\ue00d"  # in place of a lone carriage return, which the csv module refuses outside of quotes
_ESCAPED = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
_PROSE = re.compile(r"\s.*[^\W\d_]", re.DOTALL)
_SAMPLE = 20_000
_LONG_CELL_LINES = 25
"""In a file of one column, nothing but its length tells a cell of many lines from rows that a stray quote swallowed."""


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
        separator: one character, or `WHOLE_LINE`.
        width: cells of the header.
        text: which column may hold separators without quotes, or None.
        spaces: white space before a quoted cell is none of it.
    """

    separator: str
    width: int
    text: int | None = None
    spaces: bool = False


def read_records(open_lines: Callable[[], Iterator[str]], dialect: Dialect, start: int = 1) -> Iterator[Record]:
    """The records from a line on; blank lines are left out, short records filled up.

    Args:
        open_lines: opens the file anew: its lines, with their ends.
        dialect: how they are written.
        start: the first line that is data.

    Raises:
        DataError: a quote of which nothing tells whether it opens a cell; the message begins with the row.
    """
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from _Reader(open_lines, dialect, start)
    finally:
        csv.field_size_limit(limit)


def parse_alone(line: str, separator: str, spaces: bool = True) -> list[str]:
    """The cells of one line that is a record of its own; a quote that does not close is text.

    Args:
        line: with or without its end.
        separator: as in `Dialect`.
        spaces: white space before a cell is none of it.
    """
    line = line.rstrip("\r\n")
    cells = _strict(line, separator, spaces)
    return _literal(line, separator) if cells is None else cells


def rough_records(lines: Iterable[str], separator: str) -> Iterator[tuple[Record, str]]:
    """The records as the csv module takes them, each with its first line; a line whose quotes are not in order is a
    record of its own, with the note `STRAY_QUOTE`.

    Args:
        lines: of a file, with their ends.
        separator: as in `Dialect`.
    """
    source = _Lines(iter(lines))
    reader = csv.reader(source, delimiter=separator, strict=True, skipinitialspace=True)
    at = 1
    while True:
        source.taken.clear()
        note = AS_WRITTEN
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            source.put_back(source.taken[1:])
            del source.taken[1:]
            cells, note = parse_alone(source.taken[0], separator), STRAY_QUOTE
        if cells:
            yield Record(cells, at, at + len(source.taken) - 1, note), source.taken[0]
        at += len(source.taken)


class _Lines:
    """The lines of a file for the csv module: notes those that a record takes, and takes them back."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.taken: list[str] = []
        self._lines = lines
        self._again: deque[str] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self.taken.append(line)
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        self._again.extendleft(reversed(lines))


class _Reader:
    def __init__(self, open_lines: Callable[[], Iterator[str]], dialect: Dialect, start: int) -> None:
        self._open, self._dialect, self._start = open_lines, dialect, start
        self._lines = _Lines(islice(open_lines(), start - 1, None))
        self._known: _Columns | None = None

    @property
    def _columns(self) -> _Columns:
        """What the columns hold; costs a pass over the file, so only a record that is in doubt asks for it."""
        if self._known is None:
            self._known = _Columns.of(islice(self._open(), self._start - 1, None), self._dialect)
        return self._known

    def __iter__(self) -> Iterator[Record]:
        separator, width = self._dialect.separator, self._dialect.width
        lines, at = self._lines, self._start
        taken = lines.taken
        spaced = f'{separator} "'
        reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=self._dialect.spaces)
        while True:
            taken.clear()
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                cells = None
            one = len(taken) == 1
            if one and cells and len(cells) == width and not (spaced in taken[0] and any(map(_spaced, cells))):
                yield Record(cells, at, at)
                at += 1
            elif cells == []:
                at += len(taken)
            elif one and cells and '"' not in taken[0]:
                yield self._fitted(cells, at, at, AS_WRITTEN, cells)
                at += 1
            else:
                record = self._settle(cells, at)
                yield record
                at = record.last + 1

    def _settle(self, cells: list[str] | None, at: int) -> Record:
        """A record that is not plain: as it was read, or its first line in another way."""
        taken = list(self._lines.taken)
        if cells is not None and len(taken) > 1 and not self._swallowed(taken, cells, at):
            return self._fitted(cells, at, at + len(taken) - 1, AS_WRITTEN if self._columns.tell else LINES)
        self._lines.put_back(taken)
        if cells is None and '\\"' in taken[0]:
            unescaped = self._unescaped(at)
            if unescaped is not None:
                return unescaped
        line = next(self._lines).rstrip("\r\n")
        readings = list(self._readings(line))
        for fits in (self._columns.fit, lambda found: len(found) == self._dialect.width):
            for found, note in readings:
                if fits(found):
                    return Record(found, at, at, note)
        found, note = readings[0]
        return self._fitted(found, at, at, note, line.split(self._dialect.separator))

    def _readings(self, line: str) -> Iterator[tuple[list[str], int]]:
        """The ways to read a line that is one record, the most plausible first."""
        separator = self._dialect.separator
        plain = line.replace("\r", _LONE_CR)
        ways = [(plain, False, AS_WRITTEN), (plain, True, AS_WRITTEN)]
        if '\\"' in line:
            ways.append((_ESCAPED.sub(r'\1""', plain), False, BACKSLASH))
        ways.append((re.sub(rf'"[ \t]+(?={re.escape(separator)}|$)', '"', plain), True, AS_WRITTEN))
        for written, spaces, note in ways:
            cells = _strict(written, separator, spaces)
            # A cell that still begins with a quote had a space before it.
            if cells is not None and not any(_spaced(cell) for cell in cells):
                yield [cell.replace(_LONE_CR, "\r") for cell in cells], note
        yield _literal(line, separator), STRAY_QUOTE if '"' in line else AS_WRITTEN
        lenient = next(csv.reader([plain], delimiter=separator))
        yield [cell.replace(_LONE_CR, "\r") for cell in lenient], AS_WRITTEN

    def _unescaped(self, at: int) -> Record | None:
        """The record at hand, its quotes escaped by backslashes, over as many lines as it takes; None if it isn't."""
        self._lines.taken.clear()
        try:
            cells = next(
                csv.reader(
                    (_ESCAPED.sub(r'\1""', line) for line in self._lines),
                    delimiter=self._dialect.separator,
                    strict=True,
                )
            )
        except csv.Error:
            cells = []
        taken = list(self._lines.taken)
        if len(cells) == self._dialect.width and (len(taken) == 1 or not self._swallowed(taken, cells, at)):
            return Record(cells, at, at + len(taken) - 1, BACKSLASH)
        self._lines.put_back(taken)
        return None

    def _swallowed(self, taken: Sequence[str], cells: Sequence[str], at: int) -> bool:
        """Whether a quoted cell over several lines is none: its lines are records of their own.

        A line within a cell may have as many separators as the header by chance, but hardly a known label beside them:
        then the first and the last line, which have what is around the cell, tell.
        """
        columns, width = self._columns, self._dialect.width
        alone = [parse_alone(line, self._dialect.separator, spaces=False) for line in taken]
        inner = [found for found in alone[1:-1] if found]
        fit = [columns.fit(found) for found in inner]
        if columns.tell:
            ends = [columns.fit(self._merged(found) or found) for found in (alone[0], alone[-1])]
            most = sum(fit) >= len(inner) / 2
            if columns.fit(cells):
                return most and all(ends)
            return most and (ends[0] or bool(inner))
        alike = len(taken) > _LONG_CELL_LINES if width == 1 else len(inner) > 1 and sum(fit) >= len(inner) / 2
        if columns.quoted is not columns.unquoted:
            return columns.unquoted and (width == 1 or alike)
        if not (alike or columns.commas or columns.unquoted):
            return False
        raise DataError(
            f"row {at}: a quote opens a cell that ends only in row {at + len(taken) - 1}: if it is text, double it and "
            "put the text in quotes; if the cell has so many lines, give the file as Excel or JSON lines"
        )

    def _fitted(self, cells: list[str], first: int, last: int, note: int, bare: list[str] | None = None) -> Record:
        """Cells brought to the header's width; `bare` are those between the separators, quotes and all."""
        width, separator = self._dialect.width, self._dialect.separator
        missing = width - len(cells)
        if missing >= 0:
            return Record([*cells, *[""] * missing], first, last, note)
        if not any(cell.strip() for cell in cells[width:]):
            return Record(cells[:width], first, last, note)
        merged = self._merged(cells if bare is None else bare)
        if merged is not None:
            return Record(merged, first, last, BARE_SEPARATOR)
        shown = "a tab" if separator == "\t" else f'"{separator}"'
        fault = (
            f"{TOO_MANY} ({len(cells)}, the header has {width}): put a text that contains {shown} in double quotes, "
            "and double the quotes in it"
        )
        return Record([""] * width, first, last, note, fault)

    def _merged(self, cells: list[str]) -> list[str] | None:
        """Too many cells as what the header wants, the text taking those beside it, where all columns then fit.

        What it takes must look like prose, which has a space behind its commas: a figure or a date may be of another
        column.
        """
        text, more = self._dialect.text, len(cells) - self._dialect.width
        if text is None or more <= 0 or not self._columns.tell:
            return None
        if not all(_PROSE.match(cell) for cell in cells[text + 1 : text + more + 1]):
            return None
        merged = [*cells[:text], self._dialect.separator.join(cells[text : text + more + 1]), *cells[text + more + 1 :]]
        return merged if self._columns.fit(merged) else None


@dataclass(frozen=True)
class _Columns:
    """What the columns of a file hold, by the lines that are plainly records.

    Attributes:
        kinds: for each column the few values that occur, or their few shapes, or None where it may hold anything.
        shapes: for each column whether `kinds` has shapes.
        unquoted: there are quotes in cells that no program that quotes would have left bare.
        commas: in a file of one column there are bare commas, which few programs that quote would have left.
        quoted: there are cells that are quoted for what is in them.
    """

    kinds: tuple[frozenset[str] | None, ...]
    shapes: tuple[bool, ...]
    unquoted: bool
    quoted: bool
    commas: bool

    @classmethod
    def of(cls, lines: Iterator[str], dialect: Dialect) -> _Columns:
        values: list[Counter[str]] = [Counter() for _ in range(dialect.width)]
        separator = re.escape(dialect.separator)
        bare_quote = re.compile(rf'[^{separator}"\s]\s*"\s*[^{separator}"\s]')
        bare = quoted = commas = rows = 0
        for i, ((cells, first, last, note, _), line) in enumerate(rough_records(lines, dialect.separator)):
            # All of a small file, and parts from all over a large one, whose labels may be in order.
            if last > first or (i >= _SAMPLE and i % 16):
                continue
            bare += '"' in line and bare_quote.search(line.replace('""', "")) is not None
            if len(cells) == dialect.width and note == AS_WRITTEN:
                rows += 1
                quoted += any('"' in cell for cell in cells) and line.lstrip()[0] == '"'
                commas += "," in line and '"' not in line and dialect.width == 1
                for counter, cell in zip(values, cells, strict=True):
                    if len(cell) <= 60 and len(counter) <= 5_000:
                        counter[cell.strip()] += 1
        found = [(None, False) if i == dialect.text else _kind(counter, rows) for i, counter in enumerate(values)]
        return cls(
            tuple(kind for kind, _ in found), tuple(shaped for _, shaped in found), bare > 0, quoted > 0, commas > 0
        )

    @property
    def tell(self) -> bool:
        """Whether there is a column that holds not anything."""
        return any(kind is not None for kind in self.kinds)

    def fit(self, cells: Sequence[str]) -> bool:
        """Whether cells are as many as the header's, and each what its column holds."""
        return len(cells) == len(self.kinds) and all(
            kind is None or (_shape(cell.strip()) if shaped else cell.strip()) in kind
            for cell, kind, shaped in zip(cells, self.kinds, self.shapes, strict=True)
        )


def _kind(counter: Counter[str], rows: int) -> tuple[frozenset[str] | None, bool]:
    """Values or shapes of a column; see `_Columns`."""
    if rows < 2 or sum(counter.values()) < 0.9 * rows:  # long cells are texts
        return None, False
    shapes: Counter[str] = Counter()
    for value, count in counter.items():
        shapes[_shape(value)] += count
    again = frozenset(value for value, count in counter.items() if count > 1 or len(counter) <= 2)
    words = any("a" in shape for shape in shapes)  # of numbers there may be more than were seen
    if words and len(again) <= 50 and sum(counter[value] for value in again) >= 0.9 * rows:
        return again, False
    common = frozenset(shape for shape, count in shapes.items() if count >= 0.02 * rows)
    if not any(" " in shape for shape in common) and sum(shapes[shape] for shape in common) >= 0.9 * rows:
        return common, True
    return None, False


def _shape(value: str) -> str:
    """A value with its digits and letters made equal: 2024-05-01 is 9-9-9."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", value))


def _strict(line: str, separator: str, spaces: bool) -> list[str] | None:
    """The cells of a line, or None where its quotes are not in order."""
    try:
        return next(csv.reader([line], delimiter=separator, strict=True, skipinitialspace=spaces), [])
    except csv.Error:
        return None


def _literal(line: str, separator: str) -> list[str]:
    """The cells of a line where quotes are text, but for those around a whole cell."""
    cells = line.split(separator)
    for i, cell in enumerate(cells):
        stripped = cell.strip()
        inside = stripped[1:-1]
        if len(stripped) > 1 and stripped[0] == stripped[-1] == '"' and '"' not in inside.replace('""', ""):
            cells[i] = inside.replace('""', '"')
    return cells


def _spaced(cell: str) -> bool:
    stripped = cell.strip()
    return cell != stripped and len(stripped) > 1 and stripped[0] == stripped[-1] == '"'
