"""Bad rows are named with file and row; the rule's own drops are counted apart."""

from __future__ import annotations

import json

import pytest
from datasets import Dataset

from hf_sentiment.data.labels import MAX_LISTED, apply_rule, infer_label_rule
from hf_sentiment.data.sources import load_data
from hf_sentiment.errors import CallError, DataError

CSV = b'text,label\nfine,pos\n,neg\n" \xe2\x80\x8b ",neg\nno label,\ncaf\xe9,pos\nodd,maybe\nmeh,neu\nbad,neg\n'


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_bytes(CSV)
    return load_data(train_file=path)


@pytest.fixture
def rule():
    return infer_label_rule(["pos", "neu", "neg"], num_labels=2)


def test_error_names_the_first_rows(raw, rule):
    with pytest.raises(DataError) as caught:
        apply_rule(raw, rule)
    message = str(caught.value)
    source = raw.sources["train"]
    assert message.startswith(f"5 bad rows: {source}, row 3: empty text; {source}, row 4: empty text; ")
    assert f"{source}, row 5: no label; and 2 more" in message
    assert message.endswith("--on_bad_rows drop")
    assert "\n" not in message


def test_drop_goes_on_with_a_count(raw, rule):
    splits, report = apply_rule(raw, rule, "drop")
    table = splits["train"]
    assert (table["text"][:], table["label"][:], table["row"][:]) == (["fine", "bad"], [1, 0], [2, 9])
    assert table.column_names == ["text", "label", "row"]
    assert table.features["label"].dtype == "int64"
    counts = report.splits["train"]
    assert (counts.kept, counts.dropped, counts.bad) == (2, 1, 5)
    assert [(bad.row, bad.reason.split(" (")[0]) for bad in counts.listed] == [
        (3, "empty text"),
        (4, "empty text"),
        (5, "no label"),
        (6, "broken encoding"),
        (7, "unknown label 'maybe'"),
    ]
    assert json.loads(json.dumps(report.to_dict()))["train"]["dropped_by_rule"] == 1
    assert (report.bad, report.dropped) == (5, 1)


def test_every_row_is_accounted_for_and_the_list_is_capped():
    texts = ["" if i % 3 == 0 else f"text {i}" for i in range(300)]
    raw = load_data(Dataset.from_dict({"text": texts, "label": [(-1, 0, 1, 7)[i % 4] for i in range(300)]}))
    rule = infer_label_rule([-1, 0, 1], num_labels=2)
    splits, report = apply_rule(raw, rule, "drop")
    counts = report.splits["train"]
    assert counts.kept + counts.dropped + counts.bad == 300
    assert len(counts.listed) == MAX_LISTED
    for row, label in zip(splits["train"]["row"], splits["train"]["label"], strict=True):
        assert texts[row - 1]
        assert label == (0 if (row - 1) % 4 == 0 else 1)


def test_clean_data_pass_untouched_and_booleans_are_no_integers():
    raw = load_data(Dataset.from_dict({"text": ["a", "b"], "label": [True, False]}))
    splits, report = apply_rule(raw, infer_label_rule([True, False]))
    assert splits["train"]["label"][:] == [1, 0]
    assert report.bad == 0


def test_nothing_left_no_labels_and_a_wrong_choice(raw, rule, tmp_path):
    neutral = load_data(Dataset.from_dict({"text": ["a"], "label": ["neu"]}))
    with pytest.raises(DataError, match="no row is left"):
        apply_rule(neutral, rule)
    with pytest.raises(CallError, match="--on_bad_rows ignore"):
        apply_rule(raw, rule, "ignore")
    (tmp_path / "x.csv").write_text("text\na\n")
    unlabelled = load_data(test_file=tmp_path / "x.csv", label_optional=True)
    with pytest.raises(CallError, match="--label_column NAME"):
        apply_rule(unlabelled, rule)
