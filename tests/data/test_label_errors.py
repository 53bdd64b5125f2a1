"""Confident learning finds flipped labels, and ranks them first."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from hf_sentiment.data.audit import confident_disagreement, label_error_finding
from hf_sentiment.data.labels import BINARY, infer_label_rule
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.sources import load_data


def read(texts: list[str], labels: list[int]) -> Rows:
    names = [BINARY[label] for label in labels]
    return Rows.read(load_data(Dataset.from_dict({"text": texts, "label": names})), infer_label_rule(names))


def test_thresholds_are_the_mean_confidence_of_each_label() -> None:
    # Mean probability of label 0 among its rows: 0.6; of label 1 among its rows: 0.695.
    zero = np.array([0.9, 0.8, 0.35, 0.35, 0.2, 0.2, 0.2, 0.62])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found, suggested = confident_disagreement(np.column_stack([zero, 1 - zero]), labels)
    # The 0.65 of two rows for label 1 is over a half and under 0.695; only the last row, at 0.62 for label 0, is over.
    assert (found.tolist(), suggested.tolist()) == ([7], [0])


def test_the_most_certain_come_first() -> None:
    zero = np.array([0.9, 0.9, 0.05, 0.01, 0.1, 0.1, 0.995, 0.96])
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    found, _ = confident_disagreement(np.column_stack([zero, 1 - zero]), labels)
    assert found.tolist() == [6, 3, 7, 2]


@pytest.mark.parametrize("separation", [2.0, 4.0])
def test_flipped_labels_are_flagged(separation: float) -> None:
    generator = np.random.default_rng(0)
    true = np.arange(400) % 2
    features = generator.normal(size=(400, 8)) + separation * true[:, None] * np.eye(8)[0]
    flipped = generator.choice(400, 20, replace=False)
    given = true.copy()
    given[flipped] = 1 - given[flipped]
    rows = read([f"t{i}" for i in range(400)], given.tolist())
    finding = label_error_finding(rows, features.astype(np.float32))
    found = [example.row - 1 for example in finding.examples]
    hits = len(set(found) & set(flipped.tolist()))
    assert hits / 20 >= (0.9 if separation == 4 else 0.7)
    assert len(set(found[:10]) & set(flipped.tolist())) >= (8 if separation == 4 else 6)
    first = finding.examples[0]
    assert first.label != first.facts["suggested"] and first.facts["probability"] > 0.9
    assert finding.severity == "note" and finding.fixable == 0


def test_labels_with_too_few_texts_for_the_folds_are_left_out() -> None:
    finding = label_error_finding(read(["a", "b", "c"], [0, 1, 1]), np.eye(3, dtype=np.float32))
    assert finding.severity == "note" and "fewer than two labels" in finding.advice
