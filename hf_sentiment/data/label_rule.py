"""The label rule itself: raw value in, class index out; one printable line, plain JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import CallError

BINARY = ("negative", "positive")
"""The two classes of a binary scheme, in index order."""

TERNARY = ("negative", "neutral", "positive")
"""The three classes of a ternary scheme, in index order."""

POLARITY_ORDER = ("very negative", "negative", "neutral", "positive", "very positive")
"""Polarity words in order; a label name is one of these or is kept verbatim."""

MISSING = frozenset({"", "nan", "null", "na", "n/a", "<na>"})
"""Strings (case-folded) that stand for "no label" in a label column."""

_KINDS = ("names", "integers", "booleans", "stars", "scores")
_POLARITY = {
    "neg": "negative",
    "neu": "neutral",
    "pos": "positive",
    **{name: name for name in POLARITY_ORDER},
    **{name.replace(" ", mark): name for name in POLARITY_ORDER for mark in "_-"},
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class UnknownLabel(KeyError):
    """A value that the rule has no class for."""


@dataclass(frozen=True)
class LabelRule:
    """How a raw label becomes a class index. Call it with one value.

    Polarity words ("NEG", "Positive"), truth values and stars are known in any case, other names as they are written.

    Attributes:
        kind: "names", "integers", "booleans", "stars" or "scores".
        labels: class names in index order.
        description: the rule in one printable line.
        mapping: for all kinds but "scores": the value in canonical spelling → index, or None for "dropped".
        cuts: for "scores": ascending cut points; a value at a cut belongs below it (SST's rule).
        classes: for "scores": the index, or None for "dropped", of each interval between cuts.
        symmetric: for "scores": the cuts are -t and t, and a value at either of them belongs between them.
    """

    kind: str
    labels: tuple[str, ...]
    description: str
    mapping: Mapping[str, int | None] = field(default_factory=dict)
    cuts: tuple[float, ...] = ()
    classes: tuple[int | None, ...] = ()
    symmetric: bool = False

    def __post_init__(self) -> None:
        """Reject a rule that can't work (a hand-edited file, say)."""
        if self.kind not in _KINDS or len(self.labels) < 2:
            named = f"kind {self.kind!r}, labels {list(self.labels)}"
            raise CallError(f"not a label rule: {named}; use one of {', '.join(_KINDS)} and two or more labels")
        if self.kind == "scores" and len(self.classes) != len(self.cuts) + 1:
            raise CallError(f"not a label rule: {len(self.cuts)} cuts need {len(self.cuts) + 1} classes")

    def __call__(self, value: object) -> int | None:
        """The class index of a raw value, or None where the rule drops it; `UnknownLabel` for any other."""
        if self.kind == "scores":
            return self._of_score(value)
        key = canonical(value)
        folded = fold(key)
        if key not in self.mapping and (self.kind != "names" or folded in POLARITY_ORDER):
            key = folded
        if key not in self.mapping:
            raise UnknownLabel(value)
        return self.mapping[key]

    def _of_score(self, value: object) -> int | None:
        number = as_number(value)
        if number is None:
            raise UnknownLabel(value)
        if self.symmetric:
            return self.classes[0 if number < self.cuts[0] else 2 if number > self.cuts[1] else 1]
        return self.classes[sum(number > cut for cut in self.cuts)]

    def to_dict(self) -> dict[str, Any]:
        """The rule as plain JSON, for the model's config and the run's records."""
        return {
            "kind": self.kind,
            "labels": list(self.labels),
            "description": self.description,
            "mapping": dict(self.mapping),
            "cuts": list(self.cuts),
            "classes": list(self.classes),
            "symmetric": self.symmetric,
        }

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> LabelRule:
        """The rule that `to_dict` wrote."""
        return cls(
            kind=saved["kind"],
            labels=tuple(saved["labels"]),
            description=saved["description"],
            mapping=dict(saved.get("mapping", {})),
            cuts=tuple(saved.get("cuts", ())),
            classes=tuple(saved.get("classes", ())),
            symmetric=bool(saved.get("symmetric", False)),
        )


def is_missing(value: object) -> bool:
    """Whether a raw label stands for "no label": None, NaN, or one of the strings in `MISSING`."""
    if value is None:
        return True
    if isinstance(value, str):
        return value.strip().casefold() in MISSING
    return isinstance(value, float | np.floating) and math.isnan(value)


def as_number(value: object) -> float | None:
    """A finite number as float, from a number or a numeric string; None for all else (booleans included)."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, str):
        value = value.strip().replace("\N{MINUS SIGN}", "-")
        # float() alone also takes "1_000" and "infinity".
        if not _NUMBER.fullmatch(value):
            return None
    elif not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def plain(number: float) -> str:
    """The shortest spelling of a number: "1" for 1.0, "0.5" for 0.5."""
    return str(int(number)) if number == int(number) else repr(number)


def canonical(value: object) -> str:
    """One spelling for a discrete value: "1" for 1, 1.0 and " 1 "; "true" for True; other strings
    stripped."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    number = as_number(value)
    return plain(number) if number is not None else str(value).strip()


def fold(key: str) -> str:
    """Case folded, and a polarity word in its full spelling ("NEG" → "negative")."""
    folded = key.casefold()
    return _POLARITY.get(folded, folded)


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
