"""Stopping a run at any step, and going on from there as if it had not been stopped."""

from __future__ import annotations

import copy
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler

from hf_sentiment.callbacks.shared import calling, run_folder
from hf_sentiment.compute.processes import ignore_signals, started
from hf_sentiment.errors import SentimentError


class Interrupted(SentimentError):
    """Training was stopped by a signal and can be taken up again; exit code 1.

    Args:
        message: What happened, and how to go on.
        step: Where it was stopped.
        checkpoint: What was saved there.
    """

    def __init__(self, message: str, step: int, checkpoint: Path) -> None:
        super().__init__(message)
        self.step = step
        self.checkpoint = checkpoint


class CheckpointOnInterrupt(TrainerCallback):
    """Turns the first SIGINT or SIGTERM into a checkpoint and an orderly stop; a second one ends at once.

    When the checkpoint is written and every callback has ended the run, `Trainer.train` raises `Interrupted`, so that a
    run that was stopped is never taken for one that ended. transformers' `enable_jit_checkpoint` does this for SIGTERM
    alone, and returns as if nothing had been. Signals reach only the main thread, so elsewhere (a notebook's worker
    thread) the callback does nothing. Of several processes, all stop at the same step.
    """

    def __init__(self) -> None:
        #: Whether a signal came.
        self.interrupted = False
        self._stopping = False  # all processes know of it
        self._previous: dict[signal.Signals, Any] = {}

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        if started() == 1:
            self._restore()  # the next signal does what it would have done without us
        else:  # a launcher passes on what the terminal has sent to every process already
            ignore_signals()
            self._previous = {}

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take over the signals for the time of training."""
        self.interrupted = self._stopping = False
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._remember)
        except ValueError:  # not the main thread
            self._previous = {}

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Save and stop, if a signal came; at the last step of an epoch, after what is due at its end."""
        # A signal may reach one process only, and a checkpoint is the work of all of them: they agree at every step.
        self._stopping = _any_process(self.interrupted, args)
        if self._stopping:
            # The last step of an epoch is followed by an evaluation, and the checkpoint has to have its result.
            control.should_save = control.should_save or not _ends_epoch(state)
            control.should_training_stop = True

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the Trainer from evaluating an epoch that was cut short: the resumed run would differ by it."""
        if self._stopping:
            control.should_evaluate = control.should_evaluate and _ends_epoch(state)
            control.should_log = control.should_log and _ends_epoch(state)
            control.should_save = _ends_epoch(state)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the signals back.

        Raises:
            Interrupted: A signal came before the last step; the message says how to go on.
        """
        self._restore()
        # A signal at the very last step stopped nothing.
        if not self._stopping or state.global_step >= state.max_steps:
            return
        handler = calling(CallbackHandler)
        if handler is not None:  # those behind this one end the run before that: progress bars, hooks, trackers
            behind = copy.copy(handler)
            behind.callbacks = handler.callbacks[handler.callbacks.index(self) + 1 :]
            behind.on_train_end(args, state, control)
        checkpoint = run_folder(args) / f"checkpoint-{state.global_step}"
        raise Interrupted(
            f"stopped at step {state.global_step} of {state.max_steps}, which is saved: go on with "
            f'trainer.train(resume_from_checkpoint="{checkpoint}") (--resume_from_checkpoint {checkpoint})',
            state.global_step,
            checkpoint,
        )


def _any_process(mine: bool, args: TrainingArguments) -> bool:
    """Whether it is so in any process; each must ask at the same step."""
    if args.world_size <= 1 or not torch.distributed.is_initialized():
        return mine
    # A process without a signal has 0, one with it 1, and all get the largest.
    flag = torch.tensor(int(mine), device=args.device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return bool(flag.item())


def _ends_epoch(state: TrainerState) -> bool:
    # The Trainer counts epochs as steps over steps an epoch, in floating point.
    epoch = state.epoch or 0.0
    return abs(epoch - round(epoch)) < 1e-6


class SeedEveryEpoch(TrainerCallback):
    """Begins every epoch with a random state that follows from the seed and the epoch alone.

    The Trainer draws the order of an epoch's texts from torch's global state as it is when the epoch begins, and does
    not save that. A run that goes on in the middle of an epoch would draw another order, and see some texts twice and
    others not at all. The state in the middle of an epoch is the Trainer's to save and restore, and it does.

    Several processes draw the same order, and then each has a state of its own: they drop other units.
    """

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Seed the epoch that begins, also one that is taken up in its middle."""
        # In its middle too: the order of the whole epoch is drawn now, and the Trainer skips what was done.
        _seed(args, int((state.epoch or 0.0) + 1e-6))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Part from the other processes, now that the order is drawn."""
        if args.process_index and _ends_epoch(state):
            _seed(args, round(state.epoch or 0.0), args.process_index)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Seed the next epoch already at the end of one: a checkpoint of then is restored after `on_epoch_begin`."""
        if _ends_epoch(state):
            _seed(args, round(state.epoch or 0.0))

    # A checkpoint that is due by its step is written before the epoch's end; an evaluation there draws numbers.
    on_epoch_end = on_evaluate = on_step_end


def _seed(args: TrainingArguments, epoch: int, process: int = 0) -> None:
    # Far apart, so that seed 42 in epoch 1 is not seed 43 in epoch 0, nor that of another process; of more than 32 bits
    # the generator takes the lower ones.
    torch.manual_seed((args.seed * 1_000_003 + epoch + process * 7_368_787) % 2**63)
