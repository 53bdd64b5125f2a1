"""How a table is laid out in a file: what separates its cells, and which row is its header."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hf_sentiment.data.tables.columns import LABEL_NAMES, TEXT_NAMES, WantedColumns, visible
from hf_sentiment.data.tables.lines import WHOLE_LINE, Record, rough_records
from hf_sentiment.errors import DataError, NoRows

# What may separate the cells, by the kind of file: where two would do, the first.
SEPARATORS = {"csv": ",;\t|", "tsv": "\t,;|"}

# For messages.
SEPARATOR_NAMES = {",": ",", ";": ";", "\t": "tabs", "|": "|", WHOLE_LINE: "nothing"}

_TITLE_ROWS = 20
_STEADY = 0.9


@dataclass(frozen=True)
class Layout:
    """Where the table is.

    Attributes:
        separator: A character, or `lines.WHOLE_LINE`; "" where the format has cells of its own.
        header_row: The row of the header, from 1.
        start: The first row below it.
        header: The names as written.
        text: The position of the column that holds the texts, where the name says it.
        spaces: White space stands before quoted cells.
    """

    separator: str
    header_row: int
    start: int
    header: tuple[str, ...]
    text: int | None = None
    spaces: bool = False

    @property
    def columns(self) -> list[str]:
        """The names, each in one line and once: "Unnamed: 0" for none, "text.1" for a second "text", as in pandas."""
        names: list[str] = []
        for i, name in enumerate(self.header):
            base = " ".join(name.split()) or f"Unnamed: {i}"
            count = 0
            while (unique := base + (f".{count}" if count else "")) in names:
                count += 1
            names.append(unique)
        return names


def find_layout(lines: Sequence[str], kind: str, wanted: WantedColumns) -> Layout:
    """The layout of a delimited file, by its first lines; `wanted` are the columns that the user named.

    Raises:
        CallError: There is nothing below the header.
        DataError: Which row is the header is not certain; the message begins with the row.
    """
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    # Excel's own line: `sep=;`. It is above the header, and a label may begin with the same letters.
    top = lines[first].strip().strip('"').lower() if lines else ""
    if top in ("sep=", "sep=\\t") or (top.startswith("sep=") and len(top) == 5 and not top[4].isalnum()):
        return _layout(lines, "\t" if top in ("sep=", "sep=\\t") else top[4], first + 1, wanted)
    layouts = [_layout(lines, separator, first, wanted) for separator in SEPARATORS[kind]]
    names = [_named(layout.header, wanted) for layout in layouts]
    steady = [_steadiness(lines, layout) for layout in layouts]
    wide = [i for i, layout in enumerate(layouts) if len(layout.header) > 1]
    if not wide:
        return _one_column(lines, layouts, steady)
    # Names in the header tell the separator; then rows as long as the header; then what the extension says.
    best = max(
        wide, key=lambda i: (min(names[i], 2), steady[i] >= _STEADY, steady[i] if steady[i] < _STEADY else 1, -i)
    )
    return layouts[best]


def find_header(rows: Sequence[Sequence[str]], wanted: WantedColumns) -> int:
    """The position of the header among rows that are not blank: the first, but for title lines above it."""
    # Usual names alone, two or more, are a header for certain; beside others, if all rows above have fewer cells.
    for i, cells in enumerate(rows[:_TITLE_ROWS]):
        names = _named(cells, wanted)
        if names > 1 and names == _filled(cells):
            return i
        if names:
            # A comment may have commas in it.
            above = (1 if title[0].startswith("#") else _filled(title) for title in rows[:i])
            return i if all(filled < _filled(cells) for filled in above) else 0
    return 0


def is_certain_header(rows: Sequence[Sequence[str]], wanted: WantedColumns) -> bool:
    """Whether there is a header with a usual name for the text, or with the one that the user gave."""
    names = [visible(cell) for cell in rows[find_header(rows, wanted)]]
    if wanted.text:
        return visible(wanted.text) in names
    return any(name.lower() in TEXT_NAMES for name in names)


def _named(cells: Sequence[str], wanted: WantedColumns) -> int:
    """Cells that are a usual name of a column, or one that the user gave."""
    names = [visible(cell) for cell in cells]
    said = [visible(name) for name in (wanted.text, wanted.label) if name]
    return sum(name in said or name.lower() in TEXT_NAMES or name.lower() in LABEL_NAMES for name in names)


def _filled(cells: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in cells)


def _rows(lines: Sequence[str], separator: str, start: int) -> list[Record]:
    """The records from a line on that are not blank; roughly, as the columns are not known."""
    records = (record for record, _ in rough_records(lines[start:], separator))
    shifted = (record._replace(first=record.first + start, last=record.last + start) for record in records)
    return [record for record in shifted if _filled(record.cells)]


def _layout(lines: Sequence[str], separator: str, start: int, wanted: WantedColumns) -> Layout:
    rows = _rows(lines, separator, start)
    if not rows:
        raise NoRows("the file has no data rows")
    at = find_header([record.cells for record in rows], wanted)
    header = [cell.strip() for cell in rows[at].cells]
    below = [record.cells for record in rows[at + 1 :]]
    if not below:
        raise NoRows("the file has no data rows")
    # A comma at the end of every line makes a last column without a name or a value.
    while len(header) > 1 and not header[-1] and not any(_cell(cells, len(header) - 1) for cells in below):
        header.pop()
    longer = all(len(cells) == len(header) + 1 for cells in below) and any(cells[-1].strip() for cells in below)
    if longer and _count_up([cells[0] for cells in below]):
        header.insert(0, "")  # R's row names have no name
    spaced = sum(f'{separator} "' in line for line in lines) >= 0.5 * len(lines)
    return Layout(separator, rows[at].first, rows[at].last + 1, tuple(header), text_position(header, wanted), spaced)


def text_position(header: Sequence[str], wanted: WantedColumns) -> int | None:
    """Which column holds the texts, where the header or the user says it."""
    for places in (
        [i for i, name in enumerate(header) if wanted.text and visible(name) == visible(wanted.text)],
        [i for i, name in enumerate(header) if visible(name).lower() in TEXT_NAMES],
    ):
        if len(places) == 1:
            return places[0]
    return None


def _cell(cells: Sequence[str], i: int) -> str:
    return cells[i].strip() if i < len(cells) else ""


def _count_up(cells: Sequence[str]) -> bool:
    """Whether cells are 1, 2, 3, ..., from wherever."""
    if len(cells) < 2 or not all(cell.isdecimal() for cell in cells):
        return False
    numbers = list(map(int, cells))
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _steadiness(lines: Sequence[str], layout: Layout) -> float:
    """The share of rows below the header that are as long as it."""
    # A last cell too many does not count if it is blank.
    widths = Counter(
        len(cells) - (len(cells) > len(layout.header) and not _filled(cells[len(layout.header) :]))
        for cells in (record.cells for record in _rows(lines, layout.separator, layout.start - 1))
    )
    return widths[len(layout.header)] / max(1, widths.total())


def _one_column(lines: Sequence[str], found: Sequence[Layout], steady: Sequence[float]) -> Layout:
    """The layout of a file whose header has one cell under every separator."""
    # One name above rows of several cells is an error, not a file of one column: it would read whole lines as texts.
    row = found[0].header_row
    for layout in found:
        # Commas of prose have a space behind them.
        prose = [f"{layout.separator} " in line for line in lines[found[0].start - 1 :]]
        if sum(prose) > len(prose) / 2:
            continue
        widths = Counter(len(record.cells) for record in _rows(lines, layout.separator, layout.start - 1))
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        if width > 1 and count >= 3 and count >= 0.95 * widths.total():
            separator = SEPARATOR_NAMES[layout.separator]
            raise DataError(
                f"row {row} has 1 cell, and the rows below it have {width}, separated by {separator}: if it is a "
                f"title, remove it; if a header, write {width} names into it"
            )
    return Layout(WHOLE_LINE, row, found[0].start, found[0].header, 0)
