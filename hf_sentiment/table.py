"""A table for a terminal or a log: aligned columns, without lines and colours, so that it can be piped."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

# What the last column has at least, however narrow the terminal.
_ROOM = 30


def table_lines(
    rows: Iterable[Sequence[str]], right: Collection[int] = (), width: int | None = None, indent: str = ""
) -> list[str]:
    """Rows of cells as lines, two spaces between their columns.

    Args:
        rows: As many cells each.
        right: Columns that are flush right, counted from 0.
        width: Of a line, in which the last column is wrapped; by default it is not.
        indent: What each line begins with.
    """
    rows, table = list(rows), Table.grid(padding=(0, 2, 0, 0))
    # Terminals give a letter of Chinese or Japanese two places: rich counts them.
    widths = [max(map(cell_len, column)) + 2 for column in zip(*rows, strict=True)]
    for column in range(len(widths)):
        table.add_column(justify="right" if column in right else "left", no_wrap=column < len(widths) - 1)
    for row in rows:
        table.add_row(*row)
    room = sum(widths) if width is None else max(width - len(indent), sum(widths[:-1]) + _ROOM)
    # No markup: labels and reasons may hold what rich would take for it, such as [1].
    console = Console(file=io.StringIO(), width=room, color_system=None, markup=False, emoji=False, highlight=False)
    with console.capture() as printed:
        console.print(table)
    return [(indent + line).rstrip() for line in printed.get().splitlines()]
