"""Temperature scaling without an extra parameter: the temperature is folded into the linear head."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from hf_sentiment.evaluation.metrics import softmax

# Beyond these the validation set is separable, or useless, and the optimum runs away.
_LOWEST, _HIGHEST = 0.25, 10.0


def fit_temperature(logits: np.ndarray, references: np.ndarray) -> float:
    """The temperature T that minimises the log loss of softmax(logits / T) (Guo et al. 2017), between 0.25 and 10.

    Args:
        logits: `[texts, labels]`, of texts that were not trained on.
        references: Label indices, `[texts]`.
    """
    rows = np.arange(len(references))

    def log_loss(log_temperature: float) -> float:
        probabilities = softmax(np.asarray(logits, dtype=np.float64) / np.exp(log_temperature))
        return float(-np.log(np.clip(probabilities[rows, references], 1e-12, 1.0)).mean())

    best = minimize_scalar(log_loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(best.x))


def fold_temperature(classifier: nn.Linear, temperature: float) -> None:
    """Divide weights and bias by the temperature, in place, so that every consumer of the weights is calibrated."""
    with torch.no_grad():
        classifier.weight.div_(temperature)
        classifier.bias.div_(temperature)
