"""The temperature is found, and travels in the head's weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hf_sentiment.compute.temperature import fit_temperature
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.head.fold_in import adjust_logits, fold_temperature


def test_it_finds_the_temperature_that_the_logits_were_multiplied_by() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(20000, 3)) * 2
    references = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    assert abs(fit_temperature(logits * 3, references) - 3) < 0.15
    assert abs(fit_temperature(logits / 2, references) - 0.5) < 0.05


@pytest.mark.parametrize("texts", [2, 16, 64, 256, 4000])
@pytest.mark.parametrize("gap", [0.3, 4.0, 40.0])
def test_texts_that_are_all_right_do_not_send_it_to_nothing(texts: int, gap: float) -> None:
    references = np.arange(texts) % 2
    temperature = fit_temperature(gap * np.eye(2)[references], references)
    assert 0.02 < temperature <= 1
    assert temperature == 1 or texts * gap > 6  # else their whole loss is less than the prior's


def test_texts_that_are_all_wrong_do_not_send_it_to_infinity() -> None:
    assert 1 < fit_temperature(np.tile([3.0, 0.0], (16, 1)), np.ones(16, dtype=int)) < 90


@pytest.mark.parametrize("texts", [16, 64, 256])
def test_few_texts_do_no_harm_in_the_mean(texts: int) -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(3000, 1)) * [[1.2, -1.2]]
    references = np.array([generator.choice(2, p=row) for row in softmax(logits)])

    def loss(scaled: np.ndarray, rows: np.ndarray) -> float:
        return float(-np.log(softmax(scaled[rows])[np.arange(len(rows)), references[rows]]).mean())

    for wrong, most in ((1.0, 0.001), (3.0, 0.0), (0.5, 0.0)):  # too sure, or not sure enough
        gains = []
        for _ in range(50):
            rows = generator.permutation(len(logits))
            temperature = fit_temperature(wrong * logits[rows[:texts]], references[rows[:texts]])
            gains.append(loss(wrong * logits / temperature, rows[texts:]) - loss(wrong * logits, rows[texts:]))
        assert np.mean(gains) <= most, wrong


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
