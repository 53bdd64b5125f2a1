"""`sweep`: trials that never see the test split, taken up after a kill, and a choice that prefers the plan."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.commands.sweep import sweep
from hf_sentiment.commands.sweep.choice import candidates_of, choose
from hf_sentiment.commands.sweep.run import _alone
from hf_sentiment.commands.sweep.space import extent, planned_space, read_space, values_of, with_own
from hf_sentiment.commands.sweep.trials import Job, _Watch, ask, open_study, tell
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.records.atomic import write_json
from hf_sentiment.training.plan import Facts, make_plan

Cli = Callable[..., tuple[int, str, str]]
FACTS = Facts(num_train=500, tokens=20, max_position=128, hidden_size=384, layers=6, pooling="mean")


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def states(folder: Path) -> dict[int, str]:
    with closing(sqlite3.connect(folder / "trials" / "study.sqlite")) as storage:
        return dict(storage.execute("select number, state from trials"))


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 240
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.stderr and process.stderr.read()
        time.sleep(0.05)


def test_each_evaluation_of_a_trial_has_a_number_of_its_own(tmp_path: Path) -> None:
    told: list[int] = []
    watch = _Watch("eval_loss", lambda number, loss: bool(told.append(number)))
    by_steps = TrainingArguments(str(tmp_path), eval_strategy="steps", eval_steps=4, use_cpu=True)
    for step in (0, 4, 8, 12):
        state = TrainerState(global_step=step, eval_steps=4, epoch=step / 100)
        watch.on_evaluate(by_steps, state, TrainerControl(), {"eval_loss": 0.5})
    assert told == [0, 1, 2, 3]


def test_a_sweep_is_killed_and_taken_up(
    tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = tmp_path / "sweep"
    words = ["sweep", "--model_name_or_path", tiny_checkpoint, "--train_file", reviews_file, "--trials", 5]
    words += ["--seeds", 1, "--max_train_samples", 24, "--num_train_epochs", 1, "--report_to", "none"]
    words += ["--output_dir", folder]
    command = [sys.executable, "-m", "hf_sentiment", *map(str, words), "--jobs", "2"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: (folder / "trials" / "trial-0001" / "records" / "arguments.json").is_file(), process)
    os.killpg(process.pid, signal.SIGKILL)  # the command, its server and its two processes
    process.communicate()
    before = states(folder)
    assert "RUNNING" in before.values()
    times = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/records/held_out.npy")}
    # Something else is refused, and the same goes on.
    code, _, said = run_cli("train", *words[1:5], "--output_dir", folder)
    assert code == 2 and f"error: {folder} holds a sweep: say its command again" in said
    study, content = folder / "trials" / "study.sqlite", (folder / "trials" / "study.sqlite").read_bytes()
    study.write_bytes(b"no database at all, but a text" * 50)
    code, _, said = run_cli(*words)
    assert code == 1 and said.splitlines()[-1].startswith(f"error: {study} cannot be used (")
    study.write_bytes(content)
    code, _, said = run_cli(*words, "--learning_rate", "1e-4")
    assert code == 2 and "holds a sweep with other arguments (another learning_rate)" in said
    code, out, said = run_cli(*words, "--json")
    assert code == 0, said
    assert {path: path.stat().st_mtime_ns for path in times} == times
    after = states(folder)
    assert sorted(after) == [0, 1, 2, 3, 4] and set(after.values()) <= {"COMPLETE", "PRUNED"}
    check_records(folder, json.loads(out), said)
    code, _, said = run_cli(*words)
    assert code == 0 and "is finished already, and nothing was changed" in said
    for more, name in (({"--learning_rate": "1e-4"}, "learning_rate"), ({"--trials": 6}, "trials")):
        code, _, said = run_cli(*words, *(word for pair in more.items() for word in pair))
        assert code == 2 and f"holds a sweep with other arguments (another {name})" in said


def check_records(folder: Path, table: dict[str, Any], said: str) -> None:
    rows, summary = table["trials"], table["summary"]
    assert [row["trial"] for row in rows] == [0, 1, 2, 3, 4] and summary["trials"] == 5
    # The first is the plan itself, and what was said is the same in all.
    assert rows[0]["values"]["learning_rate"] == 1e-4 and rows[0]["values"]["classifier_dropout"] == 0.3
    assert all("num_train_epochs" not in row["values"] for row in rows)
    assert len({row["values"]["learning_rate"] for row in rows}) == 5
    # No trial has a test text; all have the same others.
    audits = [read(folder / "trials" / f"trial-{number:04d}" / "records" / "audit.json") for number in range(5)]
    assert {tuple(audit["used"]) for audit in audits} == {("train", "validation")}
    final = read(folder / "records" / "audit.json")
    assert all(audit["content"] == {k: v for k, v in final["content"].items() if k != "test"} for audit in audits)
    # The chosen one is a complete run, and of the others only the records are left.
    evaluation = read(folder / "records" / "evaluation.json")
    assert evaluation["split"] == "test" and evaluation["training"]["sweep"] == summary
    assert (folder / "model.safetensors").is_file() and not list(folder.glob("trials/**/*.safetensors"))
    plan = read(folder / "records" / "plan.json")["decisions"]
    for name, value in summary["values"].items():
        if name in plan:
            assert plan[name]["value"] == value and plan[name]["reason"] == "chosen by the sweep"
    card = " ".join((folder / "README.md").read_text().split())
    assert "Chosen among 5 settings" in card and "No trial saw a test text" in card
    assert all((folder / "records" / f"sweep-settings.{ending}").stat().st_size > 1000 for ending in ("png", "svg"))
    assert "log loss" in said and "Chosen: " in said


def judged(folder: Path, number: int, seed: int, sure: float, wrong: int) -> None:
    """A run as a trial leaves it: so sure of the labels of 40 texts, of which it gets some wrong."""
    logits = np.where(np.arange(40)[:, None] % 2 == np.arange(2), sure, 0.0) + np.linspace(0, 0.1, 80).reshape(40, 2)
    logits[:wrong] = logits[:wrong, ::-1]
    again = "" if seed == 42 else f"-seed-{seed}"
    records = folder / "trials" / f"trial-{number:04d}{again}" / "records"
    records.mkdir(parents=True)
    np.save(records / "held_out.npy", logits)


def a_study(folder: Path, settings: Mapping[int, tuple[float, int]]) -> tuple[Job, Any]:
    """A sweep whose settings have been judged, with two seeds each."""
    from datasets import Dataset, DatasetDict
    from optuna.distributions import FloatDistribution

    from hf_sentiment.commands.parts import Part

    (folder / "trials").mkdir(parents=True)
    part = Part(DatasetDict(), Dataset.from_dict({"text": ["a"] * 40}), np.arange(40))
    space: Any = {"learning_rate": FloatDistribution(1e-5, 1e-3, log=True)}
    references = np.arange(40) % 2
    job = Job(folder, [part], references, {"labels": ["n", "p"]}, space, "eval_loss", 42, len(settings), 1, False)
    study = open_study(folder)
    study.enqueue_trial({"learning_rate": 1e-4})
    for number, (sure, wrong) in settings.items():
        trial = ask(job, study)
        assert trial is not None and trial.number == number
        for seed in (42, 43):
            judged(folder, number, seed, sure, wrong)
        tell(job, study, trial, (np.load(job.run_folder(number, 42) / "records" / "held_out.npy"), 10.0 - number))
    assert ask(job, study) is None
    return job, study


@pytest.mark.parametrize(
    ("settings", "chosen", "reason"),
    [
        ({0: (2.0, 1), 1: (3.0, 0)}, 1, "it has the lowest log loss"),
        # Not told apart: the plan; or what is as good and quicker, here the later ones.
        ({0: (2.0, 3), 1: (2.0, 2)}, 0, "setting 1 is not better by a standard error"),
        ({0: (2.0, 20), 1: (2.0, 2), 2: (2.0, 3)}, 2, "setting 1 is not better by a standard error"),
    ],
)
def test_the_plan_stays_unless_another_is_told_better(
    settings: dict[int, tuple[float, int]], chosen: int, reason: str, tmp_path: Path
) -> None:
    job, study = a_study(tmp_path / "sweep", settings)
    candidates = candidates_of(study, 3)
    summary = choose(job, study, candidates, (42, 43))
    assert (summary.trial, summary.reason) == (chosen, reason)
    assert (summary.values == {}) == (chosen == 0)
    assert summary.log_loss.low < summary.log_loss.value < summary.log_loss.high
    # The plan is repeated in any case.
    assert set(candidates_of(study, 1)) == {0, min(settings, key=lambda number: settings[number][1])}


def test_no_setting_at_all_is_an_error(tmp_path: Path) -> None:
    job, study = a_study(tmp_path / "sweep", {})
    job = Job(**{**vars(job), "trials": 1})
    trial = ask(job, study)
    assert trial is not None
    tell(job, study, trial, SentimentError("the loss is not finite"))
    with pytest.raises(SentimentError, match="no setting could be judged: the loss is not finite"):
        candidates_of(study, 3)


def test_the_space_follows_the_plan() -> None:
    plan = make_plan(FACTS, {})
    space = planned_space(plan, {"weight_decay"})
    assert "weight_decay" not in space and "fine_tuned_share" not in space  # said; no head first to start from
    assert extent(space["learning_rate"]) == "3.16e-05 to 0.000316, log"
    assert extent(space["num_train_epochs"]) == "5 to 20"
    assert "fine_tuned_share" in planned_space(make_plan(FACTS, {"head_first": True}), {})
    lora = planned_space(make_plan(Facts(**{**vars(FACTS), "lora": True}), {"lora": True}), {"max_steps"})
    assert "lora_rank" in lora and not {"layerwise_lr_decay", "num_train_epochs"} & lora.keys()


OWN = {"learning_rate": 1e-4, "num_train_epochs": 4.0, "per_device_train_batch_size": 16, "optim": "adamw_torch_fused"}
OWN |= {"head_first": True, "seed": 42, "max_length": None}


def test_drawn_numbers_have_three_digits_and_the_users_choices_all_of_theirs() -> None:
    from optuna import create_trial
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    space: Any = {"learning_rate": FloatDistribution(1e-5, 1e-3), "weight_decay": CategoricalDistribution([0.012345])}
    space["num_train_epochs"] = IntDistribution(1, 5000)
    values = {"learning_rate": 0.000123456, "weight_decay": 0.012345, "num_train_epochs": 1234}
    trial = create_trial(params=values, distributions=space, value=0.0)
    assert values_of(trial) == values | {"learning_rate": 0.000123}


def test_a_space_of_the_users(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(
        "learning_rate: {low: 1e-5, high: 5e-5, log: true}\nnum_train_epochs: {low: 2, high: 3}\n"
        "per_device_train_batch_size: [8, 32]\nhead_first: [true, false]\n"
    )
    space, values = with_own(read_space(str(file), OWN, {"weight_decay"}), OWN)
    # The plan's own values are in it.
    assert {name: extent(one) for name, one in space.items()} == {
        "learning_rate": "1e-05 to 0.0001, log",
        "num_train_epochs": "2 to 4",
        "per_device_train_batch_size": "8, 32, 16",
        "head_first": "True, False",
    }
    assert values == {name: OWN[name] for name in space}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("learning_rat: [1, 2]", "learning_rat is no argument of train, did you mean learning_rate?"),
        ("seed: [1, 2]", "seed is the same in all trials: leave it out"),
        ("weight_decay: [0.0, 0.1]", "weight_decay is no argument of train"),
        ("optim: [sgd, adamw_torch]", "optim is said as well, --optim, and what is said is not varied"),
        ("learning_rate: {low: 1e-3, high: 1e-5}", "learning_rate: low is to be less than high"),
        ("learning_rate: {low: 0, high: 1e-5, log: true}", "learning_rate: low is to be less than high, and more than"),
        ("learning_rate: {low: 1e-5, high: 1e-3, lag: true}", "learning_rate: lag is none of low, high and log"),
        ("learning_rate: fast", "learning_rate: give a list of choices, or of a number"),
        ("learning_rate: [fast, slow]", "learning_rate: 'fast' should be of the type float"),
        ("per_device_train_batch_size: [8]", "per_device_train_batch_size: give a list of choices"),
        ("per_device_train_batch_size: [8, 0]", "--per_device_train_batch_size must be a number of at least 1, got 0"),
        ("per_device_train_batch_size: {low: 1.5, high: 3}", "1.5 should be of the type int"),
        ("learning_rate: {low: 1e-5, high: abc}", "'abc' should be of the type float"),
        ("- learning_rate", "a space is a list of `name: [16, 32]`"),
        ("learning_rate: {", "not a YAML file"),
        (None, "cannot be read (No such file or directory): name a YAML file"),
    ],
)
def test_a_wrong_space_is_one_line(content: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CallError) as wrong:
        read_space(str(file), OWN, {"optim"})
    assert message in str(wrong.value) and str(wrong.value).startswith(f"--space {file}")
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1, got 0"),
        ({"backend": "spark"}, "--backend must be one of local, ray, got 'spark'"),
        ({"output_dir": None}, "no folder to write to"),
    ],
)
def test_a_wrong_call_is_one_line(said: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CallError, match=message):
        sweep(**{"output_dir": str(tmp_path / "sweep"), **said})


def test_a_sweep_that_is_refused_leaves_the_lock_of_the_one_that_plans(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    with _alone(folder):
        for _ in range(2):
            with pytest.raises(CallError, match="another process sweeps in"), _alone(folder):
                pass
    assert not folder.exists()  # nothing was begun


def test_a_head_alone_has_nothing_to_vary(tiny_sentence_encoder: Path, reviews_file: Path, tmp_path: Path) -> None:
    with pytest.raises(CallError, match="nothing to vary, as the plan solves for the head alone, in one go"):
        sweep(
            model_name_or_path=str(tiny_sentence_encoder),
            train_file=str(reviews_file),
            max_train_samples=60,
            lexicon=False,
            output_dir=str(tmp_path / "sweep"),
        )
    assert not (tmp_path / "sweep").exists()
    # A folder with something else in it is left alone.
    write_json(tmp_path / "sweep" / "mine.json", {})
    with pytest.raises(CallError, match="exists and is no run of this command"):
        sweep(output_dir=str(tmp_path / "sweep"))
