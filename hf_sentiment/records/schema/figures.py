"""Figures with what they may differ by: over texts, over runs, and over the settings of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class Value:
    """A figure without an interval."""

    value: float

    def __str__(self) -> str:
        """`0.876`."""
        return f"{self.value:.3f}"


@dataclass(frozen=True)
class Estimate(Value):
    """A figure with its 95 % interval."""

    low: float
    high: float

    def __str__(self) -> str:
        """`0.876 [0.855, 0.896]`."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def __format__(self, sign: str) -> str:
        """As `str`, or with a plus sign where the format is `+`: `+0.021 [-0.003, +0.045]`."""
        return f"{self.value:{sign}.3f} [{self.low:{sign}.3f}, {self.high:{sign}.3f}]"


@dataclass(frozen=True)
class Range:
    """A figure over several runs: mean, standard deviation (of so many less one), least and most."""

    mean: float
    deviation: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Range:
        """That of two values or more."""
        return cls(fmean(values), stdev(values), min(values), max(values))

    def __str__(self) -> str:
        """`0.876 ± 0.012 (0.861 to 0.890)`."""
        return f"{self.mean:.3f} ± {self.deviation:.3f} ({self.least:.3f} to {self.most:.3f})"


@dataclass(frozen=True)
class Spread:
    """How far runs differ that have other seeds, or are judged on other folds.

    Attributes:
        kind: "seeds" or "folds".
        runs: The seeds, or the texts of each fold.
    """

    kind: str
    runs: tuple[int, ...]
    accuracy: Range
    log_loss: Range

    def __str__(self) -> str:
        """`Over 3 seeds (mean ± standard deviation, least to most): accuracy …`."""
        over = f"Over {len(self.runs)} {self.kind} (mean ± standard deviation, least to most)"
        return f"{over}: accuracy {self.accuracy}, log loss {self.log_loss}"


@dataclass(frozen=True)
class SweepSummary:
    """How a run was chosen among others.

    Attributes:
        trials: How many settings were tried; of these `complete` were judged, `pruned` stopped, and `failed` broken.
        judged_on: The texts by whose log loss they were judged, in words.
        candidates: How many of the best were repeated, the plan among them, each with so many `seeds`.
        trial: The number of the chosen one; 0 is the plan itself.
        values: What it has in place of the plan's.
        log_loss: Its mean over the seeds, with the interval over the texts; `plan_log_loss` is the plan's,
            if it was judged.
        reason: Why it was chosen.
    """

    trials: int
    complete: int
    pruned: int
    failed: int
    judged_on: str
    candidates: int
    seeds: int
    trial: int
    values: dict[str, Any]
    log_loss: Estimate
    plan_log_loss: Estimate | None
    reason: str
