"""Single texts of an evaluation: the most confident errors, and one good example of each label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Texts that are quoted are read by people: of an example, its length in characters; of an error, where it is cut.
EXAMPLE_LENGTH = 120
ERROR_LENGTH = 300


def confident_errors(
    texts: Sequence[str], probabilities: np.ndarray, references: np.ndarray, labels: Sequence[str], most: int = 5
) -> list[dict[str, Any]]:
    """The texts that were labelled wrongly with the highest probability, the worst first.

    Args:
        texts: The evaluated texts.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
        labels: Names, in index order.
        most: How many, at most.

    Returns:
        Rows of `text` (cut after 300 characters), `label` (the right one), `prediction` and its `probability`.
    """
    predictions = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != references)
    return [
        {
            "text": _one_line(texts[index], ERROR_LENGTH),
            "label": labels[references[index]],
            "prediction": labels[predictions[index]],
            "probability": round(float(confidence[index]), 4),
        }
        for index in wrong[np.argsort(-confidence[wrong], kind="stable")][:most].tolist()
    ]


def label_examples(
    texts: Sequence[str], probabilities: np.ndarray, references: np.ndarray, labels: Sequence[str]
) -> list[dict[str, Any]]:
    """For each label the short text that was rightly given it with the highest probability; none where there is none.

    Args:
        texts: The evaluated texts.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
        labels: Names, in index order.

    Returns:
        Rows of `label`, `text` and `probability`.
    """
    predictions = probabilities.argmax(axis=1)
    short = np.array([0 < len(text.strip()) <= EXAMPLE_LENGTH for text in texts])
    rows = []
    for index, name in enumerate(labels):
        found = np.flatnonzero((predictions == index) & (references == index) & short)
        if len(found):
            best = int(found[probabilities[found, index].argmax()])
            probability = round(float(probabilities[best, index]), 4)
            rows.append({"label": name, "text": _one_line(texts[best], EXAMPLE_LENGTH), "probability": probability})
    return rows


def _one_line(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
