"""What early stopping watches: which metric, in which direction, and what counts as an improvement."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from hf_sentiment.callbacks.gap_test import Array
from hf_sentiment.callbacks.shared import Evaluations, PerText, less_is_better, with_prefix
from hf_sentiment.errors import CallError

# A count of standard errors: 1se, 0.5se.
_STANDARD_ERRORS = re.compile(r"(\d+(?:\.\d+)?)se")
# For messages.
_CALLBACK = "EarlyStoppingCallback"
# Schedules that lower the learning rate by the metric.
_FOLLOW_THE_METRIC = ("reduce_lr_on_plateau", "greedy")
# Metrics that are means over texts, so that two evaluations can be compared text by text.
_BY_TEXT = ("eval_loss", "eval_accuracy")


@dataclass(frozen=True)
class Monitor:
    """A metric with its direction and the least improvement that counts.

    Attributes:
        name: As the Trainer names it.
        greater: Whether greater is better.
        least: The least improvement that counts, in the metric's unit or, if `in_errors`, in standard errors of the
            paired difference of the texts' values.
        in_errors: See `least`.
    """

    name: str
    greater: bool
    least: float
    in_errors: bool

    def beats(self, value: float, other: float) -> bool:
        """Whether `value` is better than `other`."""
        return value > other if self.greater else value < other

    def counts(self, value: float, reference: float, values: Array | None, reference_values: Array | None) -> bool:
        """Whether a value is an improvement that counts.

        Args:
            value: Of this evaluation.
            reference: Of the last improvement that counted.
            values: Of this evaluation's texts, `[texts]`, where they are known.
            reference_values: Of the reference's.

        Raises:
            CallError: The two are of different texts.
        """
        gain = value - reference if self.greater else reference - value
        if not self.in_errors or values is None or reference_values is None:
            return gain > (0.0 if self.in_errors else self.least)
        if len(values) != len(reference_values):
            raise CallError(
                f"EarlyStoppingCallback: {len(values)} validation texts, and {len(reference_values)} before: "
                "evaluate the same texts each time"
            )
        # Paired: what makes a text hard is the same in both evaluations, and cancels.
        difference = values - reference_values
        error = float(difference.std(ddof=1)) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
        return gain > 0.0 and gain > self.least * error

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
        if by_text is None:
            raise CallError(
                "EarlyStoppingCallback: standard errors need labels that pass through a model that classifies, and "
                "label_smoothing_factor or compute_loss_func keep them from it: give min_delta as a number"
            )
        return by_text


def read_min_delta(min_delta: float | str | None, threshold: float | None) -> tuple[float, bool]:
    """The least improvement that counts, and whether it is in standard errors.

    Raises:
        CallError: Both are given, or one is neither a number of 0 or more nor such as "1se".
    """
    if min_delta is not None and threshold:
        raise CallError(
            f"EarlyStoppingCallback: early_stopping_threshold={threshold} and min_delta={min_delta!r} are the same "
            "setting: give one"
        )
    least = threshold or 0.0 if min_delta is None else min_delta
    match = _STANDARD_ERRORS.fullmatch(least) if isinstance(least, str) else None
    if match is not None:
        return float(match.group(1)), True
    if isinstance(least, str) or not math.isfinite(least) or least < 0:
        raise CallError(f'EarlyStoppingCallback: min_delta is {least!r}; give 0 or more, or errors such as "1se"')
    return float(least), False


def resolve_monitor(
    args: TrainingArguments,
    evaluations: Evaluations,
    monitor: str | None,
    greater: bool | None,
    least: float,
    in_errors: bool,
) -> Monitor:
    """The metric to watch.

    Args:
        args: Of the run.
        evaluations: What they will give.
        monitor: As the user gave it.
        greater: Whether greater is better, as the user gave it.
        least: As in `Monitor`.
        in_errors: As in `Monitor`.

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
    if in_errors and name not in _BY_TEXT:
        raise CallError(
            f"EarlyStoppingCallback: {name} has no value text by text of which standard errors could be taken: monitor "
            "eval_loss or eval_accuracy, or give min_delta as a number"
        )
    return Monitor(name, greater, least, in_errors)


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
