"""What the alarm may cost, and what a rollback does to the learning rate."""

from __future__ import annotations

from typing import Any

from transformers import TrainerState, TrainingArguments

# The default probe is a tenth of the texts that are trained on between two evaluations: a training step of a text costs
# 2.5 times the probe's forward pass, so that the probe costs about 4 % of training (benchmarks/README.md).
PROBE_SHARE = 0.1
LARGEST_PROBE = 512
_SMALLEST_PROBE = 8


def default_probe_size(args: TrainingArguments, state: TrainerState, planned: int) -> int:
    """`PROBE_SHARE` of the texts that are trained on between two evaluations, from 8 to 512."""
    # Of a run that is taken up the state may have another size than it goes on with.
    found = state.train_batch_size if args.auto_find_batch_size else None
    batch = (found or args.train_batch_size) * args.gradient_accumulation_steps * max(1, args.world_size)
    between = state.max_steps * batch / max(1, planned)
    return int(min(LARGEST_PROBE, max(_SMALLEST_PROBE, PROBE_SHARE * between)))


def lower_learning_rate(optimizer: Any, lr_scheduler: Any, factor: float) -> None:
    """Multiply the rates of all steps to come, and forget the optimizer's moments.

    Args:
        optimizer: The Trainer's.
        lr_scheduler: Of the same run.
        factor: What the rates are multiplied by.
    """
    # The moments led to where the loss had risen; from the best weights they would lead there again.
    inner = getattr(optimizer, "optimizer", optimizer)  # accelerate wraps it
    inner.state.clear()
    for group in inner.param_groups:
        group["lr"] *= factor
        if "initial_lr" in group:  # from which a schedule that is made later would start
            group["initial_lr"] *= factor
    if hasattr(lr_scheduler, "base_lrs"):
        lr_scheduler.base_lrs = [rate * factor for rate in lr_scheduler.base_lrs]
