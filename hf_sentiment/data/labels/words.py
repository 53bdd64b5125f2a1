"""Label rules for words: polarities, truth values and class names."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from hf_sentiment.data.labels.numbers import POLARITY_CODES
from hf_sentiment.data.labels.rule import BINARY, TERNARY, LabelRule, contradiction, discrete
from hf_sentiment.data.labels.values import POLARITY_ORDER, LabelColumn, canonical, fold, strays
from hf_sentiment.errors import CallError

logger = logging.getLogger(__name__)

# More distinct strings than this are taken for the wrong column.
MAX_STRING_LABELS = 50

# As many can be labels of one row each, in a small file.
_FEW_STRINGS = 10
# Characters of a label; most texts have more.
_LONGEST = 80
# A share of the distinct values: what so many are, the column is of.
_MOST = 0.8
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
# 2024-01-31, also with a time; 31.1.2024, 1/31/24; 31 January 2024, Jan 31, 2024.
_DATE = re.compile(
    rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}([ t].*)?|\d{{1,2}}([-/.])\d{{1,2}}\3(\d{{4}}|\d{{2}})([ ,].*)?"
    rf"|(\d{{1,2}}\.? )?{_MONTH}\.? (\d{{1,2}},? )?\d{{4}}"
)

# Words that are truth values, and their class.
TRUTH: Mapping[str, int | None] = {"false": 0, "true": 1, "no": 0, "yes": 1}

# Words that stand for a class of two where others of the column are polarities, truth values or codes.
_BESIDE_OTHERS: Mapping[str, int] = {"f": 0, "t": 1, "n": 0, "y": 1, "p": 1, "bad": 0, "good": 1}

# A share of the rows from which on "none" or "unknown" is a class among names, however frequent the others are.
_FREQUENT = 0.2
_SHOWN = 8


def rule_of_booleans(names: tuple[str, ...] | None, wanted: int | None) -> LabelRule:
    """The rule for truth values, with `names` of the two classes and the number of them that is wanted, or None."""
    if wanted not in (None, 2):
        raise contradiction(wanted, "true and false", "leave --num_labels out")
    return discrete("booleans", TRUTH, names or BINARY)


def as_polarities(column: LabelColumn, numbers: Mapping[str, float], words: Sequence[str]) -> dict[str, str] | None:
    """The polarity word of each key of a mixture of polarity words, truth values and codes, if it is plain which."""
    meaning = {key: word for key in words if (word := column.polarity(key))}
    truth = {key: BINARY[index] for key in words if (index := TRUTH.get(key)) is not None}
    beside = {key: BINARY[_BESIDE_OTHERS[key]] for key in words if key in _BESIDE_OTHERS}
    # Two kinds of value at least make a mixture; of one kind, another rule is better.
    of_words = sum(map(bool, (meaning, truth, beside)))
    if of_words + bool(numbers) < 2:
        return None
    truth |= beside
    if not column.are_strays([key for key in words if key not in meaning and key not in truth]):
        return None
    # True and false are two classes: beside "neutral" they say nothing certain.
    if truth and not set(meaning.values()) <= set(BINARY):
        return None
    # The numbers without slips, then all of them: the first set that is a known code decides.
    few = column.strays(numbers)
    for kept in ([key for key in numbers if key not in few], list(numbers)):
        scale = tuple(sorted({numbers[key] for key in kept}))
        codes = POLARITY_CODES.get(scale, () if scale else TERNARY)
        # 1 is neutral in {0, 1, 2} only, which the words have to confirm; -1, 0 and 1 can mean one thing.
        allowed = TERNARY if scale in ((), (-1, 1)) else codes
        unconfirmed = scale == (0, 1, 2) and "neutral" not in meaning.values()
        plain = set(meaning.values()) <= set(allowed) and not unconfirmed and not (truth and len(codes) > 2 and scale)
        if codes and plain and (scale or of_words > 1):
            coded = dict(zip(scale, codes, strict=True)) if scale else {}
            return meaning | truth | {key: coded[numbers[key]] for key in kept}
    return None


def rule_of_polarities(
    column: LabelColumn, meaning: Mapping[str, str], perhaps: Sequence[str], wanted: int | None, declared: Sequence[str]
) -> LabelRule:
    """The rule for values whose polarity word is known; one of these in a row or two is a slip among hundreds.

    Args:
        column: Of the labels.
        meaning: Key → polarity word.
        perhaps: Keys that may mean "no label".
        wanted: The number of classes, or `None`.
        declared: Names in the data set's own order, which then is that of the classes.
    """
    counts: Counter[str] = Counter()
    for key, word in meaning.items():
        counts[word] += column.counts[key]
    # The data set's own order, so that a model's classes have the numbers that they have there.
    order = {fold(canonical(name)): index for index, name in enumerate(declared)}
    few = strays(counts, column.rows, among_words=True) - set(order)
    common = [word for word in POLARITY_ORDER if word in counts and word not in few]
    words = [word for word in POLARITY_ORDER if word in counts]
    words = common if len(common) > 1 and wanted in (None, len(common)) else words
    # "none" in as many rows as a class may be one, and then only the user knows.
    for key in perhaps:
        if column.counts[key] >= min(counts[word] for word in words):
            name = column.name([key])
            raise CallError(
                f"the label {name!r} stands in {column.counts[key]:,} of {column.rows:,} rows: if it is a class, name "
                f"all of them, --labels {','.join([*words, name])}; if it means no label, --labels {','.join(words)}"
            )
    if len(words) < 2:
        raise CallError(f"only one label, {words[0]!r}: two or more are needed; name them, --labels {','.join(BINARY)}")
    if tuple(words) == TERNARY and wanted == 2:
        place: dict[str, int | None] = {"negative": 0, "neutral": None, "positive": 1}
        words = list(BINARY)
    else:
        _check_count(words, wanted)
        words = sorted(words, key=order.__getitem__) if set(words) <= set(order) else words
        place = {word: index for index, word in enumerate(words)}
    mapping = place | {key: place[word] for key, word in meaning.items() if fold(key) != word and word in place}
    # A rule that has seen "true" knows "no" as well.
    if not set(meaning) & set(TRUTH):
        return discrete("names", mapping, tuple(words))
    truth = {key: place[BINARY[index]] for key, index in TRUTH.items() if index is not None}
    return discrete("booleans", mapping | truth, tuple(words))


def _check_count(labels: Sequence[str], wanted: int | None) -> None:
    if wanted not in (None, len(labels)):
        what = f"{len(labels)} labels ({', '.join(labels[:_SHOWN])})"
        raise contradiction(wanted, what, f"use --num_labels {len(labels)}, or name those to keep, --labels a,b")


def classes_among(perhaps: Sequence[str], words: Sequence[str], column: LabelColumn) -> list[str]:
    """Those of "none", "unknown", ... that are classes beside the given names: as frequent as one of these."""
    few = column.strays(words, among_words=True)
    usual = [column.counts[key] for key in words if key not in few]
    # As frequent as the rarest usual name, or in a fifth of the rows.
    least = min(min(usual, default=0), _FREQUENT * column.rows)
    classes = [key for key in perhaps if column.counts[key] >= least]
    if classes:
        names = column.name(classes[:1]), ",".join(column.name([key]) for key in words)
        logger.info("%r is as frequent as a class and is taken for one; if it means no label, --labels %s", *names)
    return classes


def _are_other_things(column: LabelColumn, keys: Sequence[str]) -> bool:
    """Whether most of the values are texts or dates, or nearly each has a row of its own, as ids have."""
    single = sum(column.counts[key] == 1 for key in keys) if len(keys) > _FEW_STRINGS else 0
    long = sum(len(key) > _LONGEST for key in keys)
    dates = sum(_DATE.fullmatch(key) is not None for key in keys)
    return max(single, long, dates) >= _MOST * len(keys)


def rule_of_strings(column: LabelColumn, keys: Sequence[str], wanted: int | None, declared: Sequence[str]) -> LabelRule:
    """The rule for class names in the data.

    Args:
        column: Of the labels.
        keys: The values that are classes.
        wanted: The number of classes, or `None`.
        declared: Names in the data set's own order.

    Raises:
        CallError: They are too many, one, or texts, ids or dates, or not as many as `wanted`.
    """
    if len(keys) > MAX_STRING_LABELS or (not declared and _are_other_things(column, keys)):
        raise CallError(
            f"{len(keys)} different labels in {column.rows:,} rows, such as {keys[0][:40]!r}: they look like texts, "
            "ids or dates; name the label column with --label_column NAME, or the classes with --labels a,b"
        )
    # Spellings that fold to one key are one class, under the most frequent of them.
    same: dict[str, list[str]] = {}
    for key in keys:
        same.setdefault(fold(key), []).append(key)
    names = {folded: column.name(members) for folded, members in same.items()}
    order = {fold(canonical(name)): index for index, name in enumerate(declared)}
    ordered = sorted(names, key=lambda folded: (order.get(folded, len(order)), names[folded]))
    if len(ordered) < 2:
        raise CallError(f"only one label, {names[ordered[0]]!r}: two or more are needed; name them, --labels a,b")
    labels = tuple(names[folded] for folded in ordered)
    _check_count(labels, wanted)
    few = column.strays(keys, among_words=True)
    if few and len(few) < len(keys):
        named = ", ".join(f"{column.name([key])} ({column.counts[key]})" for key in sorted(few)[:_SHOWN])
        kept = ",".join(name for folded, name in names.items() if not few.intersection(same[folded]))
        logger.info("classes of few rows: %s; if these are slips, name the others, --labels %s", named, kept)
    text = "; ".join(f"{name} -> {name}" for name in labels)
    return LabelRule("names", labels, f"names: {text}", {folded: index for index, folded in enumerate(ordered)})
