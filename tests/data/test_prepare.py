"""From a source to labelled splits: what is held out, what is drawn, and what there is without labels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from hf_sentiment.data.audit import audit_rows, write_cleaned
from hf_sentiment.data.prepare import load_training_rows, prepare_data, prepare_unlabeled
from hf_sentiment.data.splits import Shares, duplicates
from hf_sentiment.errors import CallError, DataError


def test_who_calls_says_how_much_is_held_out(reviews_file: Path) -> None:
    asked: list[int] = []

    def none(texts: int) -> Shares:
        asked.append(texts)
        return Shares(0.0, 0.0)

    assert list(prepare_data(train_file=str(reviews_file), holdout=none).splits) == ["train"]
    assert asked == [240]
    data = prepare_data(train_file=str(reviews_file), holdout=none, test_share=0.2)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 192, "test": 48}
    usual = prepare_data(train_file=str(reviews_file))
    assert {name: len(split) for name, split in usual.splits.items()} == {"train": 144, "validation": 48, "test": 48}


def test_samples_are_drawn_with_each_labels_share_or_not_at_all(reviews_file: Path) -> None:
    data = prepare_data(train_file=str(reviews_file), max_train_samples=20)
    assert sorted(data.splits["train"]["label"][:]) == [0] * 10 + [1] * 10
    assert data.audit().splits.label_counts["train"] == {"0": 10, "1": 10}
    assert data.origin["train"] == "made from train: seed 42, the rest; 20 of 144 drawn, 124 left out"
    none = prepare_data(train_file=str(reviews_file), max_train_samples=0)
    assert {name: len(split) for name, split in none.splits.items()} == {"train": 0, "validation": 48, "test": 48}
    assert none.audit().used["train"] == 0
    with pytest.raises(CallError, match="--max_train_samples 1: each of the 2 labels needs a text"):
        prepare_data(train_file=str(reviews_file), max_train_samples=1)


def test_every_number_of_samples_keeps_every_label(tmp_path: Path) -> None:
    path = tmp_path / "rare.csv"
    labels = ["a"] * 50 + ["b"] * 9 + ["c"] * 2 + ["d"]
    path.write_text("text,label\n" + "".join(f"review {i} of {i * i},{label}\n" for i, label in enumerate(labels)))
    options = {"train_file": str(path), "holdout": lambda texts: Shares(0.0, 0.0)}
    for count in (4, 5, 7, 20, 31, 60, 61, 62, 63):
        train = prepare_data(**options, max_train_samples=count).splits["train"]
        found = [train["label"][:].count(label) for label in range(4)]
        assert sum(found) == min(count, 62) and len(set(train["text"])) == len(train)
        assert all(0 < n <= labels.count(name) for n, name in zip(found, "abcd", strict=True))
        assert all(abs(n - labels.count(name) * count / 62) < 3 for n, name in zip(found, "abcd", strict=True))
    again = prepare_data(**options, max_train_samples=20).splits["train"]["row"][:]
    assert again == prepare_data(**options, max_train_samples=20).splits["train"]["row"][:]
    assert again != prepare_data(**options, max_train_samples=20, seed=7).splits["train"]["row"][:]
    with pytest.raises(CallError, match="--max_train_samples 3: each of the 4 labels needs a text"):
        prepare_data(**options, max_train_samples=3)


def test_near_duplicates_are_searched_for_once(
    reviews_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    folded: list[str] = []
    near_pairs, duplicate_key = duplicates.near_pairs, duplicates.duplicate_key

    def count_search(keys: Iterable[list[str]]) -> np.ndarray:
        searched.append(1)
        return near_pairs(keys)

    def count_key(text: str) -> str:
        folded.append(text)
        return duplicate_key(text)

    monkeypatch.setattr(duplicates, "near_pairs", count_search)
    monkeypatch.setattr(duplicates, "duplicate_key", count_key)
    given = tmp_path / "given.csv"
    given.write_text("text,label\na text of its own,positive\nanother one of them,negative\n")
    for files in ({}, {"test_file": str(given)}, {"test_file": str(given), "validation_file": str(given)}):
        searched.clear()
        folded.clear()
        data = prepare_data(train_file=str(reviews_file), **files)
        data.audit()
        assert len(searched) == 1 and len(folded) == sum(map(len, data.splits.values()))
        assert data.seen.keys() == {"train", "validation"}
    searched.clear()
    raw, rows = load_training_rows(None, labels=None, num_labels=None, keep_broken=True, train_file=str(reviews_file))
    audit_rows(rows)
    write_cleaned(rows, raw, tmp_path / "copies")
    assert len(searched) == 1


def test_a_text_that_was_not_drawn_leaks_nowhere(reviews_file: Path, tmp_path: Path) -> None:
    test = tmp_path / "test.csv"
    test.write_text(reviews_file.read_text())
    options = {"train_file": str(reviews_file), "test_file": str(test), "holdout": lambda texts: Shares(0.0, 0.0)}
    for count, leaking in ((None, 240), (20, 20), (0, 0)):
        findings = prepare_data(**options, max_train_samples=count).findings
        assert sum(finding.count for finding in findings if finding.name == "leakage") == leaking


def test_without_labels_there_are_names_and_perhaps_a_test(reviews_file: Path, tmp_path: Path) -> None:
    data = prepare_unlabeled(None, None)
    assert (data.rule.labels, list(data.splits), len(data.splits["train"])) == (("negative", "positive"), ["train"], 0)
    tested = prepare_unlabeled(["positive", "negative"], str(reviews_file))
    assert list(tested.splits) == ["train", "test"] and len(tested.splits["test"]) == 240
    assert tested.splits["test"]["label"][0] == 0  # a positive one
    assert tested.audit().splits.label_counts == {"train": {}, "test": {"0": 120, "1": 120}}
    other = tmp_path / "other.csv"
    other.write_text("text,label\ngood film,spam\nbad film,ham\n")
    with pytest.raises((CallError, DataError), match=r"spam|ham"):
        prepare_unlabeled(["negative", "positive"], str(other))
