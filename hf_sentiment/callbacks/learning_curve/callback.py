"""`LearningCurveCallback`: the history of a run as JSONL, on the terminal, and as a picture."""

from __future__ import annotations

import logging
import math
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.callbacks.learning_curve.drawing import draw_curves
from hf_sentiment.callbacks.learning_curve.history import (
    FINAL,
    OWN,
    as_measured,
    curve_names,
    is_json,
)
from hf_sentiment.callbacks.learning_curve.notebook import NotebookPicture
from hf_sentiment.callbacks.learning_curve.table import Table
from hf_sentiment.callbacks.shared import (
    COSTS,
    Evaluations,
    JudgingCallback,
    Kept,
    RecordingCallback,
    planned_evaluations,
    points_to_log,
    run_callbacks,
)
from hf_sentiment.records.history import Row, read_history, write_history

__all__ = ["LearningCurveCallback", "draw_curves", "read_history"]

logger = logging.getLogger(__name__)

# For messages.
_NAME = "LearningCurveCallback"
# Drawn below the losses where nothing else is asked for.
_METRIC = "accuracy"
# Where nothing is evaluated, a run has at least that many training losses, if it has as many steps.
_FEWEST_POINTS = 12
# Of the time so far that goes into pictures: the first and the last are drawn in any case.
_DRAWING_SHARE = 0.02
# Two means of one loss by different roads differ by less: texts that occur twice, or that the Trainer gives to two
# processes to fill a batch.
_SAME = 0.05


class LearningCurveCallback(RecordingCallback):
    """Writes `history.jsonl`, `curves.svg` and `curves.png`, so that a killed run has its curves as well.

    The history is written at every evaluation. So is the picture, but for those that would make drawing take more than
    2 % of the run; the last is drawn in any case.

    Works with any Trainer and any model. It makes the Trainer log the training loss at every evaluation, and changes
    nothing else of the run. Evaluations outside training are not of the run. On a terminal it prints a table, a line
    an evaluation, and at the end the course of the validation loss; in a notebook it shows the picture, in place.

    Args:
        folder: Where to write; by default `records` in the run's output folder. A trial of a hyperparameter search has
            a folder of its own in there.
        monitor: The metric drawn below the losses and printed, with or without `eval_`; by default
            `metric_for_best_model`, and the accuracy in place of a loss. With several evaluation sets it names the set
            that is drawn, `movies_accuracy`; by default the first. The history has all of them.
        table: Whether to print the table where stderr is a terminal.

    A line of the history is one evaluation: `step`, `epoch`, `elapsed_seconds` (since training began, summed over
    resumes), `train_loss` (mean since the log before, in training mode), `learning_rate`, every `eval_…` metric, and
    every `gap/…` scalar that the overfitting alarm logs at that step, whichever of the two callbacks comes first.
    Values that are not finite are left out. Where nothing is evaluated, a line is one training loss, and the picture
    has those.

    Where the loss that the Trainer reports is not the mean over the texts (it has class weights in it, or is wrong, as
    with some models on several processes), that mean is in the history too, as `own/eval_loss`, and is what is drawn,
    which is said once. It is known for models that classify texts or predict numbers.

    Examples:
        >>> trainer = Trainer(model, args, callbacks=[LearningCurveCallback()], ...)  # doctest: +SKIP
    """

    _FRESH: ClassVar[dict[str, Any]] = {"evaluations": None}

    #: Lines of the history up to here; `None` where a checkpoint does not say.
    evaluations: int | None

    def __init__(self, folder: str | None = None, monitor: str | None = None, table: bool = True) -> None:
        self.folder = folder
        self.monitor = monitor
        self.table = table
        self.rows: list[Row] = []
        #: `time.monotonic()` from which seconds count; the beginning of training, unless it is set before that.
        self.began: float | None = None
        #: Seconds of the history that was taken up.
        self.elapsed_before = 0.0
        #: Whether anything is evaluated in training.
        self.evaluates = False
        self._records = Path("records")
        self._drawn = _METRIC
        self._loss = "log loss"
        self._fresh_run()
        super().__init__(strict=False)

    def _fresh_run(self) -> None:
        self._evaluated: Evaluations | None = None
        self._pending: Row = {}  # training loss and learning rate since the evaluation before
        self._early: tuple[int, Row] = (-1, {})  # a step, and what the alarm logged there before our evaluation
        self._unsaid = False  # a line of the table waits until its row is whole
        self._reported: Row = {}  # what the Trainer logged of the evaluation
        self._measured: set[str] = set()  # the metrics of the row's evaluations, finite or not
        self._differs = False  # it was said that the Trainer's loss is another
        self._table = Table()
        self._notebook = NotebookPicture()
        self._points = 0  # training losses to be logged, where nothing is evaluated
        self._cost = 0.0  # seconds

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Take up the history of the run that is resumed, up to its checkpoint.

        Raises:
            CallError: `monitor` is of no evaluation set, or is certainly not measured.
        """
        self._fresh_run()
        self._evaluated = Evaluations.of(args)
        self.evaluates = planned_evaluations(args, state) > 0
        self._drawn = self.monitor or args.metric_for_best_model or _METRIC
        if self.monitor is not None and self.evaluates:
            self._drawn = self._evaluated.metric(_NAME, self.monitor)
        self._begin(args, state)
        self._records = self._folder / "records"
        if self.folder is not None:
            # Trials of a search would overwrite each other in the folder that was named.
            is_trial = self._folder != Path(str(args.output_dir))
            self._records = Path(self.folder, *[self._folder.name] * is_trial)
        self.began = time.monotonic() if self.began is None else self.began
        self._loss = "squared error" if _is_regression(model) else "log loss"
        self.rows = []
        if state.global_step > 0:
            lines = [row for row in read_history(self._path("history.jsonl")) if row["step"] <= state.global_step]
            # What an earlier run left in the folder is not of a run that had no evaluation before its checkpoint.
            self.rows = [row for row in lines if FINAL not in row][: self.evaluations]
        self.evaluations = len(self.rows)
        self.elapsed_before = self.rows[-1]["elapsed_seconds"] if self.rows else 0.0
        self._recorder.attach(model)
        self._points = 0 if self.evaluates else points_to_log(args, state, _FEWEST_POINTS)
        if state.is_world_process_zero:
            when = "of every evaluation" if self.evaluates else "of the training loss alone: nothing is evaluated"
            logger.info("Learning curve: %s, %s", self._path("curves.svg"), when)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """See to it that a training loss is logged wherever there is an evaluation, or now and then without any."""
        # Where nothing is evaluated, the run is divided into `_points` parts: is this step the first of the next one?
        before, now = (step * self._points // state.max_steps for step in (state.global_step - 1, state.global_step))
        due = now > before
        if control.should_evaluate or due:
            control.should_log = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """See to it that a training loss is logged wherever there is an evaluation."""
        if control.should_evaluate:
            control.should_log = True

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **kwargs: Any
    ) -> None:
        """Keep the training loss and the learning rate for the evaluation that follows, and the alarm's scalars."""
        if not self._training or not logs:
            return
        if "loss" in logs:
            self._pending = {"train_loss": logs["loss"], "learning_rate": logs.get("learning_rate", math.nan)}
            if not self.evaluates:  # a line a training loss
                self._add_row(state, self._pending)
                self._write(state)
        self._reported |= {name: value for name, value in logs.items() if name.startswith("eval_")}
        # The alarm logs after it has judged: before our own `on_evaluate`, or after it, as the callbacks are ordered.
        gap = {name: value for name, value in logs.items() if name.startswith("gap/")}
        if gap and self.rows and self.rows[-1]["step"] == state.global_step:
            self._add(gap)
            self._write(state)
        elif gap:
            step, before = self._early
            self._early = (state.global_step, (before if step == state.global_step else {}) | gap)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add to the line of this step, or begin it."""
        per_text = self._recorder.take() if self._training else None
        figures = {name: value for name, value in (metrics or {}).items() if name.startswith("eval_")}
        figures = {name: value for name, value in figures.items() if not name.endswith(COSTS)}
        if not self._training or not figures:
            return
        own = self._own_loss(state, figures, None if per_text is None else float(per_text.losses.mean()))
        step, early = self._early
        self._add_row(state, self._pending | figures | own | (early if step == state.global_step else {}))
        self._pending, self._early, self._reported = {}, (-1, {}), {}
        self._measured |= figures.keys()
        self._unsaid = True
        self._write(state)

    def _own_loss(self, state: TrainerState, metrics: dict[str, float], mean: float | None) -> Row:
        """The mean loss over the texts, where the Trainer reports another loss."""
        assert self._evaluated is not None
        # Of texts alone: class weights, smoothing or a mean over batches of unequal size make the Trainer's another.
        name = next((one for one in self._evaluated.losses if one in metrics), None)
        if name is None or mean is None or math.isclose(mean, metrics[name], rel_tol=_SAME, abs_tol=1e-3):
            return {}
        if metrics[name] != self._reported.get(name):
            return {}  # a callback before this one has put its own in
        if not self._differs and state.is_world_process_zero:
            logger.warning(
                "%s: the Trainer reports %s %.4g at step %d, and the mean over the texts (no weights, no smoothing) is "
                "%.4g: the curve is drawn of the mean, and history.jsonl has both",
                _NAME,
                name,
                metrics[name],
                state.global_step,
                mean,
            )
        self._differs = True
        return {f"{OWN}{name}": mean}

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Print the line of an evaluation, to which by now every callback and every evaluation set has added."""
        self._say(state)

    on_epoch_begin = on_save = on_step_begin

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Draw what the run ends with; evaluations after this are not of it."""
        if not self._training:
            return
        self._say(state)
        self._recorder.detach()
        if self.rows:
            self._write(state, _kept(args, state))
        if self.rows and self.evaluates and self._has_terminal(state):
            rows = as_measured(self.rows)
            self._table.sum_up(rows, curve_names(rows, self._drawn))
        if self.rows and state.is_world_process_zero:
            picture = self._path("curves.svg")
            logger.info("Learning curve of %d lines, drawn in %.1f s: %s", len(self.rows), self._cost, picture)
        self.began = None
        self._end(state)

    def draw(self, kept: Kept, final: Row | None = None) -> None:
        """Draw the run anew, whose model was changed or tested after training.

        Args:
            kept: What it ends with.
            final: A last line of the history.
        """
        rows = self.rows if final is None else [*self.rows, final]
        write_history(self._path("history.jsonl"), rows)
        draw_curves(rows, self._path("curves"), self._drawn, self._loss, kept)

    def _add_row(self, state: TrainerState, values: Row) -> None:
        """Add `values` to the row of this step, or begin it."""
        if not self.rows or self.rows[-1]["step"] != state.global_step:
            seconds = self.elapsed_before + time.monotonic() - (self.began or 0.0)
            row = {"step": state.global_step, "epoch": state.epoch or 0.0, "elapsed_seconds": round(seconds, 3)}
            self.rows.append(row)
        self._add(values)
        self.evaluations = len(self.rows)

    def _add(self, values: Row) -> None:
        self.rows[-1] |= {name: value for name, value in values.items() if is_json(value)}

    def _write(self, state: TrainerState, kept: Kept | None = None) -> None:
        if not state.is_world_process_zero:
            return
        write_history(self._path("history.jsonl"), self.rows)
        began = time.monotonic()
        if kept is None and self._cost > _DRAWING_SHARE * (began - (self.began or 0.0)):
            return
        draw_curves(self.rows, self._path("curves"), self._drawn, self._loss, kept)
        self._notebook.show(self._path("curves.png"))
        self._cost += time.monotonic() - began

    def _say(self, state: TrainerState) -> None:
        """Check and print the last row, once; on every process, so that an error is every process's."""
        if not self._unsaid:
            return
        names, self._unsaid, self._measured = self._measured, False, set()
        if self.monitor is not None and self._drawn not in names:
            assert self._evaluated is not None
            raise self._evaluated.missing(_NAME, self._drawn, names)
        if self._has_terminal(state):
            rows = as_measured(self.rows)
            self._table.say(rows, curve_names(rows, self._drawn))

    def _has_terminal(self, state: TrainerState) -> bool:
        return self.table and state.is_world_process_zero and sys.stderr.isatty()

    def _path(self, name: str) -> Path:
        return self._records / name


def _kept(args: TrainingArguments, state: TrainerState) -> Kept:
    """What the run ends with, by the Trainer or by the callbacks that put weights back."""
    if args.load_best_model_at_end and state.best_model_checkpoint is not None:
        return Kept.best(state.best_global_step, args.metric_for_best_model or "loss")
    restored = (callback.restored for callback in run_callbacks(JudgingCallback))
    return next((kept for kept in restored if kept is not None), Kept(state.global_step, "kept, the last"))


def _is_regression(model: nn.Module | None) -> bool:
    config = getattr(model, "config", None)
    return getattr(config, "problem_type", None) == "regression" or getattr(config, "num_labels", None) == 1
