"""What the columns of a delimited file hold, to tell a record from a line that only looks like one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hf_sentiment.data.tables.lines import AS_WRITTEN, Dialect, rough_records

_SAMPLE = 20_000


@dataclass(frozen=True)
class ColumnKinds:
    """What the columns of a file hold, by the lines that are plainly records.

    Attributes:
        kinds: For each column the few values that occur, or their few shapes, or None where it may hold anything.
        shapes: For each column whether `kinds` has shapes.
        unquoted: There are quotes in cells that no program that quotes would have left bare.
        commas: In a file of one column there are bare commas, which few programs that quote would have left.
        quoted: There are cells that are quoted for what is in them.
    """

    kinds: tuple[frozenset[str] | None, ...]
    shapes: tuple[bool, ...]
    unquoted: bool
    quoted: bool
    commas: bool

    @classmethod
    def of(cls, lines: Iterator[str], dialect: Dialect) -> ColumnKinds:
        """What the columns hold by the lines of a file, its header left out."""
        plain, others = _Tally(dialect), _Tally(dialect)
        separator = re.escape(dialect.separator)
        bare_quote = re.compile(rf'[^{separator}"\s]\s*"\s*[^{separator}"\s]')
        bare = quoted = commas = 0
        for i, ((cells, first, last, note, _), line) in enumerate(rough_records(lines, dialect.separator)):
            # All of a small file, and parts from all over a large one, whose labels may be in order.
            if i >= _SAMPLE and i % 16:
                continue
            # Plain are records of one line and of the header's width, whose quotes nobody has to think about.
            if last > first or len(cells) > dialect.width:
                others.add(cells)
                continue
            bare += '"' in line and bare_quote.search(line.replace('""', "")) is not None
            if len(cells) == dialect.width and note == AS_WRITTEN:
                plain.add(cells)
                quoted += any('"' in cell for cell in cells) and line.lstrip()[0] == '"'
                commas += "," in line and '"' not in line and dialect.width == 1
        # Where hardly a record is plain, the others tell what the columns hold.
        found = (plain if plain.rows >= max(2, others.rows / 10) else others).kinds()
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


class _Tally:
    """The values of each column but that of the texts."""

    def __init__(self, dialect: Dialect) -> None:
        self.rows = 0
        self._widths: set[int] = set()
        self._dialect = dialect
        self._values: list[Counter[str]] = [Counter() for _ in range(dialect.width)]

    def add(self, cells: Sequence[str]) -> None:
        """Count a record; of one with too many cells, the text takes those that are too many."""
        text, more = self._dialect.text, len(cells) - self._dialect.width
        # Cells that are too many are taken for bare separators in the text, and only there can they be.
        if more < 0 or (more > 0 and text is None):
            return
        if text is not None:
            cells = [*cells[:text], "", *cells[text + more + 1 :]]
        self.rows += 1
        self._widths.add(more)
        for counter, cell in zip(self._values, cells, strict=True):
            if len(cell) <= 60 and len(counter) <= 5_000:
                counter[cell.strip()] += 1

    def kinds(self) -> list[tuple[frozenset[str] | None, bool]]:
        """For each column its values or shapes; see `ColumnKinds`."""
        text = self._dialect.text
        # Every record is too long by as much.
        if len(self._widths) == 1 and 0 not in self._widths:  # not commas of prose, but a column without a name
            return [(None, False)] * self._dialect.width
        return [(None, False) if i == text else _kind(values, self.rows) for i, values in enumerate(self._values)]


def _kind(counter: Counter[str], rows: int) -> tuple[frozenset[str] | None, bool]:
    """Values or shapes of a column; see `ColumnKinds`."""
    if rows < 2 or sum(counter.values()) < 0.9 * rows:  # long cells are texts
        return None, False
    # A column of few values has most of them more than once: labels, countries, yes and no.
    shapes: Counter[str] = Counter()
    for value, count in counter.items():
        shapes[_shape(value)] += count
    again = frozenset(value for value, count in counter.items() if count > 1 or len(counter) <= 2)
    words = any("a" in shape for shape in shapes)  # of numbers there may be more than were seen
    if words and len(again) <= 50 and sum(counter[value] for value in again) >= 0.9 * rows:
        return again, False
    # Otherwise of few shapes: dates, figures, ids. A space in a shape is prose, which can hold anything.
    common = frozenset(shape for shape, count in shapes.items() if count >= 0.02 * rows)
    if not any(" " in shape for shape in common) and sum(shapes[shape] for shape in common) >= 0.9 * rows:
        return common, True
    return None, False


def _shape(value: str) -> str:
    """A value with its digits and letters made equal: 2024-05-01 is 9-9-9."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", value))
