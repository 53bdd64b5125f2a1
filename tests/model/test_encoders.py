"""`EncoderForSentimentAnalysis`: which encoders it takes, what of their checkpoints arrives, and what it refuses."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, family_checkpoint, family_config, family_model
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    RobertaConfig,
    RobertaModel,
)

from hf_sentiment import BertForSentimentAnalysis, EncoderForSentimentAnalysis, EncoderSentimentConfig
from hf_sentiment.model.kinds import KINDS
from hf_sentiment.model.modeling_encoder_sentiment import sentiment_model_class

INPUTS = {
    "input_ids": torch.tensor([[2, 7, 8, 9, 3, 1], [2, 11, 12, 13, 14, 3]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 0], [1] * 6]),
}
LABELS = ["bad", "so-so", "good"]


def _states(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.base_model(**INPUTS).last_hidden_state


def _logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**INPUTS).logits


@pytest.mark.parametrize("auto_class", [AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification])
@pytest.mark.parametrize("family", FAMILIES)
def test_of_a_checkpoint_only_the_head_is_new(family: str, auto_class: Any, tmp_path: Path) -> None:
    stock = family_model(family, auto_class)
    stock.save_pretrained(tmp_path)
    model, info = EncoderForSentimentAnalysis.from_pretrained(
        tmp_path, labels=LABELS, pooling="mean", output_loading_info=True
    )
    assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    assert torch.equal(_states(model), _states(stock))
    assert model.config.id2label == dict(enumerate(LABELS))
    assert model.name_or_path == str(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_and_loaded_again(family: str, tmp_path: Path) -> None:
    family_model(family).save_pretrained(tmp_path / "stock")
    model = EncoderForSentimentAnalysis.from_pretrained(tmp_path / "stock", labels=LABELS)
    model.save_pretrained(tmp_path / "ours")
    # The names on disk are those in memory, so that whoever reads the file itself finds them.
    assert set(load_file(tmp_path / "ours" / "model.safetensors")) == set(model.state_dict())
    anew = EncoderForSentimentAnalysis(model.config)
    anew.save_pretrained(tmp_path / "anew")
    assert set(load_file(tmp_path / "anew" / "model.safetensors")) == set(model.state_dict())
    again, info = EncoderForSentimentAnalysis.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert torch.equal(_logits(again), _logits(model))
    for auto_class in (AutoModel, AutoModelForSequenceClassification):
        assert type(auto_class.from_pretrained(tmp_path / "ours")) is EncoderForSentimentAnalysis


@pytest.mark.parametrize("family", FAMILIES)
def test_training(family: str) -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config(family), num_labels=3))
    if model.supports_gradient_checkpointing:
        model.activation_checkpointing_enable()
    model.train()
    model(**INPUTS, token_type_ids=torch.zeros_like(INPUTS["input_ids"]), labels=torch.tensor([2, 0])).loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_losses_are_sums_over_the_whole_accumulated_batch() -> None:
    config = EncoderSentimentConfig(encoder_config=family_config("roberta"), class_weights=[0.5, 1.5])
    model, labels = EncoderForSentimentAnalysis(config).eval(), torch.tensor([1, 0])
    whole = model(**INPUTS, labels=labels).loss
    parts = [
        model(
            **{name: rows[i : i + 1] for name, rows in INPUTS.items()}, labels=labels[i : i + 1], num_items_in_batch=2
        )
        for i in range(2)
    ]
    torch.testing.assert_close(parts[0].loss + parts[1].loss, whole)


@pytest.mark.parametrize(("family", "attention"), [("roberta", "sdpa"), ("deberta-v2", "eager"), ("mpnet", "eager")])
def test_attention_is_what_the_encoder_is_capable_of(family: str, attention: str) -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config(family)))
    assert model.config._attn_implementation == model.encoder.config._attn_implementation == attention


def test_attention_dtype_and_device_pass_through(tmp_path: Path) -> None:
    family_model("roberta").save_pretrained(tmp_path)
    model = EncoderForSentimentAnalysis.from_pretrained(
        tmp_path, labels=LABELS, dtype=torch.bfloat16, attn_implementation="eager", device_map="cpu"
    )
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.encoder.config._attn_implementation == "eager"
    model.save_pretrained(tmp_path / "half")
    assert EncoderForSentimentAnalysis.from_pretrained(tmp_path / "half").dtype == torch.bfloat16


def test_options_of_the_encoder_and_of_the_head_are_taken_together(tmp_path: Path) -> None:
    family_model("roberta").save_pretrained(tmp_path)
    model = EncoderForSentimentAnalysis.from_pretrained(tmp_path, hidden_dropout_prob=0.4, label_smoothing=0.1)
    assert model.encoder.config.hidden_dropout_prob == 0.4
    assert model.config.label_smoothing == 0.1
    assert "hidden_dropout_prob" not in model.config.__dict__


def test_a_repository_in_the_cache(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--encoder"
    family_model("distilbert").save_pretrained(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    model = EncoderForSentimentAnalysis.from_pretrained("someone/encoder", labels=LABELS, cache_dir=tmp_path)
    assert torch.equal(_states(model), _states(family_model("distilbert")))
    assert sentiment_model_class("someone/encoder", cache_dir=tmp_path) is EncoderForSentimentAnalysis


def test_the_class_of_a_checkpoint(tmp_path: Path, tiny_folder: Path, tiny_checkpoint: Path) -> None:
    EncoderSentimentConfig().save_pretrained(tmp_path)
    assert sentiment_model_class(tmp_path) is EncoderForSentimentAnalysis
    assert {sentiment_model_class(folder) for folder in (tiny_folder, tiny_checkpoint)} == {BertForSentimentAnalysis}


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_an_encoder_without_all_its_weights_is_refused(pooling: str, tmp_path: Path) -> None:
    family_model("roberta").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    left_out = "pooler.dense.weight" if pooling == "pooler" else "encoder.layer.1.output.dense.weight"
    del weights[left_out]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=f"lacks weights of its encoder .{left_out}"):
        EncoderForSentimentAnalysis.from_pretrained(tmp_path, labels=LABELS, pooling=pooling)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    family_model("roberta").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 32}), encoding="utf-8")
    with pytest.raises(ValueError, match="damaged"):
        EncoderForSentimentAnalysis.from_pretrained(tmp_path, labels=LABELS)


def test_another_number_of_labels_is_another_head(tmp_path: Path) -> None:
    EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config("electra"))).save_pretrained(
        tmp_path
    )
    model, info = EncoderForSentimentAnalysis.from_pretrained(tmp_path, labels=LABELS, output_loading_info=True)
    assert model.classifier.weight.shape[0] == 3
    assert not info["missing_keys"]


def test_a_trained_stock_head_is_not_taken_for_ours(tmp_path: Path) -> None:
    # DistilBERT's last layer has the name of ours, and stands on another one.
    stock = family_model("distilbert", AutoModelForSequenceClassification, num_labels=2)
    stock.config.id2label, stock.config.label2id = {0: "POSITIVE", 1: "NEGATIVE"}, {"POSITIVE": 0, "NEGATIVE": 1}
    stock.save_pretrained(tmp_path)
    model = EncoderForSentimentAnalysis.from_pretrained(tmp_path, labels=["negative", "positive"])
    assert not torch.equal(model.classifier.weight, stock.classifier.weight)


@pytest.mark.parametrize(
    ("options", "pooling"),
    [({"classifier_pooling": "mean"}, "mean"), ({"classifier_pooling": "cls"}, "cls"), ({}, "cls")],
    ids=str,
)
def test_pooling_is_the_stock_heads(options: dict[str, Any], pooling: str, tmp_path: Path) -> None:
    family_config("modernbert", **options).save_pretrained(tmp_path)
    assert EncoderSentimentConfig.from_pretrained(tmp_path).pooling == pooling


def test_a_sentence_encoders_pooling_comes_first(tmp_path: Path) -> None:
    family_config("modernbert", classifier_pooling="cls").save_pretrained(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}', encoding="utf-8")
    assert EncoderSentimentConfig.from_pretrained(tmp_path).pooling == "mean"


def test_pooler_only_where_there_is_one(tmp_path: Path) -> None:
    family_model("roberta").save_pretrained(tmp_path / "roberta")
    model = EncoderForSentimentAnalysis.from_pretrained(tmp_path / "roberta", pooling="pooler").eval()
    with torch.no_grad():
        pooled = model.encoder(**INPUTS).pooler_output
    torch.testing.assert_close(_logits(model), model.classifier(pooled))
    with pytest.raises(ValueError, match="no pooler of its own"):
        EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config("electra"), pooling="pooler"))


def test_the_config_is_the_encoders_where_it_has_nothing_to_say(tmp_path: Path) -> None:
    config = EncoderSentimentConfig(encoder_config=family_config("distilbert").to_dict(), pooling="max")
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (16, 2, 41)
    config.vocab_size = 43
    assert config.encoder_config.vocab_size == 43
    config.save_pretrained(tmp_path)
    again = EncoderSentimentConfig.from_pretrained(tmp_path)
    for twin in (again, copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert twin.to_dict() == config.to_dict()
    assert "vocab_size" not in json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = config.nonsense


def test_positions_are_counted_as_in_the_checkpoint(tmp_path: Path) -> None:
    family_checkpoint("roberta", tmp_path / "plain")
    model = EncoderForSentimentAnalysis.from_pretrained(tmp_path / "plain", labels=LABELS).eval()
    ids = torch.tensor([[0, 7, 8, 1, 9, 2]])
    before = model(input_ids=ids).logits
    model.config.pad_token_id = 3  # as the Trainer writes it, by the tokenizer
    model.save_pretrained(tmp_path / "saved")
    again = EncoderForSentimentAnalysis.from_pretrained(tmp_path / "saved").eval()
    assert again.config.pad_token_id == 3
    torch.testing.assert_close(again(input_ids=ids).logits, before)


def test_attention_does_not_depend_on_the_texts_before() -> None:
    assert EncoderSentimentConfig(encoder_config={"model_type": "big_bird"}).attention_type == "original_full"
    assert EncoderSentimentConfig(encoder_config={"model_type": "funnel"}).attention_type == "relative_shift"


def test_resizing_the_vocabulary() -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config("roberta")))
    model.resize_token_embeddings(50)
    assert model.config.vocab_size == model.encoder.config.vocab_size == 50
    assert model.get_input_embeddings().weight.shape[0] == 50


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "new"},
        {"model_type": "gpt2"},
        {"model_type": "vit"},
        {"model_type": "modernvbert"},
        {"model_type": "bert_sentiment"},
        {"model_type": "encoder_sentiment"},
        {"model_type": ["roberta"]},
        {},
    ],
    ids=str,
)
def test_what_is_no_text_encoder_of_transformers_is_refused(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no text encoder of transformers"):
        EncoderSentimentConfig(encoder_config={**config, "hidden_size": 16})
    if config.get("model_type") != "encoder_sentiment":  # which is a config of ours
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        with pytest.raises(ValueError, match="no text encoder of transformers" if config else "has no model_type"):
            EncoderSentimentConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize("config", [BartConfig(), BertConfig(is_decoder=True)], ids=["bart", "decoder"])
def test_decoders_are_refused(config: Any) -> None:
    with pytest.raises(ValueError, match="of a decoder"):
        EncoderSentimentConfig(encoder_config=config)


def test_a_class_that_somebody_registered_is_not_transformers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Impostor(RobertaModel):
        pass

    monkeypatch.setitem(AutoModel._model_mapping._extra_content, RobertaConfig, Impostor)
    with pytest.raises(ValueError, match="no text encoder of transformers"):
        EncoderSentimentConfig(encoder_config={"model_type": "roberta"})


def test_a_config_of_another_class_is_refused() -> None:
    class Subclass(RobertaConfig):
        pass

    with pytest.raises(ValueError, match="not transformers' own"):
        EncoderSentimentConfig(encoder_config=Subclass())
    with pytest.raises(ValueError, match="needs an EncoderSentimentConfig"):
        EncoderForSentimentAnalysis(RobertaConfig())


@pytest.mark.parametrize("loader", [EncoderSentimentConfig, AutoConfig])
def test_nothing_in_the_nested_config_leads_elsewhere(loader: Any, tmp_path: Path) -> None:
    evil = {"auto_map": {"AutoConfig": "evil/repo--x.Y", "AutoModel": "x.Y"}, "_name_or_path": "evil/repo"}
    nested = family_config("roberta").to_dict() | evil | {"trust_remote_code": True}
    stored = {"model_type": "encoder_sentiment", "encoder_config": nested}
    (tmp_path / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    config = loader.from_pretrained(tmp_path)
    again = json.dumps(config.to_dict())
    assert "evil" not in again and "x.Y" not in again and "trust_remote_code" not in again
    assert type(EncoderForSentimentAnalysis(config).encoder) is RobertaModel


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_is_known_of_our_models_is_what_they_save(kind: Any, make_tiny: Any, tmp_path: Path) -> None:
    model = make_tiny()
    if kind.model_class != type(model).__name__:
        model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config("roberta")))
    model.save_pretrained(tmp_path)
    assert (type(model.config).__name__, type(model).__name__) == (kind.config_class, kind.model_class)
    assert {path.name for path in tmp_path.glob("*.py")} == set(kind.sources)
    stored = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert stored["auto_map"] == kind.auto_map and KINDS[stored["model_type"]] is kind


@pytest.mark.parametrize("pooling", ["pooler", "cls", "mean", "max"])
def test_normalized_vectors_have_length_1(pooling: str, make_tiny: Any, tmp_path: Path) -> None:
    model = make_tiny(pooling=pooling, normalize=True)
    seen: list[torch.Tensor] = []
    model.dropout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits = _logits(model)
    plain = make_tiny(pooling=pooling)
    plain.dropout.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    assert not torch.allclose(_logits(plain), logits)
    torch.testing.assert_close(seen[0].norm(dim=-1), torch.ones(2))
    torch.testing.assert_close(seen[0], seen[1] / seen[1].norm(dim=-1, keepdim=True))
    model.save_pretrained(tmp_path)
    again = AutoModel.from_pretrained(tmp_path)
    assert again.config.normalize
    assert torch.equal(_logits(again), logits)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_what_the_config_wants_to_see_is_returned(family: str, tmp_path: Path) -> None:
    folder = family_checkpoint(family, tmp_path)
    model = sentiment_model_class(folder).from_pretrained(folder, labels=LABELS, output_hidden_states=True)
    found = model(**INPUTS)
    assert len(found.hidden_states) == model.config.num_hidden_layers + 1 and found.attentions is None
    assert model(**INPUTS, output_hidden_states=False).hidden_states is None


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_pooling_that_the_model_was_not_made_with_is_no_other(family: str, tmp_path: Path) -> None:
    folder = family_checkpoint(family, tmp_path)
    model = sentiment_model_class(folder).from_pretrained(folder, labels=LABELS, pooling="mean")
    for pooling in ("pooler", "meen"):
        model.config.pooling = pooling
        with pytest.raises(ValueError, match=f"this model has no pooling '{pooling}'"):
            model(**INPUTS)


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_labels_and_a_config_are_taken_together(family: str, tmp_path: Path) -> None:
    folder = family_checkpoint(family, tmp_path)
    model_class = sentiment_model_class(folder)
    config_class = model_class.config_class
    model = model_class.from_pretrained(
        folder, config=config_class.from_pretrained(folder, pooling="max"), labels=LABELS
    )
    assert (model.config.pooling, list(model.config.id2label.values())) == ("max", LABELS)
    model = model_class.from_pretrained(folder, config=str(folder), labels=LABELS)
    assert list(model.config.id2label.values()) == LABELS
    named = config_class.from_pretrained(folder, id2label={0: "a", 1: "b"})
    with pytest.raises(ValueError, match="labels and config contradict each other"):
        model_class.from_pretrained(folder, config=named, labels=LABELS)
    for more in ({}, {"labels": LABELS}):
        with pytest.raises(ValueError, match=rf"config is a \w+: leave it out, or give {config_class.__name__}"):
            model_class.from_pretrained(folder, config=AutoConfig.from_pretrained(folder), **more)
