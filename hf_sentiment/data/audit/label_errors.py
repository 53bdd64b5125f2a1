"""Probable label errors: rows whose label an out-of-fold classifier confidently disagrees with.

Confident learning (Northcutt, Jiang & Chuang 2021, JAIR 70, arXiv:1911.00068): a row of label i is suspicious if its
out-of-fold probability of another label j is at least the mean probability of j among the rows that are labelled j. The
classifier is a logistic regression on the frozen features of the encoder that is to be fine-tuned.
"""

from __future__ import annotations

import numpy as np

from hf_sentiment.data.audit.findings import MAX_EXAMPLES, Finding, graded
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.splits import FOLDS, label_folds

# Up to so many texts label errors are looked for unasked: a forward pass over short ones takes about a minute.
DEFAULT_TEXTS = 5_000

# The inverse regularisation that its figures in benchmarks/README.md were measured with.
_C = 10.0
_TITLE = "probable label errors"


def confident_disagreement(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The suspicious rows, the most certain first, and the labels suggested for them.

    Args:
        probabilities: Out of fold, `[rows, labels]`.
        labels: The given ones, `[rows]`; each occurs.

    Returns:
        Row numbers, and for each the suggested label: the most probable of those over their threshold. They are ranked
        by the probability of the suggested label less that of the given one.
    """
    # A label's threshold is its mean probability among the rows that have it: hard labels are believed earlier.
    columns = np.arange(probabilities.shape[1])
    thresholds = np.array([probabilities[labels == label, label].mean() for label in columns])
    # Of each row the labels over their thresholds, `[rows, labels]`; -1 is below any probability.
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    rows = np.arange(len(labels))
    suspects = np.flatnonzero((confident.max(axis=1) >= 0) & (suggested != labels))
    margin = (probabilities[rows, suggested] - probabilities[rows, labels])[suspects]
    order = np.argsort(-margin, kind="stable")
    return suspects[order], suggested[suspects][order]


def out_of_fold(features: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities `[rows, labels]` of a logistic regression that has not seen the row; labels are 0...k-1."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    # A mean norm of 1, so that the regularisation means the same for every encoder.
    scaled = features / np.linalg.norm(features, axis=1).mean()
    regression = LogisticRegression(C=_C, max_iter=1_000)
    folds = label_folds(labels, int(labels.max()) + 1, seed)
    return cross_val_predict(regression, scaled, labels, cv=folds, method="predict_proba")


def label_error_finding(rows: Rows, features: np.ndarray, seed: int = 42) -> Finding:
    """The rows whose label is probably wrong, with the label suggested and its probability.

    Args:
        rows: Usable ones.
        features: `[rows, hidden_size]`, of the frozen encoder.
        seed: Of the folds.
    """
    present, labels = np.unique(rows.codes, return_inverse=True)
    enough = np.flatnonzero(np.bincount(labels) >= FOLDS)
    # A label with fewer rows than folds is not in all of them: its rows are neither judged nor learned from.
    judged = np.flatnonzero(np.isin(labels, enough))
    if len(enough) < 2:
        return _finding(f"not looked for: fewer than two labels have {FOLDS} texts")
    # `dense` numbers the labels that are left from 0 on, as columns of the probabilities.
    _, dense = np.unique(labels[judged], return_inverse=True)
    probabilities = out_of_fold(features[judged], dense, seed)
    suspects, suggested = confident_disagreement(probabilities, dense)
    examples = []
    for i, other in zip(suspects[:MAX_EXAMPLES], suggested, strict=False):
        name = rows.rule.labels[present[enough[other]]]
        probability = float(probabilities[i, other])
        says = f"rather {name}, probability {probability:.2f}"
        facts = {"suggested": name, "probability": round(probability, 4)}
        examples.append(rows.example(int(judged[i]), says, **facts))
    advice = "read the first of them, and correct what is wrong; many are only hard; --fix leaves all as they are"
    return graded("label_errors", _TITLE, len(suspects), len(judged), advice, examples=tuple(examples))


def not_searched(texts: int) -> Finding:
    """The finding where nobody looked."""
    return _finding("not looked for: --label_errors does, at the cost of a forward pass" if texts else "")


def _finding(advice: str) -> Finding:
    # A note: what nobody looked at is not all right.
    return Finding("label_errors", _TITLE, "note" if advice else "ok", 0, 0, advice)
