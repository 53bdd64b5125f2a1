"""What a callback tells the trackers of its run: scalars as of an evaluation, and alerts."""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations.integration_utils import (
    INTEGRATION_TO_CALLBACK,
    MLflowCallback,
    TensorBoardCallback,
    TrackioCallback,
    WandbCallback,
)
from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback, PrinterCallback, ProgressCallback

from hf_sentiment.callbacks.shared.base import calling

logger = logging.getLogger(__name__)

_TRACKERS = tuple(set(INTEGRATION_TO_CALLBACK.values()))
# Callbacks of the Trainer that print what is logged, or decide by it.
_NO_TRACKERS = (DefaultFlowCallback, PrinterCallback, ProgressCallback)
_NOTEBOOK_PROGRESS = "NotebookProgressCallback"


def log_scalars(
    args: TrainingArguments, state: TrainerState, control: TrainerControl, scalars: dict[str, float]
) -> None:
    """Log as `Trainer.log` does, into the history and to every tracker, but not to the terminal.

    Trackers get the names with `eval_` before them, by which they tell evaluation from training.

    Args:
        args: Of the run.
        state: Of the run.
        control: Of the run.
        scalars: What is logged, by name.
    """
    epoch = {"epoch": state.epoch or 0.0}
    state.log_history.append({**scalars, **epoch, "step": state.global_step})
    # The Trainer hands its callbacks no way to log. It calls them through its `CallbackHandler`, which knows them all.
    handler = calling(CallbackHandler)
    if handler is None:
        return
    due = control.should_log  # which a handler clears whenever it logs
    for trackers, prefix in ((True, "eval_"), (False, "")):
        # A copy, so that the run's own list of callbacks stays whole while some alone are told.
        some = copy.copy(handler)
        some.callbacks = [
            callback
            for callback in handler.callbacks
            if isinstance(callback, _TRACKERS) is trackers and not _prints(callback)
        ]
        some.on_log(args, state, control, {**{prefix + name: value for name, value in scalars.items()}, **epoch})
    control.should_log = due


def _prints(callback: TrainerCallback) -> bool:
    # By name, as importing it takes IPython, which need not be installed.
    names = [kind.__name__ for kind in type(callback).__mro__]
    return isinstance(callback, _NO_TRACKERS) or _NOTEBOOK_PROGRESS in names


def send_alert(state: TrainerState, title: str, text: str) -> None:
    """Send an alert to each tracker of the run that has alerts, and a text to TensorBoard and MLflow.

    A tracker that fails is a warning, as the run goes on without it.

    Args:
        state: Of the run.
        title: What happened, in a few words.
        text: All of it.
    """
    handler = calling(CallbackHandler)
    if handler is None or not state.is_world_process_zero:
        return
    for callback in handler.callbacks:
        for kind, send in _ALERTS.items():
            if not isinstance(callback, kind):
                continue
            try:
                with contextlib.redirect_stdout(sys.stderr):  # trackio prints it
                    send(callback, title, text, state.global_step)
            except Exception as error:  # whatever a tracker raises
                logger.warning("%s has not taken the alert %r: %s", type(callback).__name__, title, error)


def _to_trackio(callback: Any, title: str, text: str, step: int) -> None:
    callback._trackio.alert(title, text, level=callback._trackio.AlertLevel.WARN)


def _to_wandb(callback: Any, title: str, text: str, step: int) -> None:
    callback._wandb.run.alert(title=title, text=text, level="WARN")


def _to_tensorboard(callback: Any, title: str, text: str, step: int) -> None:
    callback.tb_writer.add_text("eval/gap/alert", text, step)


def _to_mlflow(callback: Any, title: str, text: str, step: int) -> None:
    callback._ml_flow.set_tag("eval_gap/alert", text)


_ALERTS: dict[type[TrainerCallback], Callable[[Any, str, str, int], None]] = {
    TrackioCallback: _to_trackio,
    WandbCallback: _to_wandb,
    TensorBoardCallback: _to_tensorboard,
    MLflowCallback: _to_mlflow,
}
