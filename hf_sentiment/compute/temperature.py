"""The temperature of a classifier's probabilities, and what its losses are at it."""

from __future__ import annotations

import numpy as np
from scipy import special
from scipy.optimize import minimize_scalar

# How sure it is beforehand that a temperature is 1: the inverse scale of a Laplace distribution of its logarithm, in
# nats. Of 16, 64 and 256 texts it costs a calibrated model at most 0.0006 nats a text in the mean of many draws, and
# mends most of what is wrong with others (benchmarks/README.md).
PRIOR_STRENGTH = 6.0
_LOG_TEMPERATURES = np.linspace(-np.log(100), np.log(100), 201)


def fit_temperature(logits: np.ndarray, references: np.ndarray) -> float:
    """The most probable temperature T of softmax(logits / T), if before any text 1 is the most probable one.

    Log loss (Guo et al. 2017), summed over texts, plus `PRIOR_STRENGTH * |log T|`: few texts leave 1, as they cannot
    tell, and no number of texts that are all right sends it to nothing.

    Args:
        logits: `[texts, labels]`, of texts that were not trained on.
        references: Label indices, `[texts]`.
    """
    logits = np.asarray(logits, dtype=np.float64)

    def cost(log_temperature: float) -> float:
        losses = _losses(logits / np.exp(log_temperature), references)
        return float(losses.sum() + PRIOR_STRENGTH * abs(log_temperature))

    # A grid first, since the prior has a kink at 1; then a search between the neighbours of the best point.
    costs = [cost(value) for value in _LOG_TEMPERATURES]
    best = int(np.argmin(costs))
    if _LOG_TEMPERATURES[best] == 0:  # at the kink: exactly 1
        return 1.0
    between = _LOG_TEMPERATURES[max(0, best - 1)], _LOG_TEMPERATURES[min(best + 1, len(costs) - 1)]
    return float(np.exp(minimize_scalar(cost, bounds=between, method="bounded").x))


def calibrated_losses(logits: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Log loss of each text at the temperature that all of them are fitted best by, `[texts]`.

    Args:
        logits: `[texts, labels]`.
        references: Label indices, `[texts]`.
    """
    return _losses(np.asarray(logits, dtype=np.float64) / fit_temperature(logits, references), references)


def _losses(logits: np.ndarray, references: np.ndarray) -> np.ndarray:
    losses: np.ndarray = -special.log_softmax(logits, axis=1)[np.arange(len(references)), references]
    return losses
