"""What `predict` reads beside single tables: folders, lines, Parquet's types, tables in memory; and which columns."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_sentiment.commands.predict import PredictedRows, predict
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.inference.rows import LineRows, read_rows

Cli = Callable[..., tuple[int, str, str]]
PREDICTED = ["label", "score", "p_negative", "p_positive", "note"]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of four kinds with other columns, one without rows, and what is none of them."""
    folder = tmp_path / "in"
    (folder / "deep" / ".git").mkdir(parents=True)
    (folder / "b.csv").write_text("id,text\n1,good film\n2,\n")
    (folder / "a.jsonl").write_text('{"text": "bad film", "stars": 2, "file": "x"}\n')
    (folder / "deep" / "c.txt").write_text("fine\n\nawful, very bad\n")
    pq.write_table(pa.table({"review": ["dull"], "stars": [4.5]}), folder / "deep" / "d.parquet")
    (folder / "e.csv").write_text("id,text\n")
    (folder / "f.csv").touch()
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), folder / "g.parquet")
    for name in ("~$b.xlsx", ".b.csv", "deep/.git/g.csv", "README.md"):
        (folder / name).write_text("?")
    return folder


def test_a_folder_is_one_output_with_the_file_of_each_row(folder: Path, tiny_folder: Path, run_cli: Cli) -> None:
    output = folder.with_name("p.csv")
    code, _, err = run_cli("predict", tiny_folder, folder, "--output", output)
    assert code == 0 and err.splitlines()[-1] == f"7 rows in {output}: 5 labelled, 2 without a label (2 empty text)"
    for line in (
        f"{folder}: 4 files, 7 rows",
        "e.csv: has no rows",
        "g.parquet: has no rows",
        "b.csv has no column stars, file, review: its cells are empty",
    ):
        assert line in err
    rows = rows_of(output)
    assert list(rows[0])[:7] == ["source_file", "text", "stars", "file", "id", "review", "label"]
    names = [row["source_file"] for row in rows]
    assert names == ["a.jsonl", "b.csv", "b.csv", *["deep/c.txt"] * 3, "deep/d.parquet"]
    assert [row["text"] for row in rows] == ["bad film", "good film", "", "fine", "", "awful, very bad", ""]
    assert rows[6]["review"] == "dull" and rows[6]["stars"] == "4.5" and rows[0]["file"] == "x"
    predict(str(tiny_folder), folder, output=folder.with_name("p.parquet"))
    table = pq.read_table(folder.with_name("p.parquet"))
    assert table["stars"].to_pylist() == [2.0, *[None] * 5, 4.5] and table["label"].null_count == 2
    predict(str(tiny_folder), folder, output=folder.with_name("p.jsonl"))
    lines = [json.loads(line) for line in folder.with_name("p.jsonl").read_text().splitlines()]
    assert [(line["source_file"], line["row"]) for line in lines][2:5] == [
        ("b.csv", 3),
        ("deep/c.txt", 1),
        ("deep/c.txt", 2),
    ]


def test_of_a_folder_with_broken_files_nothing_is_predicted(folder: Path, tiny_folder: Path) -> None:
    (folder / "g.parquet").write_bytes((folder / "deep" / "d.parquet").read_bytes()[:-200])
    (folder / "h.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"g\.parquet: cannot be read: .*; nor can h\.csv be used"):
        predict(str(tiny_folder), folder, output=folder.with_name("p.csv"))
    with pytest.raises(CallError, match="is in the folder that is read"):
        predict(str(tiny_folder), folder, output=folder / "deep" / "p.csv")
    (empty := folder.with_name("empty")).mkdir()
    with pytest.raises(CallError, match="no file in it has rows of a known type"):
        predict(str(tiny_folder), empty)
    with pytest.raises(CallError, match="ins: no such file or folder"):
        predict(str(tiny_folder), folder.with_name("ins"))
    pq.write_table(pa.table({"text": ["x"], "m": pa.array([[]], pa.map_(pa.string(), pa.int8()))}), empty / "m.parquet")
    with pytest.raises(DataError, match=r"Arrow type map<.*; leave that column out"):
        predict(str(tiny_folder), empty)


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("a good film\nbad, very bad\n\n12\n", ["a good film", "bad, very bad", "", "12"]),
        ("only one", ["only one"]),
        ("id\ttext\n1\tgood film\n2\tbad\n", ["good film", "bad"]),
        ("review\ngood film\nbad\n", ["good film", "bad"]),
    ],
)
def test_a_text_file_has_a_text_a_line_unless_it_has_a_header(
    content: str, texts: list[str], tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "f.txt").write_text(content)
    predict(str(tiny_folder), tmp_path / "f.txt", output=tmp_path / "p.csv")
    assert [row.get("text", row.get("review")) for row in rows_of(tmp_path / "p.csv")] == texts


def test_columns_are_chosen_in_the_order_said(tiny_folder: Path, tmp_path: Path, run_cli: Cli) -> None:
    path = tmp_path / "f.csv"
    path.write_text('id,"a, b",text,day\n007,x,good film,2026\n')
    for columns, kept in (("day,id", ["day", "id"]), ('"a, b"', ["a, b"]), ("", [])):
        predict(str(tiny_folder), path, output=(output := tmp_path / f"{len(kept)}.csv"), columns=columns)
        assert list(rows_of(output)[0]) == [*kept, "label", "score", "p_negative", "p_positive", "note"]
    code, out, err = run_cli("predict", tiny_folder, path, "--columns", "id,days")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == f'error: --columns: {path} has no column "days", did you mean day?'
    code, out, _ = run_cli("predict", tiny_folder, path, "--columns", "id")
    assert list(json.loads(out)) == ["row", "id", "label", "score", "scores", "note"]


TYPED = {
    "id": pa.array([7, None, 9], pa.int32()),
    "text": pa.array(["good film", None, "awful"], pa.large_string()),
    "day": [datetime.date(2026, 5, 1), None, datetime.date(2026, 5, 2)],
    "at": pa.array([1, 2, None], pa.timestamp("ns", "UTC")),
    "price": [Decimal("1.50"), None, Decimal("2.00")],
    "nested": [{"a": [1, 2]}, None, {"a": []}],
    "kind": pa.array(["x", None, "x"]).dictionary_encode(),
    "label": [True, None, False],
    "raw": [b"\xff", b"", None],
}


def test_parquet_keeps_the_types_and_values_of_parquet(tiny_folder: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table(TYPED), tmp_path / "f.parquet")
    predict(str(tiny_folder), tmp_path / "f.parquet", output=tmp_path / "p.parquet")
    given, found = pq.read_table(tmp_path / "f.parquet"), pq.read_table(tmp_path / "p.parquet")
    names = [name if name != "label" else "original_label" for name in given.column_names]
    assert found.column_names == [*names, "label", "score", "p_negative", "p_positive", "note"]
    kept = found.select(names).rename_columns(given.column_names)
    assert kept.to_pylist() == given.to_pylist()
    assert [kept.schema.field(name).type for name in TYPED if name != "kind"] == [
        given.schema.field(name).type for name in TYPED if name != "kind"
    ]
    assert found["score"].type == pa.float64() and found["label"].null_count == 1
    for name in ("p.csv", "p.xlsx", "p.jsonl"):
        assert predict(str(tiny_folder), tmp_path / "f.parquet", output=tmp_path / name).rows == 3


DATES = {
    "day": datetime.date(2026, 5, 1),
    "at": datetime.datetime(2026, 5, 1, 14, 30),
    "utc": datetime.datetime(2026, 5, 1, 14, 30, tzinfo=datetime.UTC),
    "clock": datetime.time(14, 30),
}
ISO = {name: value.isoformat() for name, value in DATES.items()}


READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    ".csv": lambda path: rows_of(path)[0],
    ".tsv": lambda path: pd.read_csv(path, sep="\t", dtype=str).to_dict("records")[0],
    ".xlsx": lambda path: pd.read_excel(path, dtype=str).to_dict("records")[0],
    ".jsonl": lambda path: json.loads(path.read_text()),
    ".parquet": lambda path: pq.read_table(path).to_pylist()[0],
}


@pytest.mark.parametrize("extension", [".csv", ".xlsx", ".jsonl", ".parquet"])
def test_a_date_is_written_in_one_way_whatever_it_came_from(extension: str, tiny_folder: Path, tmp_path: Path) -> None:
    path, row = tmp_path / f"f{extension}", {"text": "good film", "own": "2026-05-01 14:30"}
    if extension == ".parquet":
        pq.write_table(pa.Table.from_pylist([row | DATES | {"in": [DATES["at"]]}]), path)
    elif extension == ".xlsx":  # which has no zones
        pd.DataFrame([row | DATES | {"utc": ISO["utc"]}]).to_excel(path, index=False)
    elif extension == ".csv":
        pd.DataFrame([row | ISO]).to_csv(path, index=False)
    else:
        path.write_text(json.dumps(row | ISO))
    for kind, read in READERS.items():
        predict(str(tiny_folder), path, output=(output := tmp_path / f"p{kind}"))
        found = read(output)
        if extension == kind == ".parquet":
            assert {name: found[name] for name in DATES} == DATES
            continue
        assert {name: found[name] for name in ISO} == ISO, kind
        assert found["own"] == row["own"]
        assert extension != ".parquet" or ISO["at"] in str(found["in"])


def test_json_in_parquet_has_the_types_that_all_its_values_have(tiny_folder: Path, tmp_path: Path) -> None:
    lines = [
        {"text": "good film", "n": 1, "x": 1, "mixed": 1, "list": [1], "none": None, "empty": {}, "big": 2**70},
        {"text": "awful", "n": 2, "x": 1.5, "mixed": "b", "list": [], "empty": {}, "flag": True},
        "not an object",
        {"text": 5, "mixed": {"y": [2]}},
    ]
    (tmp_path / "f.jsonl").write_text("\n".join(map(json.dumps, lines)))
    predict(str(tiny_folder), tmp_path / "f.jsonl", output=tmp_path / "p.parquet")
    table = pq.read_table(tmp_path / "p.parquet")
    assert table["n"].to_pylist() == [1, 2, None, None] and table["x"].to_pylist() == [1.0, 1.5, None, None]
    assert table["mixed"].to_pylist() == ["1", "b", None, '{"y": [2]}'] and table["list"].to_pylist()[0] == [1]
    assert table["empty"].to_pylist()[0] == "{}" and table["big"].to_pylist()[0] == str(2**70)
    assert table["flag"].to_pylist() == [None, True, None, None] and table["none"].null_count == 4
    assert table["none"].type == pa.string()
    assert table["text"].to_pylist() == ["good film", "awful", None, "5"] and table["label"].null_count == 2


def test_a_header_of_two_lines_is_no_row(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text('"my\ntext"\ngood film\n\nbad film\n')
    predict(str(tiny_folder), tmp_path / "one.csv", text_column="my text", output=tmp_path / "p.csv")
    found = pd.read_csv(tmp_path / "p.csv")
    assert found["my text"].fillna("").tolist() == ["good film", "", "bad film"]


def test_a_frame_comes_back_with_the_columns_added(tiny_folder: Path, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "text": ["good film", None, 5, "awful"],
            "day": pd.to_datetime(["2026-05-01"] * 4),
            "label": [1, 0, 1, 0],
            3: "x",
        },
        index=list("abcd"),
    )
    found = predict(str(tiny_folder), frame)
    assert list(found) == ["text", "day", "original_label", 3, "label", "score", "p_negative", "p_positive", "note"]
    assert list(found.index) == list("abcd") and found["day"].dtype == frame["day"].dtype and "score" not in frame
    assert found["label"].isna().tolist() == [False, True, True, False]
    assert found["note"].fillna("").tolist() == ["", "empty text", "not a text (int)", ""]
    chosen = predict(str(tiny_folder), frame, columns=["day"])
    assert list(chosen)[:2] == ["day", "label"] and chosen["score"].equals(found["score"])
    with pytest.raises(CallError, match="two columns have the same name"):
        predict(str(tiny_folder), pd.concat([frame, frame], axis=1))
    with pytest.raises(CallError, match="encoding is for files"):
        predict(str(tiny_folder), frame, encoding="cp1252")  # type: ignore[call-overload]
    with pytest.raises(CallError, match="output is for files"):
        predict(str(tiny_folder), frame, output=tmp_path / "p.csv")  # type: ignore[call-overload]


def test_a_data_set_comes_back_with_the_columns_added(tiny_folder: Path) -> None:
    features = Features({"text": Value("string"), "stars": ClassLabel(names=["one", "two"])})
    data = Dataset.from_dict({"text": ["good film", None, "awful"], "stars": [0, 1, 1]}, features).select([2, 1, 0])
    found = predict(str(tiny_folder), data)
    assert found.column_names == ["text", "stars", "label", "score", "p_negative", "p_positive", "note"]
    assert found["text"][:] == ["awful", None, "good film"] and found.features["stars"] == features["stars"]
    assert found["label"][1] is None and found["note"][:] == [None, "empty text", None]
    with pytest.raises(CallError, match="data is a DatasetDict: give a file, a folder, a Dataset"):
        predict(str(tiny_folder), DatasetDict(test=data))  # type: ignore[type-var]


def test_the_last_line_tells_noted_from_unlabelled() -> None:
    done = PredictedRows()
    for label, note in ((None, "empty text (-)"), (None, "empty text"), ("good", "cut"), ("good", None)):
        done.add({"label": label, "score": None, "scores": None} | ({"note": note} if note else {}))  # type: ignore[arg-type]
    assert str(done) == "4 rows: 2 labelled (1 cut), 2 without a label (2 empty text)"


def test_rows_can_be_read_from_any_of_them_on(folder: Path) -> None:
    (folder / "h.csv").write_text('review\n"good"\n\n\nawful\n\nbad\n')
    (folder / "i.jsonl").write_text('\n{"text": "a"}\n\n{"text": "b"}\nno\n{"text": "c"}\n')
    rows = read_rows(str(folder))
    everything = list(rows.read(0))
    assert len(everything) == rows.total == 17
    assert [(row.number, row.text) for row in everything if row.values["source_file"] == "i.jsonl"] == [
        *((2, "a"), (4, "b"), (5, None), (6, "c"))
    ]
    assert all(list(rows.read(start)) == everything[start:] for start in range(19))


def test_lines_in_a_folder_are_texts_whatever_column_is_named(tiny_folder: Path, tmp_path: Path, run_cli: Cli) -> None:
    (folder := tmp_path / "in").mkdir()
    (folder / "a.csv").write_text("comment,x\ngood film,1\n")
    (folder / "c.txt").write_text("awful\n")
    (folder / "d.txt").write_text("id\tcomment\n1\tdull\n")
    (folder / "e.csv").write_text("fine film,1\n")
    code, out, err = run_cli("predict", tiny_folder, folder, "--text_column", "comment")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [line["file"] for line in lines] == ["a.csv", "c.txt", "d.txt"]
    assert lines[1]["text"] == "awful" and all(line["label"] for line in lines)
    assert f"{folder / 'e.csv'}: has no rows: what is in it, if anything, is taken for a header" in err
    (folder / "f.txt").write_text("review\nfine\n")
    with pytest.raises(CallError, match=r'f\.txt: no column "comment"'):
        predict(str(tiny_folder), folder, text_column="comment")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp1252", "utf-8-sig", "utf-8"])
def test_a_stream_may_be_in_any_encoding(encoding: str) -> None:
    stream = io.BytesIO("schön\r\n\nx\rü".encode(encoding))
    rows = LineRows(stream, encoding.removesuffix("-sig"))
    assert [row.text for row in rows.read(0)] == ["schön", "", "x\rü"] and not stream.closed
    for unknown in ("undefined", "no-such", "base64"):
        with pytest.raises(CallError, match=f"--encoding {unknown}: no such encoding"):
            LineRows(stream, unknown)


def test_tables_with_odd_names_and_without_rows(tiny_folder: Path) -> None:
    data = Dataset.from_dict({"text": [], "label": []}, Features({"text": Value("string"), "label": Value("int8")}))
    found = predict(str(tiny_folder), data)
    assert found.column_names == ["text", "original_label", *PREDICTED] and len(found) == 0
    assert found.features["original_label"] == Value("int8") and found.features["score"] == Value("float64")
    frame = pd.DataFrame([["good film", "x"]], columns=[1, 0])
    assert list(predict(str(tiny_folder), frame, text_column=1, columns=[0])) == [0, *PREDICTED]  # type: ignore[call-overload, list-item]
    with pytest.raises(CallError, match='has no column "5"'):
        predict(str(tiny_folder), frame, text_column="1", columns=[5])  # type: ignore[list-item]
    with pytest.raises(CallError, match="two columns have the same name"):
        predict(str(tiny_folder), pd.DataFrame([["a", "b"]], columns=[1, "1"]), text_column="1")


@pytest.mark.parametrize("name", ["f.jsonl", "f.json"])
def test_half_an_emoji_in_a_key_or_a_value_is_written_as_a_broken_character(
    name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    line = json.dumps({"text": "good \ud83d film", "k\ud83d": {"\ud83d": 1}})
    (tmp_path / name).write_text(line if name == "f.jsonl" else f"[{line}]")
    for kind in ("jsonl", "csv", "xlsx", "parquet"):
        predict(str(tiny_folder), tmp_path / name, output=tmp_path / f"p.{kind}")
    found = json.loads((tmp_path / "p.jsonl").read_text(encoding="utf-8"))
    assert (found["text"], found["k\ufffd"]) == ("good \ufffd film", {"\ufffd": 1})
    assert pq.read_table(tmp_path / "p.parquet")["k\ufffd"].to_pylist() == [{"\ufffd": 1}]
