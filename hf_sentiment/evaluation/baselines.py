"""What a result is compared with: the majority label and TF-IDF with logistic regression."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, islice

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from hf_sentiment.data.language import words
from hf_sentiment.data.texts import Texts

# Texts that the second learns from at most: 80,000 took a gigabyte more than none.
MOST_TEXTS = 50_000
_BATCH = 10_000


def majority_probabilities(train_labels: Sequence[int] | np.ndarray, num_labels: int, num_texts: int) -> np.ndarray:
    """The training split's label shares for every text, `[num_texts, num_labels]`."""
    counts = np.bincount(np.asarray(train_labels), minlength=num_labels)
    return np.tile(counts / counts.sum(), (num_texts, 1))


def tfidf_probabilities(
    train_texts: Sequence[str] | Texts,
    train_labels: Sequence[int] | np.ndarray,
    texts: Sequence[str] | Texts,
    num_labels: int,
) -> np.ndarray:
    """Probabilities `[texts, num_labels]` of logistic regression on TF-IDF of words (1–2) and characters (2–4).

    scikit-learn's defaults but for the n-gram ranges, sublinear counts and C = 10; nothing is tuned on the test texts.
    Of more than 50,000 texts to learn from so many are drawn.

    Args:
        train_texts: Texts to learn from.
        train_labels: Their label indices.
        texts: Texts to predict.
        num_labels: Labels of the task, some of which the training texts may lack.
    """
    if len(train_texts) > MOST_TEXTS:
        is_drawn = np.arange(len(train_texts)) < MOST_TEXTS
        np.random.default_rng(0).shuffle(is_drawn)
        train_texts = list(compress(train_texts, is_drawn))
        train_labels = np.asarray(train_labels)[is_drawn]
    features = make_union(
        # What stands between blanks, so that ":)" and "!!" count as words; letters where there are no blanks.
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1, tokenizer=words, token_pattern=None),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, min_df=2 if len(train_texts) > 500 else 1
        ),
    )
    model = make_pipeline(features, LogisticRegression(C=10.0, max_iter=1000))
    model.fit(list(train_texts), np.asarray(train_labels))
    # A label that no training text has keeps a probability of 0.
    probabilities = np.zeros((len(texts), num_labels))
    remaining = iter(texts)
    for start in range(0, len(texts), _BATCH):
        batch = list(islice(remaining, _BATCH))
        probabilities[start : start + _BATCH, model.classes_] = model.predict_proba(batch)
    return probabilities
