"""Label rules: what each kind of column becomes, and what is refused."""

from __future__ import annotations

import json
import random

import pytest

from hf_sentiment.data.labels import LabelRule, UnknownLabel, as_number, canonical, infer_label_rule, is_missing
from hf_sentiment.data.labels import rule as rules
from hf_sentiment.errors import CallError
from hf_sentiment.model.configuration_bert_sentiment import DEFAULT_LABELS

BINARY = ("negative", "positive")
TERNARY = ("negative", "neutral", "positive")


def test_models_and_rules_have_the_same_names() -> None:
    # The model's file travels alone and has a list of its own.
    assert DEFAULT_LABELS == {2: rules.BINARY, 3: rules.TERNARY} == {2: BINARY, 3: TERNARY}


@pytest.mark.parametrize(
    ("values", "options", "labels", "expected"),
    [
        ([True, False], {}, BINARY, {True: 1, False: 0}),
        (["true", "FALSE"], {}, BINARY, {"True": 1, "false": 0}),
        (["Yes", "no"], {}, BINARY, {"YES": 1, "No": 0}),
        ([0, 1], {}, BINARY, {0: 0, 1: 1, "1": 1, "1.0": 1}),
        (["0", "1.0"], {}, BINARY, {"0": 0, 1: 1}),
        ([2, 0, 1], {}, TERNARY, {0: 0, 2: 2}),
        ([3, 1, 0, 2], {"labels": list("abcd")}, tuple("abcd"), {3: 3}),
        ([0, 2], {"labels": ["bad", "so so", "good"]}, ("bad", "so so", "good"), {1: 1, 2: 2}),
        (["neg", "pos"], {"label_names": ["neg", "pos"]}, BINARY, {"neg": 0, "pos": 1}),
        (["neg", "pos"], {"label_names": ["pos", "neg"]}, ("positive", "negative"), {"neg": 1, "Positive": 0}),
        (["joy", "fear"], {"label_names": ["joy", "Anger", "fear"]}, ("joy", "fear"), {"Joy": 0}),
        (["joy", "none"], {"label_names": ["none", "joy"]}, ("none", "joy"), {"none": 0}),
        (["0", "1"], {"label_names": ["1", "0"]}, BINARY, {1: 1}),
        (TERNARY, {"label_names": TERNARY[::-1], "num_labels": 2}, BINARY, {"neutral": None, "positive": 1}),
        ([-1, 1], {}, BINARY, {-1: 0, 1: 1}),
        (["-1", "0", "1"], {}, TERNARY, {-1: 0, "0": 1}),
        ([-1, 0, 1], {"num_labels": 2}, BINARY, {-1: 0, 0: None, 1: 1}),
        ([0, 4], {}, BINARY, {0: 0, 4: 1}),
        ([0, 2, 4], {}, TERNARY, {2: 1}),
        ([1, 2, 3, 4, 5], {}, BINARY, {1: 0, 2: 0, 3: None, 4: 1, 5: 1}),
        (["1", "4", "5"], {"num_labels": 3}, TERNARY, {"2": 0, 3: 1, 4: 2}),
        ([1, 4, 5], {"num_labels": 5}, ("1 star", "2 stars", "3 stars", "4 stars", "5 stars"), {1: 0, 3: 2, 5: 4}),
        ([1.5, 4.5, 5], {}, BINARY, {0.5: 0, 1.5: 0, 2.5: None, 3.5: None, 4.5: 1}),
        (["1 star", "5 stars"], {}, BINARY, {"2 stars": 0, "3 stars": None, "4 stars": 1}),
        (["★", "★★★★★"], {}, BINARY, {"★": 0, "★★★★★": 1}),
        ([1, 2], {"labels": ["bad", "good"]}, ("bad", "good"), {1: 0, 2: 1}),
        ([0.1, 0.9], {}, BINARY, {0.5: 0, 0.51: 1, "0.2": 0}),
        ([0.1, 0.9], {"num_labels": 3}, TERNARY, {0.4: 0, 0.5: 1, 0.6: 1, 0.61: 2}),
        ([-3.94, 3.2], {}, BINARY, {-0.51: 0, -0.5: None, 0: None, 0.5: None, 0.51: 1}),
        ([-3.94, 3.2], {"num_labels": 3}, TERNARY, {-0.51: 0, -0.5: 1, 0.5: 1, 0.51: 2}),
        ([-0.9, 0.3], {}, BINARY, {-0.126: 0, 0.125: None, 0.126: 1}),
        (["neg", "POS", "Negative"], {}, BINARY, {"NEG": 0, "positive": 1, "Pos ": 1}),
        (["pos", "neu", "neg"], {}, TERNARY, {"Neutral": 1}),
        (["pos", "neu", "neg"], {"num_labels": 2}, BINARY, {"neu": None}),
        (["very positive", "negative"], {}, ("negative", "very positive"), {"Very_Positive": 1}),
        (["sad", "Happy"], {}, ("Happy", "sad"), {"Happy": 0}),
        (["pos", "neg"], {"labels": ["positive", "negative"]}, ("positive", "negative"), {"POS": 0}),
        (["3", "1"], {"labels": ["3", "1", "2"]}, ("3", "1", "2"), {3: 0, "2": 2}),
        (["a", "b", None, "", float("nan")], {}, ("a", "b"), {"a": 0}),
    ],
)
def test_rule(values, options, labels, expected):
    rule = infer_label_rule(values, **options)
    assert rule.labels == labels
    assert {value: rule(value) for value in expected} == expected
    assert rule.description.isprintable()
    again = LabelRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    assert again == rule
    assert [again(value) for value in expected] == list(expected.values())


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([None, ""], {}, "--label_column NAME"),
        ([1, 2], {}, "--labels a,b"),
        ([1, 2, 3], {}, "--labels a,b,c"),
        ([1, 5], {}, "--labels a,b"),
        ([1, 2], {"labels": ["x", "y", "z"]}, "not certain"),
        ([0, 1, 2, 3], {}, "--labels a,b,c,d"),
        ([0, 1, 2], {"num_labels": 2}, "--num_labels 3"),
        ([0, 1], {"num_labels": 3}, "2 classes|integers 0, 1"),
        ([True, False], {"num_labels": 3}, "true and false"),
        ([-1, 1], {"num_labels": 3}, "--num_labels 2"),
        ([1, 2, 5], {"num_labels": 4}, "--num_labels 2 or 3"),
        ([1, 2.5, 5], {"num_labels": 5}, "half stars"),
        (["6 stars", "1 star"], {}, "1 to 5"),
        ([0.2, 0.7], {"num_labels": 5}, "0 to 1"),
        ([-2.5, 0.7], {"num_labels": 5}, "-2.5 to 0.7"),
        ([1.2, 3.7], {}, "1.2 to 3.7"),
        (list(range(3, 60)), {}, "3 to 59"),
        (["a", "b"], {"num_labels": 3}, "2 labels"),
        (["a"], {}, "only one label"),
        ([1] * 10, {}, "only one label, 1: two or more are needed"),
        ([7.5] * 10, {}, "only one label, 7.5: two or more are needed"),
        ([7] * 10, {"labels": ["a", "b"]}, "only one label, 7: two or more are needed"),
        (["pos"], {}, "--labels negative,positive"),
        ([f"id{i}x" for i in range(51)], {}, "51 different labels"),
        (["a", "b"], {"labels": ["c", "d"]}, "none of --labels c,d"),
        (["a", "b"], {"labels": ["a"]}, "two or more"),
        (["a", "b"], {"labels": ["a", "a"]}, "two or more"),
        (["a", "b"], {"labels": ["a", "b"], "num_labels": 3}, "contradicts"),
        (["a", "b"], {"num_labels": 1}, "at least 2"),
        (["a", "b"], {"label_names": ["a", "b"], "num_labels": 3}, "--num_labels 2"),
    ],
)
def test_refused(values, options, message):
    with pytest.raises(CallError, match=message) as caught:
        infer_label_rule(values, **options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_unknown_labels_are_raised_not_guessed():
    rule = infer_label_rule(["happy", "sad"])
    for value in ("angry", "happyy", 1):
        with pytest.raises(UnknownLabel):
            rule(value)
    with pytest.raises(UnknownLabel):
        infer_label_rule([0.2, 0.9])("good")
    with pytest.raises(UnknownLabel):
        infer_label_rule(["neg", "neu", "pos"], labels=["negative", "positive"])("neutral")


def test_order_of_rows_does_not_matter():
    generator = random.Random(0)
    for values in (["b", "neg", "a"], [1, 2, 3, 5], [-3.0, 2.5, 0.1], ["pos", "neg", "neu"], [0, 1]):
        first = infer_label_rule(values)
        for _ in range(5):
            generator.shuffle(values)
            assert infer_label_rule(values).to_dict() == first.to_dict()


def test_class_index_rises_with_the_score():
    generator = random.Random(1)
    for options in ({}, {"num_labels": 3}):
        for low, high in ((-4, 4), (0, 1), (-1, 1)):
            values = sorted(generator.uniform(low, high) for _ in range(200))
            rule = infer_label_rule(values, **options)
            classes = [index for index in map(rule, values) if index is not None]
            assert classes == sorted(classes)
            assert set(classes) == set(range(len(rule.labels)))


def test_small_parts():
    assert [canonical(v) for v in (1, 1.0, " 1 ", "01", True, " x ")] == ["1", "1", "1", "1", "true", "x"]
    assert canonical(1234567) == "1234567"
    assert [as_number(v) for v in ("1e3", "-.5", "1_0", "inf", "", True, None)] == [1000, -0.5] + [None] * 5
    assert all(map(is_missing, (None, float("nan"), "", " ", "NaN", "null", "N/A")))
    assert not any(map(is_missing, (0, False, "none", "neutral")))


def test_a_broken_saved_rule_is_refused():
    with pytest.raises(CallError, match="not a label rule"):
        LabelRule("guess", BINARY, "")
    with pytest.raises(CallError, match="1 cuts need 2 classes"):
        LabelRule("scores", BINARY, "", cuts=(0.5,), classes=(0,))
