"""What early stopping watches: which metric, in which direction, and what counts as an improvement."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from transformers import TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_sentiment.callbacks._arrays import Array
from hf_sentiment.callbacks._per_text import PerText
from hf_sentiment.errors import CallError

# Last words of the names of metrics of which less is better. transformers looks for names that end in "loss" alone.
_LESS_IS_BETTER = (
    *("loss", "error", "errors", "perplexity", "ppl", "mse", "rmse", "mae", "mape", "brier", "ece", "nll", "entropy"),
    *("wer", "cer", "ter", "distance", "deviance", "fpr", "fnr"),
)
_STANDARD_ERRORS = re.compile(r"(\d+(?:\.\d+)?)se")
# Metrics that are means over texts, so that two evaluations can be compared text by text.
_BY_TEXT = ("eval_loss", "eval_accuracy")


def less_is_better(name: str) -> bool:
    """Whether the metric is one of which less is better, by the last word of its name."""
    word = re.split(r"[_/.\- ]", name.lower())[-1]
    return word in _LESS_IS_BETTER or word.endswith(("loss", "error"))


def with_prefix(name: str) -> str:
    """The metric as the Trainer names it."""
    return name if name.startswith("eval_") else f"eval_{name}"


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
        """Whether `value` improves on `reference` by more than the least improvement; the rest are their texts'."""
        gain = value - reference if self.greater else reference - value
        if not self.in_errors or values is None or reference_values is None:
            return gain > (0.0 if self.in_errors else self.least)
        if len(values) != len(reference_values):
            raise CallError(
                f"EarlyStoppingCallback: {len(values)} validation texts, and {len(reference_values)} before: "
                "evaluate the same texts each time"
            )
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
        found = None if recorded is None else recorded.losses if self.name == "eval_loss" else recorded.right
        if found is None:
            raise CallError(
                "EarlyStoppingCallback: standard errors need labels that pass through a model that classifies, and "
                "label_smoothing_factor or compute_loss_func keep them from it: give min_delta as a number"
            )
        return found


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
    given = threshold or 0.0 if min_delta is None else min_delta
    match = _STANDARD_ERRORS.fullmatch(given) if isinstance(given, str) else None
    if match is not None:
        return float(match.group(1)), True
    if isinstance(given, str) or not math.isfinite(given) or given < 0:
        raise CallError(f'EarlyStoppingCallback: min_delta is {given!r}; give 0 or more, or errors such as "1se"')
    return float(given), False


def resolve_monitor(
    args: TrainingArguments, said: str | None, greater: bool | None, least: float, in_errors: bool
) -> Monitor:
    """The metric to watch.

    Raises:
        CallError: Nothing is evaluated, the direction contradicts `TrainingArguments`, or standard errors are asked for
            of a metric that has none.
    """
    if args.eval_strategy == IntervalStrategy.NO:
        raise CallError(
            "EarlyStoppingCallback: nothing is evaluated in training; set "
            'TrainingArguments(eval_strategy="epoch") (--eval_strategy epoch)'
        )
    name = with_prefix(said or args.metric_for_best_model or "loss")
    if greater is None:
        greater = not less_is_better(name)
    selects = args.metric_for_best_model is not None and with_prefix(args.metric_for_best_model) == name
    if selects and args.greater_is_better is not None and bool(args.greater_is_better) != greater:
        raise CallError(
            f"EarlyStoppingCallback takes {'greater' if greater else 'smaller'} {name} for better, and "
            f"TrainingArguments has greater_is_better={args.greater_is_better}, its default for names that do not end "
            f"in loss: set greater_is_better={greater} there, or "
            f"EarlyStoppingCallback(greater_is_better={args.greater_is_better})"
        )
    if in_errors and name not in _BY_TEXT:
        raise CallError(
            f"EarlyStoppingCallback: {name} has no value text by text of which standard errors could be taken: monitor "
            "eval_loss or eval_accuracy, or give min_delta as a number"
        )
    return Monitor(name, greater, least, in_errors)
