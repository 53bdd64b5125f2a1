"""`predict` of a file: every row and every column of it come back, in every format, and nothing a spreadsheet runs."""

from __future__ import annotations

import csv
import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hf_sentiment.commands.predict import predict
from hf_sentiment.data.sources import read_file, table_rows
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.inference import outputs
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.outputs import harmless, open_output
from hf_sentiment.inference.rows import InputRow

Cli = Callable[..., tuple[int, str, str]]

ODD = """order,comment\r
1,a good film\r
2,\r
3,   \r
4,NaN\r
5,"a dull film, ""really""."\r
6,"two
lines in one cell"\r
7,=1+1\r
8,12345\r
9,+great\r
"""
NOTES = ["", "empty text", "empty text", "empty text (NaN)", "", "", "", "not a text (a number)", ""]


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A file of empty, blank and missing texts, a formula, a number, and two lines in a cell."""
    path = tmp_path / "odd.csv"
    path.write_bytes(ODD.encode())
    return path


def delimited(path: Path, separator: str = ",") -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=separator))


def sheet(path: Path) -> list[list[Any]]:
    return [[cell.value for cell in row] for row in openpyxl.load_workbook(path).active.iter_rows()]


@pytest.mark.parametrize(("extension", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_a_table_has_all_columns_and_a_row_for_each_row(
    extension: str, separator: str, odd: Path, tiny_folder: Path, run_cli: Cli
) -> None:
    output = odd.with_name(f"p{extension}")
    code, out, err = run_cli("predict", tiny_folder, odd, "--text_column", "comment", "--output", output)
    assert (code, out) == (0, "")
    assert err.splitlines()[-1] == f"9 rows in {output}: 5 labelled, 4 without a label (3 empty text, 1 not a text)"
    rows = delimited(output, separator)
    assert list(rows[0]) == ["order", "comment", "label", "score", "p_negative", "p_positive", "note"]
    assert [row["order"] for row in rows] == list("123456789")
    assert [row["note"] for row in rows] == NOTES
    assert [row["comment"] for row in rows[1:6]] == [
        "",
        "   ",
        "NaN",
        'a dull film, "really".',
        "two\nlines in one cell",
    ]
    assert [row["comment"] for row in rows[6:]] == ["'=1+1", "12345", "'+great"]
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    for row in rows:
        if row["note"]:
            assert row["label"] == row["score"] == row["p_negative"] == row["p_positive"] == ""
            continue
        expected = classifier.predict([row["comment"].removeprefix("'")])[0]
        assert row["label"] == expected["label"]
        assert float(row["score"]) == pytest.approx(expected["score"], abs=1e-5)
        assert float(row["p_negative"]) == pytest.approx(1 - float(row["p_positive"]), abs=2e-6)


def test_excel_has_text_as_text_and_numbers_as_numbers(odd: Path, tiny_folder: Path, tmp_path: Path) -> None:
    done = predict(str(tiny_folder), str(odd), output=tmp_path / "p.xlsx")
    assert (done.rows, done.unlabeled.total()) == (9, 4)
    cells = list(openpyxl.load_workbook(tmp_path / "p.xlsx").active.iter_rows())
    assert [cell.value for cell in cells[0]][:3] == ["order", "comment", "label"]
    assert [row[0].value for row in cells[1:]] == list(range(1, 10))
    assert [row[6].value or "" for row in cells[1:]] == NOTES
    assert (cells[7][1].value, cells[7][1].data_type) == ("=1+1", "s") and cells[7][1].quotePrefix
    assert cells[6][1].value == "two\nlines in one cell"
    assert isinstance(cells[1][3].value, float) and cells[2][2].value is None


def test_a_workbook_can_be_opened_whatever_is_in_a_cell(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("text\na good\x01 film\ufffe\na bad\x1f film\uffff\n", encoding="utf-8")
    predict(str(tiny_folder), str(path), output=tmp_path / "p.xlsx")
    assert [row[0] for row in sheet(tmp_path / "p.xlsx")] == ["text", "a good film", "a bad film"]


def test_json_lines_have_the_row_and_every_value_as_it_was(odd: Path, tiny_folder: Path, run_cli: Cli) -> None:
    output = odd.with_name("p.jsonl")
    assert run_cli("predict", tiny_folder, odd, "--output", output)[0] == 0
    code, out, err = run_cli("predict", tiny_folder, odd)
    assert code == 0 and out == output.read_text(encoding="utf-8")
    assert err.splitlines()[-1] == "9 rows: 5 labelled, 4 without a label (3 empty text, 1 not a text)"
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["row"] for line in lines] == [2, 3, 4, 5, 6, 7, 9, 10, 11]  # as an editor counts
    assert [line["note"] or "" for line in lines] == NOTES
    assert lines[6]["comment"] == "=1+1" and lines[5]["order"] == "6"
    assert lines[1]["label"] is lines[1]["score"] is lines[1]["scores"] is None
    assert set(lines[0]["scores"]) == {"negative", "positive"}


CELLS = [
    *(("=cmd|'/C calc'!A0", True), ("+49 30 123", True), ("-great-", True), ("@SUM(A1)", True), ("\tx", True)),
    *(("\rx", True), ("\nx", True), ("  =1", True), ("\uff1d1", True), ("-", True), ("- 5", True), ("-1+1", True)),
    *(("-5", False), ("+1.5", False), ("-1,25", False), ("-3e-5", False), ("-12%", False), ("", False)),
    *(("a=b", False), ("'=1", False), ("3-4", False), ("good", False), (" good", False)),
]


@pytest.mark.parametrize(("cell", "runs"), CELLS)
def test_what_a_spreadsheet_would_run_has_an_apostrophe(cell: str, runs: bool) -> None:
    assert harmless(cell) == (f"'{cell}" if runs else cell)


def test_formulas_in_other_columns_names_and_labels_are_harmless_too(
    tmp_path: Path, make_tiny: Any, tiny_tokenizer: Any
) -> None:
    model = make_tiny(id2label={0: "=bad", 1: "@good"}, label2id={"=bad": 0, "@good": 1})
    model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    path = tmp_path / "f.csv"
    path.write_text('=HYPERLINK("x"),text\n=1+1,good\n-5,awful\n')
    predict(str(tmp_path / "model"), str(path), output=tmp_path / "p.csv")
    for line in csv.reader((tmp_path / "p.csv").read_text().splitlines()):
        assert not any(cell.startswith(("=", "@", "+")) for cell in line), line
    assert [row[0].value for row in openpyxl.load_workbook(as_excel(tmp_path)).active.iter_rows()] == [
        *('=HYPERLINK("x")', "=1+1", -5)
    ]


def as_excel(folder: Path) -> Path:
    predict(str(folder / "model"), str(folder / "f.csv"), output=folder / "p.xlsx")
    return folder / "p.xlsx"


def test_own_columns_of_the_same_names_are_renamed_and_said(tiny_folder: Path, tmp_path: Path, run_cli: Cli) -> None:
    path = tmp_path / "r.csv"
    path.write_text("label,text,note,original_label,p_positive,row\ngold,good film,mine,x,y,7\n")
    code, _, err = run_cli("predict", tiny_folder, path, "--output", tmp_path / "p.csv")
    assert code == 0 and "the file's own column label is original_original_label here" in err
    (row,) = delimited(tmp_path / "p.csv")
    assert row["original_original_label"] == "gold" and row["original_label"] == "x" and row["original_note"] == "mine"
    assert row["label"] in ("negative", "positive") and row["original_p_positive"] == "y" and row["row"] == "7"
    assert len(row) == 6 + 5
    predict(str(tiny_folder), str(path), output=tmp_path / "p.jsonl")
    line = json.loads((tmp_path / "p.jsonl").read_text())
    assert line["row"] == 2 and line["original_row"] == "7" and line["p_positive"] == "y"


def write_excel(path: Path) -> None:
    book = openpyxl.Workbook()
    rows = [["id", "text", "when"], ["007", "good", datetime.datetime(2026, 5, 1)], [8, None, None], [], [9, 12, True]]
    for row in [*rows, [10, "awful", -5]]:
        book.active.append(row)
    book.save(path)


def write_parquet(path: Path) -> None:
    when = pa.array([datetime.date(2026, 5, 1), None, None, None])
    table = {
        "id": ["007", "8", "", "9"],
        "text": ["good", None, " ", "awful"],
        "when": when,
        "list": [[1], [], None, []],
    }
    pq.write_table(pa.table(table), path)


def write_json_lines(path: Path) -> None:
    lines = ['{"id": "007", "text": "good", "when": {"y": [2026]}}', "", '{"id": 8, "text": null}', "not json"]
    path.write_text("\n".join([*lines, '{"id": 9, "text": ["good"], "note": NaN}', '{"text": "half \\ud83d"}']))


def write_one_column(path: Path) -> None:
    path.write_text('review\ngood\n\n""\nawful\n\n\n')


def write_blank_rows(path: Path) -> None:
    path.write_text("id,text,when\n007,good,2026\n,,\n\n9,awful,\n10,,\n,,\n\n")


INPUTS: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "i.xlsx": (write_excel, ["", "empty text", "empty text", "not a text (a number)", ""]),
    "i.parquet": (write_parquet, ["", "empty text", "empty text", ""]),
    "i.jsonl": (write_json_lines, ["", "empty text", "unreadable row", "not a text (list)", "broken encoding"]),
    "i.csv": (write_one_column, ["", "empty text", "empty text", ""]),
    "blank rows.csv": (write_blank_rows, ["", "empty text", "", "empty text"]),
}


@pytest.mark.parametrize("name", list(INPUTS))
def test_every_row_of_every_kind_of_file_is_answered(name: str, tiny_folder: Path, tmp_path: Path) -> None:
    write, notes = INPUTS[name]
    write(tmp_path / name)
    for extension in (".csv", ".xlsx", ".jsonl"):
        done = predict(str(tiny_folder), str(tmp_path / name), output=tmp_path / f"p{extension}")
        assert done.rows == len(notes)
    rows = delimited(tmp_path / "p.csv")
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()]
    for found in ([row["note"] for row in rows], [line["note"] or "" for line in lines]):
        assert [note.partition(" (not JSON")[0] for note in found] == notes
    assert len(sheet(tmp_path / "p.xlsx")) == 1 + len(notes)
    assert [bool(row["label"]) for row in rows] == [note in ("", "broken encoding") for note in notes]
    if "id" in rows[0]:
        assert rows[0]["id"] == "007" and sheet(tmp_path / "p.xlsx")[1][0] == "007"
        assert "2026" in rows[0]["when"]


def test_semicolons_titles_and_encodings_are_read_as_training_reads_them(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes("text;preis\ngood fil\u00e9;1,5\nawful; -2,5\n;0\n".encode("utf-16"))
    predict(str(tiny_folder), str(path), output=tmp_path / "p.csv")
    rows = delimited(tmp_path / "p.csv")
    assert [row["text"] for row in rows] == ["good fil\u00e9", "awful", ""] and rows[0]["preis"] == "1,5"


def test_an_output_of_unknown_kind_or_that_is_there_is_an_error_before_any_work(
    odd: Path, tiny_folder: Path, run_cli: Cli
) -> None:
    for name, message in (
        ("p.html", "unknown file type .html; known: .csv, .tsv, .xlsx, .parquet, .jsonl"),
        ("p", "unknown file type (none)"),
        ("odd.csv", "exists and is not overwritten"),
    ):
        code, out, err = run_cli("predict", tiny_folder, odd, "--output", odd.with_name(name))
        assert (code, out, len(err.splitlines())) == (2, "", 1) and message in err


@pytest.mark.parametrize("extension", outputs.OUTPUTS)
def test_nothing_half_written_has_the_name(extension: str, tmp_path: Path) -> None:
    prediction: Any = {"label": "a", "score": 1.0, "scores": {"a": 1.0, "b": 0.0}}
    with pytest.raises(KeyboardInterrupt), open_output(tmp_path / f"p{extension}", ["text"], ["a", "b"]) as output:
        output.write(InputRow(1, {"text": "x"}, "x"), prediction)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with open_output(tmp_path / f"p{extension}", ["text"], ["a", "b"]) as output:
        output.write(InputRow(1, {"text": "x"}, "x"), prediction)
    assert [path.name for path in tmp_path.iterdir()] == [f"p{extension}"]


def test_what_a_sheet_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    prediction: Any = {"label": "a", "score": 1.0, "scores": {"a": 1.0, "b": 0.0}}
    long = "x" * 40_000
    with open_output(tmp_path / "p.xlsx", ["text", "n"], ["a", "b"]) as output:
        output.write(InputRow(1, {"text": "bell \x07 \x00", "n": "12345678901234567"}, ""), prediction)
        output.write(InputRow(2, {"text": long, "n": 12345678901234567}, ""), prediction)
    rows = sheet(tmp_path / "p.xlsx")
    assert rows[1][:2] == ["bell  ", "12345678901234567"] and rows[2][1] == "12345678901234567"
    assert len(rows[2][0]) == 32_767 and "1 cells are longer" in caplog.text
    monkeypatch.setattr(outputs, "_EXCEL_ROWS", 3)
    with pytest.raises(DataError, match=r"holds 2 rows, and there are more: write \.csv"):
        outputs.check_excel_size(3)
    outputs.check_excel_size(2, 16_384)
    with pytest.raises(DataError, match=r"holds 16,384 columns, and there are 16,385: write \.parquet"):
        outputs.check_excel_size(2, 16_385)


def test_a_cell_of_a_workbook_is_a_number_only_if_it_prints_back(tmp_path: Path) -> None:
    prediction: Any = {"label": "a", "score": 1.0, "scores": {"a": 1.0, "b": 0.0}}
    cells = ["123456789.12345678", "1.10", "-0", "007", "1e5", "nan", "1" * 400, "0.1", "-12.5", "123456789012345"]
    cells += ["_x0041_", "_x"]
    with open_output(tmp_path / "p.xlsx", list(map(str, range(len(cells)))), ["a", "b"]) as output:
        output.write(InputRow(1, dict(zip(output.columns, cells, strict=True)), ""), prediction)
    expected = [*cells[:7], 0.1, -12.5, 123456789012345, "_x005F_x0041_", "_x"]
    assert sheet(tmp_path / "p.xlsx")[1][: len(cells)] == expected
    assert [value for _, row in table_rows(read_file(tmp_path / "p.xlsx")) for value in row.values()][10] == "_x0041_"


def test_json_lines_have_no_bare_nan(tmp_path: Path) -> None:
    prediction: Any = {"label": "a", "score": math.nan, "scores": {"a": math.nan, "b": math.inf}}
    with open_output(tmp_path / "p.jsonl", [], ["a", "b"]) as output:
        output.write(InputRow(1, {}, ""), prediction)
    line = json.loads((tmp_path / "p.jsonl").read_text(), parse_constant=pytest.fail)
    assert (line["score"], line["scores"]) == (None, {"a": None, "b": None})


def test_broken_characters_alone_are_no_text_and_a_closed_output_is_one_line(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f.csv").write_bytes(b"id,text\n1,\0\n2,good\0 film\n")
    predict(str(tiny_folder), tmp_path / "f.csv", output=tmp_path / "p.csv")
    assert [(row["label"] != "", row["note"]) for row in delimited(tmp_path / "p.csv")] == [
        (False, "empty text"),
        (True, "broken encoding"),
    ]
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(CallError, match="standard output is closed"):
        predict(str(tiny_folder), tmp_path / "f.csv")


def test_the_predictions_of_a_table_line_up_with_pandas(tiny_folder: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(60), "text": [["good", None, 'a, "b"\n', "=x"][i % 4] for i in range(60)]})
    frame.to_csv(tmp_path / "f.csv", index=False)
    predict(str(tiny_folder), str(tmp_path / "f.csv"), output=tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv")
    assert found["id"].tolist() == list(range(60))
    assert found["label"].isna().tolist() == frame["text"].isna().tolist()


def test_a_text_column_that_is_none_is_an_error(tiny_folder: Path, odd: Path) -> None:
    with pytest.raises(CallError, match=r'no column "coment" .*did you mean --text_column comment'):
        predict(str(tiny_folder), str(odd), text_column="coment")
