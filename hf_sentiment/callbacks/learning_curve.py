"""`LearningCurveCallback`: the history of a run as JSONL, as a picture and on the terminal, at every evaluation."""

from __future__ import annotations

import json
import logging
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

from torch import nn
from tqdm.auto import tqdm
from transformers import TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_sentiment.callbacks._base import SuiteCallback
from hf_sentiment.callbacks._curves import (
    ALARMS,
    CurveNames,
    Row,
    best_row,
    counts_epochs,
    curve_names,
    draw_curves,
    place_of,
)
from hf_sentiment.errors import CallError
from hf_sentiment.files import write_atomically

__all__ = ["LearningCurveCallback", "draw_curves", "read_history"]

logger = logging.getLogger(__name__)

# What an evaluation took is not what it found.
_COSTS = ("_runtime", "_per_second", "_model_preparation_time", "_jit_compilation_time")
_SPARKS = "▁▂▃▄▅▆▇█"
_WITHOUT_UNICODE = str.maketrans(_SPARKS + "▲–", "_.-:=+*#!-")
_MOST_SPARKS = 40


class LearningCurveCallback(SuiteCallback):
    """Writes `history.jsonl`, `curves.svg` and `curves.png`, so that a killed run has its curves as well.

    Works with any Trainer and any model. It makes the Trainer log the training loss at every evaluation, and changes
    nothing else of the run. Evaluations outside training are not of the run. On a terminal it prints a table, a line
    an evaluation, and at the end the course of the validation loss.

    Args:
        folder: Where to write; by default `records` in the run's output folder.
        metric: The metric drawn below the losses and printed, with or without `eval_`.
        evaluation_set: Which set is drawn and printed where there are several (`Trainer(eval_dataset={...})`); by
            default the first. The history has all of them.
        table: Whether to print the table where stderr is a terminal.

    Raises:
        CallError: After the first evaluation, if there is no set of that name.

    A line of the history is one evaluation: `step`, `epoch`, `elapsed_seconds` (since training began, summed over
    resumes), `train_loss` (mean since the log before, in training mode), `learning_rate`, every `eval_…` metric, and
    every `gap/…` scalar that the overfitting alarm logs at that step, whichever of the two callbacks comes first.
    Values that are not finite are left out.

    Example:
        >>> trainer = Trainer(model, args, callbacks=[LearningCurveCallback()], ...)  # doctest: +SKIP
    """

    _FRESH: ClassVar[dict[str, Any]] = {"evaluations": None}

    #: Lines of the history up to here; `None` where a checkpoint does not say.
    evaluations: int | None

    def __init__(
        self,
        folder: str | None = None,
        metric: str = "accuracy",
        evaluation_set: str | None = None,
        table: bool = True,
    ) -> None:
        self.folder = folder
        self.metric = metric
        self.evaluation_set = evaluation_set
        self.table = table
        self.rows: list[Row] = []
        #: `time.monotonic()` from which seconds count; the beginning of training, unless it is set before that.
        self.began: float | None = None
        #: Seconds of the history that was taken up.
        self.elapsed_before = 0.0
        self._pending: Row = {}  # training loss and learning rate since the evaluation before
        self._early: tuple[int, Row] = (-1, {})  # a step, and what the alarm logged there before our evaluation
        self._unsaid = False  # a line of the table waits until its row is whole
        self._titles: list[str] = []
        self._loss_unit = ""
        self._cost = 0.0  # seconds
        super().__init__()

    # The run

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Take up the history of the run that is resumed, up to its checkpoint."""
        self._begin(state)
        self.began = time.monotonic() if self.began is None else self.began
        self._pending, self._early, self._unsaid, self._titles, self._cost = {}, (-1, {}), False, [], 0.0
        self._loss_unit = "" if _is_regression(model) else "nats"
        self.rows = []
        if state.global_step > 0:
            taken = [row for row in read_history(self._path(args, "history.jsonl")) if row["step"] <= state.global_step]
            # What an earlier run left in the folder is not of a run that had no evaluation before its checkpoint.
            self.rows = taken[: self.evaluations]
        self.evaluations = len(self.rows)
        self.elapsed_before = self.rows[-1]["elapsed_seconds"] if self.rows else 0.0
        if not state.is_world_process_zero:
            return
        if args.eval_strategy == IntervalStrategy.NO:
            logger.warning(
                "Nothing is evaluated in training, so there will be no learning curve: --eval_strategy epoch"
            )
        else:
            logger.info("Learning curve: %s, at every evaluation", self._path(args, "curves.svg"))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """See to it that a training loss is logged wherever there is an evaluation."""
        if control.should_evaluate:
            control.should_log = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """As `on_step_end`."""
        if control.should_evaluate:
            control.should_log = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the training loss and the learning rate for the evaluation that follows, and the alarm's scalars."""
        if not self._training or not logs:
            return
        if "loss" in logs:
            self._pending = {"train_loss": logs["loss"], "learning_rate": logs.get("learning_rate", math.nan)}
        gap = {name: value for name, value in logs.items() if name.startswith("gap/")}
        if gap and self.rows and self.rows[-1]["step"] == state.global_step:
            self._add(gap)
            self._write(args, state)
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
        """Add to the line of this step, or begin it, and draw the picture anew."""
        found = {name: value for name, value in (metrics or {}).items() if name.startswith("eval_")}
        found = {name: value for name, value in found.items() if not name.endswith(_COSTS)}
        if not self._training or not found:
            return
        if not self.rows or self.rows[-1]["step"] != state.global_step:
            seconds = self.elapsed_before + time.monotonic() - (self.began or 0.0)
            row = {"step": state.global_step, "epoch": state.epoch or 0.0, "elapsed_seconds": round(seconds, 3)}
            self.rows.append(row)
        step, early = self._early
        self._add(self._pending | found | (early if step == state.global_step else {}))
        self._pending, self._early = {}, (-1, {})
        self.evaluations = len(self.rows)
        self._unsaid = True
        self._write(args, state)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Print the line of an evaluation, to which by now every callback and every evaluation set has added."""
        self._say(state)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """As `on_epoch_begin`."""
        self._say(state)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """As `on_epoch_begin`."""
        self._say(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluations after this are not of the run."""
        self._say(state)
        names = curve_names(self.rows, self.metric, self.evaluation_set)
        if self.rows and self._has_terminal(state):
            _print(_summary(self.rows, names))
        if self.rows and state.is_world_process_zero:
            picture = self._path(args, "curves.svg")
            logger.info("Learning curve: %d evaluations, drawn in %.1f s: %s", len(self.rows), self._cost, picture)
        self.began = None
        self._end(state)

    # Its files and its table

    def _add(self, values: Row) -> None:
        self.rows[-1] |= {name: value for name, value in values.items() if _is_json(value)}

    def _write(self, args: TrainingArguments, state: TrainerState) -> None:
        if not state.is_world_process_zero:
            return
        began = time.monotonic()
        lines = "".join(json.dumps(row) + "\n" for row in self.rows)
        write_atomically(self._path(args, "history.jsonl"), lines)
        draw_curves(self.rows, self._path(args, "curves"), self.metric, self.evaluation_set, self._loss_unit)
        self._cost += time.monotonic() - began

    def _say(self, state: TrainerState) -> None:
        """Check and print the last row, once; on every process, so that an error is every process's."""
        if not self._unsaid:
            return
        self._unsaid = False
        prefix = f"eval_{self.evaluation_set}_"
        if self.evaluation_set is not None and not any(name.startswith(prefix) for name in self.rows[-1]):
            there = ", ".join(name for name in self.rows[-1] if name.startswith("eval_"))
            raise CallError(
                f"LearningCurveCallback: evaluation_set is {self.evaluation_set!r}, but what was evaluated is {there}"
            )
        if self._has_terminal(state):
            names = curve_names(self.rows, self.metric, self.evaluation_set)
            cells = _cells(self.rows, names)
            titles = [title for title, _ in cells]
            if titles != self._titles:
                self._titles = titles
                _print("".join(f"{title:>{_width(title)}}" for title in titles))
            _print("".join(f"{cell:>{_width(title)}}" for title, cell in cells) + _marks(self.rows, names.loss))

    def _has_terminal(self, state: TrainerState) -> bool:
        return self.table and state.is_world_process_zero and sys.stderr.isatty()

    def _path(self, args: TrainingArguments, name: str) -> Path:
        return Path(self.folder or Path(str(args.output_dir), "records"), name)


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a `history.jsonl`; none where there is no such file."""
    path = Path(path)
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def _is_json(value: Any) -> bool:
    """Whether every JSON parser reads `value`: NaN and infinity are no JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def _is_regression(model: nn.Module | None) -> bool:
    config = getattr(model, "config", None)
    return getattr(config, "problem_type", None) == "regression" or getattr(config, "num_labels", None) == 1


def _print(line: str) -> None:
    """Write a line above the progress bars, in the characters that the terminal has."""
    try:
        line.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        line = line.translate(_WITHOUT_UNICODE).encode("ascii", "replace").decode("ascii")
    tqdm.write(line, file=sys.stderr)


def _cells(rows: list[Row], names: CurveNames) -> list[tuple[str, str]]:
    """Titles and contents of the table for the last of `rows`."""
    row = rows[-1]
    probe = "gap/train_loss" in row
    cells = [
        ("epoch", f"{row['epoch']:.0f}" if counts_epochs(rows) else f"{row['epoch']:.2f}"),
        ("train probe" if probe else "train loss", _number(row.get("gap/train_loss" if probe else "train_loss"))),
        ("validation", _number(row.get(names.loss))),
    ]
    if any(names.metric in one for one in rows):
        cells.append((names.metric.removeprefix("eval_"), _number(row.get(names.metric))))
    if any("gap/gap" in one for one in rows):
        cells.append(("gap", _number(row.get("gap/gap"), "+")))
    return cells


def _width(title: str) -> int:
    return max(len(title) + 2, 7 if title == "epoch" else 10)


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return "–"
    return f"{value:{sign}.4f}" if abs(value) < 1000 else f"{value:{sign}.2e}"


def _marks(rows: list[Row], loss: str) -> str:
    """What is to be said of the last of `rows`: a new best, an alarm."""
    marks = ["best"] if best_row(rows, loss) is rows[-1] else []
    alarm = ALARMS.get(int(rows[-1].get("gap/alarm", 0)))
    return "   " + ", ".join(marks + ([f"▲ {alarm}"] if alarm else [])) if marks or alarm else ""


def _summary(rows: list[Row], names: CurveNames) -> str:
    """The course of the validation loss in one line, and where it is lowest."""
    best = best_row(rows, names.loss)
    if best is None:
        return "validation loss: no finite number"
    losses = [float(row[names.loss]) for row in rows if names.loss in row]
    size = math.ceil(len(losses) / _MOST_SPARKS)
    means = [statistics.fmean(losses[i : i + size]) for i in range(0, len(losses), size)]
    low = min(means)
    high = min(max(means), 4 * statistics.median(means)) - low  # an explosion must not flatten the rest
    levels = [min(int(8 * (mean - low) / high), 7) if high > 0 else 0 for mean in means]
    sparks = "".join(_SPARKS[level] for level in levels)
    return f"validation loss {sparks}  lowest {_number(best[names.loss])} at {place_of(rows, best)}"
