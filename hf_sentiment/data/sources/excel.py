"""Excel workbooks as tables of strings, by openpyxl."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import zipfile
from collections.abc import Container, Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_sentiment.data.tables import (
    AS_WRITTEN,
    NO_VALUE,
    Layout,
    Record,
    WantedColumns,
    find_header,
    is_certain_header,
    text_position,
)
from hf_sentiment.errors import CallError, DataError, NoRows, SentimentError
from hf_sentiment.records.atomic import file_atomically

if TYPE_CHECKING:
    from openpyxl import Workbook

# Rows in which the header is looked for.
_TOP = 100

_FORMULA = ("=", "+", "-", "@")


def find_sheet(path: Path, source: str, sheet: str | None, wanted: WantedColumns) -> tuple[str, Layout, int]:
    """The sheet that holds the table, its layout, and how many sheets hold anything.

    Args:
        path: The workbook.
        source: Its name for messages.
        sheet: As the user named it, or `None` for the only one that can be meant.
        wanted: The columns that the user named.

    Raises:
        CallError: No such sheet, several that could be meant, or nothing in it.
        DataError: The file is no workbook.
    """
    with _opened(path, source) as book:
        names = [found.title for found in book.worksheets if found.sheet_state == "visible"]
        if sheet is not None and sheet not in book.sheetnames:
            raise CallError(f"{source}: no sheet {sheet!r} (sheets: {', '.join(names)})")
        tops = {name: _top(book, name) for name in ([sheet] if sheet is not None else names)}
    filled = {name: rows for name, rows in tops.items() if rows}
    if not filled:
        raise NoRows(f"{source}: the file has no data rows")
    likely = [name for name, rows in filled.items() if is_certain_header([cells for _, cells in rows], wanted)] or list(
        filled
    )
    if len(likely) > 1:
        one = shlex.quote(f"{source}#{likely[0]}")
        raise CallError(f"{source}: several sheets hold a table ({', '.join(likely)}): name one, {one}")
    rows = filled[likely[0]]
    at = find_header([cells for _, cells in rows], wanted)
    row, cells = rows[at]
    if len(rows) == at + 1:
        raise NoRows(f"{source}: the file has no data rows")
    # As wide as the widest row from the header on: cells without a name above them are cells too.
    width = max(max(i for i, cell in enumerate(filled_cells) if cell.strip()) for _, filled_cells in rows[at:]) + 1
    header = [*(cell.strip() for cell in cells[:width]), *[""] * (width - len(cells))]
    return likely[0], Layout("", row, row + 1, tuple(header), text_position(header, wanted)), len(filled)


def read_rows(path: Path, sheet: str, start: int, width: int) -> Iterator[Record]:
    """The rows of a sheet from `start` on; blank ones are left out.

    Args:
        path: The workbook.
        sheet: Its name there.
        start: A row number of Excel's.
        width: Cells of a row.
    """
    # Values alone do not tell an empty cell from a formula that was never computed: then the formulas are read beside.
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(_opened(path, str(path)))[sheet].iter_rows(min_row=start, values_only=True)
        formulas: Iterator[tuple[Any, ...]] = repeat(())
        if _has_formulas(path):
            book = stack.enter_context(_opened(path, str(path), data_only=False))
            formulas = book[sheet].iter_rows(min_row=start, values_only=True)
        for row, (values, written) in enumerate(zip(found, formulas, strict=False), start=start):
            cells = [_string(value) for value in values[:width]]
            lacks = any(value is None and formula is not None for value, formula in zip(values, written, strict=False))
            if any(cells) or lacks:
                yield Record([*cells, *[""] * (width - len(cells))], row, row, NO_VALUE if lacks else AS_WRITTEN)


def _has_formulas(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        sheets = (name for name in archive.namelist() if name.startswith("xl/worksheets/"))
        return any(b"<f>" in content or b"<f " in content for content in map(archive.read, sheets))


def copy_rows(path: Path, sheet: str, target: Path, gone: Container[int]) -> None:
    """Write a workbook of one sheet: the values of another one's, of every row but some, and no formats.

    Args:
        path: The workbook.
        sheet: Its name there.
        target: Where to write.
        gone: Numbers of rows, as Excel counts them.
    """
    from openpyxl import Workbook

    copy = Workbook(write_only=True)
    copied = copy.create_sheet(sheet)
    with _opened(path, str(path)) as book:
        for row, values in enumerate(book[sheet].iter_rows(values_only=True), start=1):
            if row not in gone:
                copied.append([text_cell(copied, value) if isinstance(value, str) else value for value in values])
    with file_atomically(target) as beside:
        copy.save(beside)


def text_cell(sheet: Any, text: str) -> Any:
    """A cell of a sheet that is being written, whose text stays text even where it begins with =."""
    from openpyxl.cell import WriteOnlyCell

    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"
    if text[:1] in _FORMULA:
        cell.quotePrefix = True  # or Excel takes it for a formula once somebody has edited the cell
    return cell


def _top(book: Workbook, sheet: str) -> list[tuple[int, list[str]]]:
    rows = enumerate(islice(book[sheet].iter_rows(values_only=True), _TOP), start=1)
    strings = ((row, [_string(value) for value in values]) for row, values in rows)
    return [(row, cells) for row, cells in strings if any(cell.strip() for cell in cells)]


@contextlib.contextmanager
def _opened(path: Path, source: str, data_only: bool = True) -> Iterator[Workbook]:
    import openpyxl

    try:
        # openpyxl goes by the extension, which a cached download lacks. It reads sheets when they are asked for.
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=data_only)
            with contextlib.closing(book):
                for sheet in book.worksheets:
                    sheet.reset_dimensions()  # some programs write wrong ones
                yield book
    except SentimentError:
        raise
    except Exception as error:  # of a damaged one zipfile, the XML parser and openpyxl raise any kind
        raise DataError(f"{source}: not an Excel workbook (.xlsx), or a broken one: save it again") from error


def _string(value: Any) -> str:
    """A cell as a string: what Excel shows, but numbers and dates in one notation."""
    from openpyxl.utils.escape import unescape

    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return unescape(value) if isinstance(value, str) and "_x" in value else str(value)
