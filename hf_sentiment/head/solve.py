"""The linear head in closed form or by convex optimisation: a linear probe of labels, or a zero-shot head of a lexicon.

Linear probing first and fine-tuning then keeps pre-trained features from being distorted by a random head (LP-FT: Kumar
et al. 2022, arXiv:2202.10054).

Encoders differ in where their texts lie, how far apart they are and how much of that is sentiment: features are centred
and scaled, and how strongly the probe is regularised is chosen by cross-validation. Regularisation shortens the head,
and the strength that finds the best direction leaves it too short: so its length is a choice of its own.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.utils.class_weight import compute_sample_weight

from hf_sentiment.data.splits import label_folds
from hf_sentiment.head.features import LinearHead
from hf_sentiment.head.lexicon import LexiconPrior

logger = logging.getLogger(__name__)

# What is tried: inverse penalties on features of a mean square norm of 1, and how often the head is stretched.
INVERSE_PENALTIES = 10.0 ** (np.arange(-5, 6) / 3)
STRETCHES = np.geomspace(0.5, 8.0, 25)
# 16 texts choose badly (without this, up to 10 points below the best, benchmarks/README.md). So what is probable before
# any text is judged counts too: an inverse penalty (without a lexicon it is divided by the number of labels), what the
# square of a decade from there costs in nats, and a stretch. The lexicon's direction makes the head long already.
WITHOUT_LEXICON, WITH_LEXICON = (3.0, 8.0, 2.0), (2.4, 14.0, 1.0)
# Of a stretch e times as long or as short, in nats.
STRETCH_COST = 6.0
# More texts tell no better how strongly, and each is fitted some thirty times.
JUDGED_TEXTS = 2000
# How much cheaper the lexicon's direction is than any other one of the same length: its feature is doubled, so its
# weight costs a quarter. 1 to 4 differ by at most 0.3 points.
PRIOR_SCALE = 2.0
# Without labels: texts of a polarity of 1 have a valence of 1 on average, give or take the root of 2. So the log odds
# of positive against negative grow by 1 with each point of valence, which is within 0.02 nats of the best slope on both
# starter corpora, and what is within half a point of 0 is neutral, as in these corpora (Hutto & Gilbert, ICWSM 2014).
PRIOR_VARIANCE = 2.0
# Texts that the zero-shot head stands for beside the labelled ones. Of 4 to 32, 8 have the lowest log loss at 16 and 64
# labels of two encoders and both starter corpora; without them 16 labels of a bad draw are at chance.
IMAGINED_TEXTS = 8.0
# Three places and shares of a Gaussian, which has the same mean and variance (Gauss-Hermite quadrature).
_PLACES, _PARTS = np.array([-math.sqrt(3), 0.0, math.sqrt(3)]), np.array([1 / 6, 2 / 3, 1 / 6])
# Fewer unlabelled texts do not show where one polarity ends and the next begins.
LEAST_UNLABELED = 50


def linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    num_labels: int,
    prior: LexiconPrior | None = None,
    balanced: bool = False,
) -> LinearHead:
    """L2-regularised logistic regression of the labels on frozen features, wherever they lie and however far apart.

    The penalty and the length of the result are those with which folds are predicted best.

    Args:
        features: `[texts, hidden_size]`.
        labels: Label indices, `[texts]`.
        num_labels: Labels of the head.
        prior: Where valence is in the features: a direction that is penalised less than the others. Where it has the
            labels' polarities, some imagined texts of known valence count as well.
        balanced: Whether every label counts the same, whatever its share.

    Raises:
        ValueError: A label does not occur in `labels`.
    """
    missing = sorted(set(range(num_labels)) - set(np.unique(labels).tolist()))
    if missing:
        raise ValueError(f"no training text has label {missing[0]}: the head cannot be fitted on these texts")
    centre = features.mean(axis=0, dtype=np.float64)
    design = features - centre
    scale = float(np.sqrt((design**2).sum(axis=1).mean())) or 1.0  # 0 where all texts are the same
    design /= scale
    weights = compute_sample_weight("balanced" if balanced else None, labels)
    likely, decade_cost, stretch = WITHOUT_LEXICON if prior is None else WITH_LEXICON
    imagined = _Texts(design[:0], labels[:0], weights[:0])
    if prior is None:
        likely /= num_labels
    else:
        if prior.polarity is not None:
            shares = np.bincount(labels, weights) / weights.sum()
            imagined = _imagined(prior, prior.polarity, shares, centre, scale)
        # A further column, [texts, hidden_size + 1]: the lexicon's direction once more, and cheaper than the others.
        direction = PRIOR_SCALE * prior.weight / np.linalg.norm(prior.weight)
        design, beside = (np.column_stack([rows, rows @ direction]) for rows in (design, imagined.design))
        imagined = imagined._replace(design=beside)
    # Warm: each fit starts where the one before ended.
    regression = LogisticRegression(max_iter=1000, warm_start=True)
    texts = _Texts(design, labels, weights)
    inverse, stretch = _choose(regression, texts, imagined, num_labels, (likely, decade_cost, stretch))
    _fit(regression, inverse, texts, imagined)
    weight, bias = stretch * regression.coef_, regression.intercept_
    if prior is not None:  # the further column is a combination of the others, and is folded back into them
        weight = weight[:, :-1] + weight[:, -1:] * direction
    weight = weight / scale
    bias = bias - weight @ centre
    if num_labels == 2:  # scikit-learn has one row, of label 1: half of it for, half against
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearHead(weight, bias)


class _Texts(NamedTuple):
    """What a regression is fitted on: features `[texts, columns]`, labels `[texts]` and weights `[texts]`."""

    design: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def rows(self, rows: np.ndarray) -> _Texts:
        return _Texts(*(values[rows] for values in self))


def _imagined(
    prior: LexiconPrior, polarity: Sequence[float], shares: np.ndarray, centre: np.ndarray, scale: float
) -> _Texts:
    """Texts from which the zero-shot head would follow: of each label its share, whose valences are its Gaussian.

    They lie in the lexicon's direction from the centre of the texts.
    """
    valences = np.add.outer(polarity, math.sqrt(PRIOR_VARIANCE) * _PLACES).ravel()  # [labels * places]
    away = (valences - prior.valence(centre)) / (prior.weight @ prior.weight)
    labels, weights = np.repeat(np.arange(len(polarity)), len(_PLACES)), np.outer(shares, _PARTS).ravel()
    return _Texts(np.outer(away, prior.weight) / scale, labels, IMAGINED_TEXTS * weights)


def _fit(regression: LogisticRegression, inverse: float, texts: _Texts, imagined: _Texts) -> None:
    design, labels, weights = (np.concatenate(both) for both in zip(texts, imagined, strict=True))
    # Of two labels scikit-learn has one row, twice as long as each of ours, and the penalty is on the square.
    regression.set_params(C=2 * inverse if labels.max() == 1 else inverse).fit(design, labels, sample_weight=weights)


def _choose(
    regression: LogisticRegression,
    texts: _Texts,
    imagined: _Texts,
    num_labels: int,
    usual: tuple[float, float, float],
) -> tuple[float, float]:
    """Inverse penalty and stretch that are most probable given the log loss of folds, if there are any."""
    likely, decade_cost, length = usual
    # Every so many texts of each label.
    texts = texts.rows(np.argsort(texts.labels, kind="stable")[:: -(-len(texts.labels) // JUDGED_TEXTS)])
    texts, imagined = (some._replace(design=some.design.astype(np.float32)) for some in (texts, imagined))
    labels = texts.labels
    folds = label_folds(labels, num_labels, seed=0)  # none of a label with one text: then what is likely decides
    regressions = [clone(regression) for _ in folds]
    # What the logits are made of: slopes, which are stretched, and intercepts, which hold the labels' shares.
    slopes, intercepts = np.zeros((2, len(labels), num_labels))
    away = STRETCH_COST * np.abs(np.log(STRETCHES / length))
    costs: list[np.ndarray] = []  # of each penalty, [stretches]
    for inverse in INVERSE_PENALTIES:
        for one, (rest, held) in zip(regressions, folds, strict=True):
            _fit(one, inverse, texts.rows(rest), imagined)
            # One row is of the last label; the other's logit is 0.
            slopes[held, -len(one.coef_) :] = texts.design[held] @ one.coef_.T
            intercepts[held, -len(one.coef_) :] = one.intercept_
        logits = STRETCHES[:, None, None] * slopes + intercepts
        losses = logsumexp(logits, axis=2) - logits[:, np.arange(len(labels)), labels]
        costs.append(decade_cost * np.log10(inverse / likely) ** 2 + away + losses @ texts.weights)
        least = [cost.min() for cost in costs]
        if len(costs) > np.argmin(least) + 2:  # it has been getting worse, and weak penalties take the longest
            break
    penalty, stretch = np.unravel_index(np.argmin(costs), (len(costs), len(STRETCHES)))
    return float(INVERSE_PENALTIES[penalty]), float(STRETCHES[stretch])


def zero_shot_head(prior: LexiconPrior, unlabeled: np.ndarray | None = None) -> LinearHead:
    """A head without any label: linear discriminant analysis of valence, whose Gaussians nobody has to label.

    The means are the labels' polarities. With two labels and unlabelled texts, means, variance and the labels' shares
    are those of the Gaussian mixture that describes the texts' valences best (by expectation maximisation, from these
    means on).

    Args:
        prior: Where valence is in the features, with the labels' polarities.
        unlabeled: Features of texts of the same kind as those to come, `[texts, hidden_size]`.

    Raises:
        ValueError: The labels are no polarities.
    """
    if prior.polarity is None:
        raise ValueError("the labels are no polarities: without labelled texts no head can be made of a lexicon")
    means, variance = np.asarray(prior.polarity, dtype=np.float64), PRIOR_VARIANCE
    shares = np.full(len(means), 1 / len(means))
    if unlabeled is not None and len(means) > 2:
        logger.warning("The unlabelled texts are not used: with more than two labels they do more harm than good")
    elif unlabeled is not None and len(unlabeled) >= LEAST_UNLABELED:
        mixture = GaussianMixture(len(means), covariance_type="tied", means_init=means[:, None], random_state=0)
        mixture.fit(prior.valence(unlabeled)[:, None])
        fitted = mixture.means_[:, 0]
        if (fitted[0] < fitted[1]) == (means[0] < means[1]):
            means, variance, shares = fitted, float(mixture.covariances_[0, 0]), mixture.weights_
        else:  # the two groups have changed places: what they are, is not valence
            logger.warning("The unlabelled texts do not fall into two groups by valence: they are not used")
    # log(share * N(valence; mean, variance)) of each label, without the terms that all of them share, is linear in
    # valence, which is linear in the features.
    slopes = means / variance
    bias = slopes * prior.bias - means**2 / (2 * variance) + np.log(shares)
    return LinearHead(slopes[:, None] * prior.weight, bias)


def out_of_fold_logits(
    features: np.ndarray, labels: np.ndarray, num_labels: int, prior: LexiconPrior | None, balanced: bool, seed: int
) -> np.ndarray | None:
    """Logits `[texts, labels]` of every text by a probe that did not see it; `None` if a label has one text.

    Args:
        features: As in `linear_probe`.
        labels: As in `linear_probe`.
        num_labels: As in `linear_probe`.
        prior: As in `linear_probe`.
        balanced: As in `linear_probe`.
        seed: Of the folds, those of `label_folds`.
    """
    folds = label_folds(labels, num_labels, seed)
    if not folds:
        return None
    logits = np.empty((len(labels), num_labels))
    for rest, held in folds:
        probe = linear_probe(features[rest], labels[rest], num_labels, prior, balanced)
        logits[held] = probe.logits(features[held])
    return logits
