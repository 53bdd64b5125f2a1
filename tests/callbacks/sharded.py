"""A script for two processes: the suite on weights that FSDP2 shards, and on whole ones. Launched by a test.

accelerate shards on every kind of device but CPUs, where it goes on with whole weights. Here it is told that its CPUs
are of another kind, so that all that follows is its own.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor
from transformers import Trainer, TrainerCallback, TrainingArguments
from two_processes import end_together, make_model, rows

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback

# The LoRA run rolls back after its fourth.
EPOCHS = {"full": 4, "lora": 6}
STEPS_AN_EPOCH = 6


class Snapshots(TrainerCallback):
    """Takes the weights before every evaluation, by torch's own gathering, and again after every rollback.

    Args:
        alarm: The callback that rolls back.
    """

    def __init__(self, alarm: OverfittingGapCallback) -> None:
        self.alarm = alarm
        self.taken: dict[int, dict[str, torch.Tensor]] = {}
        self.sharded: list[str] = []
        self.rolled_back: list[bool] = []

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step % STEPS_AN_EPOCH == 0:
            self.taken[state.global_step] = gathered(model)
        self.sharded = [name for name, tensor in model.state_dict().items() if isinstance(tensor, DTensor)]

    def on_step_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if self.alarm.rollbacks > len(self.rolled_back) and self.alarm.best_step is not None:
            best, now = self.taken[self.alarm.best_step], gathered(model)
            self.rolled_back.append(all(now[name].equal(tensor) for name, tensor in best.items()))


def gathered(model: Any) -> dict[str, torch.Tensor]:
    weights = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True))
    return {name: tensor.clone() for name, tensor in weights.items()}


def make_trainer(folder: Path, case: str, batch_size: int) -> tuple[Trainer, dict[str, Any]]:
    """A Trainer that overfits, with callbacks that keep its best weights."""
    arguments = TrainingArguments(
        str(folder),
        num_train_epochs=EPOCHS[case],
        per_device_train_batch_size=batch_size,
        per_device_eval_batch_size=8,
        learning_rate=2e-2 if case == "lora" else 3e-3,
        lr_scheduler_type="constant",
        eval_strategy="epoch",
        save_steps=10,  # not where it evaluates: to gather weights for a checkpoint puts them in order
        use_cpu=True,
        ddp_backend="gloo" if "RANK" in os.environ else None,
        disable_tqdm=True,
    )
    alarm = OverfittingGapCallback("rollback")
    callbacks: dict[str, Any] = {"alarm": alarm, "stop": EarlyStoppingCallback(9), "seen": Snapshots(alarm)}
    lora = [LoraCallback(dropout=0.0)] if case == "lora" else []
    trainer = Trainer(
        model=make_model(),
        args=arguments,
        train_dataset=rows(48, 0),
        eval_dataset=rows(61, 1),
        callbacks=[*callbacks.values(), *lora],
    )
    return trainer, callbacks


def train(folder: Path, case: str, batch_size: int) -> dict[str, Any]:
    """Train, save to `final/`, and tell what was seen."""
    trainer, callbacks = make_trainer(folder, case, batch_size)
    trainer.train()
    best = callbacks["stop"].best_step
    logits = trainer.predict(rows(20, 2)).predictions
    trainer.save_model(str(folder / "final"))
    if trainer.is_world_process_zero():
        save_file(callbacks["seen"].taken[best], folder / "best.safetensors")
    # Once more from the first checkpoint: it has to end alike.
    again, _ = make_trainer(folder, case, batch_size)
    again.train(resume_from_checkpoint=str(folder / "checkpoint-10"))
    again.save_model(str(folder / "resumed"))
    return {
        "logits": logits.tolist(),
        "best": best,
        "last": trainer.state.global_step,
        "sharded": callbacks["seen"].sharded,
        "rolled_back": callbacks["seen"].rolled_back,
    }


def cpus_as_devices() -> None:
    """Let accelerate shard on CPUs."""
    make = PartialState.__init__

    def make_and_rename(self: PartialState, *words: Any, **options: Any) -> None:
        make(self, *words, **options)
        if self.distributed_type == DistributedType.MULTI_CPU:
            self.distributed_type = DistributedType.MULTI_GPU

    PartialState.__init__ = make_and_rename  # type: ignore[method-assign]


def main() -> None:
    cpus_as_devices()
    folder = Path(sys.argv[1])
    found = {case: train(folder / case, case, 4) for case in ("full", "lora")}
    end_together(folder, int(os.environ["RANK"]), json.dumps(found))


if __name__ == "__main__":
    main()
