"""Temperature scaling and logit adjustment, folded into the head: every consumer of the weights has them."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def fold_temperature(classifier: nn.Linear, temperature: float) -> None:
    """Temperature scaling (Guo et al. 2017, arXiv:1706.04599): divide weights and bias by the temperature, in place.

    Args:
        classifier: The head.
        temperature: As `compute.temperature.fit_temperature` found it.
    """
    with torch.no_grad():  # (Wx + b) / T = (W/T)x + b/T
        classifier.weight.div_(temperature)
        classifier.bias.div_(temperature)


def adjust_logits(classifier: nn.Linear, counts: np.ndarray) -> None:
    """Subtract the logarithm of each label's share from its logit, in place, so that rare labels count as much.

    Post-hoc logit adjustment with a strength of 1 (Menon et al. 2021, arXiv:2007.07314, equation 9): best for the mean
    of the labels' recalls, at the price of accuracy and of probabilities that no longer mean shares.

    Args:
        classifier: The head, calibrated.
        counts: Training texts of each label, `[labels]`; none is 0.
    """
    with torch.no_grad():
        classifier.bias.sub_(torch.as_tensor(log_shares(counts)).to(classifier.bias))


def log_shares(counts: np.ndarray) -> np.ndarray:
    """The logarithm of each label's share, `[labels]`, of counts that are not 0."""
    return np.log(counts / counts.sum())
