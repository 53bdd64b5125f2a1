"""From what the user named to labelled, checked, complete splits.

`load_rows` is the one path to labelled rows: training, audits and evaluations take it, and scripts as the command line.
Texts without labels, which `predict` and `--unlabeled_file` read, have no rule to be checked by.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from datasets import Dataset, Features, Value

from hf_sentiment.data.audit import Finding, contamination_finding, language_record, row_findings
from hf_sentiment.data.labels import BINARY, LabelRule, infer_label_rule, labels_of
from hf_sentiment.data.rows import Rows, leaves_out_bad_rows
from hf_sentiment.data.sources import RawData, load_data
from hf_sentiment.data.splits import CHOSEN, SPLITS, TRAINED, Shares, make_splits, usual_shares
from hf_sentiment.data.texts import Texts, numbers
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.records.schema import (
    AuditRecord,
    FindingRecord,
    LabelRuleRecord,
    Languages,
    RowCounts,
    SplitsRecord,
)
from hf_sentiment.records.serialization import from_json

logger = logging.getLogger(__name__)

_COLUMNS = Features({"text": Value("string"), "label": Value("int64"), "row": Value("int64")})


@dataclass(frozen=True)
class PreparedData:
    """Labelled splits and how they came about.

    Attributes:
        splits: "train" and, where they are given or texts are held out for them, "validation" and "test", with columns
            `text`, `label` (index), `row`, and for the starter `group` and `ratings`. Without labels "train" is empty.
        rule: How raw labels became indices.
        rows: What became of the rows of each split as given; see `Rows.counts`.
        findings: What costs little to find out about the rows: bad ones, duplicates and so on.
        origin: How each split came about.
        seed: Of the splits that were made; `None` if all were given.
        seen: The hashes of the texts that a run sees, by how it sees them, sorted and each once.
        description: The source in one line.
        unlabeled: Texts without labels, in their place, where there are such: columns `text`, and a `label` that means
            nothing.
    """

    splits: dict[str, Dataset]
    rule: LabelRule
    rows: dict[str, dict[str, int]]
    findings: list[Finding]
    origin: dict[str, str]
    seed: int | None
    seen: dict[str, np.ndarray]
    description: str
    unlabeled: Dataset | None = None

    def audit(self, dataset_name: str | None = None, model_name: str | None = None) -> AuditRecord:
        """Source, languages, label rule, rows, splits and the findings that cost little.

        Args:
            dataset_name: As the user named the data set, for known contamination; `None` for files and data in memory.
            model_name: As the user named the checkpoint.
        """
        findings = [*self.findings, contamination_finding(dataset_name, model_name)]
        counts = {name: dict(Counter(map(str, numbers(split, "label")))) for name, split in self.splits.items()}
        return AuditRecord(
            source=self.description,
            languages=Languages(**language_record(self._texts())),
            label_rule=from_json(LabelRuleRecord, self.rule.to_dict()),
            rows={name: RowCounts(**of) for name, of in self.rows.items()},
            splits=SplitsRecord(counts, self.origin, self.seed),
            findings=tuple(from_json(FindingRecord, finding.to_dict(texts=False)) for finding in findings),
            used={name: len(split) for name, split in self.splits.items()},
            unlabeled=None if self.unlabeled is None else len(self.unlabeled),
            content={name: content_hash(split) for name, split in self.splits.items()},
        )

    def learned(self) -> Dataset:
        """What the model learns from: training texts, or those without labels; there may be neither."""
        train = self.splits["train"]
        return train if len(train) or self.unlabeled is None else self.unlabeled

    def _texts(self) -> Texts:
        """What the model learns from or, where that is nothing, the other texts."""
        learned = self.learned()
        return Texts([learned] if len(learned) else list(self.splits.values()))


def load_rows(
    dataset: Any, rule_of: Callable[[RawData], LabelRule], *, split: str, **source: Any
) -> tuple[RawData, Rows]:
    """Data as they are, and each of their rows as the rule for their labels has it.

    Args:
        dataset: As in `load_data`.
        rule_of: The rule for the data.
        split: "train", or "test" to evaluate: then the other splits are left out, and a single one is taken for it.
        **source: As in `load_data`.

    Raises:
        CallError: As `load_data`, or there is no such split.
        DataError: As `load_data`.
    """
    raw = load_data(dataset, **source)
    # A data set of one split has it under "train".
    if split not in raw.splits and split == "test" and list(raw.splits) == ["train"]:
        logger.warning("%s is one split: all of it is used, whether or not the model was trained on it", dataset)
        raw = dataclasses.replace(raw, splits={split: raw.splits["train"]}, sources={split: raw.sources["train"]})
    if split not in raw.splits:
        if split == "test":
            raise CallError(f"{dataset} has no labelled test split: name a file with --test_file FILE")
        raise CallError(f"{raw.description} has no split to train on (there are: {', '.join(raw.splits)})")
    if split == "test":
        raw = dataclasses.replace(raw, splits={split: raw.splits[split]})
    return raw, Rows.read(raw, rule_of(raw))


def load_training_rows(
    dataset: Any, *, labels: Sequence[str] | None, num_labels: int | None, keep_broken: bool, **source: Any
) -> tuple[RawData, Rows]:
    """Data to train on, as they are, with the rule that their labels say.

    Args:
        dataset: As in `prepare_data`; so are `labels` and `num_labels`.
        labels: See there.
        num_labels: See there.
        keep_broken: As in `load_data`.
        **source: As in `load_data`.

    Raises:
        CallError: As `load_rows` and `infer_label_rule`.
        DataError: As `load_data`.
    """

    def rule_of(raw: RawData) -> LabelRule:
        values = labels_of(raw, "train", keep_bad=keep_broken)
        return infer_label_rule(values, num_labels=num_labels, labels=labels, label_names=raw.label_names)

    return load_rows(dataset, rule_of, split="train", keep_broken=keep_broken, **source)


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

    Given validation and test splits are not touched; what they share with others is among the findings.

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
    drop = leaves_out_bad_rows(on_bad_rows)
    raw, rows = load_training_rows(dataset, labels=labels, num_labels=num_labels, keep_broken=drop, **source)
    logger.info("%s: %s", raw.description, rows.rule.description)
    rows.check(on_bad_rows)
    splits = rows.labeled(raw)
    shares = _shares(holdout(len(splits["train"])), test_share, validation_share)
    missing = {name: share for name, share in shares.items() if share and name not in splits}
    origin = dict.fromkeys(splits, "given")
    if missing:
        rows, made = _hold_out(rows, splits["train"], missing, seed)
        splits |= made
        for name, part in made.items():
            share = f"share {missing[name]:g}" if name in missing else "the rest"
            origin[name] = f"made from train: seed {seed}, {share}"
            logger.info("%s: %d of %d rows (%s)", name, len(part), rows.counts["train"]["kept"], origin[name])
    if max_train_samples is not None and max_train_samples < len(splits["train"]):
        # Drawn last: validation and test are the same, however few texts are trained on.
        drawn, given = _draw(numbers(splits["train"], "label"), max_train_samples, seed), len(splits["train"])
        origin["train"] += f"; {len(drawn):,} of {given:,} drawn, {given - len(drawn):,} left out"
        logger.info("train: %d of %d rows are drawn", len(drawn), given)
        splits["train"] = splits["train"].select(drawn)
        rows = rows.assigned("train", {"train": drawn})
    if max_train_samples != 0:
        _check_every_label(splits["train"], rows.rule)
    splits = {name: splits[name] for name in SPLITS if name in splits}
    return _prepared(splits, rows, origin, seed if missing else None, raw.description, drop)


def _shares(usual: Shares, test: float | None, validation: float | None) -> dict[str, float]:
    """Split → share to hold out, as said or else as usual; the test split is taken first."""
    shares = {
        "test": usual.test if test is None else test,
        "validation": usual.validation if validation is None else validation,
    }
    for name, share in shares.items():
        if not 0 <= share < 0.5:
            raise CallError(f"{name} share {share:g}: give a number between 0 and 0.5, such as 0.1")
    return shares


def _hold_out(rows: Rows, train: Dataset, shares: dict[str, float], seed: int) -> tuple[Rows, dict[str, Dataset]]:
    """Rows and data sets with the splits that are taken from the training rows."""
    usable = rows.usable
    of_train = usable.within("train")
    # Only the training rows are to be divided: what a given test split repeats links none of them.
    groups = rows.duplicates.groups(usable.number[of_train], train["group"][:] if "group" in train.features else None)
    made = make_splits(usable.codes[of_train], groups, shares, seed=seed, label_names=rows.rule.labels)
    return rows.assigned("train", made), {name: train.select(part) for name, part in made.items()}


def _prepared(
    splits: dict[str, Dataset],
    rows: Rows,
    origin: dict[str, str],
    seed: int | None,
    description: str,
    drop_bad_rows: bool = False,
    unlabeled: Dataset | None = None,
) -> PreparedData:
    """The splits, with what is known of their rows."""
    findings = row_findings(rows, drop_bad_rows=drop_bad_rows)
    for finding in findings:
        if finding.name == "leakage" and finding.count:
            pair = finding.facts["splits"]
            logger.warning("%s: %d rows of the second have a near-duplicate in the first", pair, finding.count)
    seen = {name: np.unique(rows.hashes(name)) for name in (TRAINED, CHOSEN) if name in splits}
    return PreparedData(splits, rows.rule, rows.counts, findings, origin, seed, seen, description, unlabeled)


def prepare_unlabeled(
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
    splits = {"train": Dataset.from_dict({"text": [], "label": [], "row": []}, features=_COLUMNS)}
    rows = Rows.none(infer_label_rule(names, labels=names))
    if test_file is not None:
        raw, rows = load_rows(
            None,
            lambda raw: infer_label_rule(labels_of(raw, "test", keep_bad=False), labels=names),
            split="test",
            test_file=test_file,
            text_column=text_column,
            label_column=label_column,
            encoding=encoding,
        )
        rows.check("error")
        splits |= rows.labeled(raw)
    unlabeled = None if unlabeled_file is None else read_unlabeled(unlabeled_file, text_column, encoding)
    told = "no labelled texts" if unlabeled is None else f"{len(unlabeled):,} texts without labels"
    told += "" if unlabeled_file is None else f" ({unlabeled_file.rpartition('/')[2]})"
    return _prepared(splits, rows, dict.fromkeys(splits, "given"), None, told, unlabeled=unlabeled)


def read_unlabeled(file: str, text_column: str | None = None, encoding: str | None = None) -> Dataset:
    """The texts of a file, labelled or not: columns `text`, and a `label` that means nothing.

    Args:
        file: As in `load_data`.
        text_column: Its column, where that is not found out.
        encoding: Of the file, where it is not found out.

    Raises:
        CallError: As `load_data`.
        DataError: As `load_data`.
    """
    raw = load_data(test_file=file, text_column=text_column, label_optional=True, encoding=encoding)
    rows = raw.splits["test"]
    texts = [text for text in rows["text"] if text and text.strip()]
    if len(texts) < len(rows):
        first = next(row for row, text in zip(rows["row"], rows["text"], strict=True) if not (text and text.strip()))
        logger.info(
            "%s: %d of %d rows have no text (the first is row %d)", file, len(rows) - len(texts), len(rows), first
        )
    return Dataset.from_dict({"text": texts, "label": [0] * len(texts)})


def _draw(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """`count` training rows at random, each label with its share, and at least one of it; none at all for 0."""
    if count == 0:
        return np.empty(0, dtype=np.int64)
    present, sizes = np.unique(labels, return_counts=True)
    if count < len(present):
        raise CallError(
            f"--max_train_samples {count}: each of the {len(present)} labels needs a text: say a larger number"
        )
    # One of each label, and the others by what is then left of its share.
    share = sizes * count / len(labels)
    taken = np.maximum(1, np.floor(share)).astype(np.int64)
    while taken.sum() < count:
        taken[np.argmax(np.where(taken < sizes, share - taken, -np.inf))] += 1
    while taken.sum() > count:
        taken[np.argmax(np.where(taken > 1, taken - share, -np.inf))] -= 1
    draw = np.random.default_rng(seed)
    drawn = [draw.choice(np.flatnonzero(labels == label), n, False) for label, n in zip(present, taken, strict=True)]
    return np.sort(np.concatenate(drawn))


def _check_every_label(train: Dataset, rule: LabelRule) -> None:
    present = set(numbers(train, "label").tolist())
    missing = [name for index, name in enumerate(rule.labels) if index not in present]
    if missing:
        raise DataError(f"no training text has the label {missing[0]!r}: add some, or leave it out with --labels")


def content_hash(split: Dataset) -> str:
    """A short hash of texts and labels in their order."""
    digest = hashlib.sha256()
    for text, label in zip(Texts([split]), numbers(split, "label"), strict=True):
        digest.update(f"{label}\x00{text}\x00".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
