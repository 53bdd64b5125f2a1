"""Label rules for numbers: indices, polarity codes, stars and scores."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import CallError
from .label_rule import (
    BINARY,
    POLARITY_ORDER,
    TERNARY,
    LabelRule,
    contradiction,
    described,
    discrete,
    fold,
    plain,
    shown,
)

_STARS = re.compile(r"(\d+(?:[.,]\d+)?)[\s-]*(?:stars?|★|⭐)", re.IGNORECASE)
FIVE_STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
_CODES: dict[tuple[float, ...], tuple[str, ...]] = {
    (-1, 1): BINARY,
    (-1, 0, 1): TERNARY,
    (0, 4): BINARY,
    (0, 2, 4): TERNARY,
}
# Ends of the scales in use, to tell a scale from the largest value that happens to be in the data: mean
# ratings up to 3.94 are on the scale to 4.
_SCALE_ENDS = (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 100.0)

Names = tuple[str, ...] | None
"""Class names that the user gives."""


def stars_of(key: str) -> float | None:
    """The number in "4 stars", "1 star", "3.5★" or "★★★"; None where no star is named."""
    match = _STARS.fullmatch(key)
    if match:
        return float(match.group(1).replace(",", "."))
    return float(len(key)) if key and set(key) <= {"★", "⭐"} else None


def rule_of_stars(
    numbers: Sequence[float], names: Names, wanted: int | None, spelled: Mapping[str, float] | None = None
) -> LabelRule:
    """The rule for ratings from 1 to 5.

    Args:
        numbers: distinct ratings.
        names: class names, or None.
        wanted: the number of classes: 2 (None) drops the middle, 3 keeps it as neutral, 5 keeps all.
        spelled: the strings that the ratings are in the data, where they are no bare numbers.
    """
    count = wanted or 2
    whole = all(number == int(number) for number in numbers)
    if not _is_star_scale(numbers):
        found = shown(sorted(set(numbers)))
        raise CallError(f"star labels {found}: only 1 to 5 have a rule; put class names in the file")
    if count not in (2, 3, 5) or (count == 5 and not whole):
        raise contradiction(wanted, "star ratings", "use --num_labels 2 or 3, or 5 if there are no half stars")
    labels = names or {2: BINARY, 3: TERNARY, 5: FIVE_STARS}[count]
    # Every rating of the scale is known, whether the training split has it or not.
    scale = [step / 2 for step in (range(2, 11, 2) if whole else range(1, 11))]
    mapping = {plain(star): _star_class(star, count) for star in scale}
    text = f"stars: {described(mapping, labels)}"
    mapping |= {f"{plain(star)} star{'' if star == 1 else 's'}": _star_class(star, count) for star in scale}
    mapping |= {key: _star_class(star, count) for key, star in (spelled or {}).items()}
    return LabelRule("stars", labels, text, mapping)


def rule_of_numbers(
    seen: list[float], names: Names, wanted: int | None, label_names: Sequence[str] | None
) -> LabelRule:
    """The rule for ascending distinct numbers; arguments as `infer_label_rule`'s."""
    whole = all(number == int(number) for number in seen)
    if whole and label_names is not None:
        return _of_class_label(seen, names, wanted, label_names)
    rule = (_of_codes(seen, names, wanted) or _of_indices(seen, names, wanted)) if whole else None
    if rule is not None:
        return rule
    if len(seen) > 2 and seen[-1] == 5 and _is_star_scale(seen):
        return rule_of_stars(seen, names, wanted)
    if whole and names and len(seen) == len(names):
        return discrete("integers", {plain(number): index for index, number in enumerate(seen)}, names)
    if seen[0] < 0 < seen[-1]:
        return _of_signed_scores(seen, names, wanted)
    if not whole and seen[0] >= 0 and seen[-1] <= 1:
        return _of_unit_scores(names, wanted)
    if not whole or len(seen) > 10:
        raise CallError(
            f"numbers from {plain(seen[0])} to {plain(seen[-1])} as labels: only scores in 0...1 or about 0 "
            "have a rule; put class names in the file, or name another column with --label_column NAME"
        )
    example = ",".join("abcdefghij"[: max(2, len(seen))])
    raise CallError(
        f"integer labels {shown(seen)}: what they mean is not certain; name the classes, lowest first, "
        f"with --labels {example}"
    )


def _star_class(star: float, count: int) -> int | None:
    """Up to 2 negative, from 4 positive, between them neutral (of three) or dropped (of two); or all five
    kept."""
    if count == 5:
        return round(star) - 1
    if star <= 2:
        return 0
    if star >= 4:
        return count - 1
    return 1 if count == 3 else None


def _is_star_scale(numbers: Sequence[float]) -> bool:
    """Whether all are 1...5, or 0.5...5 in halves."""
    halves = all(number * 2 == int(number * 2) for number in numbers)
    whole = all(number == int(number) for number in numbers)
    return halves and min(numbers) >= (1 if whole else 0.5) and max(numbers) <= 5


def _of_codes(seen: list[float], names: Names, wanted: int | None) -> LabelRule | None:
    """Polarity codes; with two classes asked for the middle one of three is dropped."""
    meaning = _CODES.get(tuple(seen))
    if meaning is None:
        return None
    if len(meaning) == 3 and wanted == 2:
        middle_dropped = {plain(seen[0]): 0, plain(seen[1]): None, plain(seen[2]): 1}
        return discrete("integers", middle_dropped, names or BINARY)
    if wanted not in (None, len(meaning)):
        raise contradiction(wanted, shown(seen), f"use --num_labels {len(meaning)}")
    return discrete("integers", {plain(number): i for i, number in enumerate(seen)}, names or meaning)


def _of_indices(seen: list[float], names: Names, wanted: int | None) -> LabelRule | None:
    """Integers that are indices: 0...k-1 without a hole, or any below the number of given names."""
    # Without a 0 among three or more, "1, 2" could as well be counted from 1.
    if names and seen[0] >= 0 and seen[-1] < len(names) and (seen[0] == 0 or len(names) == 2):
        return discrete("integers", {str(i): i for i in range(len(names))}, names)
    count = len(seen)
    if count < 2 or seen != list(range(count)):
        return None
    if wanted not in (None, count):
        raise contradiction(wanted, f"the integers {shown(seen)}", f"use --num_labels {count}")
    default = {2: BINARY, 3: TERNARY}.get(count)
    if default is None:
        example = ",".join("abcdefghijklmnopqrstuvwxyz"[:count]) if count <= 26 else "a,b,c,..."
        raise CallError(f"integer labels {shown(seen)}: name the {count} classes in order, --labels {example}")
    return discrete("integers", {str(i): i for i in range(count)}, default)


def _of_class_label(seen: list[float], names: Names, wanted: int | None, label_names: Sequence[str]) -> LabelRule:
    """Indices whose names the data set gives; the user's names replace them."""
    given = tuple(str(name).strip() for name in label_names)
    if seen[0] < 0 or seen[-1] >= len(given):
        raise CallError(f"integer labels {shown(seen)}: the data set names {len(given)} classes only; use --labels a,b")
    stars = [stars_of(name) for name in given]
    if names is None and all(stars) and wanted in (2, 3):
        mapping = {str(i): _star_class(star or 0.0, wanted) for i, star in enumerate(stars)}
        return discrete("stars", mapping, BINARY if wanted == 2 else TERNARY)
    folded = tuple(fold(name) for name in given)
    if names is None and wanted == 2 and sorted(folded) == sorted(TERNARY):
        kept = {"negative": 0, "positive": 1}
        return discrete("integers", {str(i): kept.get(name) for i, name in enumerate(folded)}, BINARY)
    if wanted not in (None, len(given)):
        raise contradiction(wanted, f"the classes {', '.join(given)}", f"use --num_labels {len(given)}")
    if names is None and all(name.isdigit() for name in given):
        # "0" and "1" are no names; they are what an automatic conversion leaves.
        return rule_of_numbers([float(i) for i in range(len(given))], None, None, None)
    polar = len(set(folded)) == len(folded) and set(folded) <= set(POLARITY_ORDER)
    return discrete("integers", {str(i): i for i in range(len(given))}, names or (folded if polar else given))


def _of_signed_scores(seen: list[float], names: Names, wanted: int | None) -> LabelRule:
    """Scores about 0: an eighth of the scale's end is neutral (-4...4: +-0.5, as Hutto & Gilbert 2014 have
    it)."""
    count = wanted or 2
    if count not in (2, 3):
        raise contradiction(wanted, f"scores from {plain(seen[0])} to {plain(seen[-1])}", "use --num_labels 2 or 3")
    largest = max(-seen[0], seen[-1])
    cut = next((end for end in _SCALE_ENDS if end >= largest), largest) / 8
    labels = names or (BINARY if count == 2 else TERNARY)
    middle = "dropped" if count == 2 else labels[1]
    text = f"scores: below {-cut:g} -> {labels[0]}; above {cut:g} -> {labels[-1]}; between -> {middle}"
    classes = (0, None, 1) if count == 2 else (0, 1, 2)
    return LabelRule("scores", labels, text, cuts=(-cut, cut), classes=classes, symmetric=True)


def _of_unit_scores(names: Names, wanted: int | None) -> LabelRule:
    """Scores in 0...1: cut at 0.5, or at 0.4 and 0.6, SST's cuts for three classes (Socher et al. 2013)."""
    count = wanted or 2
    if count not in (2, 3):
        raise contradiction(wanted, "scores from 0 to 1", "use --num_labels 2 or 3")
    if count == 2:
        labels = names or BINARY
        text = f"scores: up to 0.5 -> {labels[0]}; above -> {labels[1]}"
        return LabelRule("scores", labels, text, cuts=(0.5,), classes=(0, 1))
    labels = names or TERNARY
    text = f"scores: up to 0.4 -> {labels[0]}; up to 0.6 -> {labels[1]}; above -> {labels[2]}"
    return LabelRule("scores", labels, text, cuts=(0.4, 0.6), classes=(0, 1, 2))
