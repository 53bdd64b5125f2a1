"""`evaluate` on texts that the run has seen says how many, and what the model is like on the others."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset

from hf_sentiment.commands.evaluate import evaluate
from hf_sentiment.data.splits import (
    SEEN_TEXTS,
    how_seen,
    joined,
    read_seen_texts,
    text_hashes,
    write_seen_texts,
)
from hf_sentiment.errors import DataError
from hf_sentiment.evaluation.seen import seen_record, seen_warning

Cli = Callable[..., tuple[int, str, str]]

TRAIN = ["A good film.", "the plot was dull", "\ud800 half an emoji", "great :)"]
VALIDATION = ["so so", "The plot was dull!"]


def hashes(**splits: list[str]) -> dict[str, np.ndarray]:
    return {name: np.unique(text_hashes(texts)) for name, texts in splits.items()}


@pytest.fixture
def run(tmp_path: Path, tiny_folder: Path) -> Path:
    """A model's folder with the hashes of a run that saw `TRAIN` and `VALIDATION`."""
    shutil.copytree(tiny_folder, tmp_path / "run")
    write_seen_texts(tmp_path / "run" / "records", hashes(train=TRAIN, validation=VALIDATION))
    return tmp_path / "run"


def labeled(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("text", "label"), *((text, ["positive", "negative"][i % 2]) for i, text in enumerate(texts))]
        )
    return path


def test_texts_are_the_same_as_the_audit_takes_them_for_the_same() -> None:
    same = text_hashes(["The film -- was GREAT!", "the film was great"])
    assert same[0] == same[1] and same.dtype == np.uint64
    assert len(set(text_hashes(["great :)", "great :(", "great", "grat", ""]).tolist())) == 5
    assert len(text_hashes([])) == 0
    assert text_hashes(["lone \ud800 surrogate"]).shape == (1,)


def test_what_was_trained_on_counts_for_more_than_what_chose(run: Path) -> None:
    seen = read_seen_texts(run)
    assert seen is not None and {name: len(texts) for name, texts in seen.items()} == {"train": 4, "validation": 2}
    texts = ["a GOOD film", "So, so?", "The plot was dull!", "something else", "never"]
    assert how_seen(texts, seen).tolist() == ["train", "validation", "train", "", ""]


def test_a_checkpoint_has_its_runs_hashes_and_other_folders_have_none(run: Path, tiny_folder: Path) -> None:
    checkpoint = run / "checkpoint-7"
    checkpoint.mkdir()
    assert read_seen_texts(checkpoint) is not None
    assert read_seen_texts(tiny_folder) is None and read_seen_texts("owner/name") is None


def test_a_run_that_goes_on_from_another_has_seen_what_that_one_saw() -> None:
    first = hashes(train=["one", "two"])
    second = hashes(train=["two", "three"], validation=["four"])
    both = joined(first, None, second)
    assert how_seen(["one", "two", "three", "four", "five"], both).tolist() == ["train"] * 3 + ["validation", ""]
    assert len(both["train"]) == 3 and np.all(np.diff(both["train"].astype(object)) > 0)
    assert joined(None, second).keys() == {"train", "validation"}


def test_the_file_holds_eight_bytes_a_text_and_no_text(run: Path) -> None:
    content = (run / "records" / SEEN_TEXTS).read_bytes()
    assert b"film" not in content and len(content) < 1_000
    (run / "records" / SEEN_TEXTS).write_bytes(content[:-30])
    with pytest.raises(DataError, match="is damaged"):
        read_seen_texts(run)


def test_the_record_and_the_line(tmp_path: Path) -> None:
    write_seen_texts(tmp_path / "records", hashes(train=["a", "b", "c"], validation=["d"]))
    test = Dataset.from_dict({"text": list("abcdef"), "label": [0, 0, 1, 1, 0, 1], "row": [2, 3, 4, 5, 6, 7]})
    probabilities = np.where(np.asarray(test["label"])[:, None] == np.arange(2), 0.9, 0.1)
    probabilities[5] = 0.8, 0.2  # the one error, on a text that was not seen
    record = seen_record(tmp_path, test, probabilities)
    assert record is not None
    assert (record.trained_on, record.chosen_on, record.unseen.texts) == (3, 1, 2)
    assert record.unseen.model is not None and record.unseen.model.accuracy.value == 0.5
    line = seen_warning(record, 6)
    assert line is not None and "trained on 3 and was chosen by 1 of these 6 texts" in line
    assert (
        "on the other 2 its accuracy is 0.500 [" in line
        and "leave the seen ones out of the file (rows 2, 3, 4, 5)" in line
    )
    all_seen = seen_record(tmp_path, test.select([0, 1]), probabilities[:2])
    assert all_seen is not None and all_seen.unseen.model is None
    assert "name a file with others" in str(seen_warning(all_seen, 2))
    assert seen_warning(seen_record(tmp_path, test.select([4]), probabilities[4:5]), 1) is None
    assert seen_record("owner/name", test, probabilities) is None and seen_warning(None, 1) is None


def test_evaluate_says_so(run: Path, tiny_folder: Path, tmp_path: Path, run_cli: Cli) -> None:
    file = labeled(tmp_path / "t.csv", ["A good film!", "bad cast", "so so", "fine book", "GREAT :)"])
    code, out, err = run_cli("evaluate", run, "--test_file", file, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert (report["seen"]["trained_on"], report["seen"]["chosen_on"], report["seen"]["unseen"]["texts"]) == (2, 1, 2)
    assert "Warning: the model was trained on 2 and was chosen by 1 of these 5 texts" in err
    code, out, err = run_cli("evaluate", tiny_folder, "--test_file", file, "--against", run)
    assert code == 0 and f"--against {run}: Warning: the model was trained on 2" in err
    code, out, err = run_cli("evaluate", tiny_folder, "--test_file", file, "--json")
    assert code == 0 and json.loads(out)["seen"] is None and "Warning" not in err


def test_from_python_too(run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = labeled(tmp_path / "t.csv", ["A good film!", "bad cast"])
    with caplog.at_level("WARNING", logger="hf_sentiment"):
        report = evaluate(str(run), test_file=str(file))
    assert report.seen is not None and report.seen.trained_on == 1 and "trained on 1 of these 2 texts" in caplog.text
