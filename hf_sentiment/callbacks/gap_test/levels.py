"""What an evaluation says about overfitting: the levels, their numbers in a history, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class GapLevel(StrEnum):
    """What an evaluation says about the run. `overconfident` and `overfitting` are alarms, the others information."""

    OK = "ok"
    GAP = "gap"
    OVERCONFIDENT = "overconfident"
    OVERFITTING = "overfitting"
    LEAKAGE = "leakage"
    UNDERFITTING = "underfitting"

    @property
    def number(self) -> int:
        """How the scalar `gap/alarm` writes it: its number in `ALARMS`, or 0."""
        return next((number for number, level in ALARMS.items() if level is self), 0)

    @property
    def is_alarm(self) -> bool:
        """Whether the level claims harm, at the stated error rate."""
        return self.number > 0


# The levels that are alarms, by their numbers in the scalar `gap/alarm`.
ALARMS = {1: GapLevel.OVERCONFIDENT, 2: GapLevel.OVERFITTING}


@dataclass(frozen=True)
class GapVerdict:
    """The finding at one evaluation; losses in nats.

    Attributes:
        level: The finding in a word.
        gap: Validation minus probe loss, minus the same before training if that was recorded.
        gap_interval: Its interval, at level 1 − alpha over all planned evaluations together.
        worsening: Validation loss minus the lowest of the earlier evaluations; negative at a new best.
        worsening_interval: Its interval, corrected for the pick of the lowest.
        p_value: Of the run up to here: at most `alpha` when the loss has significantly risen.
        best_step: Step of the lowest validation loss so far, this evaluation included.
        reason: Why the level was chosen, in a sentence.
    """

    level: GapLevel
    gap: float
    gap_interval: tuple[float, float]
    worsening: float
    worsening_interval: tuple[float, float]
    p_value: float
    best_step: int
    reason: str
