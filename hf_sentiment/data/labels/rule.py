"""The label rule itself: raw value in, class index out; one printable line, plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from hf_sentiment.data.labels.values import (
    PERHAPS_MISSING,
    SeveralLabels,
    as_number,
    canonical,
    fold,
    is_missing,
    only_value,
    plain,
    stars_of,
)
from hf_sentiment.errors import CallError

# The two classes of a binary scheme, in index order.
BINARY = ("negative", "positive")

# The three classes of a ternary scheme, in index order.
TERNARY = ("negative", "neutral", "positive")

_KINDS = ("names", "integers", "booleans", "stars", "scores")
_SHOWN = 12


class UnknownLabel(KeyError):
    """A value that the rule has no class for."""


@dataclass(frozen=True)
class LabelRule:
    """How a raw label becomes a class index. Call it with one value.

    Values are known in any case, with any white space and invisible characters, and numbers in any spelling, wherever
    that can mean one value only. Beside the values that the rule was found for, it knows its classes by their names,
    and true and false where they can mean 1 and 0, or positive and negative; "neutral" is dropped where two classes
    leave out a middle.

    Attributes:
        kind: "names", "integers", "booleans", "stars" or "scores".
        labels: Class names in index order.
        description: The rule in one printable line.
        mapping: For all kinds but "scores": the value's key (see `canonical`) → index, or None for "dropped".
        cuts: For "scores": ascending cut points; a value at a cut belongs below it (SST's rule).
        classes: For "scores": the index, or None for "dropped", of each interval between cuts.
        symmetric: For "scores": the cuts are -t and t, and a value at either of them belongs between them.
        limits: For "scores": the lowest and the highest value that is one; () for any.
    """

    kind: str
    labels: tuple[str, ...]
    description: str
    mapping: Mapping[str, int | None] = field(default_factory=dict)
    cuts: tuple[float, ...] = ()
    classes: tuple[int | None, ...] = ()
    symmetric: bool = False
    limits: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Reject a rule that can't work (a hand-edited file, say)."""
        if self.kind not in _KINDS or len(self.labels) < 2:
            named = f"kind {self.kind!r}, labels {list(self.labels)}"
            raise CallError(f"not a label rule: {named}; use one of {', '.join(_KINDS)} and two or more labels")
        if self.kind == "scores" and len(self.classes) != len(self.cuts) + 1:
            raise CallError(f"not a label rule: {len(self.cuts)} cuts need {len(self.cuts) + 1} classes")

    def __call__(self, value: object) -> int | None:
        """The class index of a raw value, or None where the rule drops it; `UnknownLabel` for any other."""
        try:
            value = only_value(value)
        except SeveralLabels as error:
            raise UnknownLabel(value) from error
        number = as_number(value)
        if self.kind == "scores" and number is not None:
            return self._of_score(number)
        key = canonical(value)
        written = str(value).strip()
        if written in self.mapping:  # rules of earlier versions have keys in any case
            return self.mapping[written]
        # As the key, with polarity words spelt out, or as a number of stars.
        star = stars_of(key) if self.kind == "stars" else None
        for spelling in (key, fold(key), plain(star) if star is not None else key):
            if spelling in self._by_key:
                return self._by_key[spelling]
        raise UnknownLabel(value)

    @cached_property
    def _by_key(self) -> dict[str, int | None]:
        """The values and the class names under their keys, where a key can mean one class only."""
        named: list[tuple[str, int | None]] = [(fold(canonical(name)), i) for i, name in enumerate(self.labels)]
        if None in (*self.mapping.values(), *self.classes):
            named.append(("neutral", None))
        # True and false are 1 and 0, positive and negative, or nothing at all: on a scale they are no values.
        of_scale = self.kind in ("stars", "scores")
        truth: dict[str, int | None] = {"false": 0, "true": 1} if self.labels == BINARY and not of_scale else {}
        if self.kind == "integers" and set(self.mapping) == {"0", "1"}:
            truth = {"false": self.mapping["0"], "true": self.mapping["1"]}
        # A value goes before a name: in a rule for 0 and 1 with the names "1" and "0", "0" is the value.
        return {**truth, **_certain(named), **_certain((canonical(key), index) for key, index in self.mapping.items())}

    def _of_score(self, number: float) -> int | None:
        if self.limits and not self.limits[0] <= number <= self.limits[1]:
            raise UnknownLabel(number)
        if self.symmetric:
            return self.classes[0 if number < self.cuts[0] else 2 if number > self.cuts[1] else 1]
        return self.classes[sum(number > cut for cut in self.cuts)]

    @property
    def known(self) -> str:
        """The raw values that the rule knows, for a message."""
        names = {fold(canonical(name)): name for name in self.labels}
        values = [key for key in self.mapping if fold(key) not in names]
        if self.kind == "scores":
            values = [f"numbers from {plain(self.limits[0])} to {plain(self.limits[1])}" if self.limits else "numbers"]
        listed = list(dict.fromkeys([*values, *names.values()]))
        return ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")

    def lacks(self, value: object) -> bool:
        """Whether a raw value that the rule doesn't know stands for "no label"."""
        return is_missing(value) or canonical(value) in PERHAPS_MISSING

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain JSON, for the model's config and the run's records."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> LabelRule:
        """The rule that `to_dict` wrote."""
        known: dict[str, Any] = {field.name: saved[field.name] for field in fields(cls) if field.name in saved}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in known.items()}
        return cls(**values)


def _certain(pairs: Iterable[tuple[str, int | None]]) -> dict[str, int | None]:
    """The pairs as a dictionary, without the keys that have several values."""
    indices_of: dict[str, set[int | None]] = {}
    for key, index in pairs:
        indices_of.setdefault(key, set()).add(index)
    return {key: next(iter(indices)) for key, indices in indices_of.items() if len(indices) == 1}


def discrete(kind: str, mapping: Mapping[str, int | None], labels: tuple[str, ...]) -> LabelRule:
    """A rule that maps single values, described by its pairs."""
    return LabelRule(kind, labels, f"{kind}: {described(mapping, labels)}", mapping)


def described(mapping: Mapping[str, int | None], labels: tuple[str, ...]) -> str:
    """`value -> label` for each value; a dropped one says so."""
    pairs = [f"{key} -> {'dropped' if index is None else labels[index]}" for key, index in mapping.items()]
    return "; ".join(pairs)


def shown(numbers: list[float]) -> str:
    """A few numbers of a list for a message."""
    spelled = [plain(number) for number in numbers]
    return ", ".join(spelled if len(spelled) <= 8 else [*spelled[:4], "...", *spelled[-2:]])


def contradiction(wanted: int | None, what: str, possible: str) -> CallError:
    """The error for a number of classes that the data can't have."""
    return CallError(f"{wanted} classes are asked for, but the label column holds {what}: {possible}")
