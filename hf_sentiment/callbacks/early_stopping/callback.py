"""`EarlyStoppingCallback`: stop when validation no longer improves, and end with the best weights."""

from __future__ import annotations

import logging
import math
from typing import Any, ClassVar

from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_sentiment.callbacks.early_stopping.monitor import (
    Monitor,
    Seen,
    read_margin,
    read_min_delta,
    resolve_monitor,
)
from hf_sentiment.callbacks.gap_test import decode, encode
from hf_sentiment.callbacks.shared import (
    Evaluations,
    Kept,
    KeptWeights,
    StopAtDivergence,
    check_whole_weights,
    counted,
    from_main_process,
    with_prefix,
)
from hf_sentiment.errors import CallError

logger = logging.getLogger(__name__)


class EarlyStoppingCallback(StopAtDivergence):
    """Stops training when a metric of the validation set no longer improves; takes the place of transformers' class.

    Works with any Trainer and model, whatever is saved and when: it keeps the best weights itself.

    Args:
        early_stopping_patience: Evaluations (not epochs) in a row without an improvement that counts, after which
            training stops; `None` never stops for that, and still keeps the best.
        early_stopping_threshold: Smallest improvement that counts, in the metric's unit.
        monitor: The metric, with or without `eval_`; by default `metric_for_best_model`, else `eval_loss`. With
            several evaluation sets it names the set: `movies_loss`.
        greater_is_better: Its direction; by default what `TrainingArguments(greater_is_better=…)` was told, or else
            known from the name (loss, error, perplexity, ece, … are better small).
        min_delta: The same as `early_stopping_threshold`, which it replaces; or in standard errors of the paired
            difference, text by text, to the last improvement that counted: `"1se"` (for `eval_loss`, `eval_accuracy`
            and `eval_calibrated_loss`).
        tolerance: How far behind the best an evaluation is still as good: a number, or standard errors as in
            `min_delta`. Of evaluations as good as the best the last one is kept, and only those that are worse count
            against the patience. By default the best alone is good.
        start_after: Evaluations before the first one that can count against the patience.
        stopping_threshold: Stop as soon as the metric is at least this good.
        divergence_threshold: Stop as soon as the metric is worse than this.
        restore_best: End with the weights of the best evaluation, whatever ended training.

    An improvement is measured from the last one that counted, so that small steps add up. The best weights are those
    of the best value ever, counted or not, or with a `tolerance` the last as good as that. A run whose loss, weights or
    metric are not finite any more has diverged and stops, with advice. A run that had stopped and is resumed stays
    stopped: the Trainer cannot but take one step, and that step changes no weight.

    Examples:
        >>> trainer = Trainer(model, args, callbacks=[EarlyStoppingCallback(2)], ...)  # doctest: +SKIP
    """

    _FRESH: ClassVar[dict[str, Any]] = StopAtDivergence._FRESH | {
        "early_stopping_patience_counter": 0,
        "evaluations": 0,
        "reference": None,  # value at the last improvement that counted
        "reference_values": None,  # its per-text values, encoded, where improvements are counted in standard errors
        "best_value": None,
        "best_values": None,  # as `reference_values`, where a tolerance is in standard errors
    }

    early_stopping_patience_counter: int
    evaluations: int
    reference: float | None
    reference_values: str | None
    best_value: float | None
    best_values: str | None

    def __init__(
        self,
        early_stopping_patience: int | None = 1,
        early_stopping_threshold: float | None = 0.0,
        *,
        monitor: str | None = None,
        greater_is_better: bool | None = None,
        min_delta: float | str | None = None,
        tolerance: float | str | None = None,
        start_after: int = 0,
        stopping_threshold: float | None = None,
        divergence_threshold: float | None = None,
        restore_best: bool = True,
    ) -> None:
        patience = early_stopping_patience
        if patience is not None and (patience != int(patience) or patience < 1):
            raise CallError(f"EarlyStoppingCallback: early_stopping_patience is {patience}; give 1 or more, or None")
        if start_after != int(start_after) or start_after < 0:
            raise CallError(f"EarlyStoppingCallback: start_after is {start_after}; give evaluations, 0 or more")
        self.early_stopping_patience = None if patience is None else int(patience)
        self.early_stopping_threshold = early_stopping_threshold
        self.monitor = monitor
        self.greater_is_better = greater_is_better
        self.min_delta = min_delta
        self.tolerance = tolerance
        self.start_after = int(start_after)
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self.restore_best = restore_best
        self._least = read_min_delta(min_delta, early_stopping_threshold)
        self._tolerance = None if tolerance is None else read_margin("tolerance", tolerance)
        self._watched: Monitor | None = None
        self._seen: dict[str, float] = {}
        super().__init__()

    @property
    def keeps_best(self) -> bool:
        """Whether it ends the run with the best weights."""
        return self.restore_best

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Say what will be done, or why it cannot be done; a run that had stopped stays stopped.

        Raises:
            CallError: Nothing is evaluated, the metric is certainly not measured, or the settings contradict those of
                `TrainingArguments`.
        """
        self._evaluations = Evaluations.of(args)
        monitor = resolve_monitor(
            args, self._evaluations, self.monitor, self.greater_is_better, self._least, self._tolerance
        )
        self._watched = monitor
        self._check_restoring(args, monitor.name, model)
        resumed = self._begin(args, state)
        self._seen, self.restored = {}, None
        self._kept = self._own_copy(args, state)
        if monitor.in_errors:
            self._recorder.attach(model)
        if self._kept is not None and not resumed:
            self._kept.forget()  # what another run left in this folder
        if resumed:
            self._take_up(args, state, control)
        if state.is_world_process_zero:
            logger.info(self._intention(args, state, monitor))

    def _check_restoring(self, args: TrainingArguments, name: str, model: nn.Module | None) -> None:
        if not self.restore_best:
            return
        # Both would put weights back, and the Trainer has the last word.
        other = args.metric_for_best_model or "loss"
        if args.load_best_model_at_end and with_prefix(other) != name:
            raise CallError(
                f"EarlyStoppingCallback restores the best {name}, and load_best_model_at_end the best {other}: set "
                f'metric_for_best_model="{name.removeprefix("eval_")}", or load_best_model_at_end=False, or '
                "EarlyStoppingCallback(restore_best=False)"
            )
        if not args.load_best_model_at_end:
            check_whole_weights(
                model,
                "EarlyStoppingCallback",
                "set EarlyStoppingCallback(restore_best=False) and TrainingArguments(load_best_model_at_end=True)",
            )

    def _own_copy(self, args: TrainingArguments, state: TrainerState) -> KeptWeights | None:
        """Where the best weights are kept; nowhere, if the Trainer keeps them already."""
        if not self.restore_best or args.load_best_model_at_end:
            return None
        return KeptWeights(self._folder, "early-stopping", state.is_world_process_zero, self.best_step)

    def _take_up(self, args: TrainingArguments, state: TrainerState, control: TrainerControl) -> None:
        """Go on with the saved state, and with the weights that it names."""
        # The folder may have been moved without the copy, or another run may have cleared up in it.
        if self._kept is not None and self.best_step is not None and not self._kept.has(self.best_step):
            if state.is_world_process_zero:
                logger.warning(
                    "EarlyStoppingCallback: the weights of step %d, the best before step %d, are gone from %s: the "
                    "best is sought anew from here",
                    self.best_step,
                    state.global_step,
                    self._folder,
                )
            self.best_step, self.best_value, self.best_values = None, None, None
        self._stay_stopped(state, control)

    def _intention(self, args: TrainingArguments, state: TrainerState, monitor: Monitor) -> str:
        """What will be done, in one line."""
        watched = f"{monitor.name} ({'greater' if monitor.greater else 'smaller'} is better)"
        ends = "ends with the best weights" if self.restore_best else "ends with the last weights"
        if self.restore_best and monitor.tolerance is not None:
            ends = f"ends with the last weights that are at most {monitor.tolerance} worse than the best"
        if self.early_stopping_patience is None:
            return f"No early stopping; {watched} {ends}"
        every = counted(self.early_stopping_patience)
        if args.eval_strategy == IntervalStrategy.STEPS and state.num_train_epochs:
            steps = self.early_stopping_patience * state.eval_steps
            every += f" ({steps * state.num_train_epochs / max(1, state.max_steps):.2g} epochs)"
        without = f"without an improvement of more than {monitor.least}"
        if monitor.tolerance is not None:
            without = f"worse than the best by more than {monitor.tolerance}"
        return f"Early stopping: {watched}, after {every} {without}; {ends}"

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refuse to go on past an evaluation in which the metric was missing."""
        # Several sets are evaluated one after another; by the next step all of them have been.
        if self._seen and self._watched is not None and self._evaluations is not None:
            raise self._evaluations.missing(type(self).__name__, self._watched.name, self._seen)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Judge the evaluation; those outside training, of other sets, and a second one at a step are left out.

        Raises:
            CallError: The metric is not among those of the evaluation.
        """
        in_errors = self._watched is not None and self._watched.in_errors
        recorded = self._recorder.take() if self._training and in_errors else None
        if not self._training or self.stopped_step is not None or not metrics or self.last_step == state.global_step:
            return
        monitor, evaluations = self._watched, self._evaluations
        # Of another set, or wrong: that is known at once if the set is the right one, else at the next step.
        if monitor is None or evaluations is None:
            return
        if monitor.name not in metrics:
            if evaluations.is_of(monitor.name, metrics):  # of the set itself, so nothing more will come
                raise evaluations.missing(type(self).__name__, monitor.name, metrics)
            if any(name.startswith("eval_") for name in metrics):
                self._seen |= metrics
            return
        self._seen = {}
        self.last_step = state.global_step
        values = monitor.values(recorded)
        # Decided in one place: means over the texts may differ in the last digit from process to process.
        value, counts, worse = from_main_process(self._measured(monitor, Seen(float(metrics[monitor.name]), values)))
        self.evaluations += 1
        # The set's loss, whatever is watched: from NaN a metric can be a number.
        figures = {name: metrics[name] for name in evaluations.losses if name in metrics} | {monitor.name: value}
        lost = next((f"{name} is {figure}" for name, figure in figures.items() if not math.isfinite(figure)), None)
        if lost is not None:
            self._diverge(lost, args, state, control, model)
            return
        encoded = None if values is None else encode(values)
        if self.best_value is None or monitor.beats(value, self.best_value):
            self.best_value, self.best_values = value, encoded if self._tolerance is not None else None
        self._judge(monitor, value, counts, worse, state, control)
        if counts:
            self.reference, self.reference_values = value, encoded
        if self.best_step == state.global_step and self._kept is not None and model is not None:
            self._kept.keep(model, state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Stop at divergence; put the best weights back at the Trainer's last log of the run."""
        # The last log comes before `on_train_end` of any callback, so that an adapter, say, is merged with its best
        # weights whatever the order of the callbacks.
        super().on_log(args, state, control, logs=logs, model=model)
        if not self._training or not logs or "train_runtime" not in logs or self._kept is None or model is None:
            return
        if self.best_step is None or not self._kept.has(self.best_step):
            return
        # With a tolerance what is kept need not be what was best.
        by = "loss" if self._watched is None or self._tolerance is not None else self._watched.name
        self.restored = Kept.best(self.best_step, by)
        if self.best_step != state.global_step:
            self._kept.put_back(model, self.best_step)
            if state.is_world_process_zero:
                # A warning, as that it stopped: of a script without `logging.basicConfig` nothing else is seen.
                logger.warning(
                    "Early stopping: the weights are those of step %d, with the best %s, %.5g%s",
                    self.best_step,
                    "metric" if self._watched is None else self._watched.name,
                    self.best_value,
                    "" if self._tolerance is None else f", or at most {self._tolerance} from it",
                )

    def _measured(self, monitor: Monitor, seen: Seen) -> tuple[float, bool, bool]:
        """The value, whether it is an improvement that counts, and whether it is worse than the best so far."""
        finite = math.isfinite(seen.value)
        # The first evaluation is an improvement on nothing, and counts.
        reference, best = _seen(self.reference, self.reference_values), _seen(self.best_value, self.best_values)
        counts = finite and (reference is None or monitor.counts(seen, reference))
        return seen.value, counts, best is not None and monitor.is_worse(seen, best)

    def _judge(
        self, monitor: Monitor, value: float, counts: bool, worse: bool, state: TrainerState, control: TrainerControl
    ) -> None:
        """Count, keep the best in mind, and stop if it is time."""
        # Best and reference are two things: any better value is worth keeping, but patience is counted from the last
        # improvement that was large enough.
        if not worse:
            self.best_step = state.global_step
        if counts or (monitor.tolerance is not None and not worse):
            self.early_stopping_patience_counter = 0
        elif self.evaluations > self.start_after:
            self.early_stopping_patience_counter += 1
        reason = self._reason(monitor, value)
        if reason is not None:
            self._stop(reason, state, control)

    def _reason(self, monitor: Monitor, value: float) -> str | None:
        """Why it is time to stop, if it is."""
        if self.stopping_threshold is not None and not monitor.beats(self.stopping_threshold, value):
            return f"{monitor.name} reached {value:.5g}, as good as {self.stopping_threshold:g}"
        if self.divergence_threshold is not None and monitor.beats(self.divergence_threshold, value):
            return f"{monitor.name} is {value:.5g}, worse than {self.divergence_threshold:g}"
        patience = self.early_stopping_patience
        if patience is not None and self.early_stopping_patience_counter >= patience:
            if monitor.tolerance is not None:
                return f"{monitor.name} was worse than its best, {self.best_value:.5g}, in {counted(patience)}"
            return (
                f"{monitor.name} has not improved on {self.reference:.5g} in {counted(patience)}; "
                f"best {self.best_value:.5g} at step {self.best_step}"
            )
        return None


def _seen(value: float | None, values: str | None) -> Seen | None:
    """An evaluation from before, as it is saved."""
    return None if value is None else Seen(value, None if values is None else decode(values))
