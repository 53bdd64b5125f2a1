"""What a run's evaluations will give, as far as it can be known before the first step, and which of it is meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transformers import Trainer, TrainingArguments

from hf_sentiment.callbacks.shared.base import calling
from hf_sentiment.callbacks.shared.metrics import with_prefix
from hf_sentiment.errors import CallError

# What an evaluation took is not what it found.
COSTS = ("_runtime", "_per_second", "_model_preparation_time", "_jit_compilation_time")
# Whose callbacks add no metric to those of an evaluation.
_KNOWN_CALLBACKS = ("transformers.", "hf_sentiment.")


@dataclass(frozen=True)
class Evaluations:
    """The evaluations of a run.

    Attributes:
        sets: Names of the evaluation sets, `Trainer(eval_dataset={...})`; none where there is a single one.
        losses_alone: Whether the losses are certainly all that is measured. What a `compute_metrics` gives can be
            known only by running it.
        best_metric: `metric_for_best_model`; it names metric and set for callbacks that are told nothing else.
    """

    sets: tuple[str, ...]
    losses_alone: bool
    best_metric: str | None

    @classmethod
    def of(cls, args: TrainingArguments) -> Evaluations:
        """Those of the Trainer that is calling."""
        trainer = calling(Trainer)
        dataset = getattr(trainer, "eval_dataset", None)
        sets = tuple(map(str, dataset)) if isinstance(dataset, dict) else ()
        return cls(sets, trainer is not None and _measures_losses_alone(trainer), args.metric_for_best_model)

    @property
    def losses(self) -> tuple[str, ...]:
        """The Trainer's own losses, by the names that it gives them."""
        return tuple(f"eval_{name}_loss" for name in self.sets) or ("eval_loss",)

    def set_of(self, name: str) -> str | None:
        """The evaluation set to which a metric belongs; `None` if to none."""
        # Of the sets `a` and `a_b`, the metric eval_a_b_loss is the latter's.
        matching = [one for one in self.sets if with_prefix(name).startswith(f"eval_{one}_")]
        return max(matching, key=len, default=None)

    def metric(self, callback: str, monitor: str | None) -> str:
        """The metric that `monitor` names, or else `metric_for_best_model`, or else the loss.

        Args:
            callback: The name of the callback's class, for messages.
            monitor: As the user gave it.

        Raises:
            CallError: It is of no evaluation set, or is certainly not among the metrics.
        """
        name = with_prefix(monitor or self.best_metric or "loss")
        # A metric without a set is that of the only set; of several, nobody can tell which is meant. Nor if
        # `TrainingArguments` names one that is of no set, for the Trainer would look for that very name.
        if self.sets and self.set_of(name) is None:
            bare = name.removeprefix("eval_")
            if len(self.sets) > 1 or (monitor is None and self.best_metric is not None):
                raise CallError(self._no_set(callback, monitor, bare))
            name = f"eval_{self.sets[0]}_{bare}"
        # Before the first step, where that can be told; else at the first evaluation.
        if self.losses_alone and name not in self.losses:
            raise self.missing(callback, name, self.losses)
        return name

    def loss(self, callback: str, monitor: str | None) -> str:
        """The loss that `monitor` names, or else that of the only set, or of the set that `best_metric` names.

        Args:
            callback: The name of the callback's class, for messages.
            monitor: As the user gave it.

        Raises:
            CallError: It is of no evaluation set.
        """
        of_set = None if self.best_metric is None else self.set_of(self.best_metric)
        return self.metric(callback, monitor or ("loss" if of_set is None else f"{of_set}_loss"))

    def has_loss(self, callback: str, name: str, metrics: dict[str, Any]) -> bool:
        """Whether an evaluation is of the set with the loss `name`.

        Args:
            callback: The name of the callback's class, for messages.
            name: Of the loss.
            metrics: What the evaluation gave.

        Raises:
            CallError: It is, and has no loss; or there are other losses alone.
        """
        if name in metrics:
            return True
        others = any(metric.startswith("eval_") and metric.endswith("_loss") for metric in metrics)
        if self.is_of(name, metrics) or (others and not self.sets):
            raise self.missing(callback, name, metrics)
        return False

    def _no_set(self, callback: str, monitor: str | None, bare: str) -> str:
        # Of a set that there is not, the loss is meant; anything else may be a metric's whole name.
        right = f"{self.sets[0]}_{'loss' if bare.endswith('_loss') else bare}"
        call = f'{callback}(monitor="{right}")'
        if monitor is None and self.best_metric is not None:
            call = f'TrainingArguments(metric_for_best_model="{right}")'
        choice = "choose one of the sets" if len(self.sets) > 1 else "name the set"
        return (
            f"{callback}: eval_{bare} is not among the metrics of the evaluation ({', '.join(self.losses)}, …): "
            f"{choice}, {call}"
        )

    def missing(self, callback: str, name: str, metrics: Iterable[str]) -> CallError:
        """The error that `name` is not among the metrics of an evaluation."""
        candidates = [one for one in metrics if one.startswith("eval_") and not one.endswith(COSTS)]
        if not candidates:
            return CallError(
                f"{callback}: the evaluation gave no {name}, nor any other metric: give its texts labels, in the "
                'column that TrainingArguments(label_names=["labels"]) names'
            )
        # The set's own first, and its loss before all.
        candidates.sort(key=lambda one: (self.set_of(one) != self.set_of(name), not one.endswith("loss"), one))
        right = (difflib.get_close_matches(name, candidates, n=1) or candidates)[0].removeprefix("eval_")
        call = f'{callback}(monitor="{right}")'
        if self.best_metric is not None and with_prefix(self.best_metric) == name:
            call += f', or TrainingArguments(metric_for_best_model="{right}")'
        return CallError(
            f"{callback}: {name} is not among the metrics of the evaluation ({', '.join(sorted(candidates))}): "
            f"give one of them, such as {call}"
        )

    def is_of(self, name: str, metrics: dict[str, Any]) -> bool:
        """Whether `metrics` are those of the evaluation set to which the metric `name` belongs."""
        prefix = f"eval_{self.set_of(name)}" if self.sets else "eval"
        return f"{prefix}_loss" in metrics or f"{prefix}_runtime" in metrics


def _measures_losses_alone(trainer: Trainer) -> bool:
    """Whether nothing adds a metric: no `compute_metrics`, no method that was replaced, no callback that might."""
    if trainer.compute_metrics is not None and not trainer.args.prediction_loss_only:
        return False
    # A subclass, or a script that assigns to its Trainer, may measure more.
    for name in ("evaluate", "_evaluate", "evaluation_loop"):
        if getattr(type(trainer), name) is not getattr(Trainer, name) or name in vars(trainer):
            return False
    # A foreign callback can add to the metrics in `on_evaluate`, which is handed the dictionary itself.
    return all(
        type(callback).on_evaluate.__module__.startswith(_KNOWN_CALLBACKS)
        for callback in trainer.callback_handler.callbacks
    )
