"""`LearningCurveCallback`: the history of a run as JSONL and as a picture, written at every evaluation."""

from __future__ import annotations

import io
import json
import logging
import math
import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from hf_sentiment.files import write_atomically

logger = logging.getLogger(__name__)

# Okabe and Ito's colours, told apart with any colour vision; on a white page and, in a framed picture, on a dark one.
_TRAIN, _VALIDATION, _METRIC, _BEST = "#0072B2", "#D55E00", "#009E73", "#000000"


class LearningCurveCallback(TrainerCallback, ExportableState):
    """Writes `history.jsonl`, `curves.svg` and `curves.png`, so that a killed run has its curves as well.

    Works with any Trainer and any model. It makes the Trainer log the training loss at every evaluation, and changes
    nothing else of the run.

    Args:
        folder: Where to write; by default `records` in the run's output folder.
        metric: The metric drawn below the losses, with or without `eval_`.

    A line of the history is one evaluation: `step`, `epoch`, `elapsed_seconds` (since training began, summed over
    resumes), `train_loss` (mean since the log before, in training mode), `learning_rate`, and every `eval_…`
    metric.
    """

    def __init__(self, folder: str | None = None, metric: str = "accuracy") -> None:
        self.folder = folder
        self.metric = metric if metric.startswith("eval_") else f"eval_{metric}"
        self.rows: list[dict[str, Any]] = []
        self._pending: dict[str, float] = {}
        #: `time.monotonic()` from which seconds count; the beginning of training, unless it is set before that.
        self.began: float | None = None
        #: Seconds of the history that was taken up.
        self.elapsed_before = 0.0
        self._training = False

    def state(self) -> dict[str, Any]:
        """Constructor arguments and nothing else: the history is in its file."""
        return {"args": {"folder": self.folder, "metric": self.metric}, "attributes": {}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take up the history of the run that is resumed, up to its checkpoint."""
        self._training = True
        self.began = time.monotonic() if self.began is None else self.began
        self._pending = {}
        if str(args.eval_strategy) in ("no", "IntervalStrategy.NO") and state.is_world_process_zero:
            logger.warning(
                "Nothing is evaluated in training, so there will be no learning curve: --eval_strategy epoch"
            )
        path = self._path(args, "history.jsonl")
        kept = [row for row in read_history(path) if row["step"] <= state.global_step] if state.global_step else []
        self.rows = kept
        self.elapsed_before = kept[-1]["elapsed_seconds"] if kept else 0.0

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
        """Keep the training loss and the learning rate for the evaluation that follows."""
        if logs and "loss" in logs:
            self._pending = {"train_loss": logs["loss"], "learning_rate": logs.get("learning_rate", math.nan)}
        if logs:
            extra = {name: value for name, value in logs.items() if name.startswith("gap/")}
            self._pending |= extra

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Add a line and draw the picture anew; evaluations outside training and of other sets are left out."""
        if not self._training or not metrics or "eval_loss" not in metrics or not state.is_world_process_zero:
            return
        row: dict[str, Any] = {
            "step": state.global_step,
            "epoch": state.epoch or 0.0,
            "elapsed_seconds": round(self.elapsed_before + time.monotonic() - (self.began or 0.0), 3),
        }
        skip = ("epoch", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second")
        row |= self._pending | {name: value for name, value in metrics.items() if name not in skip}
        self._pending = {}
        self.rows.append({name: value for name, value in row.items() if _is_finite(value)})
        lines = "".join(json.dumps(line) + "\n" for line in self.rows)
        write_atomically(self._path(args, "history.jsonl"), lines)
        draw_curves(self.rows, self._path(args, "curves"), self.metric)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluations after this are not of the run."""
        self._training = False
        self.began = None

    def _path(self, args: TrainingArguments, name: str) -> Path:
        return Path(self.folder or Path(str(args.output_dir), "records"), name)


def _is_finite(value: Any) -> bool:
    return not isinstance(value, float) or math.isfinite(value)


def read_history(path: str | Path) -> list[dict[str, Any]]:
    """The lines of a `history.jsonl`; none where there is no such file."""
    path = Path(path)
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def draw_curves(rows: list[dict[str, Any]], stem: Path, metric: str = "eval_accuracy") -> None:
    """Draw both losses and one metric over epochs, as `stem.svg` and `stem.png`.

    Args:
        rows: Lines of a history.
        stem: Path without ending.
        metric: The metric of the lower panel; left out where no line has it.
    """
    # The object interface: pyplot keeps figures in a global list and looks for a display.
    from matplotlib.figure import Figure

    drawn = [name for name in (metric,) if any(name in row for row in rows)]
    figure = Figure(figsize=(6.4, 3.4 + 1.4 * len(drawn)), layout="constrained", facecolor="white")
    axes = figure.subplots(1 + len(drawn), 1, sharex=True, squeeze=False, height_ratios=[2.4] + [1.0] * len(drawn))[
        :, 0
    ]
    best = min(rows, key=lambda row: row.get("eval_loss", math.inf))
    lines = [
        (axes[0], "train_loss", "training (running mean, dropout on)", _TRAIN, "s", "-"),
        (axes[0], "eval_loss", "validation", _VALIDATION, "o", "-"),
        (axes[0], "eval_calibrated_loss", "validation, calibrated", _VALIDATION, "o", "--"),
        *[(axes[1], name, name.removeprefix("eval_"), _METRIC, "D", "-") for name in drawn],
    ]
    for axis, name, label, colour, marker, style in lines:
        points = [(row["epoch"], row[name]) for row in rows if name in row]
        if points:
            x, y = zip(*points, strict=True)
            axis.plot(x, y, style, color=colour, marker=marker, markersize=5, label=label, linewidth=1.8)
    for axis in axes:
        axis.axvline(best["epoch"], color=_BEST, linestyle=":", linewidth=1.2, label="lowest validation loss")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("loss (nats a text)")
    axes[0].legend(frameon=False, fontsize="small")
    for axis, name in zip(axes[1:], drawn, strict=True):
        axis.set_ylabel(name.removeprefix("eval_").replace("_", " "))
    axes[-1].set_xlabel("epoch")
    for ending in ("svg", "png"):
        buffer = io.BytesIO()
        # Without a date the same history gives the same file.
        metadata = {"Date": None} if ending == "svg" else {"Software": None}
        figure.savefig(buffer, format=ending, dpi=150, metadata=metadata)
        write_atomically(stem.with_suffix(f".{ending}"), buffer.getvalue())
