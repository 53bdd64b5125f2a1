"""The model that the arguments name: of which class it is, and what no checkpoint gets run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import FAMILIES, family_checkpoint, family_tokenizer
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, BertTokenizer, __version__

from hf_sentiment.errors import CallError
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.load import load_model, load_splits


@pytest.mark.parametrize("family", ["bert", "albert"])
def test_the_class_is_the_checkpoints(family: str, reviews_file: Path, tmp_path: Path) -> None:
    arguments = SentimentArguments(
        model_name_or_path=str(family_checkpoint(family, tmp_path)), train_file=str(reviews_file), pooling="max"
    )
    model, tokenizer = load_model(arguments, load_splits(arguments, seed=0))
    assert type(model).__name__ == {"bert": "BertForSentimentAnalysis"}.get(family, "EncoderForSentimentAnalysis")
    assert (model.config.pooling, model.config.sentence_encoder, tokenizer.model_max_length) == ("max", False, 48)


@pytest.mark.parametrize("model_type", ["new", "gpt2"])
def test_an_architecture_of_others_is_a_line_and_no_question(
    model_type: str, reviews_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family_tokenizer("xlm-roberta").save_pretrained(tmp_path)
    code = {"AutoConfig": "configuration.NewConfig", "AutoModel": "modeling.NewModel"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type, "auto_map": code}), encoding="utf-8")
    for name in ("configuration", "modeling"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('remote code was run')\n", encoding="utf-8")
    arguments = SentimentArguments(model_name_or_path=str(tmp_path), train_file=str(reviews_file))
    data = load_splits(arguments, seed=0)

    asked: list[Any] = []
    monkeypatch.setattr("builtins.input", lambda *question: asked.append(question) or "n")
    with pytest.raises(CallError, match=f"cannot be the encoder: '{model_type}' is no text encoder of transformers"):
        load_model(arguments, data)
    assert asked == []


def other_checkpoint(model_type: str, folder: Path, **options: Any) -> Path:
    """A tiny encoder of any type of transformers, with a tokenizer of BERT's."""
    tokenizer = family_tokenizer("bert")
    sizes = {**FAMILIES["bert"], "embedding_size": 16, "vocab_size": len(tokenizer), **options}
    torch.manual_seed(0)
    AutoModel.from_config(AutoConfig.for_model(model_type, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("model_type", "options", "message"),
    [
        ("fnet", {}, "to this encoder padding is a part of the text"),
        ("convbert", {}, "to this encoder padding is a part of the text"),
        ("mra", {"max_position_embeddings": 128}, "or the text is nothing"),
        ("roc_bert", {}, "'roc_bert' is no text encoder"),
        ("bert", {"chunk_size_feed_forward": 4}, r"it cannot read a text \(The dimension to be chunked"),
        ("bert", {"return_dict": False}, "it cannot read a text"),
    ],
)
def test_an_encoder_whose_answers_would_be_wrong_is_refused(
    model_type: str, options: dict[str, Any], message: str, reviews_file: Path, tmp_path: Path
) -> None:
    folder = other_checkpoint(model_type, tmp_path, **options)
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    with pytest.raises(CallError, match=message) as raised:
        load_model(arguments, load_splits(arguments, seed=0))
    assert "\n" not in str(raised.value)


def test_ids_beyond_the_vectors_are_refused(reviews_file: Path, tmp_path: Path) -> None:
    folder = other_checkpoint("bert", tmp_path)
    vocabulary = family_tokenizer("bert").get_vocab() | {"film": 500}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    with pytest.raises(CallError, match="its tokenizer knows 501 words, and its model "):
        load_model(arguments, load_splits(arguments, seed=0))


def test_weights_that_nothing_takes_are_said(
    reviews_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = family_checkpoint("roberta", tmp_path)
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    data = load_splits(arguments, seed=0)
    weights = load_file(folder / "model.safetensors") | {"lm_head.bias": torch.zeros(4)}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    load_model(arguments, data)
    assert "has no place for" not in caplog.text  # a head's
    distances = "encoder.layer.1.attention.self.distance_embedding.weight"
    save_file(weights | {distances: torch.zeros(4, 4)}, folder / "model.safetensors", {"format": "pt"})
    load_model(arguments, data)
    assert f"weights in its layers that a roberta of transformers {__version__} has no place for: {distances}" in (
        caplog.text
    )


@pytest.mark.parametrize("said", [0, -1, 2, True, "12", 1.5])
def test_a_length_that_is_none_is_named(said: Any, reviews_file: Path, tmp_path: Path) -> None:
    folder = family_checkpoint("bert", tmp_path)
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    data = load_splits(arguments, seed=0)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": said}), encoding="utf-8")
    with pytest.raises(CallError, match="max_seq_length is"):
        load_model(arguments, data)
    for right, length in ((None, 48), (20, 20), (10**9, 48)):
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": right}), encoding="utf-8")
        assert load_model(arguments, data)[1].model_max_length == length


def test_a_prefix_leaves_room_for_texts(reviews_file: Path, tmp_path: Path) -> None:
    arguments = SentimentArguments(
        model_name_or_path=str(family_checkpoint("bert", tmp_path)), train_file=str(reviews_file), text_prefix="x " * 30
    )
    with pytest.raises(CallError, match=r"--text_prefix has \d+ tokens of 48 that the model reads: shorten it"):
        load_model(arguments, load_splits(arguments, seed=0))


def test_what_else_a_sentence_encoder_has_is_said(
    reviews_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = family_checkpoint("bert", tmp_path)
    names = ("Transformer", "Pooling", "Dense", "Normalize")
    places = ("", "1_Pooling", "2_Dense", "3_Normalize")
    modules = [
        {"type": f"sentence_transformers.models.{name}", "path": path} for name, path in zip(names, places, strict=True)
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean"}', encoding="utf-8")
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    model, _ = load_model(arguments, load_splits(arguments, seed=0))
    assert model.config.sentence_encoder
    assert "which the head does without: Dense\n" in caplog.text


@pytest.mark.parametrize("damage", ["cut", "not finite", "pickled"])
def test_damaged_weights_are_a_line(damage: str, reviews_file: Path, tmp_path: Path) -> None:
    folder = family_checkpoint("albert", tmp_path)
    weights = folder / "model.safetensors"
    if damage == "not finite":
        save_file({name: tensor / 0 for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    says = {
        "cut": "are damaged .*: fetch",
        "not finite": "not finite: .* fetch them",
        "pickled": "no safetensors weights",
    }
    with pytest.raises(CallError, match=says[damage]):
        load_model(arguments, load_splits(arguments, seed=0))


@pytest.mark.parametrize("length", [0, -5, 2])
def test_a_tokenizer_that_reads_nothing_is_named(length: int, reviews_file: Path, tmp_path: Path) -> None:
    folder = family_checkpoint("albert", tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": length}), encoding="utf-8")
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    with pytest.raises(CallError, match=f"model_max_length is {length} in tokenizer_config"):
        load_model(arguments, load_splits(arguments, seed=0))


def test_options_of_a_sentence_encoder_that_the_head_has_not_are_said(
    reviews_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = family_checkpoint("roberta", tmp_path)
    module = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
    for name, content in {
        "modules.json": [module],
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "include_prompt": False},
        "sentence_bert_config.json": {"max_seq_length": 40, "do_lower_case": True},
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    arguments = SentimentArguments(model_name_or_path=str(folder), train_file=str(reviews_file))
    load_model(arguments, load_splits(arguments, seed=0))
    assert "which the head does without: do_lower_case, include_prompt false\n" in caplog.text
    module |= {"type": "sentence_transformers.models.Transformer", "path": "0_Transformer"}
    (folder / "modules.json").write_text(json.dumps([module]), encoding="utf-8")
    with pytest.raises(CallError, match="its encoder is in 0_Transformer, as old versions of sentence-transformers"):
        load_model(arguments, load_splits(arguments, seed=0))


def test_bfloat16_is_refused_where_the_encoder_cannot_compute_in_it(
    reviews_file: Path, tmp_path: Path, run_cli: Any
) -> None:
    folder = family_checkpoint("deberta", tmp_path / "deberta")
    words = ("--model_name_or_path", folder, "--train_file", reviews_file, "--bf16", "true")
    code, _, err = run_cli("plan", *words)
    assert code == 2 and "error: --bf16 true: this encoder cannot compute in bfloat16: leave it out" in err


@pytest.mark.parametrize("prefix", ["model.", "encoder."])
def test_a_bert_whose_weights_have_other_names_is_not_begun_at_random(
    prefix: str, reviews_file: Path, tmp_path: Path
) -> None:
    file = family_checkpoint("bert", tmp_path) / "model.safetensors"
    arguments = SentimentArguments(model_name_or_path=str(tmp_path), train_file=str(reviews_file), pooling="cls")
    data = load_splits(arguments, seed=0)
    weights = {prefix + name.removeprefix("encoder."): tensor for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CallError, match=r"lacks weights of its encoder \(bert\..*name another checkpoint"):
        load_model(arguments, data)


def test_texts_are_padded_from_the_right_whatever_the_tokenizer_says(reviews_file: Path, tmp_path: Path) -> None:
    file = family_checkpoint("bert", tmp_path) / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": "left"}), encoding="utf-8")
    arguments = SentimentArguments(model_name_or_path=str(tmp_path), train_file=str(reviews_file), pooling="cls")
    model, tokenizer = load_model(arguments, load_splits(arguments, seed=0))
    texts = ["good", "the film was never very bad , but the plot was dull ."]
    together = SentimentClassifier(model, tokenizer).logits(texts)
    alone = [SentimentClassifier(model, tokenizer).logits([text])[0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_an_adapter_is_to_be_merged_first(reviews_file: Path, tmp_path: Path) -> None:
    base = family_checkpoint("bert", tmp_path / "base")
    model = get_peft_model(AutoModel.from_pretrained(base), LoraConfig(target_modules=["query"]))
    model.save_pretrained(base)  # beside the weights of its base
    arguments = SentimentArguments(model_name_or_path=str(base), train_file=str(reviews_file))
    with pytest.raises(CallError, match=r"it is an adapter: merge it into its base, .*merge_and_unload"):
        load_model(arguments, load_splits(arguments, seed=0))
