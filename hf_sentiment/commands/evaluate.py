"""Evaluating a model, or the probabilities of any other system, on labelled texts that it was not trained on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hf_sentiment.data.audit import bad_row_findings
from hf_sentiment.data.labels import LabelRule, infer_label_rule, labels_of, rule_of_classes
from hf_sentiment.data.prepare import load_rows
from hf_sentiment.data.rows import Rows, leaves_out_bad_rows
from hf_sentiment.data.sources import RawData, is_data_file, table_rows
from hf_sentiment.data.texts import numbers
from hf_sentiment.errors import CallError
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.probabilities import ProbabilityFile, label_key
from hf_sentiment.evaluation.report import compared_with, evaluate_texts
from hf_sentiment.evaluation.seen import seen_record, seen_warning
from hf_sentiment.evaluation.slices import sliced
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.parser import nearest
from hf_sentiment.records.schema import ExportRecord, FindingRecord, Measurement, RowCounts
from hf_sentiment.records.serialization import from_json, read_record

logger = logging.getLogger(__name__)


def evaluate(
    model: str | None = None,
    *,
    test_file: str | None = None,
    dataset_name: str | None = None,
    probabilities: str | None = None,
    against: str | None = None,
    slices: Sequence[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str | None = None,
    on_bad_rows: str = "error",
    revision: str | None = None,
    backend: str = "torch",
    long_texts: str | None = None,
    num_threads: int | None = None,
) -> Measurement:
    """The report of a model on a labelled file, or on the test split of a data set.

    Raw labels are read by the rule that the model was trained with and by its label names; a file in another scheme (0
    and 1 for negative and positive) by that scheme's own rule, where it gives the model's labels in the model's order.

    Args:
        model: A trained model's folder or a Hub id.
        test_file: The labelled file.
        dataset_name: A data set whose test split is used instead: a Hub id, or `starter`.
        probabilities: In place of a model, the file of another system's; it may be the labelled file itself.
        against: Another model on the same texts, or the file of its probabilities.
        slices: Columns of the labelled file by whose values the figures are given too.
        text_column: Column of the texts; guessed if only one can be it.
        label_column: Column of the labels; guessed if only one can be it.
        encoding: Of a text file, where its content does not tell it.
        on_bad_rows: What rows without a text or a known label do: `"error"` stops at them, `"drop"` goes on.
        revision: Branch, tag or commit of a Hub repository.
        backend: Of the model, not of the other one, as in `SentimentClassifier`.
        long_texts: As in `SentimentClassifier`.
        num_threads: CPU threads.

    Raises:
        CallError: A wrong argument, or labels that the model does not have.
        DataError: Rows that cannot be used.

    Examples:
        >>> evaluate("runs/reviews", test_file="test.csv").model.accuracy  # doctest: +SKIP
    """
    drop = leaves_out_bad_rows(on_bad_rows)
    test_file = test_file or (probabilities if dataset_name is None else None)
    if (model is None) == (probabilities is None):
        raise CallError("name what is evaluated: MODEL, or --probabilities FILE, and not both (--against compares two)")
    if (test_file is None) == (dataset_name is None):
        raise CallError("name the labelled texts: --test_file FILE, or --dataset_name NAME, and not both")
    if model is None and (revision is not None or backend != "torch"):
        raise CallError("--revision and --backend say how MODEL is read: leave them out with --probabilities")
    load = partial(SentimentClassifier.from_pretrained, num_threads=num_threads, long_texts=long_texts)
    this = _of_file(str(probabilities), encoding) if model is None else _of_model(model, load, revision, backend)
    other = None if against is None else _other(against, encoding, load)
    source = {"test_file": test_file, "text_column": text_column, "label_column": label_column, "encoding": encoding}
    raw, rows = load_rows(dataset_name, lambda raw: this.rule_for(raw, drop), split="test", keep_broken=drop, **source)
    rows.check(on_bad_rows)
    return replace(_measured(this, other, raw, rows, slices or ()), findings=_findings(rows, drop))


def _findings(rows: Rows, drop: bool) -> tuple[FindingRecord, ...]:
    """The bad rows that were left out, by kind."""
    bad = (one.to_dict(texts=False) for one in bad_row_findings(rows, drop) if one.count)
    return tuple(from_json(FindingRecord, one) for one in bad)


def shown_name(name: str) -> str:
    """What a model or a file is called in a report, where a folder of this machine is nobody's business."""
    return Path(name).resolve().name if Path(name).exists() else name


@dataclass(frozen=True)
class _System:
    """What gives probabilities: a model, or a file of them.

    Attributes:
        name: As the user said it.
        labels: Its labels, of the data that are given; `None` where those have to say them.
        rule: How the labels of the texts that it was trained on were read.
        probabilities: Of the evaluated texts of a source, `[texts, labels]`.
    """

    name: str
    labels: Callable[[RawData], list[str] | None]
    rule: Mapping[str, Any] | None
    probabilities: Callable[[RawData, Dataset, Sequence[str]], np.ndarray]

    def rule_for(self, raw: RawData, keep_bad: bool) -> LabelRule:
        return label_rule(raw, self.name, self.labels(raw), self.rule, keep_bad)


def _other(name: str, encoding: str | None, load: Callable[..., SentimentClassifier]) -> _System:
    # By the name too, so that the Hub is not asked for a file that is not there.
    if Path(name).is_file() or is_data_file(name):
        return _of_file(name, encoding)
    exported = read_record(Path(name) / "records" / "export.json", ExportRecord)
    return _of_model(name, load, backend="torch" if exported is None else exported.format)


def _of_model(
    name: str, load: Callable[..., SentimentClassifier], revision: str | None = None, backend: str = "torch"
) -> _System:
    classifier = load(name, backend, revision=revision)
    if classifier.config.get("problem_type") == "multi_label_classification":
        raise CallError(f"{name} gives a text several labels: evaluate measures models of one label a text")

    def probabilities(raw: RawData, test: Dataset, labels: Sequence[str]) -> np.ndarray:
        places = {label_key(label): place for place, label in enumerate(classifier.labels)}
        if places.keys() != {label_key(label) for label in labels}:
            raise CallError(f"{name} has the labels {', '.join(classifier.labels)}, and the data {', '.join(labels)}")
        order = [places[label_key(label)] for label in labels]
        return softmax(classifier.logits(test["text"][:]))[:, order]

    return _System(name, lambda _: classifier.labels, classifier.config.get("label_rule"), probabilities)


def _of_file(name: str, encoding: str | None) -> _System:
    file = ProbabilityFile.read(name, encoding)
    return _System(name, file.labels_in, None, file.of)


def label_rule(
    raw: RawData, name: str, labels: list[str] | None, saved: Mapping[str, Any] | None, keep_bad: bool
) -> LabelRule:
    """How the labels of the data become those of what is measured on it.

    Args:
        raw: The data.
        name: Of what is measured, for messages.
        labels: Those that it gives; `None` where the data have to say them.
        saved: How the labels of the texts that it was trained on were read.
        keep_bad: Whether rows without a known label are left for later.

    Raises:
        CallError: The data have other labels.
    """
    if saved:
        rule = LabelRule.from_dict(saved)
    else:
        values = labels_of(raw, "test", keep_bad=keep_bad)
        rule = infer_label_rule(values) if labels is None else rule_of_classes(values, labels, "the model's labels")
        logger.info("%s: %s", raw.description, rule.description)
    if labels is not None and list(rule.labels) != labels:
        raise CallError(f"{name} has the labels {', '.join(labels)}, and the data {', '.join(rule.labels)}")
    return rule


def _measured(this: _System, other: _System | None, raw: RawData, rows: Rows, columns: Sequence[str]) -> Measurement:
    """The report of one system, beside another and by slices where these are asked for."""
    slices = _columns(raw, columns)  # a wrong name is said before a model predicts for minutes
    test, labels = rows.labeled(raw)["test"], rows.rule.labels
    references = numbers(test, "label")
    values = this.probabilities(raw, test, labels)
    _refuse_predictions(this, raw, values.argmax(axis=1), references)
    report = evaluate_texts(values, test, labels)
    counts = {name: RowCounts(**of) for name, of in rows.counts.items()}
    seen = seen_record(this.name, test, values)
    report = replace(report, seen=seen, source=raw.description, rows=counts)
    if (warning := seen_warning(report.seen, len(test))) is not None:
        logger.warning(warning)
    if other is not None:
        others = other.probabilities(raw, test, labels)
        if (warning := seen_warning(seen_record(other.name, test, others), len(test))) is not None:
            logger.warning("--against %s: %s", other.name, warning)
        report = compared_with(report, shown_name(other.name), values, others, references)
    if slices:
        cells = {name: [of_row[number] for number in test["row"]] for name, of_row in slices.items()}
        report = replace(report, slices=sliced(cells, values, references))
    return report


def _columns(raw: RawData, columns: Sequence[str]) -> dict[str, dict[int, Any]]:
    """The values of columns of the labelled file, by row number."""
    if not columns:
        return {}
    table = raw.files.get("test")
    if table is None:
        raise CallError("--slices takes columns of a file: name it, --test_file FILE")
    for name in columns:
        if name not in table.columns:
            there = f"{nearest(name, table.columns)} (columns: {', '.join(table.columns)})"
            raise CallError(f'{table.source}: no column "{name}" for --slices{there}')
    rows = list(table_rows(table))
    return {name: {number: values.get(name) for number, values in rows} for name in columns}


def _refuse_predictions(this: _System, raw: RawData, predictions: np.ndarray, references: np.ndarray) -> None:
    """Refuse the labels that `predict` wrote as those that are right."""
    table = raw.files.get("test")
    if table is None or raw.sources["test"] != this.name or raw.label_column != "label":
        return
    if "score" in table.columns and np.array_equal(predictions, references):
        given = "original_label" if "original_label" in table.columns else "NAME"
        raise CallError(
            f"{this.name}: its column label is what was predicted: name the given ones, --label_column {given}"
        )
