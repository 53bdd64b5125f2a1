"""What early stopping watches: which metric, in which direction, and what counts as an improvement."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import NamedTuple

from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_sentiment.callbacks.gap_test import Array
from hf_sentiment.callbacks.shared import Evaluations, PerText, less_is_better, with_prefix
from hf_sentiment.compute.temperature import calibrated_losses
from hf_sentiment.errors import CallError

# A count of standard errors: 1se, 0.5se.
_STANDARD_ERRORS = re.compile(r"(\d+(?:\.\d+)?)se")
# For messages.
_CALLBACK = "EarlyStoppingCallback"
# Schedules that lower the learning rate by the metric.
_FOLLOW_THE_METRIC = ("reduce_lr_on_plateau", "greedy")
# Metrics that are means over texts, so that two evaluations can be compared text by text.
BY_TEXT = ("eval_loss", "eval_accuracy", "eval_calibrated_loss")


class Seen(NamedTuple):
    """What an evaluation gave: the metric, and its values text by text, `[texts]`, where they are compared by them."""

    value: float
    values: Array | None


@dataclass(frozen=True)
class Margin:
    """By how much an evaluation has to be ahead of another.

    Attributes:
        amount: In the metric's unit or, if `in_errors`, in standard errors of the paired difference of the texts'
            values.
        in_errors: See `amount`.
    """

    amount: float
    in_errors: bool

    def __str__(self) -> str:
        """`0.01`, or `1 standard error`."""
        unit = f" standard error{'' if self.amount == 1 else 's'}" if self.in_errors else ""
        return f"{self.amount:g}{unit}"

    def passed(self, lead: float, ahead: Seen, behind: Seen) -> bool:
        """Whether a lead is larger.

        Args:
            lead: Of the one over the other.
            ahead: The one.
            behind: The other.

        Raises:
            CallError: The two are of different texts.
        """
        if not self.in_errors or ahead.values is None or behind.values is None:
            return lead > (0.0 if self.in_errors else self.amount)
        if len(ahead.values) != len(behind.values):
            raise CallError(
                f"EarlyStoppingCallback: {len(ahead.values)} validation texts, and {len(behind.values)} before: "
                "evaluate the same texts each time"
            )
        # Paired: what makes a text hard is the same in both evaluations, and cancels.
        difference = ahead.values - behind.values
        error = float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
        return lead > 0.0 and lead > self.amount * error


@dataclass(frozen=True)
class Monitor:
    """A metric with its direction, and the differences in it that count.

    Attributes:
        name: As the Trainer names it.
        greater: Whether greater is better.
        least: The least improvement that counts.
        tolerance: How far an evaluation may be behind the best and still be as good; `None` if not at all.
    """

    name: str
    greater: bool
    least: Margin
    tolerance: Margin | None = None

    @property
    def in_errors(self) -> bool:
        """Whether evaluations are compared text by text."""
        return self.least.in_errors or (self.tolerance is not None and self.tolerance.in_errors)

    def lead(self, value: float, other: float) -> float:
        """By how much `value` is better than `other`."""
        return value - other if self.greater else other - value

    def beats(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`."""
        return self.lead(value, other) > 0

    def counts(self, seen: Seen, reference: Seen) -> bool:
        """Whether an evaluation is an improvement that counts, on the last one that did.

        Raises:
            CallError: The two are of different texts.
        """
        return self.least.passed(self.lead(seen.value, reference.value), seen, reference)

    def is_worse(self, seen: Seen, best: Seen) -> bool:
        """Whether an evaluation is worse than the best before it, by more than is tolerated.

        Raises:
            CallError: The two are of different texts.
        """
        behind = self.lead(best.value, seen.value)
        # Without tolerance a tie is the earlier one's.
        return behind >= 0 if self.tolerance is None else self.tolerance.passed(behind, best, seen)

    def values(self, recorded: PerText | None) -> Array | None:
        """The texts' values of the metric, where improvements are counted in standard errors.

        Raises:
            CallError: The evaluation told none.
        """
        if not self.in_errors:
            return None
        by_text = None
        if recorded is not None:
            by_text = recorded.losses if self.name == "eval_loss" else recorded.right
            if self.name == "eval_calibrated_loss" and recorded.logits is not None and recorded.labels is not None:
                by_text = calibrated_losses(recorded.logits, recorded.labels)
        if by_text is None:
            raise CallError(
                "EarlyStoppingCallback: standard errors need labels that pass through a model that classifies, and "
                "label_smoothing_factor or compute_loss_func keep them from it: give min_delta and tolerance as numbers"
            )
        return by_text


def read_min_delta(min_delta: float | str | None, threshold: float | None) -> Margin:
    """The least improvement that counts.

    Raises:
        CallError: Both are given, or one is neither a number of 0 or more nor such as "1se".
    """
    if min_delta is not None and threshold:
        raise CallError(
            f"EarlyStoppingCallback: early_stopping_threshold={threshold} and min_delta={min_delta!r} are the same "
            "setting: give one"
        )
    return read_margin("min_delta", threshold or 0.0 if min_delta is None else min_delta)


def read_margin(name: str, said: float | str) -> Margin:
    """What the argument `name` says.

    Raises:
        CallError: It is neither a number of 0 or more nor such as "1se".
    """
    match = _STANDARD_ERRORS.fullmatch(said) if isinstance(said, str) else None
    if match is not None:
        return Margin(float(match.group(1)), in_errors=True)
    if isinstance(said, str) or not math.isfinite(said) or said < 0:
        raise CallError(f'EarlyStoppingCallback: {name} is {said!r}; give 0 or more, or errors such as "1se"')
    return Margin(float(said), in_errors=False)


def resolve_monitor(
    args: TrainingArguments,
    evaluations: Evaluations,
    monitor: str | None,
    greater: bool | None,
    least: Margin,
    tolerance: Margin | None,
) -> Monitor:
    """The metric to watch.

    Args:
        args: Of the run.
        evaluations: What they will give.
        monitor: As the user gave it.
        greater: Whether greater is better, as the user gave it.
        least: As in `Monitor`.
        tolerance: As in `Monitor`.

    Raises:
        CallError: Nothing is evaluated, the metric is not measured, its direction contradicts `TrainingArguments`, or
            standard errors are asked for of a metric that has none.
    """
    if args.eval_strategy == IntervalStrategy.NO:
        raise CallError(
            "EarlyStoppingCallback: nothing is evaluated in training; set "
            'TrainingArguments(eval_strategy="epoch") (--eval_strategy epoch)'
        )
    name = evaluations.metric(_CALLBACK, monitor)
    greater = _direction(args, name, greater)
    if greater and name in evaluations.losses:
        raise CallError(
            f"EarlyStoppingCallback: greater_is_better=True, and {name} is the Trainer's own loss, of which less is "
            f'better: leave it out, or name the metric that is meant, EarlyStoppingCallback(monitor="accuracy")'
        )
    watched = Monitor(name, greater, least, tolerance)
    if watched.in_errors and name not in BY_TEXT:
        raise CallError(
            f"EarlyStoppingCallback: {name} has no value text by text of which standard errors could be taken: monitor "
            "eval_loss or eval_accuracy, or give min_delta and tolerance as numbers"
        )
    return watched


def _direction(args: TrainingArguments, name: str, greater: bool | None) -> bool:
    """Whether greater is better, by what the callback or `TrainingArguments` was told, or else by the metric's name.

    `TrainingArguments` fills `greater_is_better` in where it was not given, with what `metric_for_best_model` ends in:
    only the opposite of that, or a value without a metric, has certainly been said by the user.

    Raises:
        CallError: The two contradict each other.
    """
    metric, given = args.metric_for_best_model, args.greater_is_better
    if given is None or (metric is not None and with_prefix(metric) != name):
        return not less_is_better(name) if greater is None else greater
    explicit = metric is None or given == metric.endswith("loss")
    if greater is None and (explicit or given != less_is_better(name)):
        return bool(given)
    if greater is None:
        raise CallError(
            f"EarlyStoppingCallback takes smaller {name} for better, and TrainingArguments has greater_is_better=True, "
            "its default for names that do not end in loss: set greater_is_better=False there, or "
            "EarlyStoppingCallback(greater_is_better=True)"
        )
    if greater != given and (explicit or _trainer_chooses(args)):
        raise CallError(
            f"EarlyStoppingCallback has greater_is_better={greater} for {name}, and TrainingArguments has "
            f"greater_is_better={given}{'' if explicit else ', its default for that name'}: give the same to both, "
            f"TrainingArguments(greater_is_better={greater})"
        )
    return greater


def _trainer_chooses(args: TrainingArguments) -> bool:
    """Whether the Trainer itself goes by the direction: it loads or saves the best, or its schedule follows it."""
    saves_best = args.save_strategy == SaveStrategy.BEST
    return args.load_best_model_at_end or saves_best or args.lr_scheduler_type in _FOLLOW_THE_METRIC
