"""Quotes in delimited files: every row is read, and stands where its number says."""

from __future__ import annotations

import csv
import io
import logging
import random
from pathlib import Path

import pytest

from hf_sentiment.data.sources import FileTable, read_file, table_rows
from hf_sentiment.data.tables import WantedColumns
from hf_sentiment.errors import DataError

TEXTS = ("It works like a charm. My sister agrees", "It broke after two days, sadly", "Nothing to complain about")


def table(tmp_path: Path, content: str, name: str = "r.csv") -> FileTable:
    path = tmp_path / name
    path.write_bytes(content.encode())
    return read_file(path, wanted=WantedColumns("text", None, True))


def values(found: FileTable) -> list[tuple[int, ...]]:
    return [(row, *cells.values()) for row, cells in table_rows(found)]


def reviews(count: int, layout: str = "text,label") -> list[list[str]]:
    """Rows of a layout, the labels in order, as exports often have them."""
    made = [
        {"id": str(100 + i), "text": f"{TEXTS[i % 3]} {i}.", "label": "positive" if i < count / 2 else "negative"}
        for i in range(count)
    ]
    return [[row[name] for name in layout.split(",")] for row in made]


def written(rows: list[list[str]], separator: str = ",", end: str = "\n") -> list[str]:
    """Each row as the csv module writes it."""
    lines = []
    for row in rows:
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=separator, lineterminator=end).writerow(row)
        lines.append(buffer.getvalue())
    return lines


@pytest.mark.parametrize(
    ("layout", "name", "separator", "end"),
    [
        ("text,label", "r.csv", ",", "\n"),
        ("text,label", "r.tsv", "\t", "\r\n"),
        ("label,text", "r.csv", ";", "\r"),
        ("label,text", "r.csv", ",", "\n"),
        ("id,text,label", "r.csv", ",", "\r\n"),
        ("id,text", "r.csv", "\t", "\n"),
    ],
)
def test_a_quote_that_is_never_closed_swallows_no_row(tmp_path, caplog, layout, name, separator, end):
    caplog.set_level(logging.INFO, logger="hf_sentiment")
    rows = reviews(60, layout)
    at = layout.split(",").index("text")
    lines = written(rows, separator, end)
    for i in (5, 20, 59):  # two of them in a row, and one at the end of the file
        rows[i][at] = f'"Never again. {i}'
        lines[i] = separator.join(rows[i]) + end
    rows[30][at] = 'The cable was 5"'  # closes the quote of row 20 as if it were its end
    lines[30] = separator.join(rows[30]) + end
    found = table(tmp_path, separator.join(layout.split(",")) + end + "".join(lines), name)
    assert values(found) == [(i + 2, *row) for i, row in enumerate(rows)]
    assert "rows 7, 22, 61 a quote opens no cell and is taken as text" in caplog.text


@pytest.mark.parametrize("layout", ["text,label", "label,text", "id,text,label"])
def test_cells_of_several_lines_beside_stray_quotes(tmp_path, layout):
    rows = reviews(40, layout)
    at = layout.split(",").index("text")
    rows[3][at] = 'Two lines,\nwith "quotes", and\n\na blank one'
    rows[25][at] = "Good, cheap\nand fast, too"
    lines = written(rows)
    rows[10][at] = '"Never again'
    lines[10] = ",".join(rows[10]) + "\n"
    numbers = [i + 2 + (3 if i > 3 else 0) + (1 if i > 25 else 0) for i in range(40)]
    found = values(table(tmp_path, layout + "\n" + "".join(lines)))
    assert found == [(number, *row) for number, row in zip(numbers, rows, strict=True)]


def test_random_files_come_back_as_they_were_written(tmp_path):
    draw = random.Random(0)
    for i in range(12):
        layout = draw.choice(["text,label", "label,text", "id,text,label"])
        rows = reviews(draw.choice([6, 30]), layout)
        for row in rows:
            at = layout.split(",").index("text")
            row[at] = draw.choice(["", 'He said "yes". ', '"Quoted" it was. ', "One\ntwo, three\n\n", ", "]) + row[at]
        quoting = draw.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
        buffer = io.StringIO()
        csv.writer(buffer, quoting=quoting, lineterminator=draw.choice(["\n", "\r\n"])).writerows(
            [layout.split(","), *rows]
        )
        assert [list(cells) for _, *cells in values(table(tmp_path, buffer.getvalue(), f"{i}.csv"))] == rows


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (r'"He said \"great\", really",1', 'He said "great", really'),
        (r'"It ends with \"quotes\"",1', 'It ends with "quotes"'),
        ('"Great" was what I said,1', '"Great" was what I said'),
        ('Great, "really" cheap and cheerful,1', 'Great, "really" cheap and cheerful'),
        ('"Good, cheap" ,1', "Good, cheap"),
        ('"It has a ""name"" , too",1', 'It has a "name" , too'),
        ('"The folder is C:\\",1', "The folder is C:\\"),
        ('"",1', ""),
        ('5" and 6" of cable,1', '5" and 6" of cable'),
    ],
)
def test_one_line_in_the_ways_that_people_write_it(tmp_path, line, text):
    around = "".join(f"An ordinary review of number {i},{i % 2}\n" for i in range(12))
    found = values(table(tmp_path, f"text,label\n{around}{line}\n{around}"))
    assert len(found) == 25
    assert found[12] == (14, text, "1")
    assert found[13] == (15, "An ordinary review of number 0", "0")


def test_one_column(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="hf_sentiment")
    assert values(table(tmp_path, "text\nGood, cheap; fast\n\nBad\n")) == [(2, "Good, cheap; fast"), (4, "Bad")]
    plain = [f"A review, number {i}" for i in range(50)]
    stray = ['"Never again', *plain, "He said so", 'The "best" one', 'a cable of 5"', *plain]
    assert values(table(tmp_path, "\n".join(["text", *stray]), "a.csv")) == [(i + 2, t) for i, t in enumerate(stray)]
    quoted = 'text\n"Good, cheap"\n"two\nlines, one cell"\nshort\n'
    assert values(table(tmp_path, quoted, "b.csv")) == [(2, "Good, cheap"), (3, "two\nlines, one cell"), (5, "short")]
    assert "in row 3 a quoted text goes over several lines" in caplog.text
    with pytest.raises(DataError, match=r"row 2: a quote opens a cell that ends only in row 33: .*Excel or JSON lines"):
        table(tmp_path, "text\n" + '"Never again\n' + "A review\n" * 30 + 'a cable of 5"\n', "c.csv")


def test_a_row_with_too_many_cells_is_named_and_can_be_left_out(tmp_path):
    path = tmp_path / "r.csv"
    path.write_text("text,date\n" + "A review of a kind,2024-01-05\n" * 9 + "Good, cheap\n,a,b,c\n")
    with pytest.raises(
        DataError, match=r'row 12: too many cells \(4, the header has 2\): put a text that contains ","'
    ):
        read_file(path)
    kept = read_file(path, keep_broken=True)
    assert kept.faults is not None and list(kept.faults) == [12]
    assert len(kept.rows) == 11


def test_numbers_that_occur_once_are_labels_too(tmp_path):
    stars = ["1", "1", "3", "3", "1", "4", "3", "1"]
    rows = [(f"{TEXTS[i % 3]} {i}", star) for i, star in enumerate(stars)]
    rows[5], rows[7] = ('"' + rows[5][0], "4"), (rows[7][0] + '"', "1")
    content = "text;stars\n" + "".join(f"{text};{star}\n" for text, star in rows)
    assert values(table(tmp_path, content)) == [(i + 2, *row) for i, row in enumerate(rows)]
