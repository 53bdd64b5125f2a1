"""The limits of a model in plain words, each drawn from a number in the run's records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hf_sentiment.data.language import unit_of
from hf_sentiment.evaluation.report import shortfall
from hf_sentiment.records.read import RunRecords
from hf_sentiment.records.schema import AuditRecord, LabelMetrics, LengthAccuracy, Measurement

# Below these a sentence is due: recalls this far apart are not chance among some hundred texts, and a label this much
# rarer than its equal share was seen little of.
_RECALL_GAP = 0.05
_RARE = 0.6
_WIDE = 0.06
_CALIBRATED = 0.05


def limit_sentences(records: RunRecords) -> list[str]:
    """What the records say about where the model is weak; the most important first."""
    sentences: list[str] = []
    if records.measured is not None:
        languages = {} if records.audit is None else records.audit.languages.shares
        sentences += _of_results(records.measured, unit_of(next(iter(languages), None)))
    if records.audit is not None:
        sentences += _of_data(records.audit)
    max_length = None if records.plan is None else records.plan.value("max_length")
    if max_length is not None and records.reads is not None and records.reads > max_length:
        pieces = records.plan is not None and records.plan.value("long_texts") == "pieces"
        sentences.append(
            f"In training, texts were cut after {max_length} tokens. "
            + ("`SentimentClassifier` reads longer ones in pieces. Elsewhere" if pieces else "In use")
            + f" it reads up to {records.reads}, and what lies beyond the length it was trained on is judged without "
            "experience."
        )
    return sentences


def _of_results(evaluation: Measurement, unit: str) -> Iterator[str]:
    short = shortfall(evaluation)
    if short is not None:
        yield short
    accuracy, ece = evaluation.model.accuracy, evaluation.model.ece.value
    if accuracy.high - accuracy.low > _WIDE:
        yield (
            f"It was measured on {evaluation.texts} texts only: its accuracy on texts like these may lie anywhere "
            f"between {_percent(accuracy.low)} and {_percent(accuracy.high)}."
        )
    yield from _of_labels([row for row in evaluation.per_class if row.texts])
    yield from _of_lengths(evaluation.by_length, unit)
    if ece > _CALIBRATED:
        yield f"Its probabilities are off by {_percent(ece)} on average, so read them as an order, not as odds."
    if evaluation.baselines.human is not None:
        yield "People do not agree on every text either (see the table), so some of its errors are matters of opinion."


def _of_labels(rows: Sequence[LabelMetrics]) -> Iterator[str]:
    """Where one label is found much more rarely than another."""
    if len(rows) < 2:
        return
    best, worst = (choose(rows, key=lambda row: row.recall) for choose in (max, min))
    if best.recall - worst.recall > _RECALL_GAP:
        yield (
            f"It misses “{worst.label}” more often than “{best.label}”: it found {_percent(worst.recall)} of the "
            f"former and {_percent(best.recall)} of the latter, so shares that are counted with it are biased towards "
            "the labels it finds more easily."
        )


def _of_lengths(rows: Sequence[LengthAccuracy], unit: str) -> Iterator[str]:
    """Where the intervals of two lengths do not touch."""
    if not rows:
        return
    best, worst = (choose(rows, key=lambda row: row.accuracy.value) for choose in (max, min))
    if worst.accuracy.high < best.accuracy.low:
        yield (
            f"It is less accurate on {worst.name} texts ({worst.words[0]} to {worst.words[1]} {unit}) than on "
            f"{best.name} ones: {_percent(worst.accuracy.value)} and {_percent(best.accuracy.value)}."
        )


def _of_data(audit: AuditRecord) -> Iterator[str]:
    # Counts `[labels]`; none where there was no label to train on.
    labels, counts = audit.label_rule.labels, audit.label_counts.get("train", [])
    total = sum(counts)
    for name, count in zip(labels, counts, strict=False):
        if total and count * len(labels) / total < _RARE:
            yield f"“{name}” was rare in training ({count} of {total} texts), so the model has seen little of it."
    if audit.label_rule.drops:
        dropped = sum(rows.dropped_by_rule for rows in audit.rows.values())
        yield (
            f"Texts between the labels were left out of training and test ({dropped:,} of them), so it decides where "
            "a reader would not, and its figures hold for clear texts only."
        )
    if audit.repeats.get("test"):
        yield f"{audit.repeats['test']} test texts repeat another test text."


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
