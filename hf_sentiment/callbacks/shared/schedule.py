"""When a run evaluates, and when it logs."""

from __future__ import annotations

import math

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy


def planned_evaluations(args: TrainingArguments, state: TrainerState, after: int = 0) -> int:
    """How many evaluations the Trainer will make after step `after`, the one before training (step 0) not counted."""
    if args.eval_strategy == IntervalStrategy.NO:
        return 0
    if args.eval_strategy == IntervalStrategy.STEPS:
        every, delay = max(1, int(state.eval_steps)), args.eval_delay
        # The Trainer evaluates every so many steps, and after the last one.
        regular = sum(1 for step in range(every, state.max_steps + 1, every) if step >= delay and step > after)
        last = state.max_steps % every != 0 and state.max_steps >= delay and state.max_steps > after
        return regular + int(last)
    # After every epoch; `max_steps` may cut the last one short.
    epochs = int(state.num_train_epochs)
    per_epoch = max(1, math.ceil(state.max_steps / max(1, epochs)))
    ends = (min(state.max_steps, per_epoch * epoch) for epoch in range(1, epochs + 1) if epoch >= args.eval_delay)
    return sum(1 for step in ends if step > after)


def points_to_log(args: TrainingArguments, state: TrainerState, fewest: int) -> int:
    """How many training losses are to be logged for a curve of at least `fewest`; 0 where the Trainer logs as many.

    They lie evenly, and on the ends of epochs where the Trainer logs there.
    """
    epochs = int(state.num_train_epochs) if args.logging_strategy == IntervalStrategy.EPOCH else 0
    steps = state.max_steps // max(1, int(state.logging_steps))
    if max(epochs, steps if args.logging_strategy == IntervalStrategy.STEPS else 0) >= fewest:
        return 0
    return epochs * math.ceil(fewest / epochs) if epochs else fewest
