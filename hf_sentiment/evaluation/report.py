"""The evaluation of a run: the model beside its baselines, with intervals, as a record and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from hf_sentiment.data.sources import human_agreement
from hf_sentiment.data.splits import label_folds
from hf_sentiment.evaluation.baselines import majority_probabilities, tfidf_probabilities
from hf_sentiment.evaluation.examples import confident_errors, label_examples
from hf_sentiment.evaluation.metrics import bootstrap_intervals, classification_metrics, paired_differences

INTERVAL = "95 % percentile bootstrap over texts, 1,000 resamples, seed 0"
#: Names of the baselines in the record, and what they are called.
BASELINES = {"tfidf_logistic_regression": "TF-IDF + logistic regression", "majority": "majority label"}
_SHOWN = ("accuracy", "macro_f1", "log_loss")
# A third of the texts with fewer has an interval so wide that it says nothing.
_FEWEST = 30


def evaluate_probabilities(probabilities: np.ndarray, references: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Metrics with intervals, per-label figures and the confusion matrix, as plain JSON.

    Args:
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
        labels: Names, in index order.
    """
    predictions = np.asarray(probabilities).argmax(axis=1)
    indices = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        references, predictions, labels=indices, zero_division=0
    )
    return {
        "texts": len(references),
        "interval": INTERVAL,
        "model": with_intervals(probabilities, references),
        "per_class": [
            {
                "label": name,
                "precision": float(precision[index]),
                "recall": float(recall[index]),
                "f1": float(f1[index]),
                "texts": int(support[index]),
            }
            for index, name in enumerate(labels)
        ],
        "confusion_matrix": {
            "labels": list(labels),
            "counts": confusion_matrix(references, predictions, labels=indices).tolist(),
            "rows": "reference",
        },
    }


def evaluate_texts(probabilities: np.ndarray, test: Dataset, labels: Sequence[str]) -> dict[str, Any]:
    """`evaluate_probabilities`, the accuracy by length, and the most telling texts.

    Args:
        probabilities: Of the test texts, `[texts, labels]`.
        test: Labelled texts.
        labels: Names, in index order.
    """
    texts, references = test["text"][:], np.asarray(test["label"])
    return evaluate_probabilities(probabilities, references, labels) | {
        "split": "test",
        "by_length": accuracy_by_length(texts, probabilities, references),
        "errors": confident_errors(texts, probabilities, references, labels),
        "examples": label_examples(texts, probabilities, references, labels),
    }


def accuracy_by_length(texts: Sequence[str], probabilities: np.ndarray, references: np.ndarray) -> list[dict[str, Any]]:
    """Accuracy, with its interval, of the short, the middle and the long third of the texts, by their words.

    Args:
        texts: The evaluated texts.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.

    Returns:
        Rows of `name`, `words` (fewest and most), `texts` and `accuracy`; none of a third with fewer than 30 texts.
    """
    words = np.array([len(text.split()) for text in texts])
    thirds = np.searchsorted(np.quantile(words, [1 / 3, 2 / 3]), words)  # texts of one length stay together
    rows = []
    for index, name in enumerate(("short", "middle", "long")):
        found = np.flatnonzero(thirds == index)
        if len(found) >= _FEWEST:
            accuracy = with_intervals(probabilities[found], references[found])["accuracy"]
            length = [int(words[found].min()), int(words[found].max())]
            rows.append({"name": name, "words": length, "texts": len(found), "accuracy": accuracy})
    return rows


def evaluate_split(probabilities: np.ndarray, train: Dataset, test: Dataset, labels: Sequence[str]) -> dict[str, Any]:
    """The record of a test split: `evaluate_texts`, and the baselines.

    Args:
        probabilities: Of the test texts, `[texts, labels]`.
        train: Training texts, of which the baselines are made.
        test: Labelled texts.
        labels: Names, in index order.
    """
    return evaluate_texts(probabilities, test, labels) | evaluate_baselines(probabilities, train, test)


def evaluate_folds(probabilities: np.ndarray, train: Dataset, labels: Sequence[str], seed: int) -> dict[str, Any]:
    """As `evaluate_split`, of the training texts, each judged by a model that did not see it; so are the baselines.

    Args:
        probabilities: `[texts, labels]`.
        train: Labelled texts.
        labels: Names, in index order.
        seed: Of the baselines' folds.
    """
    texts, references = train["text"][:], np.asarray(train["label"])
    baselines: dict[str, np.ndarray] = {}
    for rest, held in label_folds(references, len(labels), seed):
        rest_texts, held_texts = [texts[row] for row in rest], [texts[row] for row in held]
        for name, found in _baseline_probabilities(rest_texts, references[rest], held_texts, len(labels)).items():
            baselines.setdefault(name, np.empty(probabilities.shape))[held] = found
    compared = _compared(probabilities, baselines, references)
    return evaluate_texts(probabilities, train, labels) | {"split": "cross-validation"} | compared


def with_intervals(probabilities: np.ndarray, references: np.ndarray) -> dict[str, dict[str, float]]:
    """Every metric as `{"value"}`, with `"low"` and `"high"` where it has an interval."""
    intervals = bootstrap_intervals(probabilities, references)
    result = {}
    for name, value in classification_metrics(probabilities, references).items():
        result[name] = {"value": value}
        if name in intervals:
            result[name] |= {"low": intervals[name][0], "high": intervals[name][1]}
    return result


def evaluate_baselines(probabilities: np.ndarray, train: Dataset, test: Dataset) -> dict[str, Any]:
    """`baselines`: the same metrics for the majority label and TF-IDF with logistic regression, and people where rated.

    `differences` from the first two are paired. Without training texts there is neither of them.

    Args:
        probabilities: Of the test texts, `[texts, labels]`.
        train: Training texts.
        test: Labelled texts.
    """
    record: dict[str, Any] = {"baselines": {}, "differences": {}}
    if len(train):
        found = _baseline_probabilities(train["text"], train["label"], test["text"], probabilities.shape[1])
        record = _compared(probabilities, found, np.asarray(test["label"]))
    if "ratings" in test.column_names:
        record["baselines"]["human"] = human_agreement(test["ratings"][:]).to_dict()
    return record


def _compared(probabilities: np.ndarray, baselines: Mapping[str, np.ndarray], references: np.ndarray) -> dict[str, Any]:
    """Every baseline's metrics, and how far the model is ahead of it."""
    return {
        "baselines": {name: with_intervals(found, references) for name, found in baselines.items()},
        "differences": {
            name: paired_differences(probabilities, found, references) for name, found in baselines.items()
        },
    }


def _baseline_probabilities(
    train_texts: Sequence[str], train_labels: Sequence[int], texts: Sequence[str], num_labels: int
) -> dict[str, np.ndarray]:
    """What the baselines say of `texts`, `[texts, labels]` by their names in the record."""
    return {
        "majority": majority_probabilities(train_labels, num_labels, len(texts)),
        "tfidf_logistic_regression": tfidf_probabilities(train_texts, train_labels, texts, num_labels),
    }


def metric_cell(metrics: Mapping[str, Mapping[str, float]], name: str) -> str:
    """`0.876 [0.855, 0.896]`, or the value alone."""
    entry = metrics[name]
    if "low" not in entry:
        return f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} [{entry['low']:.3f}, {entry['high']:.3f}]"


def report_rows(evaluation: Mapping[str, Any], binary: bool) -> list[dict[str, str]]:
    """The rows of the table of results: the model, its baselines, and one human rater."""
    sources = [("this model", evaluation["model"])]
    baselines = evaluation.get("baselines", {})
    sources += [(title, baselines[name]) for name, title in BASELINES.items() if name in baselines]
    rows = [{"name": title, **{name: metric_cell(entry, name) for name in _SHOWN}} for title, entry in sources]
    if "human" in baselines:
        human = baselines["human"]
        rows += [
            {"name": title, "accuracy": cell, "macro_f1": "", "log_loss": ""} for title, cell in _human(human, binary)
        ]
    return rows


def _human(human: Mapping[str, float], binary: bool) -> list[tuple[str, str]]:
    if not binary:
        return [("one human rater", f"{human['ternary']:.3f}")]
    return [
        ("one human rater, of those who decided", f"{human['decided']:.3f}"),
        ("one human rater, undecided counted half", f"{human['half']:.3f}"),
    ]


def shortfall(evaluation: Mapping[str, Any]) -> str | None:
    """One line where the model is not shown to be better than a baseline, in accuracy or macro-F1; else `None`."""
    found = {
        name: difference["accuracy"]
        for name, difference in evaluation.get("differences", {}).items()
        if all(entry["low"] <= 0 for entry in difference.values())
    }
    if not found:
        return None
    accuracy, baselines = evaluation["model"]["accuracy"]["value"], evaluation["baselines"]
    titles = BASELINES | {"majority": f"the {BASELINES['majority']}"}
    named = " or ".join(
        f"{titles[name]} ({baselines[name]['accuracy']['value']:.3f}, {entry['value']:+.3f} "
        f"[{entry['low']:+.3f}, {entry['high']:+.3f}])"
        for name, entry in found.items()
    )
    return f"Not shown to be better than {named}: its accuracy is {accuracy:.3f} on {evaluation['texts']} texts."


def report_lines(evaluation: Mapping[str, Any], binary: bool) -> list[str]:
    """The table of results as aligned lines."""
    kind = "cross-validated" if evaluation.get("split") == "cross-validation" else "test"
    header = {"name": f"{evaluation['texts']} {kind} texts", "accuracy": "accuracy", "macro_f1": "macro-F1"}
    rows = [header | {"log_loss": "log loss"}, *report_rows(evaluation, binary)]
    widths = {key: max(len(row[key]) for row in rows) for key in rows[0]}
    return ["  " + "  ".join(f"{row[key]:<{widths[key]}}" for key in widths).rstrip() for row in rows]
