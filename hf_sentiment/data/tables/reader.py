"""The records of a delimited text file, whatever its quotes: one after the other, each with the lines it stands on.

Python's csv module reads them, strictly. Where a record isn't what it takes it for (a quote that is never closed and
swallows the rows below, a quote escaped by a backslash, a separator in a text without quotes), the record's first line
is read again in the ways that people and programs write such lines, and taken where it then fits the header and the
values of the other rows. What fits in no way is a record with a fault.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from hf_sentiment.data.tables.kinds import ColumnKinds
from hf_sentiment.data.tables.lines import (
    AS_WRITTEN,
    BACKSLASH,
    BARE_SEPARATOR,
    LINES,
    STRAY_QUOTE,
    Dialect,
    Lines,
    Record,
    literal_cells,
    parse_alone,
    strict_cells,
)
from hf_sentiment.errors import DataError

# How the fault of a record begins that is longer than the header.
TOO_MANY = "too many cells"

_LONGEST_CELL = 2**24
_LONE_CR = "\ue00d"  # in place of a lone carriage return, which the csv module refuses outside of quotes
_ESCAPED = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
_PROSE = re.compile(r"\s.*[^\W\d_]", re.DOTALL)
# In a file of one column, nothing but its length tells a cell of many lines from rows that a stray quote swallowed.
_LONG_CELL_LINES = 25


def read_records(open_lines: Callable[[], Iterator[str]], dialect: Dialect, start: int = 1) -> Iterator[Record]:
    """The records from a line on; blank lines are left out, short records filled up.

    Args:
        open_lines: Opens the file anew: its lines, with their ends.
        dialect: How they are written.
        start: The first line that is data.

    Raises:
        DataError: A quote of which nothing tells whether it opens a cell; the message begins with the row.
    """
    limit = csv.field_size_limit(_LONGEST_CELL)
    try:
        yield from _Reader(open_lines, dialect, start)
    finally:
        csv.field_size_limit(limit)


class _Reader:
    def __init__(self, open_lines: Callable[[], Iterator[str]], dialect: Dialect, start: int) -> None:
        self._open, self._dialect, self._start = open_lines, dialect, start
        self._lines = Lines(islice(open_lines(), start - 1, None))
        self._known: ColumnKinds | None = None

    @property
    def _columns(self) -> ColumnKinds:
        """What the columns hold; costs a pass over the file, so only a record that is in doubt asks for it."""
        if self._known is None:
            self._known = ColumnKinds.of(islice(self._open(), self._start - 1, None), self._dialect)
        return self._known

    def __iter__(self) -> Iterator[Record]:
        separator, width = self._dialect.separator, self._dialect.width
        lines, at = self._lines, self._start  # `at` is the line on which the next record begins
        taken = lines.taken  # the lines that the csv module has read for the present record
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
            # Nearly all records of nearly all files: one line, as many cells as the header, no quote in doubt.
            one = len(taken) == 1
            if one and cells and len(cells) == width and not (spaced in taken[0] and any(map(_spaced, cells))):
                yield Record(cells, at, at)
                at += 1
            # A blank line.
            elif cells == []:
                at += len(taken)
            # Without quotes only the number of cells can be wrong.
            elif one and cells and '"' not in taken[0]:
                yield self._fitted(cells, at, at, AS_WRITTEN, cells)
                at += 1
            else:
                record = self._settle(cells, at)
                yield record
                at = record.last + 1

    def _settle(self, cells: list[str] | None, at: int) -> Record:
        """A record that is not plain: as it was read, or its first line in another way."""
        # A cell over several lines is believed, unless its lines are records of their own.
        taken = list(self._lines.taken)
        if cells is not None and len(taken) > 1 and not self._swallowed(taken, cells, at):
            return self._fitted(cells, at, at + len(taken) - 1, AS_WRITTEN if self._columns.tell else LINES)
        # Otherwise only the first line is this record's, and the others come again.
        self._lines.put_back(taken)
        if cells is None and '\\"' in taken[0]:
            unescaped = self._unescaped(at)
            if unescaped is not None:
                return unescaped
        line = next(self._lines).rstrip("\r\n")
        readings = list(self._readings(line))
        # The first reading in which every cell is what its column holds; or else the first of the right length.
        for fits in (self._columns.fit, lambda found: len(found) == self._dialect.width):
            for found, note in readings:
                if fits(found):
                    return Record(found, at, at, note)
        found, note = readings[0]
        return self._fitted(found, at, at, note, line.split(self._dialect.separator))

    def _readings(self, line: str) -> Iterator[tuple[list[str], int]]:
        """The ways to read a line that is one record, the most plausible first."""
        separator = self._dialect.separator
        # As it stands; with white space before quotes; with backslashes for doubled quotes; without white space behind
        # closing quotes; with quotes as text; and as the csv module takes it when it is not strict.
        plain = line.replace("\r", _LONE_CR)
        ways = [(plain, False, AS_WRITTEN), (plain, True, AS_WRITTEN)]
        if '\\"' in line:
            ways.append((_ESCAPED.sub(r'\1""', plain), False, BACKSLASH))
        ways.append((re.sub(rf'"[ \t]+(?={re.escape(separator)}|$)', '"', plain), True, AS_WRITTEN))
        for written, spaces, note in ways:
            cells = strict_cells(written, separator, spaces)
            # A cell that still begins with a quote had a space before it.
            if cells is not None and not any(_spaced(cell) for cell in cells):
                yield [cell.replace(_LONE_CR, "\r") for cell in cells], note
        yield literal_cells(line, separator), STRAY_QUOTE if '"' in line else AS_WRITTEN
        try:
            lenient = next(csv.reader([plain], delimiter=separator))
        except csv.Error:  # a cell longer than any text
            return
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
        """Whether a quoted cell over several lines is none: its lines are records of their own."""
        columns, width = self._columns, self._dialect.width
        alone = [parse_alone(line, self._dialect.separator, spaces=False) for line in taken]
        # Lines within the cell; the first and the last have what is around it.
        inner = [found for found in alone[1:-1] if found]
        fit = [columns.fit(found) for found in inner]
        # A line within a cell may have as many separators as the header by chance, but hardly a known label as well.
        # Where the whole fits the header too, its first and last line must be records as well.
        if columns.tell:
            ends = [columns.fit(self._merged(found) or found) for found in (alone[0], alone[-1])]
            most = sum(fit) >= len(inner) / 2
            if columns.fit(cells):
                return most and all(ends)
            return most and (ends[0] or bool(inner))
        # Columns of anything: then lines like records tell, or how the file uses quotes elsewhere.
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
        # Too few are filled up, too many cut if they are blank, as behind a comma at each line's end.
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
        """Too many cells as what the header wants, the text taking those beside it, where all columns then fit."""
        text, more = self._dialect.text, len(cells) - self._dialect.width
        if text is None or more <= 0 or not self._columns.tell:
            return None
        # Prose has a space behind its commas; a figure or a date may be of another column.
        if not all(_PROSE.match(cell) for cell in cells[text + 1 : text + more + 1]):
            return None
        merged = [*cells[:text], self._dialect.separator.join(cells[text : text + more + 1]), *cells[text + more + 1 :]]
        return merged if self._columns.fit(merged) else None


def _spaced(cell: str) -> bool:
    stripped = cell.strip()
    return cell != stripped and len(stripped) > 1 and stripped[0] == stripped[-1] == '"'
