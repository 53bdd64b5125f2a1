"""Making the splits that a source lacks: stratified by label, grouped by near-duplicates, seeded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from hf_sentiment.data.splits.duplicates import key_hashes
from hf_sentiment.errors import DataError

# Up to this many groups, `StratifiedGroupKFold` weighs all of them; it takes minutes for hundreds of thousands.
_FEW_GROUPS = 1_000

# Of a cross-validation.
FOLDS = 5

# The largest denominator of a share: 0.15 is 3 of 20 folds.
_FINEST = 100


def label_folds(labels: np.ndarray, num_labels: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows to learn from and rows to judge, of each fold of a cross-validation; none if a label has fewer than two.

    Args:
        labels: Label indices, each with its share in every fold.
        num_labels: The labels that should occur.
        seed: Of the shuffling.

    Returns:
        Five folds, or as many as the rarest label has rows.
    """
    folds = min(FOLDS, int(np.bincount(labels, minlength=num_labels).min()))
    if folds < 2:
        return []
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels))


# The splits that there may be, in their order.
SPLITS = ("train", "validation", "test")


class Shares(NamedTuple):
    """Shares of the labelled texts to hold out; with 0 there is no such split."""

    validation: float
    test: float


# Below, a tenth would be too few texts to say anything.
ENOUGH_FOR_A_TENTH = 1000

# An accuracy is known to ±0.3 points by so many, and each is predicted again in every evaluation.
_MOST_HELD_OUT = 50_000


def usual_shares(texts: int) -> Shares:
    """Of so many texts a tenth, 50,000 at most, each for validation and testing, or a fifth of fewer than 1,000."""
    share = 0.2 if texts < ENOUGH_FOR_A_TENTH else min(0.1, _MOST_HELD_OUT / texts)
    return Shares(share, share)


def no_shares(texts: int) -> Shares:
    """Of however many texts none."""
    return Shares(0.0, 0.0)


def make_splits(
    labels: np.ndarray,
    groups: np.ndarray,
    shares: Mapping[str, float],
    *,
    seed: int,
    label_names: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """Take splits from the training rows.

    No group of near-duplicates is divided, each label has nearly the same share everywhere, and the same input and seed
    give the same rows.

    Args:
        labels: Label indices, shape (rows,).
        groups: Numbers from 0 of what must stay together, shape (rows,).
        shares: Of the rows, by the name of the split to be made, each in (0, 0.5).
        seed: Of the shuffling.
        label_names: Names of the labels in index order, for messages.

    Returns:
        Row numbers of each split, ascending, and of the "train" that remains.

    Raises:
        DataError: A label is too rare to be in every split, or the texts are too alike to be divided.
    """
    classes = set(labels.tolist())
    # A label needs a group of its own in each split, train included: two texts that are alike count once.
    for label in sorted(classes):
        if len(np.unique(groups[labels == label])) <= len(shares):
            raise _too_rare(label, labels, groups, len(shares) + 1, label_names)
    # Equal folds, each stratified, are dealt out to the splits, so that all shares come from one division.
    folds = _folds(labels, groups, shares, seed)
    members = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]  # fold → its rows
    held = [set(labels[rows].tolist()) for rows in members]  # fold → the labels in it
    free = list(range(len(members)))
    made: dict[str, list[int]] = {}
    # `left` counts the splits that still want a fold after this one, train among them.
    for left, (name, share) in zip(range(len(shares), 0, -1), shares.items(), strict=True):
        made[name] = _take(free, held, classes, max(1, round(share * len(members))), left)
        free = [fold for fold in free if fold not in made[name]]
    made["train"] = free
    # Dealing cannot always bring a rare label everywhere: then the rarest of those that are absent is named.
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
    # 0.1 and 0.15 are 2 and 3 of 20 folds: the least common multiple of the denominators has both without a rest.
    # A smaller share than one fold is one fold.
    least = Fraction(1, _FINEST)
    denominators = [max(Fraction(share), least).limit_denominator(_FINEST).denominator for share in shares.values()]
    number = int(groups.max()) + 1
    largest_class = int(np.bincount(labels).max())
    # No more folds than groups, or than the largest class has rows: the others would be empty or of one label.
    count = min(int(np.lcm.reduce(denominators)), 2 * _FINEST, number, largest_class)
    count = max(count, len(shares) + 1)
    if number < count:
        raise DataError(
            f"the training texts form only {number} groups of near-duplicates, too few for {len(shares) + 1} "
            "splits: add others, or give --validation_file and --test_file"
        )
    # The exact way weighs every group against every fold.
    if number <= _FEW_GROUPS:
        return _stratified(labels, groups, count, seed)
    # So of many groups only the largest are, of as many rows as even the folds of the very largest. The others are
    # dealt out by their kind (so many rows of this label, so many of that), as single rows are by their label.
    sizes = np.bincount(groups)
    falling = np.argsort(-sizes, kind="stable")
    enough = int(np.searchsorted(np.cumsum(sizes[falling]), count * sizes.max())) + 1
    large = np.zeros(number, dtype=bool)
    large[falling[: max(enough, _FEW_GROUPS)]] = True
    weighed = (large & (sizes > 1))[groups]
    folds = np.empty(len(labels), dtype=np.int64)
    if weighed.any():
        folds[weighed] = _stratified(labels[weighed], groups[weighed], count, seed)
    small, member = np.unique(groups[~weighed], return_inverse=True)
    kinds = np.zeros(len(small), dtype=np.uint64)  # of the same labels, the same sum
    np.add.at(kinds, member, key_hashes(map(str, range(int(labels.max()) + 1)))[labels[~weighed]])
    folds[~weighed] = _stratified(np.unique(kinds, return_inverse=True)[1], None, count, seed)[member]
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
    lacking = set(classes)  # labels that no fold taken so far has
    # A fold is left for each split still to come, and for train.
    room = len(free) - splits_left
    while len(taken) < room and (len(taken) < wanted or lacking):
        # The fold with most of what is lacking; of equally good ones the first, so that the choice is always the same.
        best = max((fold for fold in free if fold not in taken), key=lambda fold: len(held[fold] & lacking))
        taken.append(best)
        lacking -= held[best]
    return taken
