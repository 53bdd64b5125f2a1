"""The baseline of words and characters, in scripts with blanks and without."""

from __future__ import annotations

import random

import numpy as np

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
