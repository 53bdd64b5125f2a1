"""Sources: every format with its traps, columns named or guessed, and one-line errors."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_sentiment.data.sources import load_data, read_file, table_rows, unmapped
from hf_sentiment.errors import CallError, DataError, SentimentError

ROWS = [('It\'s \U0001f600, "fun"\nand long', "pos"), ("NA", "neg"), ("null", "null"), ("Ünï :(", "007")]


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(raw, split="train"):
    table = raw.splits[split]
    return list(zip(table["row"], table["text"], table["label"], strict=True))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "ndjson", "json", "array", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, kind):
    frame = pd.DataFrame(ROWS, columns=["text", "label"])
    path = tmp_path / f"data.{'json' if kind == 'array' else kind}"
    if kind in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if kind == "csv" else "\t")
    elif kind == "parquet":
        frame.to_parquet(path)
    elif kind == "array":
        write(path, json.dumps([{"text": t, "label": v} for t, v in ROWS]))
    else:
        write(path, "\n".join(json.dumps({"text": t, "label": v}, ensure_ascii=False) for t, v in ROWS))
    raw = load_data(train_file=path)
    # The first text has a line break, and a row is where it begins.
    numbers = [2, 4, 5, 6] if kind in ("csv", "tsv") else [1, 2, 3, 4]
    assert rows_of(raw) == [(row, text, label) for row, (text, label) in zip(numbers, ROWS, strict=True)]
    assert raw.splits["train"].column_names == ["text", "label", "row"]
    assert raw.sources == {"train": str(path)}
    assert (raw.text_column, raw.label_column, raw.label_names) == ("text", "label", None)


def test_csv_bom_crlf_blank_lines_and_short_rows(tmp_path):
    path = write(tmp_path / "a.csv", b'\xef\xbb\xbftext,label\r\n"a, b",1\r\n\r\n"two\r\nlines",0\r\nshort\r\n')
    assert rows_of(load_data(train_file=path)) == [(2, "a, b", "1"), (4, "two\r\nlines", "0"), (6, "short", "")]


def test_broken_bytes_are_kept_visible(tmp_path):
    path = write(tmp_path / "a.csv", b"text,label\ncaf\xe9,1\n")
    assert rows_of(load_data(train_file=path, encoding="utf-8")) == [(2, "caf\ufffd", "1")]
    path = write(tmp_path / "a.jsonl", b'{"text": "caf\xe9", "label": 1}\n{"text": "\\ud83d!", "label": 0}\n')
    assert rows_of(load_data(train_file=path, encoding="utf-8")) == [(1, "caf\ufffd", "1"), (2, "\ufffd!", "0")]


def test_broken_bytes_of_parquet_are_kept_visible(tmp_path):
    broken = pa.Array.from_buffers(pa.string(), 2, [None, *pa.array([b"caf\xe9", b"ok"]).buffers()[1:]])
    pq.write_table(pa.table({"id": [1, 2], "text": broken, "label": ["a", "b"]}), tmp_path / "a.parquet")
    assert rows_of(load_data(train_file=tmp_path / "a.parquet")) == [(1, "caf\ufffd", "a"), (2, "ok", "b")]
    table = unmapped(read_file(tmp_path / "a.parquet"))
    assert [row["text"] for _, row in table_rows(table)] == ["caf\ufffd", "ok"]


def test_columns_of_parquet_with_the_same_name(tmp_path):
    pq.write_table(pa.table([["a"], ["b"], [1]], names=["text", "text", "label"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r'a\.parquet: several columns are called "text": give each a name') as caught:
        load_data(train_file=tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["text\u200b", "\ufefftext", "ｔｅｘｔ", "te\u00adxt"])
def test_a_name_is_known_by_how_it_looks(tmp_path, name):
    path = write(tmp_path / "a.csv", f"\ufeff{name},label\none,1\ntwo,0\n")
    raw = load_data(train_file=path)
    assert (raw.text_column, rows_of(raw)) == (name, [(2, "one", "1"), (3, "two", "0")])
    assert load_data(train_file=path, text_column="text").text_column == name


def test_a_composed_name_is_known_by_its_parts(tmp_path):
    path = write(tmp_path / "a.csv", "Qualite\u0301,label\none,1\n")
    assert load_data(train_file=path, text_column="Qualité").text_column == "Qualite\u0301"


def test_a_cell_of_many_megabytes(tmp_path):
    path = write(tmp_path / "a.csv", f'text,label\n"{"long, " * 3_000_000}",1\nshort,0\n')
    with pytest.raises(DataError, match=r"a\.csv, row 2: too many cells"):
        load_data(train_file=path)
    write(path, f'text,label\n"{"long " * 4_000_000}",1\nshort,0\n')
    assert [(row, len(text)) for row, text, _ in rows_of(load_data(train_file=path))] == [(2, 20_000_000), (3, 5)]


def test_json_lines_keep_their_numbers_and_values(tmp_path):
    lines = ['{"text": "a\u2028b", "label": 1}', "", '{"text": 5, "label": true}', '{"label": 2.5}', '{"text": "d"}']
    raw = load_data(train_file=write(tmp_path / "a.jsonl", "\ufeff" + "\r\n".join(lines) + "\r\n"))
    assert rows_of(raw) == [(1, "a\u2028b", "1"), (3, None, "true"), (4, None, "2.5"), (5, "d", None)]


def test_a_changed_file_is_read_again(tmp_path):
    path = write(tmp_path / "a.csv", "text,label\none,1\n")
    assert rows_of(load_data(train_file=path)) == [(2, "one", "1")]
    write(path, "text,label\ntwo!,0\n")
    assert rows_of(load_data(train_file=path)) == [(2, "two!", "0")]


@pytest.mark.parametrize("name", ["with space.csv", "odd[1].csv", "star*.csv", "ünï.csv", "UPPER.CSV"])
def test_odd_file_names(tmp_path, name):
    write(tmp_path / "odd1.csv", "text,label\nwrong,1\n")
    path = write(tmp_path / name, "text,label\none,1\n")
    assert rows_of(load_data(train_file=path)) == [(2, "one", "1")]


def test_several_files(tmp_path):
    train = write(tmp_path / "a.csv", "id,Review,stars\n1,good,5\n")
    test = write(tmp_path / "b.jsonl", '{"stars": 1, "Review": "bad"}\n')
    raw = load_data(train_file=train, test_file=test)
    assert rows_of(raw, "test") == [(1, "bad", "1")]
    assert (raw.text_column, raw.label_column) == ("Review", "stars")
    other = write(tmp_path / "c.csv", "review,stars\nx,1\n")
    with pytest.raises(CallError, match=r'c\.csv: no column "Review".*did you mean --text_column review'):
        load_data(train_file=train, validation_file=other)


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.doc", "x", CallError, "unknown file type .doc; known: .csv"),
        ("a.csv", "", CallError, "the file is empty"),
        ("a.csv", "text,label\n", CallError, "no data rows"),
        ("a.csv", "text,label\n\n\n", CallError, "no data rows"),
        ("a.csv", "text,label\na,1\nb,c,0\n", DataError, r"row 3: too many cells \(3, the header has 2\): .*quotes"),
        (
            "a.csv",
            "text,label\na,1,2\nb,c,0\n",
            DataError,
            "row 2: too many cells.*; and 1 more row; or does the header lack a name",
        ),
        ("a.jsonl", '{"text": "a", "label": 1}\n{"text"\n', DataError, "row 2: not JSON"),
        ("a.jsonl", '{"text": "a", "label": %s}\n' % ("1" * 5000), DataError, "row 1: not JSON: a number of thousands"),
        ("a.json", '[{"text": "a", "label": %s}]' % ("1" * 5000), DataError, "a number of thousands of digits: write"),
        ("a.jsonl", "\n[1]\n", DataError, "row 2: not a JSON object"),
        ("a.json", '[{"text": "a"', DataError, "row 1: not JSON"),
        ("a.parquet", "no parquet", DataError, "not a Parquet file"),
        ("a.csv", "txt,label\na,1\n", CallError, r"--text_column NAME \(columns: txt, label\)"),
        ("a.csv", "text,review,label\na,b,1\n", CallError, "text and review could each be the text"),
        ("a.csv", "text,label,label\na,1,0\nb,0,1\n", CallError, "label and label.1 could each be the label"),
        ("a.csv", "text,foo\na,1\n", CallError, "--label_column NAME"),
    ],
)
def test_file_errors(tmp_path, name, content, error, message):
    path = write(tmp_path / name, content)
    with pytest.raises(error, match=message) as caught:
        load_data(train_file=path)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)


def test_call_errors(tmp_path):
    path = write(tmp_path / "data.csv", "text,label\na,1\n")
    calls = [
        ({}, "--dataset_name NAME or --train_file FILE"),
        ({"dataset": "starter", "train_file": path}, "both given"),
        ({"train_file": tmp_path / "dta.csv"}, "did you mean .*data.csv"),
        ({"train_file": tmp_path / "no" / "data.csv"}, "there is no folder"),
        ({"train_file": tmp_path / "x.csv" / ".."}, "unknown file type"),
        ({"dataset": str(path)}, "--train_file"),
        ({"dataset": "starter:imdb"}, "starter:imdb is no starter corpus"),
        ({"dataset": "starter", "text_column": "body"}, "leave --text_column"),
        ({"dataset": "nobody/nothing"}, "data set nobody/nothing: cannot be loaded"),
        ({"dataset": 5}, "dataset is a int"),
        ({"train_file": path, "text_column": "txt"}, "did you mean --text_column text"),
        ({"train_file": path, "label_column": "zzz"}, 'no column "zzz"'),
        ({"train_file": path, "text_column": "text", "label_column": "text"}, "can't be both"),
        ({"dataset": pd.DataFrame({"text": [1], "label": [1]})}, "not text"),
        ({"dataset": pd.DataFrame({"text": [], "label": []})}, "empty"),
        ({"dataset": pd.DataFrame([["a", "b", 1]], columns=["text", "text", "label"])}, "have the same name"),
        ({"dataset": pd.DataFrame([["a", 1]], columns=[["text", "label"], ["x", "y"]])}, "names of several levels"),
        ({"dataset": {"train": pd.DataFrame({"text": ["a"], "label": [1]})}}, "a split is a DataFrame, not a Dataset"),
        ({"dataset": Dataset.from_dict({"text": [1], "label": [1]})}, "holds int64, not text"),
        ({"dataset": Dataset.from_dict({"text": ["a"], "label": [[1]]})}, "not one label a row"),
        ({"dataset": Dataset.from_dict({"text": ["a"], "label": [1]}).to_iterable_dataset()}, "streamed"),
        ({"dataset": {"a": Dataset.from_dict({"x": [1]}), "b": Dataset.from_dict({"x": [1]})}}, "none of its splits"),
    ]
    for options, message in calls:
        with pytest.raises(SentimentError, match=message) as caught:
            load_data(**options)
        assert caught.value.exit_code == 2, options
        assert "\n" not in str(caught.value)


def test_labels_may_be_absent_where_they_are_optional(tmp_path):
    raw = load_data(test_file=write(tmp_path / "a.csv", "text\na\nb\n"), label_optional=True)
    assert raw.label_column is None
    assert raw.splits["test"].column_names == ["text", "row"]
    raw = load_data(test_file=write(tmp_path / "b.csv", "text,label\na,1\n"), label_optional=True)
    assert rows_of(raw, "test") == [(2, "a", "1")]


def test_dataset_dict_aliases_class_names_and_unlabelled_test():
    features = Features({"sentence": Value("string"), "label": ClassLabel(names=["neg", "pos"])})
    make = lambda labels: Dataset.from_dict({"sentence": [f"t{v}" for v in labels], "label": labels}, features)  # noqa: E731
    parts = {"train": make([0, 1, -1]), "dev": make([1]), "test": make([-1, -1]), "unsupervised": make([-1])}
    raw = load_data(DatasetDict(parts))
    assert list(raw.splits) == ["train", "validation"]
    assert raw.label_names == ("neg", "pos")
    assert rows_of(raw) == [(1, "t0", "neg"), (2, "t1", "pos"), (3, "t-1", None)]
    assert raw.sources["validation"] == "the data set, split validation"


def test_swapped_column_names_and_a_selected_dataset():
    table = Dataset.from_dict({"label": ["a", "b", "c"], "text": [0, 1, 0], "x": [1, 2, 3]}).select([2, 0])
    raw = load_data(table, text_column="label", label_column="text")
    assert rows_of(raw) == [(1, "c", 0), (2, "a", 0)]


def test_frame_with_gaps_and_mixed_labels():
    frame = pd.DataFrame({"text": ["a", None, 3], "label": [1, "x", None]}, index=[7, 8, 9])
    assert rows_of(load_data(frame)) == [(1, "a", "1"), (2, None, "x"), (3, None, None)]
    half = pd.DataFrame({"text": pd.Series(["half \ud83d", "b"], dtype=object), "label": ["x", "y"]})
    assert rows_of(load_data(half)) == [(1, "half \ufffd", "x"), (2, "b", "y")]


def test_importing_the_room_is_light():
    import subprocess
    import sys

    code = "import sys, hf_sentiment.data.sources as d; assert 'load_data' in dir(d); "
    code += "print({'torch', 'datasets'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set()"
