"""Metrics equal scikit-learn's, and their intervals cover."""

from __future__ import annotations

from dataclasses import replace

import evaluate
import numpy as np
import pytest
from datasets import Dataset
from sklearn import metrics as reference
from transformers import EvalPrediction

from hf_sentiment.evaluation.metrics import (
    TRAINER_METRICS,
    SentimentMetrics,
    bootstrap_intervals,
    classification_metrics,
    compute_metrics,
    expected_calibration_error,
    paired_differences,
    softmax,
)
from hf_sentiment.evaluation.report import evaluate_texts, shortfall, with_intervals
from hf_sentiment.records.schema import Baselines, Difference
from hf_sentiment.records.serialization import from_json


def draw(texts: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(labels), size=texts)
    return probabilities, np.array([generator.choice(labels, p=row) for row in probabilities])


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_they_equal_scikit_learns(labels: int) -> None:
    probabilities, references = draw(300, labels)
    predictions = probabilities.argmax(axis=1)
    found = classification_metrics(probabilities, references)
    one_hot = np.eye(labels)[references]
    expected = {
        "accuracy": reference.accuracy_score(references, predictions),
        "macro_f1": reference.f1_score(references, predictions, average="macro"),
        "mcc": reference.matthews_corrcoef(references, predictions),
        "log_loss": reference.log_loss(references, probabilities),
        "brier": ((probabilities - one_hot) ** 2).sum(axis=1).mean(),
        "auroc": reference.roc_auc_score(
            references, probabilities[:, 1] if labels == 2 else probabilities, multi_class="ovr"
        ),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_a_label_that_is_missing_leaves_auroc_out_and_no_nan() -> None:
    found = classification_metrics(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 0]))
    assert "auroc" not in found
    assert all(np.isfinite(value) for value in found.values())
    assert found["mcc"] == 0.0


def test_a_certain_error_is_not_infinite() -> None:
    assert np.isfinite(classification_metrics(np.array([[1.0, 0.0]]), np.array([1]))["log_loss"])


def test_calibration_error_of_known_cases() -> None:
    sure = np.tile([1.0, 0.0], (4, 1))
    assert expected_calibration_error(sure, np.array([0, 0, 0, 0])) == 0.0
    assert expected_calibration_error(sure, np.array([0, 0, 1, 1])) == 0.5


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(60):
        probabilities, references = draw(200, 2, seed)
        low, high = bootstrap_intervals(probabilities, references)["accuracy"]
        covered += low <= 0.75 <= high  # E[max(p, 1 - p)] of a uniform p
    assert covered >= 52


def test_intervals_are_the_same_every_time() -> None:
    probabilities, references = draw(50, 3)
    assert bootstrap_intervals(probabilities, references) == bootstrap_intervals(probabilities, references)


def test_it_is_a_metric_of_evaluate() -> None:
    probabilities, references = draw(40, 3)
    expected = classification_metrics(probabilities, references)
    state = np.random.get_state()[1].tolist()
    assert SentimentMetrics().compute(predictions=probabilities, references=references) == expected
    metric = SentimentMetrics()
    for rows in np.array_split(np.arange(40), 3):
        metric.add_batch(predictions=probabilities[rows].tolist(), references=references[rows].tolist())
    assert evaluate.combine([metric]).compute() == expected
    assert np.random.get_state()[1].tolist() == state


def test_the_trainers_metrics_are_that_metrics() -> None:
    logits = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    references = draw(60, 3)[1]
    found = compute_metrics(EvalPrediction(predictions=logits, label_ids=references))
    assert set(found) == set(TRAINER_METRICS)
    expected = SentimentMetrics().compute(predictions=softmax(logits), references=references)
    assert all(found[name] == expected[name] for name in found if name != "calibrated_loss")


def test_softmax_does_not_overflow() -> None:
    np.testing.assert_allclose(softmax(np.array([[1000.0, 0.0], [0.0, 0.0]])), [[1.0, 0.0], [0.5, 0.5]])


def test_differences_are_paired_and_a_model_that_is_not_ahead_is_said_to_be_so() -> None:
    generator = np.random.default_rng(0)
    references = generator.integers(2, size=200)
    good, chance = (
        np.eye(2)[np.where(generator.random(200) < rate, references, 1 - references)] for rate in (0.9, 0.5)
    )
    found = paired_differences(good, chance, references)
    assert found["accuracy"]["low"] > 0.2 and found["accuracy"]["low"] < found["accuracy"]["value"]
    same = paired_differences(good, good, references)["macro_f1"]
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)
    for model, named in ((good, False), (chance, True)):
        difference = from_json(Difference, paired_differences(model, chance, references))
        test = Dataset.from_dict({"text": ["a"] * 200, "label": references})
        record = evaluate_texts(model, test, ["negative", "positive"])
        assert shortfall(record) is None
        baselines = Baselines(majority=with_intervals(chance, references))
        line = shortfall(replace(record, baselines=baselines, differences={"majority": difference}))
        assert (line is not None) == named
    assert line is not None and "better than the majority label (" in line and "on 200 texts" in line


def test_all_right_is_no_certainty() -> None:
    right, tail = np.tile([0.1, 0.9], (93, 1)), 0.025 ** (1 / 93)
    assert bootstrap_intervals(right, np.ones(93, dtype=int))["accuracy"] == pytest.approx((tail, 1.0))
    assert bootstrap_intervals(right, np.zeros(93, dtype=int))["accuracy"] == pytest.approx((0.0, 1 - tail))
