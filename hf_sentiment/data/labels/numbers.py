"""Label rules for numbers: indices, polarity codes, stars and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hf_sentiment.data.labels.rule import BINARY, TERNARY, LabelRule, contradiction, described, discrete, shown
from hf_sentiment.data.labels.values import as_number, plain, strays
from hf_sentiment.errors import CallError

FIVE_STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")
# Numbers that stand for polarities, and for which.
POLARITY_CODES: Mapping[tuple[float, ...], tuple[str, ...]] = {
    (0, 1): BINARY,
    (-1, 1): BINARY,
    (-1, 0, 1): TERNARY,
    (0, 1, 2): TERNARY,
    (0, 4): BINARY,
    (0, 2, 4): TERNARY,
}

# Ends of the scales in use, to tell a scale from the largest value that happens to be in the data: mean
# ratings up to 3.94 are on the scale to 4.
_SCALE_ENDS = (1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 100.0)
# A score so many times as far from 0 as its scale reaches is not on it: 35 among scores up to 4 is a slip or a sum.
_FAR_OUT = 4.0
# A scale about 0 reaches less than so many times as far above it as below.
_LOPSIDED = 2.0
# So many integers of which none is below 0 are no scores about 0.
_MANY = 5

# Class names that the user gives.
Names = tuple[str, ...] | None


def rule_of_numbers(
    counts: Mapping[float, int], names: Names, wanted: int | None, starred: bool = False, declared: bool = False
) -> LabelRule:
    """The rule for numbers; what it leaves out is unknown to it.

    Numbers that are too few to be classes (`values.strays`) are left out where the others have a certain rule; where
    the user says how many classes there are, that is first tried with all of them.

    Args:
        counts: Number → rows.
        names: Class names, or None.
        wanted: The number of classes, or None.
        starred: Whether most of them are written as stars.
        declared: Whether each is a class for certain, however rare.

    Raises:
        CallError: No rule is certain.
    """
    seen = sorted(counts)
    # First as classes: of the common numbers alone, or of all. The first refusal is what the user hears in the end, as
    # it is about the reading that is most likely meant.
    few = frozenset() if declared else _strays(counts)
    common = [number for number in seen if number not in few]
    attempts = [common, seen] if wanted is None else [seen, common]
    refused: CallError | None = None
    for numbers in attempts if common != seen else [seen]:
        try:
            rule = None if starred else _of_classes(numbers, names, wanted)
        except CallError as error:
            refused = refused or error
            continue
        if rule is not None:
            return rule
    # Then as stars. A scale is no way out of a refusal: numbers that could be classes are no scores.
    rule = _of_stars(counts, names, wanted, starred)
    if rule is None and not refused:
        rule = _of_scale(counts, names, wanted)
    if rule is not None:
        return rule
    raise refused or _uncertain(seen)


def _strays(counts: Mapping[float, int]) -> frozenset[float]:
    return strays(counts, sum(counts.values()))


def _are_strays(outside: Sequence[float], counts: Mapping[float, int]) -> bool:
    """Whether all of these are too few to be meant."""
    few = strays({number: counts[number] for number in outside}, sum(counts.values()))
    return len(few) == len(outside)


def _of_classes(seen: list[float], names: Names, wanted: int | None) -> LabelRule | None:
    """The rule for numbers each of which is a class of its own."""
    if not all(number == int(number) for number in seen):
        return None
    # 0 and 1 are indices and codes at once, and mean the same as either. Other integers are classes only if there are
    # as many as names, lowest first; 1 to 5 with five names are stars all the same.
    rule = _of_codes(seen, names, wanted) or _of_indices(seen, names, wanted)
    if rule is None and names and len(seen) == len(names) and not _is_star_scale(seen):
        rule = discrete("integers", {plain(number): index for index, number in enumerate(seen)}, names)
    return rule


def _of_codes(seen: list[float], names: Names, wanted: int | None) -> LabelRule | None:
    """Polarity codes other than indices; with two classes asked for the middle one of three is dropped."""
    meaning = POLARITY_CODES.get(tuple(seen))
    if meaning is None or seen == list(range(len(seen))):
        return None
    # {-1, 0, 1} with two classes asked for.
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
    # Two and three have a usual meaning; of more, nobody knows which is which.
    default = {2: BINARY, 3: TERNARY}.get(count)
    if default is None:
        example = ",".join("abcdefghijklmnopqrstuvwxyz"[:count]) if count <= 26 else "a,b,c,..."
        raise CallError(f"integer labels {shown(seen)}: name the {count} classes in order, --labels {example}")
    return discrete("integers", {str(i): i for i in range(count)}, default)


def _of_stars(counts: Mapping[float, int], names: Names, wanted: int | None, starred: bool) -> LabelRule | None:
    """Ratings from 1 to 5, if that is what most of the numbers are."""
    # Halves are on the scale, but where all five classes are asked for, which half stars do not have.
    scale = {number for number in counts if number * 2 == int(number * 2) and 0.5 <= number <= 5}
    if wanted == 5:
        whole = {number for number in scale if number == int(number)}
        scale = whole if _are_strays([number for number in counts if number not in whole], counts) else scale
    # What lies off the scale is left out, if it is too little to be meant.
    off = [number for number in counts if number not in scale]
    if off and not _are_strays(off, counts):
        if starred:
            raise CallError(
                f"star labels {shown(sorted(counts))}: only 1 to 5 have a rule; put class names in the file"
            )
        return None
    # Plain numbers are stars only if there are three of them or more and the scale's end is among them: a 5 that is
    # frequent, or a rare one beside a 4 that is frequent.
    few = _strays(counts)
    high = max(scale) == 5 and (5 not in few or (4 in counts and 4 not in few))
    return rule_of_stars(sorted(scale), names, wanted) if starred or (len(scale) > 2 and high) else None


def _is_star_scale(numbers: Sequence[float]) -> bool:
    return len(numbers) > 2 and max(numbers) == 5 and min(numbers) >= 1


def rule_of_stars(numbers: Sequence[float], names: Names, wanted: int | None) -> LabelRule:
    """The rule for ratings from 1 to 5.

    Args:
        numbers: Distinct ratings, in halves.
        names: Class names, or None.
        wanted: The number of classes: 2 (None) drops the middle, 3 keeps it as neutral, 5 keeps all.
    """
    count = wanted or 2
    whole = all(number == int(number) for number in numbers)
    if count not in (2, 3, 5) or (count == 5 and not whole):
        raise contradiction(wanted, "star ratings", "use --num_labels 2 or 3, or 5 if there are no half stars")
    labels = names or {2: BINARY, 3: TERNARY, 5: FIVE_STARS}[count]
    # Every rating of the scale is known, whether the training split has it or not.
    scale = [step / 2 for step in (range(2, 11, 2) if whole else range(1, 11))]
    mapping = {plain(star): _star_class(star, count) for star in scale}
    return LabelRule("stars", labels, f"stars: {described(mapping, labels)}", mapping)


def _star_class(star: float, count: int) -> int | None:
    """Up to 2 negative, from 4 positive, between them neutral (of three) or dropped (of two); or all five kept."""
    if count == 5:
        return round(star) - 1
    if star <= 2:
        return 0
    if star >= 4:
        return count - 1
    return 1 if count == 3 else None


def _of_scale(counts: Mapping[float, int], names: Names, wanted: int | None) -> LabelRule | None:
    """Scores in 0...1 or about 0; a few numbers that are far off the scale are left out."""
    # Fractions in 0...1 make a scale of it; 0 and 1 alone are classes, which were tried before.
    unit = [number for number in counts if 0 <= number <= 1]
    if any(number != int(number) for number in unit) and _is_most(unit, counts):
        return _of_unit_scores(names, wanted)
    # A scale about 0 has both signs.
    near = sorted(_without_far(counts))
    _refuse_code(near, counts)
    return _of_signed_scores(near, names, wanted) if near[0] < 0 < near[-1] else None


def _refuse_code(near: Sequence[float], counts: Mapping[float, int]) -> None:
    """`CallError` for a number that stands apart from the others, as -1 and 99 do where they mean "not rated"."""
    if len(near) < 3:
        return
    far = [end for end in (near[0], near[-1]) if end == int(end) and _is_far(end, near)]
    # The only one below 0 goes before one that is far above the others: -1 beside 20 and 90.
    alone = near[0] < 0 <= near[1] and _is_apart(near[0], [number for number in near[1:] if number not in far])
    for code in near[:1] if alone else far:
        others = [plain(number) for number in near if number != code]
        raise CallError(
            f"the label {plain(code)} stands in {counts[code]:,} of {sum(counts.values()):,} rows, apart from the "
            f"others ({others[0]} to {others[-1]}): if it means no label, leave these rows out; if it is a class, "
            + (f"name them all, {_example(near)}" if _can_be_classes(near) else "put class names in the file")
        )


def _is_apart(code: float, others: Sequence[float]) -> bool:
    """Whether the only number below 0 is no part of a scale about 0 with the others, in ascending order."""
    if code != int(code):
        return False
    whole = all(number == int(number) for number in others)
    # What is a scale by itself: stars, 0...1, and integers from 0 or 1 that don't mirror it.
    unit = len(others) > 2 and others[-1] <= 1 and not whole
    counted = whole and others[0] <= 1 and others[-1] - others[0] == len(others) - 1 and others[-1] != -code
    return _is_star_scale(others) or unit or counted or others[-1] >= _LOPSIDED * -code


def _is_far(end: float, numbers: Sequence[float]) -> bool:
    return abs(end) > _FAR_OUT * max(abs(number) for number in numbers if number != end)


def _is_most(inside: Sequence[float], counts: Mapping[float, int]) -> bool:
    outside = list(counts.keys() - set(inside))
    return not outside or _are_strays(outside, counts)


def _without_far(counts: Mapping[float, int]) -> list[float]:
    """The numbers without those few that no scale has which holds the others."""
    # The narrowest scale that holds all but a few numbers, these being far beyond it: 35 among -4...4.
    for end in _SCALE_ENDS:
        inside = [number for number in counts if abs(number) <= end]
        outside = [abs(number) for number in counts if abs(number) > end]
        if inside and outside and min(outside) > _FAR_OUT * end and _is_most(inside, counts):
            return inside
    return list(counts)


def _of_signed_scores(seen: list[float], names: Names, wanted: int | None) -> LabelRule:
    """Scores about 0: an eighth of the scale's end is neutral (-4...4: +-0.5, as Hutto & Gilbert 2014 have it)."""
    count = wanted or 2
    if count not in (2, 3):
        raise contradiction(wanted, f"scores from {plain(seen[0])} to {plain(seen[-1])}", "use --num_labels 2 or 3")
    # The scale reaches to the next usual end: scores up to 3.94 are of -4...4.
    largest = max(-seen[0], seen[-1])
    end = next((end for end in _SCALE_ENDS if end >= largest), largest)
    cut = end / 8
    labels = names or (BINARY if count == 2 else TERNARY)
    middle = "dropped" if count == 2 else labels[1]
    text = f"scores: below {-cut:g} -> {labels[0]}; above {cut:g} -> {labels[-1]}; between -> {middle}"
    # The index of each interval between the cuts; None drops the middle.
    classes = (0, None, 1) if count == 2 else (0, 1, 2)
    limits = (-_FAR_OUT * end, _FAR_OUT * end)
    return LabelRule("scores", labels, text, cuts=(-cut, cut), classes=classes, symmetric=True, limits=limits)


def _of_unit_scores(names: Names, wanted: int | None) -> LabelRule:
    """Scores in 0...1: cut at 0.5, or at 0.4 and 0.6, SST's cuts for three classes (Socher et al. 2013)."""
    count = wanted or 2
    if count not in (2, 3):
        raise contradiction(wanted, "scores from 0 to 1", "use --num_labels 2 or 3")
    if count == 2:
        labels = names or BINARY
        text = f"scores: up to 0.5 -> {labels[0]}; above -> {labels[1]}"
        return LabelRule("scores", labels, text, cuts=(0.5,), classes=(0, 1), limits=(0.0, 1.0))
    labels = names or TERNARY
    text = f"scores: up to 0.4 -> {labels[0]}; up to 0.6 -> {labels[1]}; above -> {labels[2]}"
    return LabelRule("scores", labels, text, cuts=(0.4, 0.6), classes=(0, 1, 2), limits=(0.0, 1.0))


def is_another_scale(numbers: Sequence[float], rule: LabelRule) -> bool:
    """Whether numbers are certainly of another scale than those of a rule, which knows some of them.

    Args:
        numbers: Distinct ones without slips, in ascending order.
        rule: Of other data.
    """
    first, last = numbers[0], numbers[-1]
    if rule.symmetric:
        # 0 to 4, 1 to 10: so many integers about 0 would not all be above it.
        return first >= 0 and len(numbers) >= _MANY and all(number == int(number) for number in numbers)
    if rule.kind == "names":
        return False
    known = {number for key in rule.mapping if (number := as_number(key)) is not None}
    top = max(known, default=1.0)
    # The next number of the same kind, or several: a single one far above may mean "not rated".
    above = top + 1 in numbers or len([number for number in numbers if number > top]) > 1
    below = bool(known) and 0 not in known and first == 0 and last < top
    # Of indices that the user named there may be more, but these count from 0 too.
    named = rule.kind == "integers" and rule.labels not in (BINARY, TERNARY)
    return below or (above and (not named or (0 in known and first > 0)))


def _uncertain(seen: list[float]) -> CallError:
    """The error for numbers that have no rule."""
    if len(seen) == 1:
        return CallError(f"only one label, {plain(seen[0])}: two or more are needed; name them, --labels a,b")
    if not _can_be_classes(seen):
        return CallError(
            f"numbers from {plain(seen[0])} to {plain(seen[-1])} as labels: only scores in 0...1 or about 0 "
            "have a rule; put class names in the file, or name another column with --label_column NAME"
        )
    return CallError(f"integer labels {shown(seen)}: what they mean is not certain; name the classes, {_example(seen)}")


def _can_be_classes(numbers: Sequence[float]) -> bool:
    return len(numbers) <= 10 and all(number == int(number) for number in numbers)


def _example(numbers: Sequence[float]) -> str:
    return f"lowest first, with --labels {','.join('abcdefghij'[: max(2, len(numbers))])}"
