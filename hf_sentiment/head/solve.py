"""The linear head in closed form or by convex optimisation: a linear probe of labels, or a zero-shot head of a lexicon.

Linear probing first and fine-tuning then keeps pre-trained features from being distorted by a random head (LP-FT: Kumar
et al. 2022, arXiv:2202.10054).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

from hf_sentiment.data.splits import label_folds
from hf_sentiment.head.features import LinearHead
from hf_sentiment.head.lexicon import LexiconPrior

logger = logging.getLogger(__name__)

# Inverse regularisation on features scaled to a mean norm of 1. Of 0.1 to 10, the best or within 0.3 points and 0.01
# nats of it at 16 to 1,000 labels of both starter corpora (benchmarks/README.md).
HEAD_C = 3.0
# How much cheaper the lexicon's direction is than any other one of the same length: its feature is doubled, so its
# weight costs a quarter. 1 to 4 differ by at most 0.3 points.
PRIOR_SCALE = 2.0
# Without labels: texts of a polarity of 1 have a valence of 1 on average, give or take the root of 2. So the log odds
# of positive against negative grow by 1 with each point of valence, which is within 0.02 nats of the best slope on both
# starter corpora, and what is within half a point of 0 is neutral, as in these corpora (Hutto & Gilbert, ICWSM 2014).
PRIOR_VARIANCE = 2.0
# Fewer unlabelled texts do not show where one polarity ends and the next begins.
LEAST_UNLABELED = 50


def linear_probe(
    features: np.ndarray,
    labels: np.ndarray,
    num_labels: int,
    prior: LexiconPrior | None = None,
    balanced: bool = False,
) -> LinearHead:
    """L2-regularised logistic regression of the labels on frozen features.

    Args:
        features: `[texts, hidden_size]`.
        labels: Label indices, `[texts]`.
        num_labels: Labels of the head.
        prior: Where valence is in the features: a direction that is penalised less than the others.
        balanced: Whether every label counts the same, whatever its share.

    Raises:
        ValueError: A label does not occur in `labels`.
    """
    missing = sorted(set(range(num_labels)) - set(np.unique(labels).tolist()))
    if missing:
        raise ValueError(f"no training text has label {missing[0]}: the head cannot be fitted on these texts")
    # The same penalty means the same for every encoder: features have a mean norm of 1.
    scale = float(np.linalg.norm(features, axis=1).mean())
    design = features / scale
    if prior is not None:
        # A further column, [texts, hidden_size + 1]: the lexicon's direction once more, and cheaper than the others.
        direction = PRIOR_SCALE * prior.weight / np.linalg.norm(prior.weight)
        design = np.column_stack([design, design @ direction])
    weights = "balanced" if balanced else None
    regression = LogisticRegression(C=HEAD_C, max_iter=1000, class_weight=weights).fit(design, labels)
    weight, bias = regression.coef_, regression.intercept_
    if prior is not None:  # the further column is a combination of the others, and is folded back into them
        weight = weight[:, :-1] + weight[:, -1:] * direction
    weight = weight / scale
    if num_labels == 2:  # scikit-learn has one row, of label 1: half of it for, half against
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearHead(weight, bias)


def zero_shot_head(prior: LexiconPrior, polarity: Sequence[float], unlabeled: np.ndarray | None = None) -> LinearHead:
    """A head without any label: linear discriminant analysis of valence, whose Gaussians nobody has to label.

    The means are the labels' polarities. With two labels and unlabelled texts, means, variance and the labels' shares
    are those of the Gaussian mixture that describes the texts' valences best (by expectation maximisation, from these
    means on).

    Args:
        prior: Where valence is in the features.
        polarity: The labels' polarities, as `hf_sentiment.head.lexicon.polarity` gives them.
        unlabeled: Features of texts of the same kind as those to come, `[texts, hidden_size]`.
    """
    means, variance = np.asarray(polarity, dtype=np.float64), PRIOR_VARIANCE
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
