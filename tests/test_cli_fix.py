"""`hf-sentiment audit --fix`: its copies are trained on by the very command that it prints."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Cli = Callable[..., tuple[int, str, str]]
Rows = Sequence[tuple[Any, ...]]

BRIEF = ("--max_steps", "1", "--use_cpu", "true", "--disable_tqdm", "true", "--lexicon", "false", "--alarm", "off")


def delimited(path: Path, header: Sequence[str], rows: Rows, separator: str, encoding: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows([header, *rows])
    path.write_bytes(text.getvalue().encode(encoding))


def json_lines(path: Path, header: Sequence[str], rows: Rows) -> None:
    path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))


def json_array(path: Path, header: Sequence[str], rows: Rows) -> None:
    path.write_text(json.dumps([dict(zip(header, row, strict=True)) for row in rows]))


def parquet(path: Path, header: Sequence[str], rows: Rows) -> None:
    pq.write_table(
        pa.table({name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}), path
    )


def excel(path: Path, header: Sequence[str], rows: Rows) -> None:
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        book.active.append(row)
    book.save(path)


FORMATS: dict[str, Callable[[Path, Sequence[str], Rows], None]] = {
    "r.csv": lambda path, header, rows: delimited(path, header, rows, ",", "utf-8-sig"),
    "r.tsv": lambda path, header, rows: delimited(path, header, rows, "\t", "utf-8"),
    "semi.csv": lambda path, header, rows: delimited(path, header, rows, ";", "utf-8"),
    "u16.txt": lambda path, header, rows: delimited(path, header, rows, "\t", "utf-16"),
    "r.jsonl": json_lines,
    "r.json": json_array,
    "r.parquet": parquet,
    "r.xlsx": excel,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a space in its name."""
    folder = tmp_path / "my data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def messy(reviews: list[tuple[str, str]]) -> tuple[Rows, Rows]:
    """Training and test rows of id, text and label with a fault of every kind."""
    good = reviews[::3]
    rows: list[tuple[str, str]] = [*good, good[0], (good[1][0].upper(), good[1][1])]
    rows += [("a film of two minds", "positive"), ("A film of two minds!", "negative")]
    rows += [("", "negative"), ("  \u200b ", "positive"), ("the plot was fine", ""), ("the cast was fine", "N/A")]
    rows += [("broken \ufffd bytes", "positive"), ("a film with a slip", "postive"), ("seen before", "negative")]
    test = [*reviews[1::12], ("seen before", "negative"), ("the book was so so", "meh"), ("", "positive")]
    return [(str(i), *row) for i, row in enumerate(rows)], [(str(i), *row) for i, row in enumerate(test)]


def printed(err: str) -> list[str]:
    """The words of the command that was printed, after the program's name."""
    (line,) = [line for line in err.splitlines() if line.startswith("Train on the copies: ")]
    words = shlex.split(line.removeprefix("Train on the copies: "))
    assert words[:2] == ["hf-sentiment", "train"]
    assert "cannot be trained on" not in err, err
    return words[1:]


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_is_mended_is_trained_on_by_the_command_that_is_printed(
    name: str, here: Path, messy: tuple[Rows, Rows], tiny_checkpoint: Path, run_cli: Cli
) -> None:
    train, test = messy
    header = ("id", "what they said", "verdict")
    FORMATS[name](here / name, header, train)
    FORMATS[name](here / f"test {name}", header, test)
    before = {path: path.read_bytes() for path in here.iterdir()}
    said = ("--model_name_or_path", tiny_checkpoint, "--labels", "negative,positive", "--no_label_errors")
    said += ("--text_column", "what they said", "--label_column", "verdict", *BRIEF)
    call = ("--train_file", name, "--test_file", f"test {name}", *said)
    code, out, err = run_cli("audit", *call, "--fix", "clean copies", "--json")
    assert code == 1, err
    report = json.loads(out)
    assert {path: path.read_bytes() for path in before} == before
    removed = {copy["split"]: copy["removed"] for copy in report["written"]}
    assert removed["train"] == {
        **{"empty": 4, "broken": 1, "unknown_labels": 1, "conflicts": 2, "leakage": 1, "duplicates": 2}
    }
    assert removed["test"] == {"empty": 1, "unknown_labels": 1}
    words = printed(err)
    code, _, err = run_cli(*words)
    assert code == 0, err
    output = words[words.index("--output_dir") + 1]
    audit = json.loads((here / output / "records" / "audit.json").read_text())
    assert audit["used"]["train"] + audit["used"].get("validation", 0) == 80 and audit["used"]["test"] == 21
    assert audit["label_rule"]["labels"] == ["negative", "positive"]
    again = [word.replace("--train_file", "--train_file") for word in words[1:]]
    code, out, err = run_cli("audit", *again, "--no_label_errors", "--json")
    assert code == 0, err
    assert [finding["name"] for finding in json.loads(out)["findings"] if finding["fixable"]] == []
