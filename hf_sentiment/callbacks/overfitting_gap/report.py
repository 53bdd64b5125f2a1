"""What the overfitting alarm says: the message of a level, and the scalars of an evaluation."""

from __future__ import annotations

import math

from scipy import stats
from torch import nn
from transformers import TrainerState, TrainingArguments

from hf_sentiment.callbacks.gap_test import Array, GapLevel, GapVerdict
from hf_sentiment.callbacks.overfitting_gap.remedies import remedies

# A mean with the two ends of its interval.
Interval = tuple[float, float, float]

_WHAT = {
    GapLevel.OVERFITTING: "the model overfits",
    GapLevel.OVERCONFIDENT: "the model grows overconfident",
    GapLevel.GAP: "training and validation loss have parted",
    GapLevel.LEAKAGE: "validation is easier than training",
    GapLevel.UNDERFITTING: "the model has not learnt yet",
    GapLevel.OK: "no sign of overfitting",
}
# What a level means, where its name does not say it.
_MEANING = {
    GapLevel.GAP: " This is no alarm: the model knows its training texts better than new ones, as most fine-tuned "
    "models do, and new texts have not suffered. It becomes an alarm if the validation loss rises.",
    GapLevel.OVERCONFIDENT: " It is too sure of what it gets wrong, which temperature scaling corrects.",
}


def alarm_message(
    args: TrainingArguments,
    state: TrainerState,
    model: nn.Module,
    verdict: GapVerdict,
    train: Interval,
    held_out: Interval,
    lowered: float = 1.0,
) -> str:
    """The finding with its evidence in one line and, at an alarm, what to do about it.

    Args:
        args: Of the run.
        state: Of the run.
        model: The model that is trained.
        verdict: The finding.
        train: Mean loss of the probe and its interval.
        held_out: Mean loss of the validation texts and its interval.
        lowered: As in `remedies`.
    """
    training, validation = (f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in (train, held_out))
    level, what = verdict.level.value, _WHAT[verdict.level]
    name = "" if level in what else f" ({level})"
    message = (
        f"Epoch {state.epoch or 0.0:.4g}, step {state.global_step}: {what}{name}. Training loss {training}, "
        f"validation loss {validation}: {verdict.reason}.{_MEANING.get(verdict.level, '')}"
    )
    if verdict.level.is_alarm:
        untried = enumerate(remedies(args, state, model, lowered), start=1)
        message += (
            f" What this run has not used yet: {'; '.join(f'({number}) {remedy}' for number, remedy in untried)}."
        )
    return message


def mean_interval(losses: Array) -> Interval:
    """Mean of `losses` `[texts]` with its 95 % interval by Student's t."""
    mean = float(losses.mean())
    if len(losses) < 2:
        return mean, mean, mean
    reach = float(stats.t.isf(0.025, len(losses) - 1)) * float(losses.std(ddof=1)) / math.sqrt(len(losses))
    return mean, mean - reach, mean + reach


def scalars(verdict: GapVerdict, train: Interval, held_out: Interval) -> dict[str, float]:
    """What is logged of an evaluation, by its names in the history."""
    values = {
        "train_loss": train,
        "validation_loss": held_out,
        "gap": (verdict.gap, *verdict.gap_interval),
        "worsening": (verdict.worsening, *verdict.worsening_interval),
    }
    logged = {
        f"gap/{name}{end}": value
        for name, triple in values.items()
        for end, value in zip(("", "_low", "_high"), triple, strict=True)
    }
    logged |= {"gap/p_value": verdict.p_value, "gap/alarm": verdict.level.number}
    return {name: round(float(value), 6) for name, value in logged.items()}
