"""Weights on the way from where fine-tuning started to where it ended."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn


def copy_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of every parameter by name, on the host."""
    # On the host, so that fine-tuning has the accelerator's memory to itself.
    return {name: parameter.detach().to("cpu", copy=True) for name, parameter in model.named_parameters()}


def interpolate_weights(model: nn.Module, start: Mapping[str, torch.Tensor], share: float) -> None:
    """Put every parameter `share` of the way from `start` to where it is now, in place.

    Weights between a start that already predicts well and the end of a fine-tuning on few texts generalise better
    than either (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv:2109.01903, section 3).

    Args:
        model: Fine-tuned.
        start: Of `copy_weights`, before that.
        share: 1 changes nothing; near 0 is the start.

    Raises:
        KeyError: A parameter that was not there at the start.
    """
    # Parameters only: an encoder has no buffer that training changes.
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            before = start[name].to(parameter.device)
            parameter.copy_(torch.lerp(before, parameter, share))
