"""`CheckpointOnInterrupt` in somebody's own loop: a stopped run is no finished one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.errors import SentimentError
from hf_sentiment.records.folder import KEPT
from hf_sentiment.training.interruption import CheckpointOnInterrupt, Interrupted, SeedEveryEpoch


class SignalAt(TrainerCallback):
    """Sends this process a signal in a step, and notes whether it was told that training ended."""

    def __init__(self, step: int, number: int = signal.SIGTERM) -> None:
        self.step, self.number, self.ended = step, number, False

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), self.number)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.ended = True


@pytest.fixture
def make(tmp_path: Path, make_tiny: Callable[..., Any]) -> Callable[..., Trainer]:
    """`make(*callbacks, …)`: a Trainer of four steps an epoch; further arguments to its arguments."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30, (16, 6), generator=generator)
    rows = Dataset.from_dict({"input_ids": ids.tolist(), "labels": (ids[:, 1] > 15).long().tolist()})

    def trainer(*callbacks: Any, **options: Any) -> Trainer:
        given: dict[str, Any] = {"num_train_epochs": 2, "per_device_train_batch_size": 4, "use_cpu": True}
        given |= {"save_strategy": "no", "disable_tqdm": True} | options
        arguments = TrainingArguments(str(tmp_path / "run"), **given)
        return Trainer(make_tiny(), arguments, train_dataset=rows, eval_dataset=rows, callbacks=list(callbacks))

    return trainer


@pytest.mark.parametrize("step", [1, 3, 4, 6])
def test_a_stopped_run_raises_after_its_checkpoint_and_goes_on_to_the_same_weights(
    step: int, make: Callable[..., Trainer], tmp_path: Path
) -> None:
    whole = make(SeedEveryEpoch())
    whole.train()
    first, behind = SignalAt(step), SignalAt(0)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match=f"stopped at step {step} of 8, which is saved: go on with") as caught:
        make(first, CheckpointOnInterrupt(), SeedEveryEpoch(), behind).train()
    assert isinstance(caught.value, SentimentError) and caught.value.exit_code == 1
    assert (caught.value.step, caught.value.checkpoint) == (step, tmp_path / "run" / f"checkpoint-{step}")
    assert (caught.value.checkpoint / "trainer_state.json").is_file()
    assert first.ended and behind.ended and signal.getsignal(signal.SIGTERM) is before
    again = make(CheckpointOnInterrupt(), SeedEveryEpoch())
    again.train(resume_from_checkpoint=str(caught.value.checkpoint))
    for name, expected in whole.model.state_dict().items():
        assert again.model.state_dict()[name].equal(expected), name


def test_the_best_weights_of_a_stopped_run_stay_beside_its_checkpoint(
    make: Callable[..., Trainer], tmp_path: Path
) -> None:
    evaluated = {"eval_strategy": "steps", "eval_steps": 1}
    run = make(SignalAt(3), CheckpointOnInterrupt(), EarlyStoppingCallback(8), **evaluated)
    with pytest.raises(Interrupted):
        run.train()
    assert list((tmp_path / "run").glob(f"{KEPT}*"))


def test_a_signal_in_the_last_step_stops_nothing(make: Callable[..., Trainer]) -> None:
    callback = CheckpointOnInterrupt()
    assert make(SignalAt(8), callback).train().global_step == 8 and callback.interrupted


def test_a_second_training_after_a_stopped_one_is_not_stopped(make: Callable[..., Trainer]) -> None:
    run = make(signalled := SignalAt(2, signal.SIGINT), CheckpointOnInterrupt())
    with pytest.raises(Interrupted):
        run.train()
    signalled.step = 0
    assert run.train().global_step == 8
