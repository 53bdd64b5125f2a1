"""The lexicon: reproducible phrases that VADER scores, and an encoder that learns to tell their valence, once."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.head.features import frozen_features
from hf_sentiment.head.lexicon import _regressor, lexicon_phrases, polarity, prepare_encoder
from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

TINY = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 48}


def test_phrases_are_the_same_for_the_same_seed(tiny_tokenizer: Any) -> None:
    phrases = lexicon_phrases(tiny_tokenizer, 200, seed=3)
    assert len(phrases) == 200 and phrases == lexicon_phrases(tiny_tokenizer, 200, seed=3)
    assert phrases != lexicon_phrases(tiny_tokenizer, 200, seed=4)
    assert not any("{" in text for text, _ in phrases)


def test_a_phrase_is_worth_what_vader_says(tiny_tokenizer: Any) -> None:
    analyzer = SentimentIntensityAnalyzer()
    signs, negated = [], []
    for text, valence in lexicon_phrases(tiny_tokenizer, 400):
        compound = analyzer.polarity_scores(text)["compound"]
        assert np.sign(valence) == np.sign(compound) and -6 <= valence <= 6
        assert valence / np.sqrt(valence**2 + 15) == pytest.approx(compound, abs=0.01) or abs(valence) == 6
        word = text.removeprefix("not ").removeprefix("never ")
        if word != text and " " not in word:
            negated.append(np.sign(valence) == -np.sign(analyzer.lexicon[word]))
        signs.append(np.sign(valence))
    assert {-1, 0, 1} <= set(signs)
    assert len(negated) > 5 and all(negated)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["negative", "positive"], (-1.0, 1.0)),
        (["POS", "neg"], (1.0, -1.0)),
        (["Negative", "neutral", "Positive"], (-1.0, 0.0, 1.0)),
        (["very_negative", "negative", "neutral", "positive", "very positive"], (-2.0, -1.0, 0.0, 1.0, 2.0)),
        (["1 star", "2 stars", "3 stars", "4 stars", "5 stars"], (-2.0, -1.0, 0.0, 1.0, 2.0)),
        (["ham", "spam"], None),
        (["negative", "other"], None),
        (["negativ", "positiv"], None),
        (["6 stars", "7 stars"], None),
    ],
)
def test_label_names_are_polarities_or_not(labels: list[str], expected: tuple[float, ...] | None) -> None:
    assert polarity(labels) == expected


# Families of words, each of one sign.
STEMS = ["angr", "bad", "fail", "fear", "glad", "good", "great", "happ", "hate", "joy", "kill", "love", "pain", "sad"]
STEMS += ["sweet", "terr", "trust", "ugl", "warm", "win"]


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A tokenizer of stems and letters, which can read every word."""
    from transformers import BertTokenizer

    alphabet = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *alphabet, *(f"##{letter}" for letter in alphabet), *STEMS]
    vocab = tmp_path_factory.mktemp("letters") / "vocab.txt"
    vocab.write_text("\n".join([*words, "not", "never", "the", "is", "was", "it", "but", "and", "so", "!", ".", ","]))
    return BertTokenizer(vocab=str(vocab), model_max_length=48)


def test_it_learns_valence_and_only_once(letters: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))
    lexicon = SentimentIntensityAnalyzer().lexicon
    families = sorted(word for word in lexicon if word.isalpha() and word.startswith(tuple(STEMS)))
    held_out = families[::4]
    taught = {word: lexicon[word] for word in families if word not in held_out}
    monkeypatch.setattr(SentimentIntensityAnalyzer, "make_lex_dict", lambda self: taught)
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        config = BertSentimentConfig(hidden_size=32, vocab_size=len(letters), pooling="mean", **TINY)
        models.append(BertForSentimentAnalysis(config).eval())
    before = {name: tensor.clone() for name, tensor in models[0].state_dict().items()}
    models[0].bert.encoder.layer[0].output.dense.bias.requires_grad_(False)
    frozen = [parameter.requires_grad for parameter in models[0].parameters()]
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    expected = torch.rand(3), random.random(), np.random.rand()
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    first = prepare_encoder(models[0], letters)
    assert torch.equal(torch.rand(3), expected[0]) and (random.random(), np.random.rand()) == expected[1:]
    assert [parameter.requires_grad for parameter in models[0].parameters()] == frozen
    assert all(parameter.grad is None for parameter in models[0].parameters())
    assert not models[0].training and not models[0].bert.training
    # Words that it was not taught. Fifty-nine by chance: 0.13, give or take.
    texts = tokenize(Dataset.from_dict({"text": held_out}), letters, 48)
    valences = [lexicon[word] for word in held_out]
    found = first.valence(frozen_features(models[0], letters, texts))
    assert len(held_out) > 50 and np.corrcoef(found, valences)[0, 1] > 0.35
    after = models[0].state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("encoder" in name for name in changed)
    assert not any("classifier" in name or "embeddings" in name for name in changed)
    # The second time it is read, whatever the learning would do.
    monkeypatch.setattr("hf_sentiment.head.lexicon._learn", lambda *_: 1 / 0)
    second = prepare_encoder(models[1], letters)
    assert np.array_equal(first.weight, second.weight) and first.bias == second.bias
    assert all(torch.equal(after[name], tensor) for name, tensor in models[1].state_dict().items())
    assert [path.suffix for path in (tmp_path / "lexicon").iterdir()] == [".safetensors"]


@pytest.fixture
def learned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """The models that were taught, in place of which each parameter of theirs is set to their number."""
    taught: list[Any] = []

    def learn(model: Any, *_: Any) -> dict[str, torch.Tensor]:
        taught.append(model)
        with torch.no_grad():
            for parameter in model.bert.parameters():
                parameter.fill_(len(taught))
        return {"valence.weight": torch.ones(16), "valence.bias": torch.tensor(0.5)}

    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))
    monkeypatch.setattr("hf_sentiment.head.lexicon._learn", learn)
    return taught


def test_another_encoder_pooling_or_tokenizer_is_taught_anew(
    learned: list[Any], make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import BertTokenizer

    swapped = {"dull": "boring", "boring": "dull"}
    words = sorted(tiny_tokenizer.get_vocab(), key=tiny_tokenizer.get_vocab().get)
    (tmp_path / "vocab.txt").write_text("\n".join(swapped.get(word, word) for word in words))
    other = BertTokenizer(vocab=str(tmp_path / "vocab.txt"), model_max_length=48)
    (tmp_path / "cased.txt").write_text("\n".join(words))
    cased = BertTokenizer(vocab=str(tmp_path / "cased.txt"), model_max_length=48, do_lower_case=False)
    options: list[tuple[dict[str, Any], Any]] = [
        ({"pooling": "mean"}, tiny_tokenizer),
        ({"pooling": "max"}, tiny_tokenizer),
        ({"pooling": "mean", "seed": 1}, tiny_tokenizer),
        ({"pooling": "mean"}, other),
        ({"pooling": "mean"}, cased),
    ]
    for expected, (model, tokenizer) in enumerate(options, start=1):
        for _ in range(2):
            prepare_encoder(make_tiny(**model), tokenizer)
            assert len(learned) == expected


@pytest.mark.parametrize("damage", ["cut", "empty", "text"])
def test_a_damaged_file_is_made_anew(
    damage: str, learned: list[Any], make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    prepare_encoder(make_tiny(pooling="mean"), tiny_tokenizer)
    (file,) = (tmp_path / "lexicon").iterdir()
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "text": b"not found" * 99}[damage])
    model = make_tiny(pooling="mean")
    assert prepare_encoder(model, tiny_tokenizer).bias == 0.5
    assert len(learned) == 2 and all(float(parameter.detach().max()) == 2 for parameter in model.bert.parameters())
    assert len(file.read_bytes()) == len(whole)


def test_a_checkpoint_that_was_fine_tuned_before_can_be_taught(make_tiny: Callable[..., Any]) -> None:
    model = make_tiny(pooling="mean", num_labels=3, class_weights=[0.5, 1.0, 2.0], label_smoothing=0.1)
    model.config.problem_type, model.config.label_rule = "single_label_classification", {"kind": "strings"}
    regressor = _regressor(model).train()
    loss = regressor(torch.tensor([[2, 5, 6, 3]]), labels=torch.tensor([1.5])).loss
    assert regressor.config.problem_type == "regression" and regressor.num_labels == 1 and loss.isfinite()
    assert model.config.problem_type == "single_label_classification" and model.config.class_weights is not None
