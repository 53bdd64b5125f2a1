"""Tokenised once, cut and never padded."""

from __future__ import annotations

import copy

import pytest
from datasets import Dataset
from families import FAMILIES, WORDS, family_tokenizer

from hf_sentiment.data.tokenization import tokenize, whole_words

TEXTS = ["a film", "a very good film , i loved it", "bad", "it was very very very boring", ""]


@pytest.fixture
def table(tmp_path):
    Dataset.from_dict({"text": TEXTS, "label": [1, 1, 0, 0, 1], "row": [1, 2, 3, 4, 5]}).to_parquet(
        tmp_path / "t.parquet"
    )
    return Dataset.from_parquet(str(tmp_path / "t.parquet"))


def test_columns_lengths_and_truncation(table, tiny_tokenizer, caplog):
    with caplog.at_level("INFO"):
        tokenized = tokenize(table, tiny_tokenizer, 8)
    assert set(tokenized.column_names) == {*tiny_tokenizer.model_input_names, "labels", "length"}
    assert tokenized["labels"][:] == [1, 1, 0, 0, 1]
    assert tokenized["length"][:] == [len(ids) for ids in tokenized["input_ids"]] == [4, 8, 3, 8, 2]
    for text, ids in zip(TEXTS, tokenized["input_ids"], strict=True):
        assert ids == tiny_tokenizer(text, truncation=True, max_length=8)["input_ids"]
    # The fourth text has eight tokens and is whole.
    assert "20.0 % of 5 texts are cut at 8 tokens" in caplog.text


def test_without_labels(table, tiny_tokenizer):
    assert "labels" not in tokenize(table.remove_columns("label"), tiny_tokenizer, 8).column_names


def test_cached_whatever_the_tokenizer_did_before(table, tiny_tokenizer):
    tokenizer = copy.deepcopy(tiny_tokenizer)
    first = tokenize(table, tokenizer, 8)
    tokenizer(TEXTS, padding=True)
    tokenizer(TEXTS, padding="max_length", truncation=True, max_length=5)
    second = tokenize(table, tokenizer, 8)
    assert first.cache_files and first.cache_files == second.cache_files
    assert first._fingerprint == second._fingerprint
    assert tokenize(table, tokenizer, 6).cache_files != first.cache_files


@pytest.mark.parametrize("family", FAMILIES)
def test_whole_words_of_every_kind_of_vocabulary(family: str) -> None:
    tokenizer = family_tokenizer(family)
    words = whole_words(tokenizer)
    assert {word for word in WORDS if word.isalpha() and len(word) > 1} <= set(words)
    assert all(word.isalpha() for word in words)
    for word, row in words.items():
        assert tokenizer.convert_tokens_to_string([tokenizer.convert_ids_to_tokens(row)]).strip() == word


def test_words_of_other_letters_are_read_as_they_are_written() -> None:
    tokenizer = family_tokenizer("roberta", [*WORDS, "café", "schön"])
    assert {"café", "schön"} <= set(whole_words(tokenizer))
