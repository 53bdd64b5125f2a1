"""The baseline of words and characters, in scripts with blanks and without."""

from __future__ import annotations

import random

import numpy as np
import pytest
from datasets import Dataset

from hf_sentiment.evaluation import baselines, report
from hf_sentiment.evaluation.baselines import tfidf_probabilities


def chinese_reviews(count: int) -> tuple[list[str], np.ndarray]:
    """Made-up reviews without blanks, and their labels: one character tells which, wherever it stands."""
    draw, labels = random.Random(0), np.arange(count) % 2
    texts = []
    for label in labels.tolist():
        letters = draw.choices("电影酒店房间键盘价格物流书店早餐屏幕", k=12)
        texts.append("".join(letters[:6]) + draw.choice(("差烂坏", "好赞棒")[label]) + "".join(letters[6:]))
    return texts, labels


def test_a_character_is_a_word_where_there_are_no_blanks() -> None:
    texts, labels = chinese_reviews(160)
    probabilities = tfidf_probabilities(texts[:60], labels[:60].tolist(), texts[60:], 2)
    # With pairs of characters alone, which are all that one long word has, it is 0.71.
    assert (probabilities.argmax(axis=1) == labels[60:]).mean() > 0.8


def test_of_very_many_texts_some_are_drawn_and_the_record_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = chinese_reviews(160)
    data = Dataset.from_dict({"text": texts, "label": labels})
    train, test, even = data.select(range(100)), data.select(range(100, 160)), np.full((60, 2), 0.5)
    assert report.evaluate_split(even, train, test, ["bad", "good"]).baselines.drawn is None
    whole = tfidf_probabilities(texts[:100], labels[:100], texts[100:], 2)
    monkeypatch.setattr(baselines, "_BATCH", 7)
    assert (tfidf_probabilities(texts[:100], labels[:100], texts[100:], 2) == whole).all()
    for module in (baselines, report):
        monkeypatch.setattr(module, "MOST_TEXTS", 80)
    drawn = tfidf_probabilities(texts[:100], labels[:100], texts[100:], 2)
    assert not np.allclose(drawn, whole) and (drawn.argmax(axis=1) == labels[100:]).mean() > 0.8
    record = report.evaluate_split(even, train, test, ["bad", "good"]).baselines
    assert record.drawn == 80 and record.majority is not None
    assert record.tfidf_logistic_regression is not None and record.tfidf_logistic_regression.accuracy.value > 0.8
