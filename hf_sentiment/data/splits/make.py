"""Making the splits that a source lacks: stratified by label, grouped by near-duplicates, seeded."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from datasets import Dataset
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from hf_sentiment.data.splits.duplicates import duplicate_groups
from hf_sentiment.errors import CallError, DataError

logger = logging.getLogger(__name__)

_FEW_GROUPS = 1_000
"""Up to this many groups, `StratifiedGroupKFold` weighs all of them; it takes minutes for hundreds of
thousands."""

_FOLDS = 5

_FINEST = 20
"""The largest denominator of a share: 0.15 is 3 of 20 folds."""


def label_folds(labels: np.ndarray, num_labels: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to judge, of each fold of a cross-validation; none if a label has fewer than two.

    Args:
        labels: label indices, each with its share in every fold.
        num_labels: the labels that should occur.
        seed: of the shuffling.

    Returns:
        Five folds, or as many as the rarest label has rows.
    """
    folds = min(_FOLDS, int(np.bincount(labels, minlength=num_labels).min()))
    if folds < 2:
        return []
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))


class Shares(NamedTuple):
    """Shares of the labelled texts to hold out; with 0 there is no such split."""

    validation: float
    test: float


# Below, a tenth would be too few texts to say anything.
ENOUGH_FOR_A_TENTH = 1000


def usual_shares(texts: int) -> Shares:
    """Of so many texts, a tenth for validation and a tenth for testing, or a fifth each of fewer than 1,000."""
    share = 0.2 if texts < ENOUGH_FOR_A_TENTH else 0.1
    return Shares(share, share)


@dataclass(frozen=True)
class SplitReport:
    """How the splits came about and what they share.

    Attributes:
        sizes: rows of each split.
        label_counts: rows of each label (the index as a string, as JSON has it) in each split.
        origin: "given", or how the split was made.
        seed: the seed of the made ones; None if all were given.
        duplicates_within: for each split, rows that repeat an earlier one of the same split, exactly or
            nearly.
        duplicates_across: for each pair "train/test", rows of the second with a near-duplicate in the first.
    """

    sizes: dict[str, int]
    label_counts: dict[str, dict[str, int]]
    origin: dict[str, str]
    seed: int | None
    duplicates_within: dict[str, int]
    duplicates_across: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON."""
        return asdict(self)


def make_splits(
    splits: Mapping[str, Dataset],
    *,
    seed: int,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    text_column: str = "text",
    label_names: Sequence[str] | None = None,
) -> tuple[dict[str, Dataset], SplitReport]:
    """Complete the splits: a missing "validation" or "test" is taken from "train".

    No group of near-duplicates is divided, each label has nearly the same share everywhere, and the same
    input and seed give the same rows. Given validation and test splits are not touched; what they share with
    others is counted in the report.

    Args:
        splits: what `apply_rule` returned, with `label` and, where known, `group`; "train" must be there.
        seed: of the shuffling.
        validation_share: of the rows of the given "train", in [0, 0.5); with 0 there is no such split.
        test_share: likewise.
        text_column: the column with the text.
        label_names: names of the labels in index order, for messages.

    Raises:
        CallError: no training split, or a share out of range.
        DataError: a label is too rare to be in every split, or the texts are too alike to be divided.
    """
    if "train" not in splits:
        raise CallError(f"no training split (there are: {', '.join(splits) or 'none'}): give --train_file FILE")
    shares = {"test": test_share, "validation": validation_share}
    for name, share in shares.items():
        if not 0 <= share < 0.5:
            raise CallError(f"{name} share {share:g}: give a number between 0 and 0.5, such as 0.1")
    missing = {name: share for name, share in shares.items() if name not in splits and share}
    done = dict(splits)
    origin = dict.fromkeys(splits, "given")
    if missing:
        train = splits["train"]
        labels = np.asarray(train["label"])
        known = train["group"][:] if "group" in train.column_names else None
        groups = duplicate_groups(train[text_column][:], known)
        for name, rows in _divide(labels, groups, missing, seed, label_names).items():
            done[name] = train.select(rows)
            part = f"share {missing[name]:g}" if name in missing else "the rest"
            origin[name] = f"made from train: seed {seed}, {part}"
            logger.info("%s: %d of %d rows (%s)", name, len(rows), len(train), origin[name])
    ordered: dict[str, Dataset] = {name: done[name] for name in ("train", "validation", "test") if name in done}
    return ordered, _report(ordered, origin, seed if missing else None, text_column)


def _divide(
    labels: np.ndarray,
    groups: np.ndarray,
    shares: Mapping[str, float],
    seed: int,
    label_names: Sequence[str] | None,
) -> dict[str, np.ndarray]:
    """Rows of each split to be made, and of the train that remains: folds, dealt out to the splits."""
    classes = set(labels.tolist())
    for label in sorted(classes):
        if len(np.unique(groups[labels == label])) <= len(shares):
            raise _too_rare(label, labels, groups, len(shares) + 1, label_names)
    folds = _folds(labels, groups, shares, seed)
    members = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    held = [set(labels[rows].tolist()) for rows in members]
    free = list(range(len(members)))
    made: dict[str, list[int]] = {}
    for left, (name, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        made[name] = _take(free, held, classes, max(1, round(share * len(members))), left)
        free = [fold for fold in free if fold not in made[name]]
    made["train"] = free
    for taken in made.values():
        absent = classes.difference(*(held[fold] for fold in taken))
        if absent:
            rarest = min(sorted(absent), key=lambda label: int((labels == label).sum()))
            raise _too_rare(rarest, labels, groups, len(made), label_names)
    return {name: np.sort(np.concatenate([members[fold] for fold in taken])) for name, taken in made.items()}


def _too_rare(
    label: int, labels: np.ndarray, groups: np.ndarray, splits: int, label_names: Sequence[str] | None
) -> DataError:
    """The error for a label that can't be in every split."""
    count = int((labels == label).sum())
    different = len(np.unique(groups[labels == label]))
    name = f'"{label_names[label]}"' if label_names else str(label)
    alike = f", {different} of them different" if different < count else ""
    return DataError(
        f"label {name} has only {count} training rows{alike}: too few for {splits} splits; add some, leave "
        "the label out, or give --validation_file and --test_file"
    )


def _folds(labels: np.ndarray, groups: np.ndarray, shares: Mapping[str, float], seed: int) -> np.ndarray:
    """The fold of each row: as few folds as give the shares, and never more than the data can fill."""
    denominators = [Fraction(share).limit_denominator(_FINEST).denominator for share in shares.values()]
    number = int(groups.max()) + 1
    largest_class = int(np.bincount(labels).max())
    count = min(int(np.lcm.reduce(denominators)), 2 * _FINEST, number, largest_class)
    count = max(count, len(shares) + 1)
    if number < count:
        raise DataError(
            f"the training texts form only {number} groups of near-duplicates, too few for {len(shares) + 1} "
            "splits: add others, or give --validation_file and --test_file"
        )
    if number <= _FEW_GROUPS:
        return _stratified(labels, groups, count, seed)
    # Most texts are alone in their group, and for those the plain stratified folds are as good and far
    # faster.
    alone = (np.bincount(groups) == 1)[groups]
    folds = np.empty(len(labels), dtype=np.int64)
    for part, own in ((alone, None), (~alone, groups)):
        if part.any():
            folds[part] = _stratified(labels[part], None if own is None else own[part], count, seed)
    return folds


def _stratified(labels: np.ndarray, groups: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """The fold of each row, 0...count-1; groups stay together (None: every row is its own)."""
    number = len(labels) if groups is None else len(np.unique(groups))
    if number < count or np.bincount(labels).max() < count:
        # A handful of rows, fewer than scikit-learn takes: dealt out one by one.
        order = np.random.default_rng(seed).permutation(number)
        return order[np.arange(number) if groups is None else np.unique(groups, return_inverse=True)[1]] % count
    folder = StratifiedKFold if groups is None else StratifiedGroupKFold
    folds = np.empty(len(labels), dtype=np.int64)
    with warnings.catch_warnings():
        # `_divide` sees to classes smaller than the number of folds.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        parts = folder(count, shuffle=True, random_state=seed).split(labels, labels, groups)
        for fold, (_, rows) in enumerate(parts):
            folds[rows] = fold
    return folds


def _take(free: list[int], held: list[set[int]], classes: set[int], wanted: int, splits_left: int) -> list[int]:
    """`wanted` of the free folds, so that every class is among them; more if it takes more."""
    taken: list[int] = []
    lacking = set(classes)
    # A fold is left for each split still to come, and for train.
    room = len(free) - splits_left
    while len(taken) < room and (len(taken) < wanted or lacking):
        best = max((fold for fold in free if fold not in taken), key=lambda fold: len(held[fold] & lacking))
        taken.append(best)
        lacking -= held[best]
    return taken


def _report(splits: Mapping[str, Dataset], origin: dict[str, str], seed: int | None, text_column: str) -> SplitReport:
    sizes = {name: len(dataset) for name, dataset in splits.items()}
    counts: dict[str, dict[str, int]] = {}
    texts: list[str] = []
    for name, dataset in splits.items():
        values, number = np.unique(np.asarray(dataset["label"]), return_counts=True)
        counts[name] = {str(value): int(n) for value, n in zip(values, number, strict=True)}
        texts += dataset[text_column][:]
    groups = np.split(duplicate_groups(texts), np.cumsum(list(sizes.values()))[:-1])
    found = dict(zip(splits, groups, strict=True))
    within = {name: len(ids) - len(np.unique(ids)) for name, ids in found.items()}
    across = {
        f"{first}/{second}": int(np.isin(found[second], found[first]).sum())
        for first, second in combinations(splits, 2)
    }
    for pair, shared in across.items():
        if shared:
            logger.warning("%s: %d rows of the second have a near-duplicate in the first", pair, shared)
    return SplitReport(sizes, counts, origin, seed, within, across)
