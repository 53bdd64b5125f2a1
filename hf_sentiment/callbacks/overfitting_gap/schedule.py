"""When a run evaluates, how large a probe it can afford, and how its learning rate is lowered on the way."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerState, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

# The default probe is a tenth of the texts that are trained on between two evaluations: a training step of a text costs
# 2.5 times the probe's forward pass, so that the probe costs about 4 % of training (benchmarks/README.md).
PROBE_SHARE = 0.1
LARGEST_PROBE = 512
_SMALLEST_PROBE = 8


def planned_evaluations(args: TrainingArguments, state: TrainerState, after: int = 0) -> int:
    """How many evaluations the Trainer will make after step `after`, the one before training (step 0) not counted."""
    if args.eval_strategy == IntervalStrategy.NO:
        return 0
    if args.eval_strategy == IntervalStrategy.STEPS:
        every, delay = max(1, int(state.eval_steps)), args.eval_delay
        regular = sum(1 for step in range(every, state.max_steps + 1, every) if step >= delay and step > after)
        last = state.max_steps % every != 0 and state.max_steps >= delay and state.max_steps > after
        return regular + int(last)
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


def default_probe_size(args: TrainingArguments, state: TrainerState, planned: int) -> int:
    """`PROBE_SHARE` of the texts that are trained on between two evaluations, from 8 to 512."""
    batch = (
        (state.train_batch_size or args.train_batch_size) * args.gradient_accumulation_steps * max(1, args.world_size)
    )
    between = state.max_steps * batch / max(1, planned)
    return int(min(LARGEST_PROBE, max(_SMALLEST_PROBE, PROBE_SHARE * between)))


def lower_learning_rate(optimizer: Any, lr_scheduler: Any, factor: float) -> None:
    """Multiply the rates of all steps to come, and forget the optimizer's moments, which led away from the best."""
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    inner.state.clear()
    for group in inner.param_groups:
        group["lr"] *= factor
        if "initial_lr" in group:
            group["initial_lr"] *= factor
    if hasattr(lr_scheduler, "base_lrs"):
        lr_scheduler.base_lrs = [rate * factor for rate in lr_scheduler.base_lrs]
