"""Bad rows are named with file and row; the rule's own drops are counted apart."""

from __future__ import annotations

import pytest
from datasets import Dataset

from hf_sentiment.data.audit import MAX_LISTED, bad_row_findings
from hf_sentiment.data.labels import LabelRule, infer_label_rule
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.sources import RawData, load_data
from hf_sentiment.errors import CallError, DataError

CSV = b'text,label\nfine,pos\n,neg\n" \xe2\x80\x8b ",neg\nno label,\ncaf\xe9,pos\nodd,maybe\nmeh,neu\nbad,neg\n'


def check(raw: RawData, rule: LabelRule, on_bad_rows: str = "error") -> tuple[dict[str, Dataset], Rows]:
    rows = Rows.read(raw, rule)
    rows.check(on_bad_rows)
    return rows.labeled(raw), rows


def bad_rows(rows: Rows) -> list[tuple[int, str]]:
    """Number and fault of each bad row, as the findings list them."""
    findings = [finding.to_dict(texts=False) for finding in bad_row_findings(rows, drop=True)]
    return sorted((row["row"], row["says"]) for finding in findings for row in finding["examples"])


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
        check(raw, rule)
    message = str(caught.value)
    source = raw.sources["train"]
    assert message.startswith(f"5 bad rows: {source}, row 3: empty text; {source}, row 4: empty text; ")
    assert f"{source}, row 5: no label; and 2 more" in message
    assert message.endswith("--on_bad_rows drop")
    assert "\n" not in message


def test_drop_goes_on_with_a_count(raw, rule):
    splits, rows = check(raw, rule, "drop")
    table = splits["train"]
    assert (table["text"][:], table["label"][:], table["row"][:]) == (["fine", "bad"], [1, 0], [2, 9])
    assert table.column_names == ["text", "label", "row"]
    assert table.features["label"].dtype == "int64"
    assert rows.counts == {"train": {"kept": 2, "dropped_by_rule": 1, "bad": 5}}
    assert [(row, fault.split(" (")[0]) for row, fault in bad_rows(rows)] == [
        (3, "empty text"),
        (4, "empty text"),
        (5, "no label"),
        (6, "broken encoding"),
        (7, "unknown label 'maybe'"),
    ]


def test_every_row_is_accounted_for_and_the_list_is_capped():
    texts = ["" if i % 3 == 0 else f"text {i}" for i in range(300)]
    raw = load_data(Dataset.from_dict({"text": texts, "label": [(-1, 0, 1, 7)[i % 4] for i in range(300)]}))
    rule = infer_label_rule([-1, 0, 1], num_labels=2)
    splits, rows = check(raw, rule, "drop")
    assert sum(rows.counts["train"].values()) == 300
    empty = bad_row_findings(rows, drop=True)[0]
    assert empty.count == 100 and len(empty.to_dict(texts=False)["examples"]) == MAX_LISTED
    for row, label in zip(splits["train"]["row"], splits["train"]["label"], strict=True):
        assert texts[row - 1]
        assert label == (0 if (row - 1) % 4 == 0 else 1)


def test_clean_data_pass_untouched_and_booleans_are_no_integers():
    raw = load_data(Dataset.from_dict({"text": ["a", "b"], "label": [True, False]}))
    splits, rows = check(raw, infer_label_rule([True, False]))
    assert splits["train"]["label"][:] == [1, 0]
    assert rows.counts["train"]["bad"] == 0


def test_nothing_left_and_a_wrong_choice(raw, rule):
    neutral = load_data(Dataset.from_dict({"text": ["a"], "label": ["neu"]}))
    with pytest.raises(DataError, match="no row is left"):
        check(neutral, rule)
    with pytest.raises(CallError, match="--on_bad_rows ignore"):
        check(raw, rule, "ignore")
