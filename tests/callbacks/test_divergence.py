"""A run whose loss is not finite any more: it stops, goes back to its best weights, and says once what to change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainerCallback, TrainingArguments

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.callbacks.shared import StopAtDivergence, what_to_change

Make = Callable[..., Any]
ADVICE = "set learning_rate=5e-05 (it is 0.005)"


class BreakAt(TrainerCallback):
    """Loses a weight at a step, and copies the weights at every evaluation."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.evaluated: dict[int, dict[str, torch.Tensor]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == self.step:
            next(p for p in reversed(list(model.parameters())) if p.requires_grad).data.fill_(torch.nan)

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.evaluated[state.global_step] = {name: value.clone() for name, value in model.named_parameters()}


def advised(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [message for message in caplog.messages if "learning_rate=" in message]


def is_finite(model: Any) -> bool:
    return all(bool(value.isfinite().all()) for value in model.parameters())


@pytest.mark.parametrize("logging_strategy", ["no", "steps", "epoch"])
def test_it_stops_at_the_best_weights_and_advises_once(
    make_trainer: Make, logging_strategy: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken, stop = BreakAt(30), EarlyStoppingCallback(9)
    suite = [OverfittingGapCallback(), stop, LearningCurveCallback(), broken]
    run = make_trainer(*suite, num_train_epochs=6, logging_strategy=logging_strategy, logging_steps=1)
    run.train()
    assert run.state.global_step == stop.stopped_step == (30 if logging_strategy == "steps" else 36)
    assert stop.best_step == max(broken.evaluated) == 24
    assert all(value.equal(broken.evaluated[24][name]) for name, value in run.model.named_parameters())
    assert stop.reason == "training diverged, the weights are not finite" and stop.advice is not None
    assert len(advised(caplog)) == 1 and ADVICE in advised(caplog)[0]


def test_evaluations_are_enough_to_see_it(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    stop = EarlyStoppingCallback(9)
    run = make_trainer(OverfittingGapCallback(), stop, BreakAt(30), num_train_epochs=6)
    run.train()
    assert run.state.epoch == 3 and stop.reason == "training diverged, eval_loss is nan" and is_finite(run.model)
    assert len(advised(caplog)) == 1


def test_an_absurd_learning_rate_leaves_no_best(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    stop = EarlyStoppingCallback(9)
    run = make_trainer(stop, num_train_epochs=6, learning_rate=1e30)
    run.train()
    assert run.state.epoch == 1 and stop.best_step is None and stop.restored is None
    assert stop.reason is not None and stop.reason.startswith("training diverged, eval_loss is")
    assert len(advised(caplog)) == 1 and "(it is 1e+30)" in advised(caplog)[0]


@pytest.mark.parametrize(("logging_strategy", "ends"), [("steps", 5), ("no", 36)])
def test_without_evaluations_the_weights_are_looked_at(make_trainer: Make, logging_strategy: str, ends: int) -> None:
    stop = StopAtDivergence()
    options = {"eval_strategy": "no", "logging_strategy": logging_strategy, "logging_steps": 1}
    run = make_trainer(stop, BreakAt(5), **options)
    run.train()
    assert run.state.global_step == stop.stopped_step == ends and stop.restored is None


def test_metrics_that_are_an_error_for_nan_are_not_asked_for(make_trainer: Make) -> None:
    def strict(prediction: Any) -> dict[str, float]:
        if not all(map(bool, torch.as_tensor(prediction.predictions).isfinite().flatten())):
            raise ValueError("Input contains NaN.")
        return {"accuracy": 0.5}

    stop = EarlyStoppingCallback(9)
    options = {"logging_strategy": "steps", "logging_steps": 1, "trainer": {"compute_metrics": strict}}
    run = make_trainer(stop, BreakAt(30), num_train_epochs=6, **options)
    run.train()
    assert stop.stopped_step == 30 and is_finite(run.model)


def test_a_metric_that_is_not_finite_is_not_missing_from_the_curve(make_trainer: Make, tmp_path: Path) -> None:
    curve = LearningCurveCallback(monitor="accuracy")
    run = make_trainer(curve, trainer={"compute_metrics": lambda _: {"accuracy": float("nan")}})
    run.train()
    assert len(curve.rows) == 3


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("step", [6, 30])
def test_a_resumed_run_does_not_train_on(make_trainer: Make, tmp_path: Path, lora: bool, step: int) -> None:
    def make() -> tuple[Any, EarlyStoppingCallback]:
        stop = EarlyStoppingCallback(9)
        callbacks = [LoraCallback(), stop, BreakAt(step)] if lora else [stop, BreakAt(step)]
        return make_trainer(*callbacks, num_train_epochs=6, save_strategy="epoch"), stop

    first, _ = make()
    first.train()
    last = 12 * -(-step // 12)
    again, stop = make()
    again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{last}"))
    assert again.state.global_step == last + 1 and stop.stopped_step == last and stop.advice is not None
    assert is_finite(again.model) == is_finite(first.model) == (step == 30)
    assert (tmp_path / "run" / "adapter").exists() == (lora and step == 30)  # none that predicts NaN
    if step == 30:
        assert type(again.model).__name__ == "BertForSentimentAnalysis"
        assert all(value.equal(again.model.state_dict()[name]) for name, value in first.model.state_dict().items())


def test_the_trainer_s_own_best_is_as_good(make_trainer: Make) -> None:
    options = {"load_best_model_at_end": True, "save_strategy": "epoch"}
    run = make_trainer(EarlyStoppingCallback(9), BreakAt(30), num_train_epochs=6, **options)
    run.train()
    assert run.state.epoch == 3 and is_finite(run.model)


def test_the_alarm_alone_says_who_stops_such_a_run(make_trainer: Make, caplog: pytest.LogCaptureFixture) -> None:
    run = make_trainer(OverfittingGapCallback(), BreakAt(30))
    with caplog.at_level(logging.WARNING):
        run.train()
    assert len(advised(caplog)) == 1 and "EarlyStoppingCallback() stops such a run" in advised(caplog)[0]


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"learning_rate": 1e-5}, "set learning_rate=1e-06 (it is 1e-05);"),
        ({"learning_rate": 5e-3, "max_grad_norm": 0.0}, "set learning_rate=5e-05 (it is 0.005), max_grad_norm=1.0;"),
        ({"learning_rate": 5e-3, "fp16": True}, "(it is 0.005), bf16=True in place of fp16=True;"),
    ],
)
def test_advice_is_of_what_the_run_used(options: dict[str, Any], advice: str, tmp_path: Path) -> None:
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    for name, value in options.items():
        setattr(args, name, value)
    assert advice in what_to_change(args, None)
