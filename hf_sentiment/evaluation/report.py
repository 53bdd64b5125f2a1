"""The evaluation of a run: the model beside its baselines, with intervals, as a record and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from hf_sentiment.data.language import words
from hf_sentiment.data.sources import human_agreement
from hf_sentiment.data.splits import label_folds
from hf_sentiment.data.texts import Texts, numbers
from hf_sentiment.evaluation.baselines import MOST_TEXTS, majority_probabilities, tfidf_probabilities
from hf_sentiment.evaluation.examples import confident_errors, label_examples
from hf_sentiment.evaluation.metrics import bootstrap_intervals, classification_metrics, paired_differences, reliability
from hf_sentiment.records.schema import (
    Baselines,
    Comparison,
    Confusion,
    Difference,
    Estimate,
    HumanAgreement,
    LabelMetrics,
    LengthAccuracy,
    Measurement,
    Metrics,
    Slice,
    Value,
)
from hf_sentiment.table import table_lines

INTERVAL = "95 % percentile bootstrap over texts, 1,000 resamples, seed 0"
# Names of the baselines in the record, and what they are called.
BASELINES = {"tfidf_logistic_regression": "TF-IDF + logistic regression", "majority": "majority label"}
# A third or a slice of the texts with fewer has an interval so wide that it says nothing.
FEWEST = 30


def evaluate_texts(probabilities: np.ndarray, test: Dataset, labels: Sequence[str]) -> Measurement:
    """Metrics with intervals, per-label figures, the accuracy by length, and the most telling texts.

    Args:
        probabilities: Of the test texts, `[texts, labels]`.
        test: Labelled texts.
        labels: Names, in index order.
    """
    texts, references = test["text"][:], numbers(test, "label")
    predictions = np.asarray(probabilities).argmax(axis=1)
    indices = list(range(len(labels)))
    # Four arrays `[labels]`; a label that no text has, or is given, counts as 0.
    columns = precision_recall_fscore_support(references, predictions, labels=indices, zero_division=0)
    rows = zip(labels, *(column.tolist() for column in columns), strict=True)
    counts = confusion_matrix(references, predictions, labels=indices).tolist()
    return Measurement(
        split="test",
        texts=len(references),
        interval=INTERVAL,
        model=with_intervals(probabilities, references),
        per_class=tuple(LabelMetrics(*row) for row in rows),
        confusion_matrix=Confusion(tuple(labels), tuple(map(tuple, counts))),
        by_length=accuracy_by_length(texts, probabilities, references),
        reliability=reliability(probabilities, references),
        errors=confident_errors(texts, probabilities, references, labels),
        examples=label_examples(texts, probabilities, references, labels),
        seen=None,
    )


def accuracy_by_length(
    texts: Sequence[str], probabilities: np.ndarray, references: np.ndarray
) -> tuple[LengthAccuracy, ...]:
    """Accuracy, with its interval, of the short, the middle and the long third of the texts, by their words.

    Args:
        texts: The evaluated texts.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.

    Returns:
        A row for each third; none of one with fewer than 30 texts.
    """
    # Words and not tokens: what a reader of the report can count.
    lengths = np.array([len(words(text)) for text in texts])
    thirds = np.searchsorted(np.quantile(lengths, [1 / 3, 2 / 3]), lengths)  # texts of one length stay together
    rows = []
    for index, name in enumerate(("short", "middle", "long")):
        third = np.flatnonzero(thirds == index)
        if len(third) >= FEWEST:
            accuracy = with_intervals(probabilities[third], references[third]).accuracy
            length = int(lengths[third].min()), int(lengths[third].max())
            rows.append(LengthAccuracy(name, length, len(third), accuracy))
    return tuple(rows)


def evaluate_split(probabilities: np.ndarray, train: Dataset, test: Dataset, labels: Sequence[str]) -> Measurement:
    """The record of a test split: `evaluate_texts` and, where they can be made, the baselines.

    Those are the majority label and TF-IDF with logistic regression, from which the differences are paired, and people
    where the texts were rated.

    Args:
        probabilities: Of the test texts, `[texts, labels]`.
        train: Training texts, of which the baselines are made.
        test: Labelled texts.
        labels: Names, in index order.
    """
    record = evaluate_texts(probabilities, test, labels)
    if len(train):
        baselines = _baseline_probabilities(Texts([train]), numbers(train, "label"), Texts([test]), len(labels))
        record = _compared(record, probabilities, baselines, numbers(test, "label"))
        if len(train) > MOST_TEXTS:
            record = replace(record, baselines=replace(record.baselines, drawn=MOST_TEXTS))
    if "ratings" in test.column_names:
        record = replace(record, baselines=replace(record.baselines, human=human_agreement(test["ratings"][:])))
    return record


def evaluate_folds(probabilities: np.ndarray, train: Dataset, labels: Sequence[str], seed: int) -> Measurement:
    """As `evaluate_split`, of the training texts, each judged by a model that did not see it; so are the baselines.

    Args:
        probabilities: `[texts, labels]`.
        train: Labelled texts.
        labels: Names, in index order.
        seed: Of the baselines' folds.
    """
    texts, references = train["text"][:], numbers(train, "label")
    baselines: dict[str, np.ndarray] = {}  # [texts, labels] each, filled fold by fold
    for rest, held in label_folds(references, len(labels), seed):
        rest_texts, held_texts = [texts[row] for row in rest], [texts[row] for row in held]
        of_fold = _baseline_probabilities(rest_texts, references[rest], held_texts, len(labels))
        for name, values in of_fold.items():
            baselines.setdefault(name, np.empty(probabilities.shape))[held] = values
    record = replace(evaluate_texts(probabilities, train, labels), split="cross-validation")
    return _compared(record, probabilities, baselines, references)


def with_intervals(probabilities: np.ndarray, references: np.ndarray) -> Metrics:
    """Every metric, with an interval where it has one.

    Args:
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
    """
    intervals = bootstrap_intervals(probabilities, references)  # none of auroc and ece
    values = classification_metrics(probabilities, references).items()
    figures: dict[str, Any] = {
        name: Estimate(value, *intervals[name]) if name in intervals else Value(value) for name, value in values
    }
    return Metrics(**figures)


def _compared(
    record: Measurement, probabilities: np.ndarray, baselines: Mapping[str, np.ndarray], references: np.ndarray
) -> Measurement:
    """The record with every baseline's metrics, and how far the model is ahead of it."""
    differences = {name: _difference(probabilities, others, references) for name, others in baselines.items()}
    metrics: dict[str, Any] = {name: with_intervals(others, references) for name, others in baselines.items()}
    return replace(record, baselines=Baselines(**metrics), differences=differences)


def _difference(probabilities: np.ndarray, others: np.ndarray, references: np.ndarray) -> Difference:
    figures = paired_differences(probabilities, others, references)
    return Difference(**{metric: Estimate(**figure) for metric, figure in figures.items()})


def compared_with(
    record: Measurement, name: str, probabilities: np.ndarray, others: np.ndarray, references: np.ndarray
) -> Measurement:
    """The record with another model beside it.

    Args:
        record: Of the model.
        name: Of the other.
        probabilities: Of the model, `[texts, labels]`.
        others: Of the other.
        references: Label indices, `[texts]`.
    """
    ours, theirs = (one.argmax(axis=1) == references for one in (probabilities, others))
    # Whether each is right: [this][other].
    counts = [[int(np.sum((ours == this) & (theirs == other))) for other in (True, False)] for this in (True, False)]
    (both_right, only_this), (only_other, both_wrong) = counts
    # McNemar's test: of the texts on which one alone is right, each should have half.
    differing = only_this + only_other
    against = Comparison(
        name=name,
        model=with_intervals(others, references),
        difference=_difference(probabilities, others, references),
        both_right=both_right,
        only_this=only_this,
        only_other=only_other,
        both_wrong=both_wrong,
        p_value=float(binomtest(only_this, differing).pvalue) if differing else 1.0,
    )
    return replace(record, against=against)


def _baseline_probabilities(
    train_texts: Sequence[str] | Texts, train_labels: np.ndarray, texts: Sequence[str] | Texts, num_labels: int
) -> dict[str, np.ndarray]:
    """What the baselines say of `texts`, `[texts, labels]` by their names in the record."""
    return {
        "majority": majority_probabilities(train_labels, num_labels, len(texts)),
        "tfidf_logistic_regression": tfidf_probabilities(train_texts, train_labels, texts, num_labels),
    }


def compared_models(evaluation: Measurement) -> Iterator[tuple[str, Metrics]]:
    """The model, another and the baselines, where they are there, in the order of tables, by what they are called."""
    yield "this model", evaluation.model
    if evaluation.against is not None:
        yield "the other model", evaluation.against.model
    for name, title in BASELINES.items():
        metrics = getattr(evaluation.baselines, name)
        if metrics is not None:
            yield title, metrics


def report_rows(evaluation: Measurement) -> list[dict[str, str]]:
    """The rows of the table of results: the model, its baselines, and one human rater."""
    rows = [
        {"name": title, "accuracy": str(of.accuracy), "macro_f1": str(of.macro_f1), "log_loss": str(of.log_loss)}
        for title, of in compared_models(evaluation)
    ]
    human = evaluation.baselines.human
    if human is not None:
        people = _human(human, binary=len(evaluation.per_class) == 2)
        rows += [{"name": title, "accuracy": cell, "macro_f1": "", "log_loss": ""} for title, cell in people]
    return rows


def _human(human: HumanAgreement, binary: bool) -> list[tuple[str, str]]:
    if not binary:
        return [("one human rater", f"{human.ternary:.3f}")]
    return [
        ("one human rater, of those who decided", f"{human.decided:.3f}"),
        ("one human rater, undecided counted half", f"{human.half:.3f}"),
    ]


def shortfall(evaluation: Measurement) -> str | None:
    """One line where the model is not shown to be better than a baseline, in accuracy or macro-F1; else `None`."""
    # A lead whose interval reaches 0 is no lead; one in either metric is enough.
    behind = {
        name: difference.accuracy
        for name, difference in evaluation.differences.items()
        if difference.accuracy.low <= 0 and difference.macro_f1.low <= 0
    }
    if not behind:
        return None
    titles = BASELINES | {"majority": f"the {BASELINES['majority']}"}
    named = " or ".join(
        f"{titles[name]} ({getattr(evaluation.baselines, name).accuracy.value:.3f}, {ahead.value:+.3f} "
        f"[{ahead.low:+.3f}, {ahead.high:+.3f}])"
        for name, ahead in behind.items()
    )
    accuracy = evaluation.model.accuracy.value
    return f"Not shown to be better than {named}: its accuracy is {accuracy:.3f} on {evaluation.texts} texts."


def report_lines(evaluation: Measurement) -> list[str]:
    """The table of results as aligned lines."""
    kind = "cross-validated" if evaluation.split == "cross-validation" else "test"
    header = {"name": f"{evaluation.texts} {kind} texts", "accuracy": "accuracy", "macro_f1": "macro-F1"}
    rows = [header | {"log_loss": "log loss"}, *report_rows(evaluation)]
    against = evaluation.against
    if against is not None:
        ahead = {metric: f"{getattr(against.difference, metric):+}" for metric in ("accuracy", "macro_f1", "log_loss")}
        rows.insert(3, {"name": "this less the other", **ahead})
    lines = table_lines([[row[key] for key in rows[0]] for row in rows], indent="  ")
    return lines + [f"  {line}" for line in (agreement_line(against),) if line] + slice_lines(evaluation.slices or ())


def agreement_line(against: Comparison | None) -> str | None:
    """Which of two models is right, in one line; `None` where there is no other."""
    if against is None:
        return None
    return (
        f"The other model is {against.name}. Right are both on {against.both_right:,} texts, only this one on "
        f"{against.only_this:,}, only the other on {against.only_other:,}, none on {against.both_wrong:,} (exact "
        f"McNemar test: p = {against.p_value:.2g})"
    )


def slice_lines(slices: Sequence[Slice]) -> list[str]:
    """The table of slices as aligned lines; none where there are none."""
    rows = [["", "texts", "accuracy", "macro-F1", "log loss", ""]]
    rows += [[f"{row.column}: {row.value}", f"{row.texts:,}", *slice_cells(row)] for row in slices]
    return ["", *table_lines(rows, right=(1,), indent="  ")] if slices else []


def slice_cells(row: Slice) -> list[str]:
    """Accuracy, macro-F1 and log loss of a slice, and what is to be said of it."""
    if row.accuracy is None:
        return ["", "", "", f"fewer than {FEWEST}: too few to say anything"]
    told = f"worse than the others (p = {row.p_value:.2g})" if row.worse else ""
    return [str(row.accuracy), str(row.macro_f1 or ""), str(row.log_loss), told]
