"""`evaluate` reads labels by the model's rule and by its classes' names, and never by an index of another scheme."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from datasets import ClassLabel, Dataset, Features, Value

from hf_sentiment.commands.evaluate import evaluate
from hf_sentiment.data.labels import infer_label_rule
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.records.schema import Measurement

Save = Callable[..., str]
Write = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path, make_tiny: Any, tiny_tokenizer: Any) -> Save:
    """`save(values, **options)`: a model with the rule of a training column."""

    def make(values: list[Any], labels: tuple[str, ...] | None = None, **options: Any) -> str:
        rule = infer_label_rule(values, **options) if labels is None else None
        names = list(labels or rule.labels)
        maps = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
        folder = tmp_path / "model"
        make_tiny(**maps, label_rule=None if rule is None else rule.to_dict()).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return str(folder)

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(labels)`: a CSV file with a good film for each label."""

    def make(labels: list[Any]) -> str:
        path = tmp_path / "test.csv"
        rows = [f"the film number {i} is good,{label}" for i, label in enumerate(labels)]
        path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
        return str(path)

    return make


def counts(report: Measurement) -> dict[str, int]:
    return {row.label: row.texts for row in report.per_class}


@pytest.mark.parametrize(
    ("trained", "options", "tested", "expected"),
    [
        ([0, 1], {}, ["negative", "Positive", "POS"], {"negative": 1, "positive": 2}),
        ([0, 1], {"labels": ["ham", "Spam"]}, ["Ham", "spam", " SPAM "], {"ham": 1, "Spam": 2}),
        ([1, 2, 4, 5, 5], {}, ["neg", "neutral", "pos", "pos"], {"negative": 1, "positive": 2}),
        ([0, 1, "neg", "pos"], {}, ["true", 1, "FALSE"], {"negative": 1, "positive": 2}),
        (["neg", "pos"], {}, [0, 1, 1], {"negative": 1, "positive": 2}),
        (["neg", "pos"], {}, [1, 3, 5, 5, 4], {"negative": 1, "positive": 3}),
        (["LABEL_0", "LABEL_1"], {"labels": ["bad", "good"]}, ["LABEL_1", "label_1", "LABEL_0"], {"bad": 1, "good": 2}),
    ],
)
def test_a_model_knows_its_classes_by_name(save, write, trained, options, tested, expected):
    assert counts(evaluate(save(trained, **options), test_file=write(tested))) == expected


def test_unknown_labels_are_named_with_what_is_known(save, write):
    model = save([0, 1])
    for labels, message in (
        (["positive", 0, "2"], r"row 4: unknown label '2' \(known: 0, 1, negative, positive\)"),
        (["positive", 0, "#N/A"], r"row 4: no label \('#N/A'\)"),
        (["positive", "None", 1], r"row 3: no label \('None'\)"),
    ):
        with pytest.raises(DataError, match=message):
            evaluate(model, test_file=write(labels))


def test_indices_are_not_read_beside_names_of_another_order(save, write):
    with pytest.raises(DataError, match="unknown label '0'"):
        evaluate(save(["pos", "neg"], label_names=["pos", "neg"]), test_file=write([0, 1]))


def test_class_labels_of_the_test_file_are_its_own(save, tmp_path):
    features = Features({"text": Value("string"), "label": ClassLabel(names=["positive", "negative"])})
    path = tmp_path / "test.parquet"
    Dataset.from_dict({"text": ["a film", "a book", "the cast"], "label": [0, 0, 1]}, features).to_parquet(path)
    for values in ([0, 1], ["neg", "pos"]):
        report = evaluate(save(values), test_file=str(path))
        assert counts(report) == {"negative": 1, "positive": 2}


def test_a_model_without_a_rule_is_read_by_its_names(save, write, caplog):
    model = save([], labels=("POSITIVE", "NEGATIVE"))
    assert counts(evaluate(model, test_file=write(["pos", "neg", "neg"]))) == {"POSITIVE": 1, "NEGATIVE": 2}
    with caplog.at_level(logging.INFO):
        assert counts(evaluate(model, test_file=write([0, 0, 1]))) == {"POSITIVE": 2, "NEGATIVE": 1}
    assert any("0 -> POSITIVE; 1 -> NEGATIVE" in message for message in caplog.messages)
    with pytest.raises(CallError, match=r"none of the model's labels POSITIVE,NEGATIVE is in .* joy, rage"):
        evaluate(model, test_file=write(["joy", "rage"]))
