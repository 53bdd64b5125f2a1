"""Tables are aligned at any width, in any script, and print what they are given."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from hf_sentiment.table import table_lines

ROWS = [
    ("label", "texts", "what to do"),
    ("陽性", "1,234", "look at rows [1] and [bold]2[/bold] :smile: " * 3),
    ("negative", "5", ""),
]


@pytest.mark.parametrize("width", [None, 120, 80, 40])
def test_columns_are_aligned_in_any_script(width: int | None) -> None:
    lines = table_lines(ROWS, right={1}, width=width, indent="  ")
    ends = [cell_len(line[: line.index(end) + len(end)]) for line, end in zip(lines, ("texts", "1,234"), strict=False)]
    assert ends[0] == ends[1] == cell_len("  negative  texts")
    assert lines[-1] == "  negative      5"
    assert len(lines) == 3 or (width is not None and max(map(cell_len, lines)) <= max(width, ends[0] + 32))


def test_nothing_is_taken_for_markup_and_nothing_is_lost() -> None:
    for width in (None, 60):
        words = " ".join(" ".join(table_lines(ROWS, right={1}, width=width)).split())
        assert words.count("[bold]2[/bold] :smile:") == 3
