"""Finding the label rule of a column: booleans and strings here, numbers and stars in `numeric_labels`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..errors import CallError
from .label_rule import (
    BINARY,
    POLARITY_ORDER,
    TERNARY,
    LabelRule,
    UnknownLabel,
    as_number,
    canonical,
    contradiction,
    discrete,
    fold,
    is_missing,
)
from .numeric_labels import rule_of_numbers, rule_of_stars, stars_of

__all__ = ["MAX_STRING_LABELS", "LabelRule", "UnknownLabel", "infer_label_rule"]

MAX_STRING_LABELS = 50
"""More distinct strings than this are taken for the wrong column."""

_TRUTH: Mapping[str, int | None] = {"false": 0, "true": 1, "no": 0, "yes": 1}


def infer_label_rule(
    values: Iterable[object],
    *,
    num_labels: int | None = None,
    labels: Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
) -> LabelRule:
    """Find the rule for a column of raw labels: the training split's, missing values included.

    - Booleans, and true/false/yes/no, are negative and positive.
    - Integers 0...k-1 are indices, named by `labels` or `label_names`; without names two are negative and
      positive, three have neutral between, and more are an error.
    - {-1, 1}, {-1, 0, 1}, {0, 4} (Sentiment140) and {0, 2, 4} are polarity codes.
    - Stars 1...5, halves allowed: 1 and 2 negative, 4 and 5 positive; what is between is dropped, or neutral
      with `num_labels=3`; `num_labels=5` keeps all.
    - Scores in 0...1 are cut at 0.5, or at 0.4 and 0.6 for three classes (SST's cuts).
    - Scores about 0: a band of an eighth of the scale's end on either side is dropped, or neutral (-4...4:
      +-0.5, the VADER corpora's rule; -1...1: +-0.125).
    - Polarity words and abbreviations are put in order; other strings are sorted and kept verbatim.

    Args:
        values: raw values of any of these types; numbers may be strings.
        num_labels: the number of classes, where the data leave a choice.
        labels: class names in index order. Values that are none of them are unknown (bad rows).
        label_names: names of integer labels that the data set itself gives (a `ClassLabel` feature).

    Raises:
        CallError: no rule is certain, or `num_labels` contradicts the data; the message says what settles it.
    """
    names = _checked_names(labels, num_labels)
    wanted = len(names) if names else num_labels
    seen = [value for value in dict.fromkeys(values) if not is_missing(value)]
    if not seen:
        raise CallError("the label column is empty: name another one with --label_column NAME")
    keys = list(dict.fromkeys(canonical(value) for value in seen))
    if names and set(keys) <= {canonical(name) for name in names}:
        return _of_names(keys, names)
    if all(key.casefold() in _TRUTH for key in keys):
        return _of_booleans(names, wanted)
    stars = {key: stars_of(key) for key in keys}
    if all(star is not None for star in stars.values()):
        spelled = {key: star for key, star in stars.items() if star is not None}
        return rule_of_stars(list(spelled.values()), names, wanted, spelled)
    numbers = [number for number in map(as_number, keys) if number is not None]
    if len(numbers) == len(keys):
        return rule_of_numbers(sorted(set(numbers)), names, wanted, label_names)
    return _of_names(keys, names) if names else _of_strings(keys, num_labels)


def _checked_names(labels: Sequence[str] | None, num_labels: int | None) -> tuple[str, ...] | None:
    """`labels` as a tuple, if they are two or more different names and agree with `num_labels`."""
    if num_labels is not None and num_labels < 2:
        raise CallError(f"--num_labels {num_labels}: a classifier needs at least 2")
    if labels is None:
        return None
    names = tuple(str(name).strip() for name in labels)
    given = f"--labels {','.join(names)}"
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise CallError(f"{given}: give two or more different names, such as --labels negative,positive")
    if num_labels is not None and num_labels != len(names):
        raise CallError(f"--num_labels {num_labels} contradicts {given} ({len(names)} names): leave one out")
    return names


def _of_booleans(names: tuple[str, ...] | None, wanted: int | None) -> LabelRule:
    if wanted not in (None, 2):
        raise contradiction(wanted, "true and false", "leave --num_labels out")
    return discrete("booleans", _TRUTH, names or BINARY)


def _of_names(keys: Sequence[str], names: tuple[str, ...]) -> LabelRule:
    """The rule for names that the user gives; a polarity word in any spelling, where it can mean one only."""
    folded = [fold(name) for name in names]
    polar = {key for key in POLARITY_ORDER if folded.count(key) == 1}
    mapping: dict[str, int | None] = {key: i for i, key in enumerate(folded) if key in polar}
    mapping |= {canonical(name): index for index, name in enumerate(names)}
    if not any(key in mapping or fold(key) in polar for key in keys):
        held = ", ".join(sorted(keys)[:5])
        raise CallError(f"none of --labels {','.join(names)} is in the label column, which holds {held}")
    text = "; ".join(f"{name} -> {index}" for index, name in enumerate(names))
    return LabelRule("names", names, f"names: {text}", mapping)


def _of_strings(keys: Sequence[str], num_labels: int | None) -> LabelRule:
    """The rule for class names in the data."""
    if len(keys) > MAX_STRING_LABELS:
        raise CallError(
            f"{len(keys)} different labels, such as {keys[0][:40]!r}: probably not the label column; "
            "name it with --label_column NAME, or the classes with --labels a,b"
        )
    folded = {fold(key) for key in keys}
    polar = folded <= set(POLARITY_ORDER)
    ordered = tuple(name for name in POLARITY_ORDER if name in folded) if polar else tuple(sorted(keys))
    if len(ordered) < 2:
        example = ",".join(BINARY) if polar else "a,b"
        raise CallError(f"only one label, {ordered[0]!r}: two or more are needed; name them, --labels {example}")
    if ordered == TERNARY and num_labels == 2:
        return discrete("names", {"negative": 0, "neutral": None, "positive": 1}, BINARY)
    if num_labels not in (None, len(ordered)):
        what = f"{len(ordered)} labels ({', '.join(ordered[:8])})"
        raise contradiction(num_labels, what, f"use --num_labels {len(ordered)}, or name those to keep, --labels a,b")
    return discrete("names", {name: index for index, name in enumerate(ordered)}, ordered)
