"""`from_pretrained(..., labels=[...])`: names and head size in one go, and wrong calls answered with the right one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification, BertModel

from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

THREE = ["negative", "neutral", "positive"]


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory: pytest.TempPathFactory, make_stock: Callable[..., Any]) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    make_stock(BertModel).save_pretrained(folder)
    return folder


def test_names_and_head_size(plain_folder: Path, tmp_path: Path) -> None:
    model = BertForSentimentAnalysis.from_pretrained(plain_folder, labels=THREE)
    assert model.classifier.out_features == model.num_labels == 3
    assert model.config.id2label == dict(enumerate(THREE))
    model.save_pretrained(tmp_path)
    stored = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert stored["id2label"] == {str(index): name for index, name in enumerate(THREE)}
    assert stored["label2id"] == {name: index for index, name in enumerate(THREE)}


@pytest.mark.parametrize(
    ("labels", "right"),
    [
        ("negative", 'labels=["negative", "positive"]'),
        ({0: "bad", 1: "good"}, "labels=['bad', 'good']"),
        ({"good": 1, "bad": 0}, "labels=['bad', 'good']"),
        (3, "labels=['negative', 'neutral', 'positive']"),
        ({"good"}, "labels=['negative', 'positive']"),
        ([], "labels=['negative', 'positive']"),
        (["bad", ""], "labels=['negative', 'positive']"),
        (["bad", 1], "labels=['negative', 'positive']"),
        (["bad", "good", "bad"], "labels=['bad', 'good']"),
    ],
    ids=str,
)
def test_what_is_no_list_of_names_is_answered_with_one(plain_folder: Path, labels: Any, right: str) -> None:
    with pytest.raises(ValueError, match="labels must be") as error:
        BertForSentimentAnalysis.from_pretrained(plain_folder, labels=labels)
    assert right.replace('"', "'") in str(error.value).replace('"', "'")


@pytest.mark.parametrize(
    "options",
    [
        {"num_labels": 2},
        {"id2label": {0: "a", 1: "b", 2: "c"}},
        {"label2id": {"negative": 2, "neutral": 1, "positive": 0}},
        {"config": BertSentimentConfig(id2label={0: "a", 1: "b"})},
    ],
    ids=lambda options: next(iter(options)),
)
def test_contradictions_are_answered_with_the_right_call(plain_folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))) as error:
        BertForSentimentAnalysis.from_pretrained(plain_folder, labels=THREE, **options)
    assert f"from_pretrained({str(plain_folder)!r}, labels={THREE!r})" in str(error.value)


def test_saying_the_same_twice_is_fine(plain_folder: Path) -> None:
    model = BertForSentimentAnalysis.from_pretrained(
        plain_folder, labels=THREE, num_labels=3, id2label=dict(enumerate(THREE))
    )
    assert model.num_labels == 3


@pytest.mark.parametrize("asked", [["positive", "negative"], ["Positive", "NEGATIVE"]])
@pytest.mark.parametrize("loader", [BertForSentimentAnalysis, AutoModelForSequenceClassification])
def test_a_trained_heads_names_in_another_order_are_refused(tiny_folder: Path, asked: list[str], loader: Any) -> None:
    with pytest.raises(ValueError, match="another order") as error:
        loader.from_pretrained(tiny_folder, labels=asked)
    assert "labels=['negative', 'positive']" in str(error.value)


def test_other_names_for_a_trained_head_keep_its_weights(tiny_folder: Path, make_tiny: Callable[..., Any]) -> None:
    model = BertForSentimentAnalysis.from_pretrained(tiny_folder, labels=["schlecht", "gut"])
    assert model.config.label2id == {"schlecht": 0, "gut": 1}
    assert torch.equal(model.classifier.weight, make_tiny().classifier.weight)


@pytest.mark.parametrize("loader", [BertForSentimentAnalysis, AutoModelForSequenceClassification])
def test_another_number_of_names_makes_a_new_head(
    tiny_folder: Path, make_tiny: Callable[..., Any], loader: Any
) -> None:
    model = loader.from_pretrained(tiny_folder, labels=THREE)
    assert model.classifier.out_features == 3
    assert model.config.id2label == dict(enumerate(THREE))
    expected = make_tiny().bert.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in model.bert.state_dict().items())


def test_another_number_of_labels_without_names_is_an_error_as_in_transformers(tiny_folder: Path) -> None:
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        BertForSentimentAnalysis.from_pretrained(tiny_folder, num_labels=3)


def test_a_regression_head_becomes_a_classifier(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    make_tiny(num_labels=1, problem_type="regression").save_pretrained(tmp_path)
    model = BertForSentimentAnalysis.from_pretrained(tmp_path, labels=THREE)
    loss = model(input_ids=torch.ones(2, 3, dtype=torch.long), labels=torch.tensor([0, 2])).loss
    assert model.config.problem_type == "single_label_classification"
    assert loss.isfinite()


def test_loading_info_with_labels(tiny_folder: Path) -> None:
    model, info = BertForSentimentAnalysis.from_pretrained(tiny_folder, labels=THREE, output_loading_info=True)
    assert model.num_labels == 3
    names = {key if isinstance(key, str) else key[0] for key in info["mismatched_keys"]}
    assert names == {"classifier.weight", "classifier.bias"}
    assert not info["unexpected_keys"]


def test_loading_info_without_labels(tiny_folder: Path) -> None:
    model, info = BertForSentimentAnalysis.from_pretrained(tiny_folder, output_loading_info=True)
    assert model.num_labels == 2
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_damaged_encoder_weights_are_not_hidden_by_a_new_head(plain_folder: Path) -> None:
    with pytest.raises(ValueError, match="other shapes"):
        BertForSentimentAnalysis.from_pretrained(plain_folder, labels=THREE, intermediate_size=20)


def test_ignored_mismatches_stay_ignored_when_asked_for(plain_folder: Path) -> None:
    model = BertForSentimentAnalysis.from_pretrained(
        plain_folder, labels=THREE, intermediate_size=20, ignore_mismatched_sizes=True
    )
    assert model.config.intermediate_size == 20


def test_stock_config_is_refused_with_the_right_call(make_stock: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"BertSentimentConfig\.from_pretrained"):
        BertForSentimentAnalysis(make_stock(BertForSequenceClassification).config)
