"""Stopping a run by Ctrl-C or SIGTERM at the end of a step, with a checkpoint."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class CheckpointOnInterrupt(TrainerCallback):
    """Turns the first SIGINT or SIGTERM into a checkpoint and an orderly stop; a second one ends at once.

    transformers' `enable_jit_checkpoint` does this for SIGTERM alone. Signals reach only the main thread, so elsewhere
    (a notebook's worker thread) the callback does nothing.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._previous: dict[signal.Signals, Any] = {}

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        self._restore()  # the next signal does what it would have done without us

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over the signals for the time of training."""
        self.interrupted = False
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        except ValueError:  # not the main thread
            self._previous = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop, if a signal came."""
        if self.interrupted:
            control.should_save = True
            control.should_training_stop = True
            control.should_evaluate = False

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the signals back."""
        self._restore()
