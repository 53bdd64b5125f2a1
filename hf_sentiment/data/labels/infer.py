"""Finding the label rule of a column: names and truth values here, numbers and stars in `numbers`."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from hf_sentiment.data.labels.numbers import is_another_scale, rule_of_numbers
from hf_sentiment.data.labels.rule import BINARY, TERNARY, LabelRule, UnknownLabel, discrete
from hf_sentiment.data.labels.values import (
    PERHAPS_MISSING,
    POLARITY_ORDER,
    STRAYS_SHARE,
    LabelColumn,
    as_number,
    canonical,
    fold,
    plain,
    stars_of,
)
from hf_sentiment.data.labels.words import (
    MAX_STRING_LABELS,
    TRUTH,
    as_polarities,
    classes_among,
    rule_of_booleans,
    rule_of_polarities,
    rule_of_strings,
)
from hf_sentiment.errors import CallError

__all__ = ["MAX_STRING_LABELS", "LabelRule", "UnknownLabel", "infer_label_rule", "rule_for_split", "rule_of_classes"]

logger = logging.getLogger(__name__)

_PLACEHOLDER = re.compile(r"label[\s_-]*(\d+)")
_SHOWN = 8
# A share of a split's rows: more labels that the rule doesn't know are no slips, but may be another scheme.
_STRANGE = 0.2
# Rows, or distinct numbers, from which on it tells something that none of a split's is below 0.
_FEWEST_ROWS = 10
_FEWEST_SCORES = 4
# Of a label that is known and is no class.
_DROPPED = "dropped"


def infer_label_rule(
    values: Iterable[object],
    *,
    num_labels: int | None = None,
    labels: Sequence[str] | None = None,
    label_names: Sequence[str] | None = None,
) -> LabelRule:
    """Find the rule for a column of raw labels: the training split's, missing values included.

    - Spellings that differ in case, white space or invisible characters only are one value, and so are 1, "1.0" and
      "1,0". A name is kept as it is most often written.
    - Booleans, and true/false/yes/no, are negative and positive.
    - Integers 0...k-1 are indices, named by `labels`; without names two are negative and positive, three have neutral
      between, and more are an error.
    - {-1, 1}, {-1, 0, 1}, {0, 4} (Sentiment140) and {0, 2, 4} are polarity codes.
    - Stars 1...5, halves allowed: 1 and 2 negative, 4 and 5 positive; what is between is dropped, or neutral with
      `num_labels=3`; `num_labels=5` keeps all.
    - Scores in 0...1 are cut at 0.5, or at 0.4 and 0.6 for three classes (SST's cuts).
    - Scores about 0: a band of an eighth of the scale's end on either side is dropped, or neutral (-4...4: +-0.5, the
      VADER corpora's rule; -1...1: +-0.125). A number apart from all others, as -1 is from stars, makes no such scale,
      but an error.
    - Polarity words and abbreviations are put in order; other strings are sorted and kept verbatim.
    - Polarity words, truth values and polarity codes in one column are one scheme where each can mean one thing only;
      any other mixture of names and numbers is an error.
    - LABEL_0, LABEL_1, ... say nothing, and `labels` has to.

    What is no class is unknown to the rule, and a row that has it is a bad row: what stands for "no label" in any
    column (`values.is_missing`); a slip among numbers, truth values or polarity words, or a number among names: a value
    in at most 1 % of the rows, or in a single one (`values.strays`, which has the limits); and "none", "unknown" and
    their like among numbers and truth values, among polarity words (an error, if as frequent as the rarest of these),
    and among other names if less frequent than the rarest of these and in less than a fifth of the rows. `labels` and
    `label_names` make a class of anything.

    Args:
        values: Raw values of any of these types; numbers may be strings.
        num_labels: The number of classes, where the data leave a choice.
        labels: Class names in index order. Values that are none of them are unknown (bad rows).
        label_names: Names that the data set itself declares (a `ClassLabel` feature), in its order.

    Raises:
        CallError: No rule is certain, or `num_labels` contradicts the data; the message says what settles it.
    """
    names = _checked_names(labels, num_labels)
    column = LabelColumn.of(values, declared=[*(names or ()), *(label_names or ())])
    if not column.counts:
        if column.several:
            raise CallError(
                f"labels such as {column.several[:40]} are lists or objects, and a row has one label: write it as "
                "one value, or name another column with --label_column NAME"
            )
        raise CallError("the label column is empty: name another one with --label_column NAME")
    rule = _of_names(column, names, "--labels") if names else _found(column, num_labels, label_names or ())
    _say_what_was_done(column, rule, "none of --labels" if names else "too rare to be classes")
    return rule


def rule_of_classes(values: Iterable[object], classes: Sequence[str], owner: str) -> LabelRule:
    """The rule for a column whose classes are known.

    Args:
        values: Raw values.
        classes: Class names in index order.
        owner: Whose they are, for messages.

    Raises:
        CallError: None of the values is one of the classes, or can be.
    """
    return _of_names(LabelColumn.of(values, declared=classes), tuple(classes), owner)


def rule_for_split(values: Iterable[object], rule: LabelRule, source: str) -> LabelRule:
    """The rule for one split: the training split's, or the split's own, where its labels are written otherwise.

    Its own is taken where the training split's does not know a fifth of its rows, or the only numbers of a class, if it
    has the same classes in the same order, and what both know is the same to both: 0 and 1 beside negative and
    positive, but never an index beside names that nobody has counted.

    Args:
        values: The split's raw labels.
        rule: The training split's.
        source: Of the split, for messages.

    Raises:
        CallError: The split's numbers are another scheme, in which some mean another class (0 and 1 beside stars), or
            may, as they are counted otherwise (0 to 4 beside stars), or many are unknown and a class is missing (1 and
            5 beside 0 and 1).
    """
    # Key → the name of its class by the training split's rule, or None.
    column = LabelColumn.of(values)
    known = {key: _class_of(key, rule) for key in column.counts}
    # Rows of which the training split's rule knows nothing: a few are slips, which will be bad rows.
    strange = sum(column.counts[key] for key, name in known.items() if name is None)
    few, scale = strange <= _STRANGE * column.rows, _scale(column)
    if few and not _may_differ(column, scale, known, rule):
        return rule
    own = _own_rule(column, rule)
    if own is not None:
        meant = {key: _class_of(key, own) for key in known}
        alike = list(map(_folded, own.labels)) == list(map(_folded, rule.labels))
        # Its own scheme is taken where it adds something and contradicts nothing.
        more = {meant[key] for key, name in known.items() if name is None} - {None}
        more -= {*known.values(), _DROPPED} if few else set()
        if alike and more and all(name in (None, meant[key]) for key, name in known.items()):
            logger.info("%s: labels in a scheme of their own: %s", source, own.description)
            return own
        _refuse_other_meanings(known, meant, rule, own, source)
    _refuse_other_numbers(column, scale, known, rule, source)
    return rule


def _refuse_other_meanings(
    known: Mapping[str, str | None], meant: Mapping[str, str | None], rule: LabelRule, own: LabelRule, source: str
) -> None:
    """`CallError` for numbers that mean one class here and another there: they must not be read by either rule."""
    shared = set(map(_folded, own.labels)) & set(map(_folded, rule.labels))
    # Classes of scores are in order, however the user named them.
    if rule.symmetric and len(own.labels) == len(rule.labels):
        names = dict(zip(own.labels, rule.labels, strict=True))
        meant = {key: names.get(name or "", name) for key, name in meant.items()}
        shared = set(map(_folded, rule.labels))
    for key in _numbers(known):
        name, other = known[key], meant[key]
        if name and other and name != other and shared & {_folded(name), _folded(other)}:
            raise _another_scheme(own.description, f", in which {key} is {name}", source, rule)


def _scale(column: LabelColumn) -> dict[str, float]:
    """The numbers of a column without slips, by key; none where it holds other labels too."""
    numbers = _numbers(column.counts)
    few = column.strays(numbers)
    most = sum(column.counts[key] for key in numbers) >= (1 - _STRANGE) * column.rows
    return {key: number for key, number in numbers.items() if key not in few} if most else {}


def _may_differ(
    column: LabelColumn, scale: Mapping[str, float], known: Mapping[str, str | None], rule: LabelRule
) -> bool:
    """Whether numbers may be of another scale although the training split's rule knows most rows."""
    # A number in one row is a slip; a 0 in some beside many a 1, which is a star too, is none.
    foreign = sum(column.counts[key] for key in scale if known[key] is None)
    # Scores about 0 take any number near it, and only a few rows of these are likely to be all above it.
    enough = column.rows >= _FEWEST_ROWS or len(scale) >= _FEWEST_SCORES
    return foreign > 1 or (rule.symmetric and enough and min(scale.values(), default=-1) >= 0)


def _refuse_other_numbers(
    column: LabelColumn, scale: Mapping[str, float], known: Mapping[str, str | None], rule: LabelRule, source: str
) -> None:
    """`CallError` for numbers without a certain rule that are of another scale than the training split's."""
    if any(known[key] for key in scale) and is_another_scale(sorted(set(scale.values())), rule):
        span = f"numbers from {plain(min(scale.values()))} to {plain(max(scale.values()))}"
        raise _another_scheme(span, "", source, rule)
    # No scheme of its own, yet most of its numbers are unknown and a class never occurs: 1 and 5 beside 0 and 1.
    numbers = _numbers(known)
    foreign = [key for key in numbers if known[key] is None]
    lacking = [name for name in rule.labels if name not in known.values()]
    most = sum(column.counts[key] for key in foreign) > _STRANGE * column.rows
    if most and lacking and len(foreign) < len(numbers):
        why = f": {column.name(foreign[:1])} is none of its values, and no row is {lacking[0]}"
        raise _another_scheme("", why, source, rule)


def _own_rule(column: LabelColumn, rule: LabelRule) -> LabelRule | None:
    """The rule that a column of a split would have by itself, with as many classes as the training split's or its own
    number of them."""
    for wanted in (len(rule.labels), None) if len(rule.labels) > 2 else (None,):
        with suppress(CallError):
            return _found(column, wanted, ())
    return None


def _another_scheme(which: str, why: str, source: str, rule: LabelRule) -> CallError:
    own = f"({which[:100]}) " if which else ""
    return CallError(
        f"{source}: labels in another scheme {own}than the training data's ({rule.description[:100]}){why}: "
        f"write names, {', '.join(rule.labels[:_SHOWN])}"
    )


def _class_of(key: str, rule: LabelRule) -> str | None:
    """The name of a value's class, "dropped" for one that the rule drops, or None for one that it doesn't know."""
    try:
        index = rule(key)
    except UnknownLabel:
        return None
    return _DROPPED if index is None else rule.labels[index]


def _folded(name: str) -> str:
    return fold(canonical(name))


def _checked_names(labels: Sequence[str] | None, num_labels: int | None) -> tuple[str, ...] | None:
    """`labels` as a tuple, if they are two or more different names and agree with `num_labels`."""
    if num_labels is not None and num_labels < 2:
        raise CallError(f"--num_labels {num_labels}: a classifier needs at least 2")
    if labels is None:
        return None
    names = tuple(str(name).strip() for name in labels)
    given = f"--labels {','.join(names)}"
    if len(names) < 2 or len(set(map(canonical, names))) < len(names) or not all(names):
        raise CallError(f"{given}: give two or more different names, such as --labels negative,positive")
    if any(_PLACEHOLDER.fullmatch(canonical(name)) for name in names):
        raise CallError(f"{given}: such names say nothing to who uses the model; say what they mean, --labels a,b")
    if num_labels is not None and num_labels != len(names):
        raise CallError(f"--num_labels {num_labels} contradicts {given} ({len(names)} names): leave one out")
    return names


def _numbers(keys: Iterable[str]) -> dict[str, float]:
    """The keys that are numbers or stars, and which."""
    numbers = {key: as_number(key) if stars_of(key) is None else stars_of(key) for key in keys}
    return {key: number for key, number in numbers.items() if number is not None}


def _found(column: LabelColumn, wanted: int | None, declared: Sequence[str]) -> LabelRule:
    """The rule for a column whose classes nobody has named."""
    numbers = _numbers(column.counts)
    perhaps = [key for key in column.counts if key in PERHAPS_MISSING and key not in column.declared]
    words = [key for key in column.counts if key not in numbers and key not in perhaps]
    _refuse_placeholders([key for key in words if not column.are_strays([key])])
    # From what is most certain to what is least: words and codes of one scheme, numbers, truth values, polarity words,
    # names. What is left beside them must be slips, or it is another kind of column.
    mixed = as_polarities(column, numbers, words)
    if mixed is not None:
        return rule_of_polarities(column, mixed, perhaps, wanted, declared)
    if numbers and column.are_strays(words):
        return _of_numbers(column, numbers, None, wanted)
    if numbers and not column.are_strays(list(numbers)):
        raise _mixture(column, words, numbers)
    truth = [key for key in words if key in TRUTH]
    if truth and column.are_strays([key for key in words if key not in truth]):
        return rule_of_booleans(None, wanted)
    polar = {key: word for key in words if (word := column.polarity(key))}
    if polar and column.are_strays([key for key in words if key not in polar], among_words=True):
        return rule_of_polarities(column, polar, perhaps, wanted, declared)
    few = column.strays(truth)
    words = [key for key in words if key not in few]
    return rule_of_strings(column, [*words, *classes_among(perhaps, words, column)], wanted, declared)


def _refuse_placeholders(keys: Sequence[str]) -> None:
    """`CallError` for the names that transformers gives to labels without names."""
    numbers = sorted({int(found[1]) for key in keys if (found := _PLACEHOLDER.fullmatch(key))})
    if numbers:
        listed = ", ".join(f"LABEL_{number}" for number in numbers[:_SHOWN])
        example = "NAME_OF_0,NAME_OF_1" + ",..." * (numbers[-1] > 1)
        raise CallError(
            f"labels {listed} don't say what they mean: name them in the order of their numbers, --labels {example}"
        )


def _mixture(column: LabelColumn, words: Sequence[str], numbers: Mapping[str, float]) -> CallError:
    def listed(keys: Iterable[str]) -> str:
        common = sorted(keys, key=lambda key: (-column.counts[key], key))[:3]
        return ", ".join(f"{column.name([key])} in {column.counts[key]:,} rows" for key in common)

    return CallError(
        f"the label column mixes names ({listed(words)}) and numbers ({listed(numbers)}): what is the same is not "
        "certain; write one of them for each class, or name the classes to keep, --labels a,b"
    )


def _of_numbers(
    column: LabelColumn, numbers: Mapping[str, float], names: tuple[str, ...] | None, wanted: int | None
) -> LabelRule:
    counts: Counter[float] = Counter()
    for key, number in numbers.items():
        counts[number] += column.counts[key]
    starred = 2 * sum(column.counts[key] for key in numbers if stars_of(key) is not None) > counts.total()
    return rule_of_numbers(counts, names, wanted, starred=starred, declared=bool(column.declared & set(numbers)))


def _of_names(column: LabelColumn, names: tuple[str, ...], owner: str) -> LabelRule:
    """The rule for names that are given: of the values themselves, in any spelling that can mean one only, or of truth
    values, stars, scores or indices in their order."""
    # Without a key that is one of the names, these go to LABEL_0, LABEL_1, or to truth values, in order.
    keys, numbers = list(column.counts), _numbers(column.counts)
    own = _named(keys, names)
    placed = {int(found[1]): key for key in keys if (found := _PLACEHOLDER.fullmatch(key))}
    if not own and placed and max(placed) < len(names):
        return discrete("names", {key: number for number, key in sorted(placed.items())}, names)
    if not own and column.are_strays([key for key in keys if key not in TRUTH]):
        return rule_of_booleans(names, len(names))
    # Numbers are a rule of their own, and it knows the names too, which may be a few of the values.
    counted, named = (sum(column.counts[key] for key in group) for group in (numbers, own))
    if 2 * counted > column.rows and not own & set(numbers) and named <= STRAYS_SHARE * column.rows:
        return _of_numbers(column, numbers, names, len(names))
    if not own:
        held = ", ".join(sorted(column.name([key]) for key in keys)[:5])
        raise CallError(f"none of {owner} {','.join(names)} is in the label column, which holds {held}")
    # A name in any spelling, unless two names share it ("Neg" and "negative"); and each name as it is written.
    folded = Counter(_folded(name) for name in names)
    mapping: dict[str, int | None] = {_folded(name): index for index, name in enumerate(names)}
    mapping = {key: index for key, index in mapping.items() if folded[key] == 1}
    mapping |= {canonical(name): index for index, name in enumerate(names)}
    mixed = as_polarities(column, numbers, [key for key in keys if key not in numbers])
    if mixed and names in (BINARY, TERNARY):
        mapping |= {key: names.index(word) for key, word in mixed.items() if word in names}
    text = "; ".join(f"{name} -> {index}" for index, name in enumerate(names))
    return LabelRule("names", names, f"names: {text}", mapping)


def _named(keys: Iterable[str], names: Sequence[str]) -> set[str]:
    """The keys that are one of the names."""
    exact = {canonical(name) for name in names}
    polar = {fold(key) for key in exact} & set(POLARITY_ORDER)
    return {key for key in keys if key in exact or fold(key) in polar}


def _say_what_was_done(column: LabelColumn, rule: LabelRule, why_unknown: str) -> None:
    """One line on labels of several spellings, one on what is no label, and one on what else is no class."""
    if column.lists:
        logger.info("%d labels are lists of one value, which is taken", column.lists)
    by_class: dict[str, Counter[str]] = {}
    unknown: Counter[str] = Counter()
    for spelling, count in (item for spellings in column.spellings.values() for item in spellings.items()):
        try:
            index = rule(spelling)
        except UnknownLabel:
            unknown[spelling] += count
            continue
        star = _numbers([canonical(spelling)]).values() if rule.kind == "stars" else ()
        name = " ".join(map(plain, star)) or ("dropped" if index is None else rule.labels[index])
        by_class.setdefault(name, Counter())[spelling] += count
    # Of scores every class has many spellings: only those of names and stars are worth a line.
    merged = [f"{name} = {_counted(by_class[name])}" for name in sorted(by_class) if len(by_class[name]) > 1]
    if merged and rule.kind != "scores":
        logger.info("labels in several spellings are one class: %s", "; ".join(merged[:_SHOWN]))
    empty = Counter({spelling: count for spelling, count in unknown.items() if rule.lacks(spelling)})
    if empty:
        logger.info("taken for no label: %s; where that is a class, name them all with --labels", _counted(empty))
    if slips := unknown - empty:
        wrong = "where one is a class, name them all with --labels"
        logger.info("%s, so bad rows: %s (known: %s); %s", why_unknown, _counted(slips), rule.known, wrong)


def _counted(spellings: Counter[str]) -> str:
    """Spellings and their rows, with marks where white space or invisible characters would be overlooked."""
    listed = sorted(spellings.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    marked = ((name if name.isprintable() and name == name.strip() else repr(name), count) for name, count in listed)
    more = f", and {len(spellings) - _SHOWN} more" if len(spellings) > _SHOWN else ""
    return ", ".join(f"{name[:40]} ({count:,})" for name, count in marked) + more
