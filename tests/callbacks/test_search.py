"""`Trainer.hyperparameter_search`: every trial leaves its own records, weights and adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback

Make = Callable[..., Any]
# As much of optuna as `Trainer.hyperparameter_search` needs: trials in turn, each with its number and parameters.
_STAND_IN = """
import types


class BaseTrial:
    def __init__(self, number):
        self.number, self.params = number, {}

    def suggest_float(self, name, low, high):
        self.params[name] = low if self.number == 0 else high
        return self.params[name]


class Study:
    def optimize(self, objective, n_trials, **kwargs):
        trials = [BaseTrial(number) for number in range(n_trials)]
        for trial in trials:
            trial.value = objective(trial)
        self.best_trial = min(trials, key=lambda trial: trial.value)

    def _is_multi_objective(self):
        return False


def create_study(**kwargs):
    return Study()


Trial, trial = BaseTrial, types.SimpleNamespace(BaseTrial=BaseTrial)
"""


@pytest.fixture
def optuna(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """optuna, where it is installed, and else the stand-in."""
    try:
        import optuna  # noqa: F401
    except ImportError:
        (tmp_path / "optuna.py").write_text(_STAND_IN)
        monkeypatch.syspath_prepend(str(tmp_path))
    yield


@pytest.mark.parametrize("named", [False, True])
def test_every_trial_has_its_own(
    named: bool, optuna: None, make_trainer: Make, make_learner: Make, tmp_path: Path
) -> None:
    suite = [LearningCurveCallback(str(tmp_path / "elsewhere") if named else None), EarlyStoppingCallback(9)]
    suite += [OverfittingGapCallback("rollback"), LoraCallback()]
    run = make_trainer(
        *suite, trainer={"model_init": lambda: make_learner()}, num_train_epochs=2, save_strategy="epoch"
    )
    best = run.hyperparameter_search(
        lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 1e-3, 5e-3)},
        n_trials=2,
        backend="optuna",
        direction="minimize",
        **({"hp_name": lambda trial: f"trial-{trial.number}"} if named else {}),
    )
    assert best.run_id in ("0", "1")
    losses = []
    for number in range(2):
        trial = f"{'trial' if named else 'run'}-{number}"
        folder = tmp_path / "run" / trial
        records = tmp_path / "elsewhere" / trial if named else folder / "records"
        rows = [json.loads(line) for line in (records / "history.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [12, 24]
        losses.append(rows[-1]["eval_loss"])
        assert (records / "curves.png").is_file() and (folder / "adapter" / "adapter_model.safetensors").is_file()
        assert [path.name[:20] for path in sorted(folder.glob("_best-*"))] == [
            "_best-early-stopping",
            "_best-overfitting-ga",
        ]
    assert losses[0] != losses[1]
    # Beside the trials there is nothing of them, and a training after the search has the run's folder.
    others = {path.name for path in (tmp_path / "run").iterdir()} | {"elsewhere"}
    assert others == {*(("trial-0", "trial-1") if named else ("run-0", "run-1")), "elsewhere"}
    run.args.num_train_epochs = 1
    run.train()
    records = tmp_path / "elsewhere" if named else tmp_path / "run" / "records"
    assert len((records / "history.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "run" / "adapter").is_dir()
