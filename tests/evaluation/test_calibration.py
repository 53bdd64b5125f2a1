"""The temperature is found, and travels in the head's weights."""

from __future__ import annotations

import numpy as np
import torch

from hf_sentiment.evaluation.calibration import adjust_logits, fold_temperature
from hf_sentiment.evaluation.metrics import fit_temperature, softmax


def test_it_finds_the_temperature_that_the_logits_were_multiplied_by() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(20000, 3)) * 2
    references = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    assert abs(fit_temperature(logits * 3, references) - 3) < 0.15
    assert abs(fit_temperature(logits / 2, references) - 0.5) < 0.05


def test_separable_logits_do_not_run_away() -> None:
    assert 0.2 < fit_temperature(np.array([[4.0, 0.0], [0.0, 4.0]]), np.array([0, 1])) < 0.3


def test_folding_divides_the_logits_and_changes_no_label() -> None:
    head = torch.nn.Linear(4, 3)
    inputs = torch.randn(5, 4)
    before = head(inputs).detach()
    fold_temperature(head, 1.7)
    torch.testing.assert_close(head(inputs).detach(), before / 1.7)


def test_adjusted_logits_favour_rare_labels_by_the_logarithm_of_their_share() -> None:
    head = torch.nn.Linear(4, 3)
    inputs = torch.randn(5, 4)
    before = head(inputs).detach()
    adjust_logits(head, np.array([80, 15, 5]))
    gained = head(inputs).detach() - before
    torch.testing.assert_close(gained, -torch.tensor([0.8, 0.15, 0.05]).log().expand(5, 3))
    equal = torch.nn.Linear(4, 2)
    probabilities = equal(inputs).softmax(dim=1).detach()
    adjust_logits(equal, np.array([7, 7]))
    torch.testing.assert_close(equal(inputs).softmax(dim=1).detach(), probabilities)
