"""`OverfittingGapCallback`: real runs in which it must sound, and runs in which it must not."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback
from transformers.trainer_callback import CallbackHandler

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.errors import CallError

Make = Callable[..., Any]
LOGGER = "hf_sentiment.callbacks.overfitting_gap.callback"


@pytest.fixture
def overfitting(make_trainer: Make, make_rows: Make, make_learner: Make) -> Make:
    """`overfitting(*callbacks, …)`: a run that learns 48 texts by heart."""
    return lambda *callbacks, **options: make_trainer(
        *callbacks,
        **{
            "model": make_learner(),
            "train": make_rows(48, 0),
            "evaluation": make_rows(160, 1),
            "num_train_epochs": 10,
            "learning_rate": 3e-3,
            **options,
        },
    )


@pytest.fixture
def learning(make_trainer: Make, make_rows: Make, make_learner: Make) -> Make:
    """`learning(*callbacks, …)`: a run whose validation loss only falls."""
    return lambda *callbacks, **options: make_trainer(
        *callbacks,
        **{
            "model": make_learner(),
            "train": make_rows(240, 0),
            "evaluation": make_rows(160, 1),
            "num_train_epochs": 4,
            "learning_rate": 3e-3,
            **options,
        },
    )


class Snapshots(TrainerCallback):
    """Copies weights and learning rates at every evaluation and at every step's beginning."""

    def __init__(self) -> None:
        self.evaluated: dict[int, dict[str, torch.Tensor]] = {}
        self.begun: dict[int, dict[str, torch.Tensor]] = {}
        self.rates: dict[int, float] = {}
        self.applied: dict[int, float] = {}

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any) -> None:
        self.applied[state.global_step] = optimizer.param_groups[0]["lr"]

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.evaluated[state.global_step] = {name: value.clone() for name, value in model.named_parameters()}

    def on_step_begin(
        self, args: Any, state: Any, control: Any, model: Any = None, lr_scheduler: Any = None, **kwargs: Any
    ) -> None:
        self.begun[state.global_step] = {name: value.clone() for name, value in model.named_parameters()}
        self.rates[state.global_step] = lr_scheduler.get_last_lr()[0]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(value.equal(other[name]) for name, value in one.items())


def test_it_warns_once_a_level_and_goes_on(overfitting: Make, caplog: pytest.LogCaptureFixture) -> None:
    callback = OverfittingGapCallback()
    run = overfitting(callback)
    with caplog.at_level(logging.INFO, LOGGER):
        run.train()
    assert run.state.epoch == 10
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 <= len(warned) <= 4 and len(warned) == len(callback.alarms)
    levels = [alarm["level"] for alarm in callback.alarms]
    assert all(one != other for one, other in itertools.pairwise(levels))
    first = callback.alarms[0]
    assert first["action"] == "warn" and warned[0] == first["message"]
    for part in (
        "Epoch",
        "Training loss",
        "validation loss",
        "95% interval",
        "p = ",
        "What this run has not used yet: (1)",
    ):
        assert part in warned[0], part
    assert "\n" not in warned[0]


def test_it_is_silent_in_a_run_that_only_learns(learning: Make, caplog: pytest.LogCaptureFixture) -> None:
    callback = OverfittingGapCallback()
    with caplog.at_level(logging.WARNING, LOGGER):
        learning(callback).train()
    assert callback.alarms == [] and not caplog.records


def test_stop_ends_an_overfitting_run_and_no_other(overfitting: Make, learning: Make) -> None:
    callback = OverfittingGapCallback("stop")
    run = overfitting(callback)
    run.train()
    assert run.state.epoch < 10 and callback.stopped_step == run.state.global_step == callback.alarms[0]["step"]
    assert any("stopped" in entry for entry in run.state.log_history)
    other = learning(OverfittingGapCallback("stop"))
    other.train()
    assert other.state.epoch == 4


def test_rollback_puts_the_best_back_lowers_the_rate_and_goes_on(overfitting: Make, tmp_path: Path) -> None:
    callback, snapshots = OverfittingGapCallback("rollback", most_rollbacks=1), Snapshots()
    run = overfitting(callback, snapshots, lr_scheduler_type="constant")
    run.train()
    assert run.state.epoch == 10 and callback.rollbacks == 1
    alarm = callback.alarms[0]
    assert alarm["action"] == "rollback"
    best = min(
        (entry for entry in run.state.log_history if "gap/validation_loss" in entry and entry["step"] <= alarm["step"]),
        key=lambda entry: entry["gap/validation_loss"],
    )["step"]
    assert best < alarm["step"]
    assert snapshots.rates[alarm["step"] - 1] == pytest.approx(3e-3)
    after = min(step for step in snapshots.begun if step > alarm["step"])
    assert snapshots.rates[after] == pytest.approx(1.5e-3)
    assert snapshots.applied[alarm["step"]] == pytest.approx(1.5e-3)  # from the very step that follows
    # The callbacks in the list before and after it saw the weights that were judged, not those put back.
    assert not equal(snapshots.begun[alarm["step"]], snapshots.evaluated[alarm["step"]])
    assert equal(snapshots.begun[alarm["step"]], snapshots.evaluated[best])
    assert not list((tmp_path / "run").glob("_*"))


def test_rollback_leaves_a_learning_run_alone(learning: Make, weights: Make, same: Make, tmp_path: Path) -> None:
    callback = OverfittingGapCallback("rollback")
    with_it = learning(callback, folder=tmp_path / "a")
    with_it.train()
    without = learning(folder=tmp_path / "b")
    without.train()
    assert callback.rollbacks == 0 and same(weights(with_it.model), weights(without.model))


def test_an_alarm_at_the_last_evaluation_rolls_back_too(overfitting: Make) -> None:
    first = OverfittingGapCallback()
    overfitting(first).train()
    epochs = round(first.alarms[0]["epoch"])
    callback, snapshots = OverfittingGapCallback("rollback"), Snapshots()
    run = overfitting(callback, snapshots, num_train_epochs=epochs, lr_scheduler_type="constant")
    run.train()
    if callback.alarms and callback.alarms[-1]["step"] == run.state.global_step:
        assert equal(dict(run.model.named_parameters()), snapshots.evaluated[callback.best_step])


@pytest.mark.parametrize("strategy", ["epoch", "steps"])
def test_weights_are_the_same_with_and_without_it(
    overfitting: Make, strategy: str, weights: Make, same: Make, tmp_path: Path
) -> None:
    runs = []
    for name, callbacks in (("with", [OverfittingGapCallback()]), ("without", [])):
        run = overfitting(*callbacks, folder=tmp_path / name, num_train_epochs=3, eval_strategy=strategy, eval_steps=5)
        run.train()
        runs.append(run)
    assert same(weights(runs[0].model), weights(runs[1].model))
    kept = [
        [entry for entry in run.state.log_history if "eval_loss" in entry and entry.pop("eval_runtime")] for run in runs
    ]
    assert [entry["eval_loss"] for entry in kept[0]] == [entry["eval_loss"] for entry in kept[1]]


class Watcher(TrainerCallback):
    """A tracker: keeps what is logged."""

    def __init__(self) -> None:
        self.logs: list[dict[str, float]] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        self.logs.append(dict(logs))


@pytest.mark.parametrize("first", [True, False])
def test_every_tracker_sees_the_scalars_wherever_it_stands(overfitting: Make, first: bool) -> None:
    watcher, callback = Watcher(), OverfittingGapCallback()
    run = overfitting(*([watcher, callback] if first else [callback, watcher]), num_train_epochs=2)
    assert isinstance(run.callback_handler, CallbackHandler)
    run.train()
    seen = [logs for logs in watcher.logs if "gap/gap" in logs]
    assert len(seen) == 2 and len([entry for entry in run.state.log_history if "gap/gap" in entry]) == 2
    for logs in seen:
        for name in ("train_loss", "validation_loss", "gap", "worsening"):
            assert logs[f"gap/{name}_low"] <= logs[f"gap/{name}"] <= logs[f"gap/{name}_high"]
        assert all(isinstance(value, float) for value in logs.values())
    run.create_model_card()  # reads the history


@pytest.mark.parametrize("disable_tqdm", [True, False])
def test_the_scalars_are_not_printed(overfitting: Make, disable_tqdm: bool, capfd: pytest.CaptureFixture[str]) -> None:
    overfitting(OverfittingGapCallback(), num_train_epochs=2, disable_tqdm=disable_tqdm).train()
    printed = "".join(capfd.readouterr())
    assert "'eval_loss'" in printed and "gap/" not in printed


def test_the_level_that_is_no_alarm_says_so() -> None:
    from types import SimpleNamespace
    from typing import cast

    from hf_sentiment.callbacks.gap_test import GapLevel, OverfittingGapTest
    from hf_sentiment.callbacks.overfitting_gap import alarm_message, mean_interval

    draw, test = np.random.default_rng(0), OverfittingGapTest(planned_evaluations=2)
    texts = draw.normal(0, 0.05, 200)
    for step, probe, validation in ((1, 0.6, 0.6), (2, 0.2, 0.5)):
        losses = (probe + texts, validation + texts)
        verdict = test.update(step=step, train_losses=losses[0], validation_losses=losses[1])
    assert verdict.level is GapLevel.GAP
    state = cast(Any, SimpleNamespace(epoch=2.0, global_step=2))
    message = alarm_message(cast(Any, None), state, torch.nn.Linear(1, 1), verdict, *map(mean_interval, losses))
    assert "training and validation loss have parted (gap)" in message and "This is no alarm" in message


@pytest.mark.parametrize(
    ("monitor", "sets", "options", "message"),
    [
        (None, ("a", "b"), {}, r'choose one of the sets, OverfittingGapCallback\(monitor="a_loss"\)'),
        ("c_loss", ("a", "b"), {}, r'eval_c_loss is not among.*OverfittingGapCallback\(monitor="a_loss"\)'),
        ("a_loss", (), {}, r"eval_a_loss is not among the metrics of the evaluation \(eval_loss\)"),
    ],
)
def test_a_set_that_is_not_there_is_an_error_before_the_first_step(
    overfitting: Make,
    make_rows: Make,
    monitor: str | None,
    sets: tuple[str, ...],
    options: dict[str, Any],
    message: str,
) -> None:
    evaluation = {"evaluation": {name: make_rows(24, 3) for name in sets}} if sets else {}
    run = overfitting(OverfittingGapCallback(monitor=monitor), **evaluation, **options)
    with pytest.raises(CallError, match=message) as caught:
        run.train()
    assert "\n" not in str(caught.value) and run.state.global_step == 0


def test_the_set_of_the_metric_for_the_best_model_is_watched(overfitting: Make, make_rows: Make) -> None:
    alarm = OverfittingGapCallback()
    sets = {"small": make_rows(24, 3), "large": make_rows(160, 1)}
    options = {"metric_for_best_model": "eval_large_loss", "num_train_epochs": 1}
    overfitting(alarm, EarlyStoppingCallback(9), evaluation=sets, **options).train()
    assert len(alarm.test["tests"]["loss"]["rows"][0]) > 600


def test_validation_losses_are_those_of_the_trainers_own_evaluation(overfitting: Make) -> None:
    passes = []

    class Count(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            model.register_forward_hook(
                lambda module, inputs, output: passes.append((module.training, len(output.logits)))
            )

    run = overfitting(OverfittingGapCallback(probe_size=20), Count(), num_train_epochs=1)
    run.train()
    assert sum(texts for training, texts in passes if not training) == 160 + 20
    logged, evaluated = (
        next(entry[name] for entry in run.state.log_history if name in entry)
        for name in ("gap/validation_loss", "eval_loss")
    )
    assert logged == pytest.approx(evaluated, abs=1e-5)


def test_labels_kept_from_the_model_cost_a_second_pass_and_give_the_clean_loss(
    learning: Make, caplog: pytest.LogCaptureFixture
) -> None:
    smoothed = learning(OverfittingGapCallback(), num_train_epochs=4, label_smoothing_factor=0.2)
    smoothed.train()
    assert sum("keep the labels from the model" in record.getMessage() for record in caplog.records) == 1
    clean, evaluated = (
        [entry[name] for entry in smoothed.state.log_history if name in entry][-1]
        for name in ("gap/validation_loss", "eval_loss")
    )
    assert clean < evaluated - 0.05  # smoothing adds to the Trainer's evaluation loss too


def test_a_random_transform_is_left_out_of_the_probe(overfitting: Make, make_rows: Make) -> None:
    rows = make_rows(48, 0)

    def damage(batch: dict[str, Any]) -> dict[str, Any]:
        return {**batch, "input_ids": [[7] * len(ids) for ids in batch["input_ids"]]}

    clean, augmented = OverfittingGapCallback(probe_size=48), OverfittingGapCallback(probe_size=48)
    runs = []
    for callback, train in ((clean, rows), (augmented, rows.with_transform(damage))):
        run = overfitting(callback, train=train, num_train_epochs=1, learning_rate=1e-12, remove_unused_columns=False)
        run.train()
        runs.append(next(entry for entry in run.state.log_history if "gap/train_loss" in entry))
    assert runs[0]["gap/train_loss"] == pytest.approx(runs[1]["gap/train_loss"], abs=1e-5)


@pytest.mark.parametrize("flag", [False, True])
def test_a_resumed_run_decides_as_if_it_had_not_been_killed(
    overfitting: Make, flag: bool, tmp_path: Path, weights: Make, same: Make
) -> None:
    options = {"save_strategy": "epoch", "restore_callback_states_from_checkpoint": flag}
    whole = OverfittingGapCallback("rollback")
    run = overfitting(whole, **options)
    run.train()
    expected, alarms = weights(run.model), [alarm["step"] for alarm in whole.alarms]
    assert whole.rollbacks >= 1
    per_epoch = 12
    for step in (per_epoch, alarms[0], alarms[0] + per_epoch):
        folder = tmp_path / f"from-{step}"
        shutil.copytree(tmp_path / "run" / f"checkpoint-{step}", folder / f"checkpoint-{step}")
        state = json.loads((folder / f"checkpoint-{step}" / "trainer_state.json").read_text())
        best = state["stateful_callbacks"]["OverfittingGapCallback"]["attributes"]["best_step"]
        copy_of(best, tmp_path / "run", folder)
        resumed = overfitting(OverfittingGapCallback("rollback"), folder=folder, **options)
        resumed.train(resume_from_checkpoint=str(folder / f"checkpoint-{step}"))
        callback = next(c for c in resumed.callback_handler.callbacks if isinstance(c, OverfittingGapCallback))
        assert [alarm["step"] for alarm in callback.alarms] == alarms, step
        assert same(weights(resumed.model), expected), step


def copy_of(best: int, source: Path, folder: Path) -> None:
    """The kept weights of step `best`, as they were on the disk at the time, made from the checkpoint of that step."""
    from safetensors.torch import load_file, save_file

    kept = folder / f"_best-overfitting-gap-{best}"
    kept.mkdir(parents=True)
    save_file(load_file(source / f"checkpoint-{best}" / "model.safetensors"), kept / "00000.safetensors")


def test_a_run_that_it_had_stopped_stays_stopped(overfitting: Make, tmp_path: Path, weights: Make, same: Make) -> None:
    first = overfitting(OverfittingGapCallback("stop"), save_strategy="epoch")
    first.train()
    again = overfitting(OverfittingGapCallback("stop"), save_strategy="epoch")
    again.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{first.state.global_step}"))
    assert again.state.global_step == first.state.global_step + 1
    assert same(weights(again.model), weights(first.model))


def test_of_several_evaluation_sets_the_named_one_is_watched(overfitting: Make, make_rows: Make) -> None:
    sets = {"small": make_rows(24, 3), "large": make_rows(160, 1)}
    named = OverfittingGapCallback(monitor="large_loss")
    overfitting(named, evaluation=sets, num_train_epochs=2).train()
    assert len(named.test["tests"]["loss"]["rows"]) == 2 and len(named.test["tests"]["loss"]["rows"][0]) > 600
    with pytest.raises(CallError, match=r'choose one of the sets, OverfittingGapCallback\(monitor="small_loss"\)'):
        overfitting(OverfittingGapCallback(), evaluation=sets).train()


def test_eval_on_start_gives_the_gap_before_training(overfitting: Make) -> None:
    run = overfitting(OverfittingGapCallback(), num_train_epochs=2, eval_on_start=True)
    run.train()
    entries = [entry for entry in run.state.log_history if "gap/gap" in entry]
    assert [entry["step"] for entry in entries] == [0, 12, 24]
    raw = [entry["gap/validation_loss"] - entry["gap/train_loss"] for entry in entries]
    assert entries[2]["gap/gap"] == pytest.approx(raw[2] - raw[0], abs=1e-4)


def test_train_called_twice_begins_anew(overfitting: Make) -> None:
    callback = OverfittingGapCallback()
    run = overfitting(callback)
    run.train()
    assert callback.alarms
    run.args.num_train_epochs = 1
    run.train()
    assert callback.alarms == [] and len(callback.test["steps"]) == 1


def test_evaluations_outside_training_are_ignored(overfitting: Make) -> None:
    callback = OverfittingGapCallback()
    run = overfitting(callback, num_train_epochs=2)
    run.evaluate()
    run.train()
    before = callback.state()
    run.evaluate()
    run.predict(run.eval_dataset)
    assert callback.state() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"eval_strategy": "no"}, "nothing is evaluated.*--eval_strategy epoch"),
        ({"eval_delay": 99}, "nothing is evaluated"),
    ],
)
def test_what_cannot_work_is_an_error_at_the_start(overfitting: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        overfitting(OverfittingGapCallback(), **options).train()


@pytest.mark.parametrize(
    "arguments",
    [
        {"action": "panic"},
        {"act_on": "never"},
        {"alpha": 2.0},
        {"probe_size": 1},
        {"monitor": "movies_accuracy"},
        {"learning_rate_factor": 0.0},
        {"most_rollbacks": 0},
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=next(iter(arguments))):
        OverfittingGapCallback(**arguments)


def test_with_lora_and_early_stopping_in_any_order(
    overfitting: Make, weights: Make, same: Make, tmp_path: Path
) -> None:
    def make(positions: tuple[int, ...], folder: str) -> Any:
        callbacks = [
            LoraCallback(r=8, alpha=32),
            EarlyStoppingCallback(9),
            OverfittingGapCallback("rollback"),
        ]
        return overfitting(
            *(callbacks[position] for position in positions),
            folder=tmp_path / folder,
            num_train_epochs=14,
            learning_rate=2e-2,
            lr_scheduler_type="constant",
        )

    runs = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        runs.append(make(order, str(order)))
        runs[-1].train()
    alarm, stop = (
        next(c for c in runs[0].callback_handler.callbacks if isinstance(c, kind))
        for kind in (OverfittingGapCallback, EarlyStoppingCallback)
    )
    assert alarm.rollbacks >= 1 and stop.best_step < runs[0].state.global_step
    for run in runs[1:]:
        assert same(weights(run.model), weights(runs[0].model))
        assert type(run.model).__name__ == "BertForSentimentAnalysis"


def test_the_probe_is_stratified_and_the_same_every_time(make_rows: Make) -> None:
    from hf_sentiment.callbacks.shared.per_text import _stratified

    labels = np.array([0] * 90 + [1] * 10)
    chosen = _stratified(labels, 100, 20, 0)
    assert chosen == _stratified(labels, 100, 20, 0) and len(set(chosen)) == 20
    assert (labels[chosen] == 1).sum() == 2
    assert chosen != _stratified(labels, 100, 20, 1)
    assert len(_stratified(None, 100, 20, 0)) == 20


@pytest.mark.parametrize("alarm_first", [True, False])
def test_a_run_that_diverges_is_left_to_early_stopping(
    overfitting: Make, alarm_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    class Diverge(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
            if state.global_step == 30:
                model.classifier.weight.data.fill_(torch.nan)

    callbacks = [OverfittingGapCallback(), EarlyStoppingCallback(9)]
    snapshots = Snapshots()
    run = overfitting(*(callbacks if alarm_first else callbacks[::-1]), Diverge(), snapshots)
    run.train()
    assert run.state.epoch == 3 and callbacks[1].reason == "training diverged, eval_loss is nan"
    assert equal(dict(run.model.named_parameters()), snapshots.evaluated[callbacks[1].best_step])
    assert len([message for message in caplog.messages if "diverged" in message]) == 1
