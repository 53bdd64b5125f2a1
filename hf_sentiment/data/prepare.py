"""From what the user named to labelled, checked, complete splits, as training takes them.

`audit`, `evaluate` and `predict` read by the same `load_data`, and go on from there by themselves.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from datasets import Dataset, Features, Value

from hf_sentiment.data.audit import AuditRows, contamination_finding, language_record, row_findings
from hf_sentiment.data.labels import BINARY, LabelRule, RowReport, apply_rule, infer_label_rule, labels_of
from hf_sentiment.data.sources import RawData, load_data
from hf_sentiment.data.splits import Shares, SplitReport, make_splits, usual_shares
from hf_sentiment.errors import CallError, DataError

logger = logging.getLogger(__name__)

_COLUMNS = Features({"text": Value("string"), "label": Value("int64"), "row": Value("int64")})


@dataclass(frozen=True)
class PreparedData:
    """Labelled splits and how they came about.

    Attributes:
        splits: "train" and, where they are given or texts are held out for them, "validation" and "test", with
            columns `text`, `label` (index), `row`, and for the starter `group` and `ratings`. Without labels "train"
            is empty.
        unlabelled: Texts without labels, in their place, where there are such: columns `text`, and a `label` that means
            nothing.
        rule: How raw labels became indices.
        rows: What became of every row.
        made: How the splits were made, and what they share.
        description: The source in one line.
    """

    splits: dict[str, Dataset]
    rule: LabelRule
    rows: RowReport
    made: SplitReport
    description: str
    unlabelled: Dataset | None = None

    def audit(self, dataset_name: str | None = None, model_name: str | None = None) -> dict[str, Any]:
        """Source, languages, label rule, rows, splits and the findings that cost little, as plain JSON.

        Args:
            dataset_name: As the user named the data set, for known contamination; `None` for files and data in memory.
            model_name: As the user named the checkpoint.
        """
        findings = row_findings(AuditRows.of_splits(self.splits, self.rule))
        findings.append(contamination_finding(dataset_name, model_name))
        return {
            "source": self.description,
            "languages": language_record(self._texts()),
            "label_rule": self.rule.to_dict(),
            "rows": self.rows.to_dict(),
            "splits": self.made.to_dict(),
            "findings": [finding.to_dict(examples=False) for finding in findings],
            "used": {name: len(split) for name, split in self.splits.items()},
            "unlabelled": None if self.unlabelled is None else len(self.unlabelled),
            "content": {name: _content_hash(split) for name, split in self.splits.items()},
        }

    def _texts(self) -> list[str]:
        """What the model learns from: training texts, or those without labels; where there are neither, the others."""
        for split in (self.splits["train"], self.unlabelled):
            if split is not None and len(split):
                return list(split["text"])
        return [text for split in self.splits.values() for text in split["text"]]


def prepare_data(
    dataset: Any = None,
    *,
    labels: Sequence[str] | None = None,
    num_labels: int | None = None,
    on_bad_rows: Literal["error", "drop"] = "error",
    validation_share: float | None = None,
    test_share: float | None = None,
    holdout: Callable[[int], Shares] = usual_shares,
    max_train_samples: int | None = None,
    seed: int = 42,
    **source: Any,
) -> PreparedData:
    """Load, label, check and split.

    Args:
        dataset: "starter", a Hub id, a `Dataset`, `DatasetDict` or data frame; or `None` with `train_file=`.
        labels: Label names in index order, where the data do not say them.
        num_labels: 2, 3 or (stars) 5, of ratings or scores.
        on_bad_rows: "error" raises at rows that cannot be used, "drop" goes on without them.
        validation_share: Of the data, where there is no validation split; `None` asks `holdout`.
        test_share: Of the data, where there is no test split; `None` asks `holdout`.
        holdout: The shares of so many labelled texts to hold out.
        max_train_samples: Keep that many training texts, drawn at random.
        seed: Of the splits and the draw.
        **source: As in `load_data`: files, columns, configuration and revision.

    Raises:
        CallError: A wrong argument, path or column.
        DataError: Rows or classes that cannot be used.
    """
    raw, rule = load_with_rule(
        dataset, labels=labels, num_labels=num_labels, keep_broken=on_bad_rows == "drop", **source
    )
    logger.info("%s: %s", raw.description, rule.description)
    labelled, rows = apply_rule(raw, rule, on_bad_rows)
    usual = holdout(len(labelled["train"]))
    splits, made = make_splits(
        labelled,
        seed=seed,
        validation_share=usual.validation if validation_share is None else validation_share,
        test_share=usual.test if test_share is None else test_share,
        label_names=rule.labels,
    )
    if max_train_samples is not None and max_train_samples < len(splits["train"]):
        splits["train"] = _draw(splits["train"], max_train_samples, seed)
        counts = made.label_counts | {"train": dict(Counter(map(str, splits["train"]["label"][:])))}
        within = {
            name: count for name, count in made.duplicates_within.items() if name != "train"
        }  # of all were counted
        sizes = made.sizes | {"train": len(splits["train"])}
        made = replace(made, sizes=sizes, label_counts=counts, duplicates_within=within)
    if max_train_samples != 0:
        _check_every_label(splits["train"], rule)
    return PreparedData(splits, rule, rows, made, raw.description)


def load_with_rule(
    dataset: Any, *, labels: Sequence[str] | None, num_labels: int | None, keep_broken: bool, **source: Any
) -> tuple[RawData, LabelRule]:
    """Data to train on, as they are, and the rule for their labels.

    Args:
        dataset: As in `prepare_data`; so are `labels` and `num_labels`.
        labels: See there.
        num_labels: See there.
        keep_broken: As in `load_data`.
        **source: As in `load_data`.

    Raises:
        CallError: As `load_data` and `infer_label_rule`, or there is no training split.
        DataError: As `load_data`.
    """
    raw = load_data(dataset, keep_broken=keep_broken, **source)
    if "train" not in raw.splits:
        raise CallError(f"{raw.description} has no split to train on (there are: {', '.join(raw.splits)})")
    values = labels_of(raw, "train", keep_bad=keep_broken)
    return raw, infer_label_rule(values, num_labels=num_labels, labels=labels, label_names=raw.label_names)


def prepare_unlabelled(
    labels: Sequence[str] | None,
    test_file: str | None,
    unlabeled_file: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str | None = None,
) -> PreparedData:
    """No training texts: the labels' names, texts without labels, and labelled ones to test on, if there are any.

    Args:
        labels: Label names in index order; by default negative and positive.
        test_file: As in `load_data`.
        unlabeled_file: Texts without labels, a file as in `load_data`.
        text_column: Of both files.
        label_column: Of the texts to test on.
        encoding: Of both files, where it is not found out.

    Raises:
        CallError: As `prepare_data`.
        DataError: As `prepare_data`.
    """
    names = tuple(labels or BINARY)
    splits, rows = {"train": Dataset.from_dict({"text": [], "label": [], "row": []}, features=_COLUMNS)}, RowReport({})
    rule = infer_label_rule(names, labels=names)
    if test_file is not None:
        raw = load_data(test_file=test_file, text_column=text_column, label_column=label_column, encoding=encoding)
        rule = infer_label_rule(labels_of(raw, "test", keep_bad=False), labels=names)
        tested, rows = apply_rule(raw, rule)
        splits |= tested
    sizes = {name: len(split) for name, split in splits.items()}
    counts = {name: dict(Counter(map(str, split["label"][:]))) for name, split in splits.items()}
    made = SplitReport(sizes, counts, dict.fromkeys(splits, "given"), None, {}, {})
    unlabelled = None if unlabeled_file is None else _unlabelled(unlabeled_file, text_column, encoding)
    told = "no labelled texts" if unlabelled is None else f"{len(unlabelled):,} texts without labels"
    named = "" if unlabeled_file is None else f" ({unlabeled_file.rpartition('/')[2]})"
    return PreparedData(splits, rule, rows, made, told + named, unlabelled)


def _unlabelled(file: str, text_column: str | None, encoding: str | None) -> Dataset:
    raw = load_data(test_file=file, text_column=text_column, label_optional=True, encoding=encoding)
    rows = raw.splits["test"]
    texts = [text for text in rows["text"] if text and text.strip()]
    if len(texts) < len(rows):
        first = next(row for row, text in zip(rows["row"], rows["text"], strict=True) if not (text and text.strip()))
        logger.info(
            "%s: %d of %d rows have no text (the first is row %d)", file, len(rows) - len(texts), len(rows), first
        )
    return Dataset.from_dict({"text": texts, "label": [0] * len(texts)})


def _draw(train: Dataset, count: int, seed: int) -> Dataset:
    """`count` training texts at random, each label with its share, and at least one of it; none at all for 0."""
    if count == 0:
        return train.select([])
    labels = np.asarray(train["label"])
    present, sizes = np.unique(labels, return_counts=True)
    if count < len(present):
        raise CallError(
            f"--max_train_samples {count}: each of the {len(present)} labels needs a text: say a larger number"
        )
    # One of each label, and the others by what is then left of its share.
    share = sizes * count / len(train)
    taken = np.maximum(1, np.floor(share)).astype(np.int64)
    while taken.sum() < count:
        taken[np.argmax(np.where(taken < sizes, share - taken, -np.inf))] += 1
    while taken.sum() > count:
        taken[np.argmax(np.where(taken > 1, taken - share, -np.inf))] -= 1
    draw = np.random.default_rng(seed)
    drawn = [draw.choice(np.flatnonzero(labels == label), n, False) for label, n in zip(present, taken, strict=True)]
    return train.select(np.sort(np.concatenate(drawn)))


def _check_every_label(train: Dataset, rule: LabelRule) -> None:
    present = set(train["label"][:])
    missing = [name for index, name in enumerate(rule.labels) if index not in present]
    if missing:
        raise DataError(f"no training text has the label {missing[0]!r}: add some, or leave it out with --labels")


def _content_hash(split: Dataset) -> str:
    """A short hash of texts and labels in their order."""
    digest = hashlib.sha256()
    for text, label in zip(split["text"], split["label"], strict=True):
        digest.update(f"{label}\x00{text}\x00".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
