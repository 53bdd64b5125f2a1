"""`BertSentimentConfig`: options, label names, and what is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, BertConfig, ModernBertConfig, ReformerConfig, TapasConfig

from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.configuration_encoder_sentiment import EncoderSentimentConfig


@pytest.mark.parametrize(
    ("num_labels", "names"),
    [
        (1, ["LABEL_0"]),
        (2, ["negative", "positive"]),
        (3, ["negative", "neutral", "positive"]),
        (4, ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]),
    ],
)
def test_default_label_names(num_labels: int, names: list[str]) -> None:
    config = BertSentimentConfig(num_labels=num_labels)
    assert list(config.id2label.values()) == names
    assert config.label2id == {name: index for index, name in enumerate(names)}


def test_two_labels_negative_and_positive_without_any_argument() -> None:
    assert BertSentimentConfig().id2label == {0: "negative", 1: "positive"}


def test_multi_label_gets_no_sentiment_names() -> None:
    config = BertSentimentConfig(num_labels=3, problem_type="multi_label_classification")
    assert config.id2label[0] == "LABEL_0"


def test_given_names_are_kept_and_inverted() -> None:
    config = BertSentimentConfig(id2label={"0": "no", "1": "yes"})
    assert config.id2label == {0: "no", 1: "yes"}
    assert config.label2id == {"no": 0, "yes": 1}


def test_null_classifier_dropout_means_the_default() -> None:
    assert BertSentimentConfig(classifier_dropout=None).classifier_dropout == 0.3


@pytest.mark.parametrize("value", [0, 0.0, 0.999])
@pytest.mark.parametrize("name", ["classifier_dropout", "label_smoothing"])
def test_lower_end_of_the_range_is_allowed(name: str, value: float) -> None:
    assert getattr(BertSentimentConfig(**{name: value}), name) == value


@pytest.mark.parametrize(
    "options",
    [
        {"classifier_dropout": 1.0},
        {"classifier_dropout": -0.1},
        {"classifier_dropout": float("nan")},
        {"label_smoothing": 1},
        {"label_smoothing": -0.1},
        {"label_smoothing": True},
        {"class_weights": [1.0]},
        {"class_weights": [1.0, 0.0]},
        {"class_weights": [1.0, -1.0]},
        {"class_weights": [1.0, float("inf")]},
        {"class_weights": [1.0, float("nan")]},
        {"class_weights": 2.0},
        {"class_weights": {"negative": 1.0, "positive": 2.0}},
    ],
    ids=str,
)
def test_out_of_range_is_refused_at_construction_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        BertSentimentConfig(**options)


@pytest.mark.parametrize("pooling", ["average", "", None, 3, "Mean"])
def test_unknown_pooling_names_the_allowed_ones(pooling: Any) -> None:
    with pytest.raises(ValueError, match="pooler, cls, mean, max"):
        BertSentimentConfig(pooling=pooling)


def test_round_trip_through_a_folder(tmp_path: Path) -> None:
    config = BertSentimentConfig(
        pooling="max", class_weights=[0.5, 1.5], label_smoothing=0.1, label_rule={"kind": "stars"}
    )
    config.save_pretrained(tmp_path)
    again = BertSentimentConfig.from_pretrained(tmp_path)
    assert again.to_dict() == config.to_dict()
    stored = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert stored["model_type"] == "bert_sentiment"
    assert stored["id2label"] == {"0": "negative", "1": "positive"}
    assert stored["pooling"] == "max"


def test_a_stock_config_becomes_one_of_ours(tmp_path: Path) -> None:
    BertConfig(hidden_size=24, num_attention_heads=2).save_pretrained(tmp_path)
    config = BertSentimentConfig.from_pretrained(tmp_path)
    assert (config.hidden_size, config.model_type, config.classifier_dropout) == (24, "bert_sentiment", 0.3)


def test_a_config_json_file_is_accepted_as_a_folder_is(tmp_path: Path) -> None:
    BertConfig(hidden_size=24, num_attention_heads=2).save_pretrained(tmp_path)
    assert BertSentimentConfig.from_pretrained(tmp_path / "config.json").hidden_size == 24


def test_another_number_of_labels_drops_what_belonged_to_the_old_head(tmp_path: Path) -> None:
    BertSentimentConfig(class_weights=[0.5, 1.5], problem_type="single_label_classification").save_pretrained(tmp_path)
    config = BertSentimentConfig.from_pretrained(tmp_path, num_labels=3)
    assert list(config.id2label.values()) == ["negative", "neutral", "positive"]
    assert config.class_weights is None
    assert config.problem_type is None


def test_the_same_number_of_labels_keeps_names_and_weights(tmp_path: Path) -> None:
    BertSentimentConfig(class_weights=[0.5, 1.5], id2label={0: "no", 1: "yes"}).save_pretrained(tmp_path)
    config = BertSentimentConfig.from_pretrained(tmp_path, num_labels=2)
    assert config.id2label == {0: "no", 1: "yes"}
    assert config.class_weights == [0.5, 1.5]


def test_no_type_but_bert_is_read(tmp_path: Path) -> None:
    from transformers import DistilBertConfig

    DistilBertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'distilbert'") as error:
        BertSentimentConfig.from_pretrained(tmp_path)
    assert "EncoderForSentimentAnalysis" in str(error.value)


def test_set_labels_renames_and_resizes() -> None:
    config = BertSentimentConfig(class_weights=[1.0, 2.0])
    config.set_labels(["bad", "good"])
    assert config.label2id == {"bad": 0, "good": 1}
    assert config.class_weights == [1.0, 2.0]
    config.set_labels(["bad", "so-so", "good"])
    assert (config.num_labels, config.class_weights) == (3, None)
    with pytest.raises(ValueError, match="another order"):
        config.set_labels(["good", "so-so", "bad"])


def _sentence_encoder(folder: Path, pooling: dict[str, Any], config: Any, where: str = "1_Pooling") -> Path:
    config.save_pretrained(folder)
    (folder / where).mkdir()
    (folder / where / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": where, "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("config_class", "stock_class"), [(BertSentimentConfig, BertConfig), (EncoderSentimentConfig, ModernBertConfig)]
)
def test_a_sentence_encoder_is_one_whatever_its_pooling(config_class: Any, stock_class: Any, tmp_path: Path) -> None:
    cls_pooled = _sentence_encoder(tmp_path / "bge", {"pooling_mode_cls_token": True}, stock_class(), "2_MyPooling")
    config = config_class.from_pretrained(cls_pooled)
    assert (config.pooling, config.sentence_encoder) == ("cls", True)
    config.save_pretrained(tmp_path / "ours")
    assert config_class.from_pretrained(tmp_path / "ours").sentence_encoder
    assert AutoConfig.from_pretrained(tmp_path / "ours").sentence_encoder
    assert config_class.from_pretrained(cls_pooled, pooling="max").sentence_encoder


@pytest.mark.parametrize(
    ("config_class", "stock_class"), [(BertSentimentConfig, BertConfig), (EncoderSentimentConfig, ModernBertConfig)]
)
def test_pooling_does_not_make_a_plain_encoder_one(config_class: Any, stock_class: Any, tmp_path: Path) -> None:
    stock_class().save_pretrained(tmp_path / "plain")
    config = config_class.from_pretrained(tmp_path / "plain", pooling="mean")
    assert not config.sentence_encoder
    config.save_pretrained(tmp_path / "ours")
    assert not config_class.from_pretrained(tmp_path / "ours").sentence_encoder
    assert not AutoConfig.from_pretrained(tmp_path / "ours").sentence_encoder


@pytest.mark.parametrize(("pooling", "sentence_encoder"), [("mean", True), ("max", True), ("cls", False)])
def test_of_an_older_config_the_pooling_tells(pooling: str, sentence_encoder: bool, tmp_path: Path) -> None:
    stored = {"model_type": "bert_sentiment", "pooling": pooling}
    (tmp_path / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    for loader in (BertSentimentConfig, AutoConfig):
        assert loader.from_pretrained(tmp_path).sentence_encoder is sentence_encoder


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("modules.json", ["sentence_transformers.models.Pooling"]),
        ("modules.json", {"Pooling": "1_Pooling"}),
        ("1_Pooling/config.json", ["mean"]),
        ("config_sentence_transformers.json", "query: "),
        ("config_sentence_transformers.json", {"prompts": ["query: "]}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: "}, "default_prompt_name": "other"}),
        ("config_sentence_transformers.json", {"prompts": {"query": "query: "}, "default_prompt_name": ["query"]}),
        ("1_Pooling/config.json", {"pooling_mode": 3}),
    ],
)
def test_files_that_are_not_sentence_transformers_are_named(file: str, content: Any, tmp_path: Path) -> None:
    folder = _sentence_encoder(tmp_path / "odd", {"pooling_mode_mean_tokens": True}, BertConfig())
    (folder / file).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=file.rpartition("/")[2]):
        BertSentimentConfig.from_pretrained(folder)
    (folder / file).write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match=file):
        BertSentimentConfig.from_pretrained(folder)


@pytest.mark.parametrize("path", ["sub/2_Pooling", "pool/", "1_Pooling"])
def test_the_pooling_is_where_the_modules_say(path: str, tmp_path: Path) -> None:
    folder = _sentence_encoder(tmp_path / "named", {"pooling_mode_cls_token": True}, BertConfig())
    module = {"type": "sentence_transformers.models.Pooling", "path": path}
    (folder / "modules.json").write_text(json.dumps([module]), encoding="utf-8")
    (folder / path).mkdir(parents=True, exist_ok=True)
    (folder / path / "config.json").write_text('{"pooling_mode_max_tokens": true}', encoding="utf-8")
    config = BertSentimentConfig.from_pretrained(folder)
    assert (config.sentence_encoder, config.pooling) == (True, "max")
    (folder / path / "config.json").unlink()
    with pytest.raises(ValueError, match=f"modules.json names {path.strip('/')}/config.json, which is missing"):
        BertSentimentConfig.from_pretrained(folder)


@pytest.mark.parametrize("config", [BertConfig(is_decoder=True), TapasConfig(), ReformerConfig()])
def test_what_reads_no_plain_text_both_ways_is_refused(config: Any, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    ours = BertSentimentConfig if config.model_type == "bert" else EncoderSentimentConfig
    with pytest.raises(ValueError, match=r"is a decoder|is no text encoder of transformers"):
        ours.from_pretrained(tmp_path)


def test_a_config_without_a_type_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"hidden_size": 16}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no model_type in its config\.json"):
        EncoderSentimentConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(("architecture", "trained"), [("BertModel", False), ("BertForSequenceClassification", True)])
def test_labels_have_no_order_yet_where_no_head_was_trained(architecture: str, trained: bool, tmp_path: Path) -> None:
    names = {"id2label": {0: "positive", 1: "negative"}, "label2id": {"positive": 0, "negative": 1}}
    BertConfig(architectures=[architecture], **names).save_pretrained(tmp_path)
    maps = {"id2label": {0: "negative", 1: "positive"}}
    if trained:
        with pytest.raises(ValueError, match="was trained with its labels in another order"):
            BertSentimentConfig.from_pretrained(tmp_path, **maps)
    else:
        assert BertSentimentConfig.from_pretrained(tmp_path, **maps).id2label == maps["id2label"]


def test_a_prompt_of_nothing_is_no_prefix(tmp_path: Path) -> None:
    folder = _sentence_encoder(tmp_path / "plain", {"pooling_mode_mean_tokens": True}, BertConfig())
    said = {"prompts": {"query": None}, "default_prompt_name": None}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said), encoding="utf-8")
    assert BertSentimentConfig.from_pretrained(folder).text_prefix == ""
