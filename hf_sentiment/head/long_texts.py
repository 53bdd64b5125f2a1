"""The rule by which a model answers for texts that are longer than those it learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from hf_sentiment.compute.temperature import PRIOR_STRENGTH
from hf_sentiment.inference.pieces import count_words, default_rule, pieces_of

# Percentile of the words that were learned from which a piece has at most.
_LONGEST = 99
# So many texts tell of the lengths of all.
_SAMPLE = 4000
# Standard deviation beforehand of the shift of a label, in logits: about that of models of films' on products.
_SHIFT_DEVIATION = 0.25


def lengths_rule(texts: Sequence[str], tokens: Sequence[int], max_length: int, labels: int) -> dict[str, Any]:
    """The rule with pieces of the lengths that were learned from: half their median at least, at most what 99 % have.

    Args:
        texts: Of the training; without any the rule is the default one.
        tokens: How many of each were read, special ones included, `[texts]`.
        max_length: Tokens after which they were cut.
        labels: How many the model has.
    """
    rule = default_rule(labels)
    if not len(texts):
        return rule
    drawn = np.random.default_rng(0).permutation(len(texts))[:_SAMPLE]
    words, read = np.array([[count_words(texts[row]), tokens[row]] for row in drawn.tolist()]).T
    cut = read >= max_length
    # Of a text that was cut, about as many words were read as the others have in so many tokens.
    rate = np.median(words[~cut] / read[~cut]) if not cut.all() else 0.5
    words = np.where(cut, np.minimum(words, rate * max_length), words)
    # Single sentences are the least biased pieces, and shorter ones say little (benchmarks/README.md).
    least, longest = np.median(words) / 2, np.percentile(words, _LONGEST)
    return rule | {"least": max(1, round(least)), "longest": max(2, round(longest))}


def fit_rule(
    logits_of: Callable[[list[str]], np.ndarray],
    texts: Sequence[str],
    references: Sequence[int],
    rule: dict[str, Any],
) -> dict[str, Any]:
    """The rule with the scale and the shift that the long texts among these are most probable by, few change little.

    Log loss, summed over texts, plus `PRIOR_STRENGTH` times the squared change of the scale's logarithm, and the
    squared change of the shift in units of a quarter of a logit, by two.

    Args:
        logits_of: The model.
        texts: Not trained on; those that are not long are left out.
        references: Their label indices, `[texts]`.
        rule: The one beforehand.
    """
    pieces = [pieces_of(text, rule) for text in texts]
    long = [row for row, of in enumerate(pieces) if len(of) > 1]
    if not long:
        return rule
    means = np.array([logits_of(pieces[row]).mean(axis=0) for row in long])  # [long texts, labels]
    labels = np.asarray(references)[long]

    def cost(change: np.ndarray) -> float:
        logits = rule["scale"] * np.exp(change[0]) * (means - rule["shift"] - change[1:])
        losses = logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]
        prior = PRIOR_STRENGTH * change[0] ** 2 + np.sum((change[1:] / _SHIFT_DEVIATION) ** 2) / 2
        return float(losses.sum() + prior)

    change = minimize(cost, np.zeros(1 + means.shape[1])).x
    shift = [round(float(value), 4) for value in rule["shift"] + change[1:]]
    return rule | {"scale": round(float(rule["scale"] * np.exp(change[0])), 4), "shift": shift}
