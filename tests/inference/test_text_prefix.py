"""What an encoder wants before every text travels in its tokenizer, for every family, and never twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from families import FAMILIES, family_checkpoint, family_tokenizer
from transformers import AutoTokenizer, pipeline

from hf_sentiment import EncoderForSentimentAnalysis
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.errors import CallError
from hf_sentiment.inference.text_prefix import with_text_prefix
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.load import load_model, load_splits

TEXTS = ["the film was great !", "  NOT bad,\tat all", "déjà vu 😀 这部电影"]
PREFIX = "query: "


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    return [list(ids) for ids in tokenizer(texts)["input_ids"]]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_tokens_are_those_of_prefix_and_text(family: str, tmp_path: Path) -> None:
    plain = family_tokenizer(family)
    plain.model_max_length = 48
    tokenizer = with_text_prefix(plain, PREFIX, "")
    expected = _ids(plain, [PREFIX + text for text in TEXTS])
    assert _ids(tokenizer, TEXTS) == expected
    assert list(tokenizer("x")) == list(plain("x"))  # as many kinds of inputs
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert _ids(again, TEXTS) == expected
    assert again.model_max_length == 48 and again.pad_token_id == plain.pad_token_id
    assert with_text_prefix(again, PREFIX, PREFIX) is again
    assert _ids(with_text_prefix(again, "passage: ", PREFIX), TEXTS) == _ids(plain, [f"passage: {t}" for t in TEXTS])
    assert _ids(with_text_prefix(again, "", PREFIX), TEXTS) == _ids(plain, TEXTS)


def test_an_empty_text_stays_empty() -> None:
    plain = family_tokenizer("xlm-roberta")
    assert with_text_prefix(plain, PREFIX, "")("")["input_ids"] == plain("")["input_ids"]


def test_a_prefix_that_the_tokenizer_does_not_carry_is_put_in_though_it_is_recorded() -> None:
    plain = family_tokenizer("roberta")
    assert _ids(with_text_prefix(plain, PREFIX, PREFIX), TEXTS) == _ids(plain, [PREFIX + text for text in TEXTS])


def test_other_tokens_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = family_tokenizer("roberta")
    whole = type(plain).__call__
    monkeypatch.setattr(type(plain), "__call__", lambda self, text, **more: whole(self, text + "!", **more))
    with pytest.raises(CallError, match="--text_prefix 'query: ': this tokenizer gives other tokens"):
        with_text_prefix(plain, PREFIX, "")


def test_a_tokenizer_in_python_cannot_carry_one() -> None:
    with pytest.raises(CallError, match="--text_prefix 'query: '"):
        with_text_prefix(object(), PREFIX, "")  # type: ignore[arg-type]


def _sentence_encoder(folder: Path, prompts: dict[str, Any]) -> Path:
    family_checkpoint("xlm-roberta", folder)
    (folder / "1_Pooling").mkdir()
    for name, said in {
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
        "config_sentence_transformers.json": prompts,
        "sentence_bert_config.json": {"max_seq_length": 20},
    }.items():
        (folder / name).write_text(json.dumps(said), encoding="utf-8")
    return folder


def _rows(reviews_file: Path) -> PreparedData:
    return load_splits(SentimentArguments(train_file=str(reviews_file)), seed=0)


@pytest.mark.parametrize(
    ("said", "prefix"),
    [
        ({}, ""),
        ({"prompts": None}, ""),
        ({"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None}, "query: "),
        ({"prompts": {"query": "q: ", "classification": "c: "}}, "c: "),
        ({"prompts": {"query": "q: ", "Classification": "c: "}}, "c: "),
        ({"prompts": {"query": "q: ", "document": "d: "}, "default_prompt_name": "document"}, "d: "),
        ({"prompts": {"passage": "passage: "}}, ""),
    ],
    ids=str,
)
def test_the_checkpoint_names_its_prefix(
    said: dict[str, Any], prefix: str, tmp_path: Path, reviews_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hf_sentiment")
    checkpoint = _sentence_encoder(tmp_path, said)
    model, tokenizer = load_model(SentimentArguments(model_name_or_path=str(checkpoint)), _rows(reviews_file))
    assert model.config.text_prefix == prefix
    assert (f"{prefix!r} comes before every text" in caplog.text) == bool(prefix)
    assert _ids(tokenizer, TEXTS) == _ids(family_tokenizer("xlm-roberta"), [prefix + text for text in TEXTS])
    assert tokenizer.model_max_length == 20


@pytest.mark.parametrize(("said", "reads"), [(None, 20), (10, 20), (30, 30), (512, 48)])
def test_texts_are_as_long_as_the_checkpoint_is_made_for_or_as_is_said(
    said: int | None, reads: int, tmp_path: Path, reviews_file: Path
) -> None:
    arguments = SentimentArguments(model_name_or_path=str(_sentence_encoder(tmp_path, {})), max_length=said)
    assert load_model(arguments, _rows(reviews_file))[1].model_max_length == reads


def test_the_prefix_is_not_doubled_when_a_model_is_trained_on_again(tmp_path: Path, reviews_file: Path) -> None:
    rows = _rows(reviews_file)
    checkpoint = _sentence_encoder(tmp_path / "checkpoint", {"prompts": {"query": PREFIX}})
    expected = _ids(family_tokenizer("xlm-roberta"), [PREFIX + text for text in TEXTS])
    for generation in range(3):
        arguments = SentimentArguments(model_name_or_path=str(checkpoint))
        model, tokenizer = load_model(arguments, rows)
        assert (model.config.text_prefix, _ids(tokenizer, TEXTS)) == (PREFIX, expected)
        checkpoint = tmp_path / str(generation)
        model.save_pretrained(checkpoint)
        tokenizer.save_pretrained(checkpoint)
    off = SentimentArguments(model_name_or_path=str(checkpoint), text_prefix="")
    model, tokenizer = load_model(off, rows)
    assert (model.config.text_prefix, _ids(tokenizer, TEXTS)) == ("", _ids(family_tokenizer("xlm-roberta"), TEXTS))


def test_a_pipeline_and_a_classifier_know_nothing_of_it(tmp_path: Path, reviews_file: Path) -> None:
    from hf_sentiment import SentimentClassifier

    checkpoint = family_checkpoint("modernbert", tmp_path / "checkpoint")
    arguments = SentimentArguments(model_name_or_path=str(checkpoint), text_prefix="the ")
    model, tokenizer = load_model(arguments, _rows(reviews_file))
    model.save_pretrained(tmp_path / "ours")
    tokenizer.save_pretrained(tmp_path / "ours")
    bare = EncoderForSentimentAnalysis.from_pretrained(tmp_path / "ours")
    inputs = family_tokenizer("modernbert")("the film", return_tensors="pt")
    expected = bare(**inputs).logits.softmax(-1)[0].tolist()
    pipe = pipeline("text-classification", model=str(tmp_path / "ours"))
    scores = {row["label"]: row["score"] for row in pipe("film", top_k=None)}
    assert [scores["negative"], scores["positive"]] == pytest.approx(expected, abs=1e-5)
    (answer,) = SentimentClassifier.from_pretrained(tmp_path / "ours").predict(["film"])
    assert list(answer["scores"].values()) == pytest.approx(expected, abs=1e-5)  # type: ignore[union-attr]
