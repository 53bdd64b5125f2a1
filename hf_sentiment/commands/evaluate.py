"""Evaluating a model on labelled texts that it was not trained on."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from hf_sentiment.data.audit import bad_row_findings
from hf_sentiment.data.labels import LabelRule, labels_of, rule_of_classes
from hf_sentiment.data.prepare import load_rows
from hf_sentiment.data.rows import leaves_out_bad_rows
from hf_sentiment.data.sources import RawData
from hf_sentiment.errors import CallError
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.report import evaluate_texts
from hf_sentiment.evaluation.seen import seen_record, seen_warning
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.records.schema import FindingRecord, Measurement, RowCounts
from hf_sentiment.records.serialization import from_json

logger = logging.getLogger(__name__)


def evaluate(
    model: str,
    *,
    test_file: str | None = None,
    dataset_name: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str | None = None,
    on_bad_rows: str = "error",
    revision: str | None = None,
    num_threads: int | None = None,
) -> Measurement:
    """The report of a model on a labelled file, or on the test split of a data set.

    Raw labels are read by the rule that the model was trained with and by its label names; a file in another scheme (0
    and 1 for negative and positive) by that scheme's own rule, where it gives the model's labels in the model's order.
    A warning says how many of the texts the run of the model has seen, `seen` what the model is like on the others.

    Args:
        model: A trained model's folder or a Hub id.
        test_file: The labelled file.
        dataset_name: A data set whose test split is used instead: a Hub id, or `starter`.
        text_column: Column of the texts; guessed if only one can be it.
        label_column: Column of the labels; guessed if only one can be it.
        encoding: Of a text file, where its content does not tell it.
        on_bad_rows: What rows without a text or a known label do: `"error"` stops at them, `"drop"` goes on.
        revision: Branch, tag or commit of a Hub repository.
        num_threads: CPU threads.

    Raises:
        CallError: A wrong argument, or labels that the model does not have.
        DataError: Rows that cannot be used.

    Examples:
        >>> evaluate("runs/reviews", test_file="test.csv").model.accuracy  # doctest: +SKIP
    """
    drop = leaves_out_bad_rows(on_bad_rows)
    if (test_file is None) == (dataset_name is None):
        raise CallError("name the labelled texts: --test_file FILE, or --dataset_name NAME, and not both")
    classifier = SentimentClassifier.from_pretrained(model, revision=revision, num_threads=num_threads)
    source = {"test_file": test_file, "text_column": text_column, "label_column": label_column, "encoding": encoding}
    rule_of = partial(_rule, classifier=classifier, model=model, keep_bad=drop)
    raw, rows = load_rows(dataset_name, rule_of, split="test", keep_broken=drop, **source)
    rows.check(on_bad_rows)
    test = rows.labeled(raw)["test"]
    probabilities = softmax(classifier.logits(test["text"][:]))
    report = evaluate_texts(probabilities, test, rows.rule.labels)
    seen = seen_record(model, test, probabilities)
    if (warning := seen_warning(seen, len(test))) is not None:
        logger.warning(warning)
    counts = {name: RowCounts(**of) for name, of in rows.counts.items()}
    bad = [finding.to_dict(texts=False) for finding in bad_row_findings(rows, drop) if finding.count]
    findings = tuple(from_json(FindingRecord, finding) for finding in bad)
    return replace(report, seen=seen, source=raw.description, rows=counts, findings=findings)


def _rule(raw: RawData, classifier: SentimentClassifier, model: str, keep_bad: bool) -> LabelRule:
    """How the labels of the data become those of the model."""
    saved = classifier.config.get("label_rule")
    if saved:
        rule = LabelRule.from_dict(saved)
    else:
        values = labels_of(raw, "test", keep_bad=keep_bad)
        rule = rule_of_classes(values, classifier.labels, "the model's labels")
        logger.info("%s: %s", raw.description, rule.description)
    if list(rule.labels) != classifier.labels:
        known = ", ".join(classifier.labels)
        raise CallError(f"{model} has the labels {known}, and the data {', '.join(rule.labels)}")
    return rule
