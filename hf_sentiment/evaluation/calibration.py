"""Calibration without an extra parameter: the temperature is folded into the linear head."""

from __future__ import annotations

import torch
from torch import nn


def fold_temperature(classifier: nn.Linear, temperature: float) -> None:
    """Divide weights and bias by the temperature, in place, so that every consumer of the weights is calibrated.

    Args:
        classifier: The head.
        temperature: As `evaluation.metrics.fit_temperature` found it.
    """
    with torch.no_grad():
        classifier.weight.div_(temperature)
        classifier.bias.div_(temperature)
