"""`EarlyStoppingCallback`: when it stops, what it restores, and that no misconfiguration turns it off silently."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.early_stopping.monitor import Margin, Monitor, Seen
from hf_sentiment.callbacks.gap_test import decode
from hf_sentiment.callbacks.shared import less_is_better
from hf_sentiment.errors import CallError
from hf_sentiment.evaluation.metrics import compute_metrics

Make = Callable[..., Any]


class Script:
    """A `compute_metrics` that gives these values in turn, then the last one for ever."""

    def __init__(self, *values: float, name: str = "accuracy") -> None:
        self.values, self.name, self.asked = list(values), name, 0

    def __call__(self, prediction: Any) -> dict[str, float]:
        value = self.values[min(self.asked, len(self.values) - 1)]
        self.asked += 1
        return {self.name: value}


class Snapshots(TrainerCallback):
    """Copies the weights at every evaluation."""

    def __init__(self) -> None:
        self.taken: dict[int, dict[str, torch.Tensor]] = {}

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.taken[state.global_step] = {name: value.clone() for name, value in model.named_parameters()}


def stopped_at(make_trainer: Make, callback: EarlyStoppingCallback, script: Script, **options: Any) -> float:
    """The epoch at which a run with these metrics ends."""
    run = make_trainer(callback, trainer={"compute_metrics": script}, num_train_epochs=12, **options)
    run.train()
    return round(run.state.epoch, 3)


def test_a_steady_slow_improver_is_not_stopped(make_trainer: Make) -> None:
    # transformers' class stops this run at epoch 4, although every epoch is a new best.
    slow = Script(*(0.5 + 0.009 * step for step in range(13)))
    callback = EarlyStoppingCallback(3, 0.01, monitor="accuracy")
    assert stopped_at(make_trainer, callback, slow) == 12
    assert callback.reason is None


def test_gains_that_never_add_up_to_the_least_stop_it(make_trainer: Make) -> None:
    callback = EarlyStoppingCallback(3, 0.01, monitor="accuracy")
    assert stopped_at(make_trainer, callback, Script(0.5, 0.502, 0.504, 0.506, 0.6)) == 4
    assert callback.reason is not None and "has not improved on 0.5 in 3 evaluations; best 0.506" in callback.reason


@pytest.mark.parametrize(("patience", "epoch"), [(1, 3), (2, 4), (4, 6)])
def test_patience_is_counted_in_evaluations_since_the_best(make_trainer: Make, patience: int, epoch: int) -> None:
    callback = EarlyStoppingCallback(patience, monitor="accuracy")
    assert stopped_at(make_trainer, callback, Script(0.5, 0.7, 0.6)) == epoch


def test_an_improvement_sets_the_counter_back(make_trainer: Make) -> None:
    callback = EarlyStoppingCallback(2, monitor="accuracy")
    assert stopped_at(make_trainer, callback, Script(0.5, 0.4, 0.6, 0.5, 0.7, 0.6, 0.6)) == 7


@pytest.mark.parametrize("strategy", [{}, {"eval_strategy": "steps", "eval_steps": 6}])
def test_without_improvement_the_first_evaluation_is_the_best(make_trainer: Make, strategy: dict[str, Any]) -> None:
    callback = EarlyStoppingCallback(2, monitor="accuracy")
    stopped_at(make_trainer, callback, Script(0.5), **strategy)
    assert callback.best_step == (12 if not strategy else 6) and callback.stopped_step == 3 * callback.best_step


def test_a_script_written_for_transformers_class_runs_unchanged(make_trainer: Make) -> None:
    script = Script(0.5, 0.7, 0.6, 0.65)
    callback = EarlyStoppingCallback(early_stopping_patience=2, early_stopping_threshold=0.0)
    options = {"metric_for_best_model": "accuracy", "load_best_model_at_end": True, "save_strategy": "epoch"}
    assert stopped_at(make_trainer, callback, script, **options) == 4


def test_start_after_forgives_the_first_evaluations(make_trainer: Make) -> None:
    callback = EarlyStoppingCallback(1, monitor="accuracy", start_after=4)
    assert stopped_at(make_trainer, callback, Script(0.5, 0.4, 0.3, 0.2, 0.1)) == 5


def test_thresholds_stop_at_once(make_trainer: Make) -> None:
    good = EarlyStoppingCallback(9, monitor="accuracy", stopping_threshold=0.8)
    assert stopped_at(make_trainer, good, Script(0.5, 0.7, 0.8)) == 3
    assert good.reason is not None and "reached 0.8, as good as 0.8" in good.reason
    bad = EarlyStoppingCallback(9, monitor="perplexity", divergence_threshold=50)
    assert stopped_at(make_trainer, bad, Script(9.0, 50.0, 50.1, name="perplexity")) == 3
    assert bad.reason is not None and "worse than 50" in bad.reason


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nan_and_infinity_stop_and_the_best_before_is_restored(
    make_trainer: Make, value: float, make_tiny: Make
) -> None:
    callback, snapshots = EarlyStoppingCallback(9, monitor="accuracy"), Snapshots()
    run = make_trainer(callback, snapshots, trainer={"compute_metrics": Script(0.5, 0.7, value)}, num_train_epochs=6)
    run.train()
    assert run.state.epoch == 3 and callback.best_step == 24
    assert all(value.equal(snapshots.taken[24][name]) for name, value in run.model.named_parameters())


def test_one_standard_error_of_the_paired_difference(make_trainer: Make) -> None:
    # The loss falls at every epoch, but at this rate by much less than its paired standard error.
    strict = EarlyStoppingCallback(1, min_delta="40se")
    assert stopped_at(make_trainer, strict, Script(0.5), learning_rate=1e-3) < 12
    loose = EarlyStoppingCallback(1, min_delta="0se")
    assert stopped_at(make_trainer, loose, Script(0.5), learning_rate=1e-3) > strict.stopped_step / 12


@pytest.mark.parametrize(
    ("tolerance", "epochs", "kept"),
    [(None, 2, 12), ("1se", 2, 12), ("1000se", 4, 48), (0.0, 2, 12), (100.0, 4, 48)],
)
def test_of_evaluations_as_good_as_the_best_the_last_is_kept(
    make_trainer: Make, make_learner: Make, make_rows: Make, tolerance: float | str | None, epochs: int, kept: int
) -> None:
    # Every validation text has the wrong label: the better the model learns, the higher is the loss.
    callback = EarlyStoppingCallback(1, tolerance=tolerance)
    run = make_trainer(
        callback, model=make_learner(), evaluation=make_rows(32, 1, noise=1.0), num_train_epochs=4, learning_rate=1e-2
    )
    run.train()
    assert (run.state.epoch, callback.best_step) == (epochs, kept)


def test_a_slow_decline_is_measured_from_the_best_and_not_from_the_last() -> None:
    monitor = Monitor("eval_loss", False, Margin(0.0, False), Margin(1.0, True))
    noise = 0.1 * np.random.default_rng(0).normal(size=(3, 400))  # so that an error of a difference is 0.007
    courses = [Seen(value, value + some - some.mean()) for value, some in zip((0.0, 0.005, 0.010), noise, strict=True)]
    assert [monitor.is_worse(seen, courses[0]) for seen in courses] == [False, False, True]
    assert not monitor.is_worse(courses[2], courses[1])


def test_the_loss_after_a_temperature_is_compared_text_by_text(
    make_trainer: Make, make_learner: Make, make_rows: Make
) -> None:
    # Of a model that is wrong the more surely the longer it learns, a temperature makes one that knows nothing.
    callback = EarlyStoppingCallback(1, monitor="calibrated_loss", tolerance="1se")
    run = make_trainer(
        callback,
        model=make_learner(),
        evaluation=make_rows(32, 1, noise=1.0),
        trainer={"compute_metrics": compute_metrics},
        num_train_epochs=4,
        learning_rate=1e-2,
    )
    run.train()
    assert callback.best_values is not None and callback.best_value is not None
    assert abs(decode(callback.best_values).mean() - callback.best_value) < 1e-4


@pytest.mark.parametrize("save_strategy", ["no", "epoch", "best", "steps"])
@pytest.mark.parametrize("lora", [False, True])
def test_the_best_weights_are_restored_bit_for_bit(
    make_trainer: Make, save_strategy: str, lora: bool, tmp_path: Path
) -> None:
    from hf_sentiment.callbacks.lora import LoraCallback

    callback, snapshots = EarlyStoppingCallback(2, monitor="accuracy"), Snapshots()
    callbacks = [LoraCallback(merge=False), callback, snapshots] if lora else [callback, snapshots]
    options = {"metric_for_best_model": "accuracy"} if save_strategy == "best" else {}
    run = make_trainer(
        *callbacks,
        trainer={"compute_metrics": Script(0.5, 0.7, 0.6, 0.6)},
        num_train_epochs=9,
        save_strategy=save_strategy,
        save_steps=5,
        **options,
    )
    run.train()
    assert run.state.epoch == 4
    assert all(value.equal(snapshots.taken[24][name]) for name, value in run.model.named_parameters())
    assert not all(value.equal(snapshots.taken[48][name]) for name, value in run.model.named_parameters())
    copies = {int(copy.name.rpartition("-")[2]) for copy in (tmp_path / "run").glob("_*")}
    # Of the last two checkpoints, which are of the last two best ones where only the best are saved.
    assert copies == {"no": set(), "best": {12, 24}}.get(save_strategy, {24})


def test_the_best_is_restored_whoever_ends_the_run(make_trainer: Make) -> None:
    callback, snapshots = EarlyStoppingCallback(9, monitor="accuracy"), Snapshots()
    run = make_trainer(callback, snapshots, trainer={"compute_metrics": Script(0.5, 0.7, 0.6)}, num_train_epochs=4)
    run.train()
    assert run.state.epoch == 4 and callback.reason is None
    assert all(value.equal(snapshots.taken[24][name]) for name, value in run.model.named_parameters())


def test_restore_best_false_keeps_the_last_weights_and_writes_nothing(make_trainer: Make, tmp_path: Path) -> None:
    callback, snapshots = EarlyStoppingCallback(1, monitor="accuracy", restore_best=False), Snapshots()
    run = make_trainer(callback, snapshots, trainer={"compute_metrics": Script(0.5, 0.7, 0.6)}, num_train_epochs=9)
    run.train()
    assert all(value.equal(snapshots.taken[36][name]) for name, value in run.model.named_parameters())
    assert not list((tmp_path / "run").glob("*"))


def test_it_says_why_in_the_history_and_in_the_saved_state(make_trainer: Make, tmp_path: Path) -> None:
    callback = EarlyStoppingCallback(1, monitor="accuracy")
    run = make_trainer(callback, trainer={"compute_metrics": Script(0.5, 0.4)}, save_strategy="epoch")
    run.train()
    run.save_state()
    for path in (tmp_path / "run" / "trainer_state.json", tmp_path / "run" / "checkpoint-24" / "trainer_state.json"):
        saved = json.loads(path.read_text())
        assert saved["stateful_callbacks"]["EarlyStoppingCallback"]["attributes"]["reason"] == callback.reason
        assert {"stopped": callback.reason, "epoch": 2.0, "step": 24} in saved["log_history"]


@pytest.mark.parametrize("flag", [False, True])
def test_a_resumed_run_decides_as_if_it_had_not_been_killed(
    make_trainer: Make, make_tiny: Make, flag: bool, tmp_path: Path, weights: Make, same: Make
) -> None:
    script = (0.5, 0.7, 0.6, 0.65, 0.6)
    options = {"num_train_epochs": 9, "save_strategy": "epoch", "restore_callback_states_from_checkpoint": flag}
    whole = make_trainer(
        EarlyStoppingCallback(3, monitor="accuracy"), trainer={"compute_metrics": Script(*script)}, **options
    )
    whole.train()
    assert whole.state.epoch == 5
    expected = weights(whole.model)
    for checkpoint, done in ((12, 1), (36, 3), (48, 4)):
        folder = tmp_path / f"from-{checkpoint}"
        shutil.copytree(tmp_path / "run" / f"checkpoint-{checkpoint}", folder / f"checkpoint-{checkpoint}")
        if checkpoint > 24:  # as on the disk of a run that was killed then
            shutil.copytree(tmp_path / "run" / "_best-early-stopping-24", folder / "_best-early-stopping-24")
        callback = EarlyStoppingCallback(3, monitor="accuracy")
        resumed = make_trainer(callback, folder=folder, trainer={"compute_metrics": Script(*script[done:])}, **options)
        resumed.train(resume_from_checkpoint=str(folder / f"checkpoint-{checkpoint}"))
        assert resumed.state.epoch == 5, checkpoint
        assert same(weights(resumed.model), expected), checkpoint


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("restore_best", [False, True])
def test_a_run_that_had_stopped_stays_stopped(
    make_trainer: Make, flag: bool, restore_best: bool, tmp_path: Path, weights: Make, same: Make
) -> None:
    options = {"num_train_epochs": 9, "save_strategy": "epoch", "restore_callback_states_from_checkpoint": flag}

    def make(*values: float) -> Any:
        callback = EarlyStoppingCallback(1, monitor="accuracy", restore_best=restore_best)
        return make_trainer(callback, trainer={"compute_metrics": Script(*values)}, **options)

    first = make(0.5, 0.7, 0.6)
    first.train()
    expected = weights(first.model)
    again = make(0.9)
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-36"))
    assert again.state.global_step == 37  # the Trainer cannot but take one step
    assert same(weights(again.model), expected)


def test_a_second_training_begins_anew(make_trainer: Make) -> None:
    callback = EarlyStoppingCallback(2, monitor="accuracy")
    run = make_trainer(
        callback, trainer={"compute_metrics": Script(0.9, 0.8, 0.7, 0.2, 0.3, 0.4, 0.1, 0.0)}, num_train_epochs=9
    )
    run.train()
    assert run.state.epoch == 3
    run.train()
    assert run.state.epoch == 5 and callback.best_value == 0.4


def test_evaluations_outside_training_are_not_counted(make_trainer: Make) -> None:
    callback = EarlyStoppingCallback(9, monitor="accuracy")
    run = make_trainer(callback, trainer={"compute_metrics": Script(0.5)})
    run.evaluate()
    run.train()
    before = callback.state()
    run.evaluate()
    run.predict(run.eval_dataset)
    assert callback.state() == before and callback.evaluations == 3


def test_an_evaluation_before_training_is_a_reference_but_no_miss(make_trainer: Make) -> None:
    callback = EarlyStoppingCallback(1, monitor="accuracy")
    assert stopped_at(make_trainer, callback, Script(0.9, 0.5), eval_on_start=True) == 1
    assert callback.best_step == 0


def test_of_several_evaluation_sets_the_named_one_counts(make_trainer: Make, make_rows: Make) -> None:
    sets = {"a": make_rows(8, 1), "b": make_rows(8, 2)}
    callback = EarlyStoppingCallback(1, monitor="eval_b_loss", min_delta=10.0)
    run = make_trainer(callback, evaluation=sets, num_train_epochs=6)
    run.train()
    assert callback.evaluations == 2 and run.state.epoch == 2


def test_a_single_named_set_needs_no_choice(make_trainer: Make, make_rows: Make) -> None:
    callback = EarlyStoppingCallback(1, min_delta=10.0)
    make_trainer(callback, evaluation={"a": make_rows(8, 1)}, num_train_epochs=6).train()
    assert callback.evaluations == 2


@pytest.mark.parametrize(
    ("callback", "options", "message"),
    [
        ({}, {}, r"eval_loss is not among the metrics.*eval_a_loss, eval_a_b_loss.*\(monitor=\"a_loss\"\)"),
        ({"monitor": "accuracy"}, {}, r"choose one of the sets, EarlyStoppingCallback\(monitor=\"a_accuracy\"\)"),
        ({"monitor": "books_loss"}, {}, r"choose one of the sets, EarlyStoppingCallback\(monitor=\"a_loss\"\)"),
        ({"monitor": "c_loss"}, {}, "eval_c_loss is not among the metrics"),
        ({}, {"metric_for_best_model": "f1"}, r"TrainingArguments\(metric_for_best_model=\"a_f1\"\)"),
        ({"monitor": "a_b_f1"}, {}, r"eval_a_b_f1 is not among.*such as EarlyStoppingCallback\(monitor=\"a_b_loss\"\)"),
    ],
)
def test_what_no_evaluation_set_has_is_an_error_before_the_first_step(
    make_trainer: Make, make_rows: Make, callback: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    sets = {"a": make_rows(8, 1), "a_b": make_rows(8, 2)}
    run = make_trainer(EarlyStoppingCallback(1, **callback), evaluation=sets, **options)
    with pytest.raises(CallError, match=message) as caught:
        run.train()
    assert "\n" not in str(caught.value) and run.state.global_step == 0


def test_a_metric_that_a_set_lacks_is_an_error_at_its_first_evaluation(make_trainer: Make, make_rows: Make) -> None:
    # Even in a run that has one evaluation: the next step would be too late.
    sets = {"a": make_rows(8, 1), "b": make_rows(8, 2)}
    callback = EarlyStoppingCallback(1, monitor="a_f1")
    run = make_trainer(callback, evaluation=sets, num_train_epochs=1, trainer={"compute_metrics": Script(0.5)})
    with pytest.raises(CallError, match=r'eval_a_f1 is not among.*\(eval_a_accuracy, eval_a_loss\).*monitor="a_loss"'):
        run.train()


@pytest.mark.parametrize(
    "adds", ["compute_metrics", "evaluation_loop", "callback", "nothing"], ids=lambda adds: f"by {adds}"
)
def test_a_metric_is_unknown_before_the_first_step_only_where_nothing_can_add_it(make_trainer: Make, adds: str) -> None:
    class Adds(TrainerCallback):
        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
            metrics["eval_f1"] = 0.5

    callbacks: list[Any] = [*([Adds()] if adds == "callback" else []), EarlyStoppingCallback(1, monitor="f1")]
    options = {"trainer": {"compute_metrics": Script(0.5, name="f1")}} if adds == "compute_metrics" else {}
    run = make_trainer(*callbacks, num_train_epochs=1, **options)
    if adds == "evaluation_loop":
        loop = run.evaluation_loop

        def with_f1(*arguments: Any, **keywords: Any) -> Any:
            output = loop(*arguments, **keywords)
            output.metrics["eval_f1"] = 0.5
            return output

        run.evaluation_loop = with_f1
    if adds != "nothing":
        run.train()
        assert callbacks[-1].evaluations == 1
        return
    with pytest.raises(CallError, match=r"eval_f1 is not among the metrics of the evaluation \(eval_loss\)"):
        run.train()
    assert run.state.global_step == 0


KEEPS = {"load_best_model_at_end": True, "save_strategy": "epoch"}


@pytest.mark.parametrize(
    ("arguments", "callback", "smaller"),
    [
        # By its name, where nothing is said of the direction.
        ({"metric_for_best_model": "score"}, {}, False),
        ({}, {"monitor": "score"}, False),
        ({}, {"monitor": "wer"}, True),
        # What TrainingArguments was told: the opposite of its default for the name, or a value without a metric.
        ({"metric_for_best_model": "score", "greater_is_better": False}, {}, True),
        ({"metric_for_best_model": "wer", "greater_is_better": False}, {}, True),
        ({"metric_for_best_model": "score", "greater_is_better": False, **KEEPS}, {}, True),
        ({"metric_for_best_model": "eval_score", "greater_is_better": False}, {"monitor": "score"}, True),
        ({"metric_for_best_model": "negative_loss", "greater_is_better": True}, {}, False),
        ({"greater_is_better": False}, {"monitor": "score"}, True),
        ({"greater_is_better": True}, {"monitor": "wer"}, False),
        # What the callback was told, where the Trainer has its default and does nothing with it.
        ({"metric_for_best_model": "score"}, {"greater_is_better": False}, True),
        ({"metric_for_best_model": "wer"}, {"greater_is_better": True}, False),
        ({"metric_for_best_model": "wer"}, {"greater_is_better": False}, True),
        # What is said of another metric is not said of this one.
        ({"metric_for_best_model": "loss", "lr_scheduler_type": "reduce_lr_on_plateau"}, {"monitor": "score"}, False),
        ({"metric_for_best_model": "score", "greater_is_better": False}, {"monitor": "accuracy"}, False),
    ],
)
def test_the_direction_is_what_was_said_and_else_the_names(
    make_trainer: Make, arguments: dict[str, Any], callback: dict[str, Any], smaller: bool
) -> None:
    name = callback.get("monitor") or arguments["metric_for_best_model"].removeprefix("eval_")
    stopping = EarlyStoppingCallback(1, **callback)
    script = Script(0.5, 0.6, 0.7, name=name)
    other = {arguments.get("metric_for_best_model", "loss").removeprefix("eval_"): 0.5}
    run = make_trainer(stopping, trainer={"compute_metrics": lambda _: other | script(_)}, **arguments)
    run.train()
    assert stopping.stopped_step == (24 if smaller else None)


@pytest.mark.parametrize(
    ("arguments", "callback", "message"),
    [
        ({"metric_for_best_model": "wer"}, {}, "smaller eval_wer for better.*set greater_is_better=False"),
        (
            {"metric_for_best_model": "score", "greater_is_better": False},
            {"greater_is_better": True},
            r"greater_is_better=True for eval_score.*=False: give.*TrainingArguments\(greater_is_better=True\)",
        ),
        ({"greater_is_better": True}, {"monitor": "score", "greater_is_better": False}, "give the same to both"),
        (
            {"metric_for_best_model": "score", **KEEPS},
            {"greater_is_better": False},
            r"=True, its default for that name: give the same to both, TrainingArguments\(greater_is_better=False\)",
        ),
        ({"metric_for_best_model": "score", "save_strategy": "best"}, {"greater_is_better": False}, "the same to both"),
        ({"greater_is_better": True}, {}, r"eval_loss is the Trainer's own loss.*leave it out"),
        ({}, {"greater_is_better": True}, r"eval_loss is the Trainer's own loss.*leave it out"),
    ],
)
def test_directions_that_contradict_each_other_are_an_error(
    make_trainer: Make, arguments: dict[str, Any], callback: dict[str, Any], message: str
) -> None:
    run = make_trainer(EarlyStoppingCallback(1, **callback), trainer={"compute_metrics": Script(0.5)}, **arguments)
    with pytest.raises(CallError, match=message) as caught:
        run.train()
    assert "\n" not in str(caught.value) and run.state.global_step == 0


@pytest.mark.parametrize(
    ("callback", "options", "message"),
    [
        ({}, {"eval_strategy": "no"}, "nothing is evaluated.*--eval_strategy epoch"),
        ({"monitor": "f1"}, {}, r"eval_f1 is not among the metrics of the evaluation \(eval_accuracy, eval_loss\)"),
        ({}, {"metric_for_best_model": "f1", "save_strategy": "best"}, "eval_f1 is not among the metrics"),
        (
            {"monitor": "accuracy"},
            {"load_best_model_at_end": True, "save_strategy": "epoch"},
            "the best loss: set metric",
        ),
        ({"monitor": "f1", "min_delta": "1se"}, {}, "eval_f1 has no value text by text"),
    ],
)
def test_every_misconfiguration_is_an_error_that_names_the_fix(
    make_trainer: Make, callback: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    run = make_trainer(EarlyStoppingCallback(1, **callback), trainer={"compute_metrics": Script(0.5)}, **options)
    with pytest.raises(CallError, match=message) as caught:
        run.train()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"early_stopping_patience": 0}, "patience is 0; give 1 or more"),
        ({"min_delta": -1.0}, "min_delta is -1.0"),
        ({"min_delta": "1 sigma"}, 'errors such as "1se"'),
        ({"tolerance": "se"}, 'tolerance is .se.; give 0 or more, or errors such as "1se"'),
        ({"min_delta": 0.1, "early_stopping_threshold": 0.1}, "the same setting: give one"),
        ({"start_after": -1}, "start_after is -1"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        EarlyStoppingCallback(**arguments)


@pytest.mark.parametrize("name", ["eval_loss", "wer", "ece", "eval_brier", "perplexity", "mse", "eval_movies_loss"])
def test_less_of_these_is_better(name: str) -> None:
    assert less_is_better(name)


@pytest.mark.parametrize("name", ["accuracy", "eval_macro_f1", "auroc", "mcc", "eval_filter", "lossless"])
def test_more_of_these_is_better(name: str) -> None:
    assert not less_is_better(name)


def test_two_of_them_keep_their_own_counts_through_a_resume(make_trainer: Make, tmp_path: Path) -> None:
    def make(*values: float) -> tuple[Any, EarlyStoppingCallback, EarlyStoppingCallback]:
        one = EarlyStoppingCallback(9, monitor="accuracy", restore_best=False)
        other = EarlyStoppingCallback(4, monitor="accuracy", greater_is_better=False, restore_best=False)
        run = make_trainer(
            one, other, trainer={"compute_metrics": Script(*values)}, num_train_epochs=8, save_strategy="epoch"
        )
        return run, one, other

    values = (0.5, 0.6, 0.7, 0.4, 0.6, 0.7, 0.7, 0.7)
    run, one, other = make(*values)
    run.train()
    resumed, one_again, other_again = make(*values[5:])
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-60"))
    assert resumed.state.epoch == run.state.epoch == 8
    assert one_again.state() == one.state() and other_again.state() == other.state()
    assert one.early_stopping_patience_counter == 5 and other.early_stopping_patience_counter == 4


def test_the_callback_can_be_added_to_a_run_that_is_resumed(make_trainer: Make, tmp_path: Path) -> None:
    run = make_trainer(save_strategy="epoch", num_train_epochs=2)
    run.train()
    callback = EarlyStoppingCallback(1)
    resumed = make_trainer(callback, save_strategy="epoch", num_train_epochs=3)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-12"))
    assert callback.evaluations == 2


def test_it_says_at_the_start_what_the_patience_is_in_epochs(
    make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    import logging

    with caplog.at_level(logging.INFO, "hf_sentiment.callbacks.early_stopping.callback"):
        make_trainer(EarlyStoppingCallback(3), eval_strategy="steps", eval_steps=6, num_train_epochs=2).train()
    assert "eval_loss (smaller is better), after 3 evaluations (1.5 epochs)" in caplog.messages[0]


def test_what_was_stopped_and_restored_is_said_without_any_logging_set_up(
    make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    # Python prints warnings of a script that sets no logging up, and nothing below.
    make_trainer(EarlyStoppingCallback(1, monitor="accuracy"), trainer={"compute_metrics": Script(0.7, 0.5)}).train()
    assert [message for message in caplog.messages if "step 12" in message] == [
        "Stopped at step 24: eval_accuracy has not improved on 0.7 in 1 evaluation; best 0.7 at step 12",
        "Early stopping: the weights are those of step 12, with the best eval_accuracy, 0.7",
    ]


def test_without_a_patience_the_best_is_kept_all_the_same(make_trainer: Make) -> None:
    callback, snapshots = EarlyStoppingCallback(None, monitor="accuracy"), Snapshots()
    run = make_trainer(callback, snapshots, trainer={"compute_metrics": Script(0.5, 0.7, 0.6)}, num_train_epochs=6)
    run.train()
    assert run.state.epoch == 6 and callback.best_step == 24
    assert all(value.equal(snapshots.taken[24][name]) for name, value in run.model.named_parameters())


def test_weights_that_deepspeed_spreads_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate import PartialState
    from accelerate.utils import DistributedType

    from hf_sentiment.callbacks.shared import check_whole_weights

    check_whole_weights(None, "it", "that")
    monkeypatch.setitem(PartialState._shared_state, "distributed_type", DistributedType.DEEPSPEED)
    with pytest.raises(CallError, match=r"it gathers weights that FSDP2 shards, and not.*DeepSpeed.*that"):
        check_whole_weights(None, "it", "that")
