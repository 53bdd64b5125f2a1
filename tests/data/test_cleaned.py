"""Cleaned copies: the same format and bytes without the rows, and nothing to fix in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_sentiment.data.audit import CleanedFile, removals, write_cleaned
from hf_sentiment.data.labels import infer_label_rule
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.sources import load_data
from hf_sentiment.errors import CallError, DataError

TRAIN = [
    ("1", "good film", "positive"),
    ("2", "Good  film!", "positive"),
    ("3", "bad film", "negative"),
    ("4", "it depends", "negative"),
    ("5", "It depends.", "positive"),
    ("6", "", "negative"),
    ("7", "leaks into the test", "negative"),
    ("8", 'a "quoted" one,\r\nin two lines', "positive"),
]
TEST = [("9", "leaks into the test", "negative"), ("10", "a test of its own", "positive")]
KEPT = ["1", "3", "8"]


def audited(dataset: Any = None, **files: str) -> tuple[Rows, Any]:
    raw = load_data(dataset, keep_broken=True, **files)
    return Rows.read(raw, infer_label_rule(raw.splits["train"]["label"][:], label_names=raw.label_names)), raw


def clean(folder: Path, **files: str) -> list[CleanedFile]:
    rows, raw = audited(**files)
    return write_cleaned(rows, raw, folder)


def delimited(path: Path, rows: list[tuple[str, ...]], separator: str) -> None:
    quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    path.write_bytes("\r\n".join(["\ufeff" + separator.join(("id", "text", "label")), *quoted]).encode("utf-8"))


def json_lines(path: Path, rows: list[tuple[str, ...]]) -> None:
    lines = [json.dumps(dict(zip(("id", "text", "label"), row, strict=True))) for row in rows]
    path.write_text("\n".join(["", *lines]), encoding="utf-8")


def json_array(path: Path, rows: list[tuple[str, ...]]) -> None:
    path.write_text(json.dumps([dict(zip(("id", "text", "label"), row, strict=True)) for row in rows]))


def parquet(path: Path, rows: list[tuple[str, ...]]) -> None:
    table = {name: list(column) for name, column in zip(("id", "text", "label"), zip(*rows, strict=True), strict=True)}
    pq.write_table(pa.table(table | {"extra": pa.array(range(len(rows)), pa.int8())}), path)


FORMATS: dict[str, Callable[[Path, Any], None]] = {
    ".csv": lambda path, rows: delimited(path, rows, ","),
    ".tsv": lambda path, rows: delimited(path, rows, "\t"),
    ".jsonl": json_lines,
    ".json": json_array,
    ".parquet": parquet,
}


def ids(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        return pq.read_table(path)["id"].to_pylist()
    if path.suffix in (".csv", ".tsv"):
        separator = "," if path.suffix == ".csv" else "\t"
        return pd.read_csv(path, sep=separator, dtype=str, encoding="utf-8-sig")["id"].tolist()
    if path.suffix == ".json":
        return [row["id"] for row in json.loads(path.read_text())]
    return [json.loads(line)["id"] for line in path.read_text().splitlines() if line]


@pytest.mark.parametrize("extension", list(FORMATS))
def test_every_format(tmp_path: Path, extension: str) -> None:
    files = {"train_file": tmp_path / f"reviews{extension}", "test_file": tmp_path / f"test{extension}"}
    FORMATS[extension](files["train_file"], TRAIN)
    FORMATS[extension](files["test_file"], TEST)
    before = {name: path.read_bytes() for name, path in files.items()}
    written = clean(tmp_path / "fixed", **{name: str(path) for name, path in files.items()})
    assert [copy.kept for copy in written] == [3, 2]
    assert written[0].removed == {"empty": 1, "conflicts": 2, "leakage": 1, "duplicates": 1}
    assert "3 rows kept, 5 removed (1 without text or label" in str(written[0])
    assert {name: path.read_bytes() for name, path in files.items()} == before
    assert ids(tmp_path / "fixed" / f"reviews{extension}") == KEPT
    assert ids(tmp_path / "fixed" / f"test{extension}") == ["9", "10"]
    again, _ = audited(train_file=str(written[0].path), test_file=str(written[1].path))
    assert not removals(again).any()


def test_the_rows_that_stay_keep_their_bytes(tmp_path: Path) -> None:
    lines = [
        b"text;with,label,more\n",
        b"good film,positive,\xff\n",
        b"\n",
        b"good film,positive,x\r\n",
        b'"a ""b""\r\nc",negative,  kept as it is \n',
        b"last,negative,",
    ]
    (tmp_path / "r.csv").write_bytes(b"".join(lines))
    rows, raw = audited(train_file=str(tmp_path / "r.csv"), text_column="text;with", encoding="utf-8")
    write_cleaned(rows, raw, tmp_path / "fixed")
    assert (tmp_path / "fixed" / "r.csv").read_bytes() == b"".join(lines[:3] + lines[4:])


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    parquet(tmp_path / "r.parquet", TRAIN)
    clean(tmp_path / "fixed", train_file=str(tmp_path / "r.parquet"))
    copy = pq.read_table(tmp_path / "fixed" / "r.parquet")
    assert copy.schema == pq.read_table(tmp_path / "r.parquet").schema


def test_files_of_the_same_name_get_different_ones(tmp_path: Path) -> None:
    files = {}
    for split, content in (("train", TRAIN), ("test", TEST)):
        (tmp_path / split).mkdir()
        json_lines(tmp_path / split / "data.jsonl", content)
        files[f"{split}_file"] = str(tmp_path / split / "data.jsonl")
    clean(tmp_path / "fixed", **files)
    assert sorted(path.name for path in (tmp_path / "fixed").iterdir()) == ["test-data.jsonl", "train-data.jsonl"]


def test_data_sets_become_json_lines_with_label_names(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])})
    train = [(text, ["negative", "positive"].index(label)) for _, text, label in TRAIN]
    table = Dataset.from_dict({"text": [t for t, _ in train], "label": [n for _, n in train]}, features=features)
    rows, raw = audited(DatasetDict({"train": table}))
    written = write_cleaned(rows, raw, tmp_path / "fixed")
    content = [json.loads(line) for line in Path(written[0].path).read_text().splitlines()]
    assert [row["text"] for row in content] == ["good film", "bad film", "leaks into the test", TRAIN[7][1]]
    assert {row["label"] for row in content} == {"negative", "positive"}
    again, _ = audited(train_file=written[0].path)
    assert not removals(again).any() and len(again) == 4


def test_rows_that_the_rule_drops_stay(tmp_path: Path) -> None:
    ratings = [("a fine film", 3), ("so so", 0), ("so so", 0), ("dreadful", -3), ("great", 4), ("poor", -4)]
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "rating": rating}) for text, rating in ratings))
    assert clean(tmp_path / "fixed", train_file=str(path))[0].kept == 6


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    json_lines(tmp_path / "r.jsonl", TRAIN)
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "mine").write_text("mine")
    with pytest.raises(CallError, match="exists and is not overwritten"):
        clean(tmp_path / "fixed", train_file=str(tmp_path / "r.jsonl"))
    assert [path.name for path in (tmp_path / "fixed").iterdir()] == ["mine"]
    with pytest.raises(DataError, match="remove every row of the train split"):
        clean(tmp_path / "other", train_file=str(tmp_path / "r.jsonl"), test_file=str(tmp_path / "r.jsonl"))
    assert sorted(path.name for path in tmp_path.iterdir() if "cache" not in path.name) == ["fixed", "r.jsonl"]
