"""Single texts of an evaluation: the most confident errors, and one good example of each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_sentiment.records.schema import Example, Mistake

# Texts that are quoted are read by people: of an example, its length in characters; of an error, where it is cut.
EXAMPLE_LENGTH = 120
ERROR_LENGTH = 300


def confident_errors(
    texts: Sequence[str], probabilities: np.ndarray, references: np.ndarray, labels: Sequence[str], most: int = 5
) -> tuple[Mistake, ...]:
    """The texts that were labelled wrongly with the highest probability, the worst first.

    Args:
        texts: The evaluated texts.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
        labels: Names, in index order.
        most: How many, at most.

    Returns:
        The mistakes, their texts cut after 300 characters.
    """
    predictions = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    # Rows; the sort is stable, so that of equals the first in the file comes first.
    wrong = np.flatnonzero(predictions != references)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    return tuple(
        Mistake(
            text=_one_line(texts[row], ERROR_LENGTH),
            label=labels[references[row]],
            prediction=labels[predictions[row]],
            probability=round(float(confidence[row]), 4),
        )
        for row in worst.tolist()
    )


def label_examples(
    texts: Sequence[str], probabilities: np.ndarray, references: np.ndarray, labels: Sequence[str]
) -> tuple[Example, ...]:
    """For each label the short text that was rightly given it with the highest probability; none where there is none.

    Args:
        texts: The evaluated texts.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
        labels: Names, in index order.
    """
    predictions = probabilities.argmax(axis=1)
    short = np.array([0 < len(text.strip()) <= EXAMPLE_LENGTH for text in texts])
    examples = []
    for index, name in enumerate(labels):
        # Rows of texts that have this label and got it.
        right = np.flatnonzero((predictions == index) & (references == index) & short)
        if len(right):
            best = int(right[probabilities[right, index].argmax()])
            probability = round(float(probabilities[best, index]), 4)
            examples.append(Example(name, _one_line(texts[best], EXAMPLE_LENGTH), probability))
    return tuple(examples)


def _one_line(text: str, length: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
