"""`train`: a run folder that is complete, loads, resumes and is never overwritten."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, TrainerCallback, pipeline

from hf_sentiment.commands.train import train
from hf_sentiment.data.splits import read_seen_texts
from hf_sentiment.errors import CallError
from hf_sentiment.model import BertForSentimentAnalysis
from hf_sentiment.records.schema import Measurement
from hf_sentiment.training.arguments import SentimentArguments, parse_call
from hf_sentiment.training.assemble import assemble

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def call(tiny_checkpoint: Path, reviews_file: Path) -> list[str]:
    """A call of `train` on made-up reviews that takes seconds."""
    return [
        *("--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--num_train_epochs", "3"),
        *("--learning_rate", "1e-3", "--use_cpu", "true", "--disable_tqdm", "true", "--save_total_limit", "5"),
        *("--metric_for_best_model", "calibrated_loss"),  # or nothing would be held out
        "--keep_checkpoints",  # to look at, and to go on from
    ]


@pytest.fixture(scope="module")
def finished(call: list[str], finish: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run. Read-only."""
    return finish(call, tmp_path_factory.mktemp("runs") / "reviews")


def test_a_finished_run_leaves_no_checkpoint_no_kept_weights_and_no_optimizer(
    call: list[str], tmp_path: Path, run_cli: Cli, finished: Path
) -> None:
    assert len(list(finished.glob("checkpoint-*/optimizer.pt"))) == 3  # --keep_checkpoints
    words = ["train", *(word for word in call if word != "--keep_checkpoints"), "--output_dir", tmp_path / "run"]
    code, _, err = run_cli(*words)
    assert code == 0, err
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in (".pt", ".pth", ".bin")]
    expected = {path.name for path in finished.iterdir() if not path.name.startswith(("checkpoint-", "_best"))}
    assert {path.name for path in (tmp_path / "run").iterdir()} == expected
    saved, kept = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", finished))
    assert all(saved[name].equal(kept[name]) for name in kept)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    code, _, err = run_cli(*words)
    assert code == 0 and "finished already" in err
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before
    # A kill after the last file, while the checkpoints are removed: the same command removes the rest.
    checkpoint = next(finished.glob("checkpoint-*"))
    shutil.copytree(checkpoint, tmp_path / "run" / checkpoint.name)
    (tmp_path / "run" / "checkpoint-mine").mkdir()
    code, _, err = run_cli(*words)
    assert code == 0 and "finished already" in err
    assert {path.name for path in (tmp_path / "run").iterdir()} == expected | {"checkpoint-mine"}


def test_the_folder_has_all_that_it_promises(finished: Path) -> None:
    top = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md"}
    top |= {"configuration_bert_sentiment.py", "modeling_bert_sentiment.py", "records"}
    names = {path.name for path in finished.iterdir()}
    assert {name for name in names if not name.startswith(("checkpoint-", "_best-"))} == top
    records = {
        "plan.json",
        "audit.json",
        "history.jsonl",
        "curves.svg",
        "curves.png",
        "evaluation.json",
        "report.html",
        "arguments.json",
        "seen_texts.npz",
    }
    assert {path.name for path in (finished / "records").iterdir()} == records
    # A finished run has its report: what makes it finished is written later.
    times = [(finished / "records" / name).stat().st_mtime_ns for name in ("report.html", "evaluation.json")]
    assert times == sorted(times)
    report = (finished / "records" / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/svg+xml") == 3 and "Learning curves" in report and "learning_rate" in report


def test_the_audit_is_recorded_without_texts_and_what_is_serious_is_said(
    call: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from hf_sentiment.training.arguments import parse_call

    arguments = parse_call([*call, "--output_dir", str(tmp_path / "run"), "--max_steps", "1"])
    with caplog.at_level("WARNING", logger="hf_sentiment"):
        train(**arguments)
    findings = json.loads((tmp_path / "run" / "records" / "audit.json").read_text())["findings"]
    severities = {finding["title"]: finding["severity"] for finding in findings}
    assert severities["no text or no label"] == "ok" and severities["test texts"] == "warning"
    assert not any("text" in row for finding in findings for row in finding["examples"])
    said = next(message for message in caplog.messages if message.startswith("Audit: "))
    assert "test texts 48" in said and "no text" not in said


def test_the_history_has_both_losses_at_every_epoch(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "records" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1.0, 2.0, 3.0]
    for row in rows:
        assert {"step", "elapsed_seconds", "train_loss", "eval_loss", "eval_accuracy", "learning_rate"} <= row.keys()
    assert [row["elapsed_seconds"] for row in rows] == sorted(row["elapsed_seconds"] for row in rows)


def test_the_best_evaluation_is_what_is_saved(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "records" / "history.jsonl").read_text().splitlines()]
    best = min(rows, key=lambda row: row["eval_calibrated_loss"])
    saved = load_file(finished / "model.safetensors")
    checkpoint = load_file(finished / f"checkpoint-{best['step']}" / "model.safetensors")
    temperature = json.loads((finished / "records" / "evaluation.json").read_text())["temperature"]
    for name, weights in saved.items():
        expected = checkpoint[name] / temperature if name.startswith("classifier.") else checkpoint[name]
        assert weights.equal(expected), name


def test_the_evaluation_stands_beside_its_baselines(finished: Path) -> None:
    evaluation = json.loads((finished / "records" / "evaluation.json").read_text())
    accuracy = evaluation["model"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert set(evaluation["baselines"]) == {"majority", "tfidf_logistic_regression"}
    assert evaluation["texts"] == sum(row["texts"] for row in evaluation["per_class"])


def test_it_loads_by_the_auto_class_and_names_its_labels(finished: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(finished)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.config.label_rule["labels"] == ["negative", "positive"]
    assert pipeline("text-classification", str(finished))("great film")[0]["label"] in ("negative", "positive")


def test_the_card_has_valid_metadata_and_no_path_of_the_machine(finished: Path) -> None:
    from huggingface_hub import ModelCard

    card = ModelCard.load(finished / "README.md")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.eval_results[0].metric_type == "accuracy"
    assert str(finished.parent) not in card.content
    assert "Undefined" not in card.content


def test_records_name_no_home_folder(
    tiny_checkpoint: Path,
    reviews_file: Path,
    tmp_path: Path,
    run_cli: Cli,
    call: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(reviews_file.parent))
    code, _, _ = run_cli("train", *call, "--output_dir", tmp_path / "o", "--max_steps", "1", "--hub_token", "hf_secret")
    assert code == 0
    texts = [path.read_text() for path in (tmp_path / "o").rglob("*") if path.suffix in (".json", ".jsonl", ".md")]
    texts = [text for text in texts if "checkpoint" not in text[:20]]
    assert not any("hf_secret" in text for text in texts)
    assert "~/reviews.csv" in (tmp_path / "o" / "records" / "arguments.json").read_text()


def test_said_again_a_finished_run_is_left_alone(finished: Path, call: list[str], run_cli: Cli) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    code, _, err = run_cli("train", *call, "--output_dir", finished)
    assert code == 0
    assert "is finished already, and nothing was changed" in err
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_other_arguments_in_the_same_folder_are_refused(finished: Path, call: list[str], run_cli: Cli) -> None:
    code, _, err = run_cli("train", *call, "--output_dir", finished, "--weight_decay", "0.3")
    assert code == 2
    assert "weight_decay was None, now 0.3" in err
    assert len(err.strip().splitlines()) == 1


def test_a_folder_of_something_else_is_refused(tmp_path: Path, call: list[str], run_cli: Cli) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    code, _, err = run_cli("train", *call, "--output_dir", tmp_path)
    assert code == 2
    assert "exists and is no run of this command: name another --output_dir" in err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


class _Stop(TrainerCallback):
    """Ends training hard, as a kill would, at one step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("killed")


def test_a_killed_run_goes_on_to_the_same_weights(
    finished: Path, call: list[str], run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hf_sentiment.training.assemble as module

    steps = [json.loads(line)["step"] for line in (finished / "records" / "history.jsonl").read_text().splitlines()]
    with monkeypatch.context() as patch:
        callback = module.CheckpointOnInterrupt
        patch.setattr(module, "CheckpointOnInterrupt", lambda: _Stop(steps[1] + 2))
        with pytest.raises(RuntimeError, match="killed"):
            from hf_sentiment.training.arguments import parse_call

            arguments = parse_call([*call, "--output_dir", str(tmp_path / "run")])
            train(**arguments)
        assert callback is not None
    # What a kill in the middle of a save leaves: a checkpoint without its state.
    shutil.copytree(tmp_path / "run" / f"checkpoint-{steps[1]}", tmp_path / "run" / f"checkpoint-{steps[1] + 1}")
    (tmp_path / "run" / f"checkpoint-{steps[1] + 1}" / "trainer_state.json").write_text('{"glob')
    code, _, err = run_cli("train", *call, "--output_dir", tmp_path / "run")
    assert code == 0, err
    assert f"Going on with the unfinished run, from checkpoint-{steps[1]}" in err
    resumed, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", finished))
    assert all(resumed[name].equal(expected[name]) for name in expected)
    rows = [json.loads(line) for line in (tmp_path / "run" / "records" / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == steps


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.faults)])
def test_a_signal_saves_and_the_same_command_goes_on(
    call: list[str], tmp_path: Path, number: int, run_cli: Cli
) -> None:
    folder = tmp_path / "run"
    words = [
        *call,
        "--output_dir",
        str(folder),
        "--max_steps",
        "150",
        "--eval_strategy",
        "no",
        "--save_strategy",
        "no",
    ]
    words += ["--logging_steps", "1", "--logging_strategy", "steps"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hf_sentiment", "train", *words],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stderr is not None
    seen = ""
    while "'loss'" not in seen and process.poll() is None:
        seen += process.stderr.readline()
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 1, seen + rest
    message = rest.strip().splitlines()[-1]
    assert message.startswith("error: stopped at step ") and "run the same command again to go on" in message
    assert len(list(folder.glob("checkpoint-*"))) == 1
    assert not (folder / "model.safetensors").exists()
    code, _, err = run_cli("train", *words)
    assert code == 0, err
    assert "Going on with the unfinished run, from checkpoint-" in err
    assert (folder / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output_dir", "{tmp}/o", "--train_file", "{tmp}/none.csv"], "none.csv"),
        ([], "no folder to write to: --output_dir runs/my-first-model"),
        (["--output_dir", "{tmp}/o", "--model_name_or_path", "{tmp}/none"], "--model_name_or_path"),
        (["--output_dir", "{tmp}/o", "--max_length", "4096"], "reads 48 tokens"),
        (["--output_dir", "{tmp}/o", "--metric_for_best_model", "f1_of_the_day", "--max_steps", "3"], "f1_of_the_day"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    words: list[str], message: str, call: list[str], tmp_path: Path, run_cli: Cli
) -> None:
    filled = [word.format(tmp=tmp_path) for word in words]
    code, out, err = run_cli("train", *call, *filled)
    assert code == 2, err
    assert out == ""
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message in errors[0]
    assert "Traceback" not in err
    # The mended call is not held against the wrong one.
    if "--output_dir" in filled:
        code, _, err = run_cli("train", *call, "--output_dir", tmp_path / "o", "--max_steps", "1")
        assert code == 0, err


def test_from_python_without_an_output_folder() -> None:
    with pytest.raises(CallError, match="no folder to write to"):
        train(train_file="reviews.csv")


def test_it_trains_on_a_data_frame(tiny_checkpoint: Path, reviews: list[tuple[str, str]], tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(reviews, columns=["text", "label"])
    options = {"output_dir": str(tmp_path / "run"), "max_steps": 2, "use_cpu": True, "disable_tqdm": True}
    options |= {"model_name_or_path": str(tiny_checkpoint)}
    result = train(frame, **options)
    assert result is not None and isinstance(result.evaluation, Measurement) and result.evaluation.texts == 48
    assert train(frame, **options) is None
    with pytest.raises(CallError, match="dataset_name was"):
        train(frame.iloc[:200], **options)


@pytest.mark.parametrize("step", [12, 17])
def test_a_run_stopped_by_a_signal_goes_on_to_the_same_weights(
    step: int, finished: Path, call: list[str], run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hf_sentiment.training.assemble as module

    class SignalAtStep(module.CheckpointOnInterrupt):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == step - 1:
                os.kill(os.getpid(), signal.SIGINT)

    words = [*call, "--output_dir", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "CheckpointOnInterrupt", SignalAtStep)
        code, _, err = run_cli("train", *words)
    assert code == 1 and f"stopped at step {step} of" in err
    code, _, err = run_cli("train", *words)
    assert code == 0, err
    resumed, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", finished))
    assert all(resumed[name].equal(expected[name]) for name in expected)
    steps = [
        [json.loads(line)["step"] for line in (folder / "records" / "history.jsonl").read_text().splitlines()]
        for folder in (tmp_path / "run", finished)
    ]
    assert steps[0] == steps[1]


def test_data_that_changed_since_the_run_began_are_refused(
    call: list[str], reviews_file: Path, tmp_path: Path, run_cli: Cli
) -> None:
    data = tmp_path / "mine.csv"
    shutil.copy(reviews_file, data)
    words = [word if word != str(reviews_file) else str(data) for word in call]
    run_cli("train", *words, "--output_dir", tmp_path / "run")
    (tmp_path / "run" / "records" / "evaluation.json").unlink()  # as if killed before its last file
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:200]))
    code, _, err = run_cli("train", *words, "--output_dir", tmp_path / "run")
    assert code == 2 and "the data have changed since the run in" in err


def test_a_run_that_failed_before_it_learned_anything_does_not_block_its_folder(
    call: list[str], tmp_path: Path, run_cli: Cli
) -> None:
    code, _, err = run_cli("train", *call, "--output_dir", tmp_path / "run", "--learning_rate", "1e30")
    assert code == 1 and not list((tmp_path / "run").glob("checkpoint-*"))
    last = err.strip().splitlines()[-1]
    assert "training diverged, " in last and "no weights were kept: set learning_rate=5e-05 (it is 1e+30)" in last
    code, _, err = run_cli("train", *call, "--output_dir", tmp_path / "run", "--max_steps", "2")
    assert code == 0, err


class _LoseAt(TrainerCallback):
    """Loses a weight at a step, as a run that diverges."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == self.step:
            model.classifier.weight.data.fill_(float("nan"))


@pytest.mark.parametrize("lora", ["false", "true"])
def test_a_run_that_diverges_ends_with_its_best_weights_and_says_what_to_change(
    call: list[str], tmp_path: Path, run_cli: Cli, finished: Path, monkeypatch: pytest.MonkeyPatch, lora: str
) -> None:
    steps = [json.loads(line)["step"] for line in (finished / "records" / "history.jsonl").read_text().splitlines()]
    words = ["train", *call, "--lora", lora, "--num_train_epochs", "6", "--output_dir", tmp_path / "run"]

    with monkeypatch.context() as patch:
        patch.setattr("hf_sentiment.training.assemble.SeedEveryEpoch", lambda: _LoseAt(steps[1] + 2))
        patch.setattr("hf_sentiment.commands.train.render_card", lambda *_: 1 / 0)  # a kill after training
        assert run_cli(*words)[0] == 1
    code, _, err = run_cli(*words)
    assert code == 0 and "stays stopped: training diverged" in err
    assert "; the model is that of step" in err.splitlines()[-2] and err.count("(it is 0.001)") == 1
    training = json.loads((tmp_path / "run" / "records" / "evaluation.json").read_text())["training"]
    assert training["stopped"] == "training diverged, the weights are not finite"
    assert training["best_epoch"] in (1, 2) and training["epochs"] < 4
    assert f"Stopped early: {training['stopped']}." in (tmp_path / "run" / "README.md").read_text()
    saved = load_file(tmp_path / "run" / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in saved.values())


def test_what_diverges_in_low_precision_alone_is_repeated_in_float32(
    call: list[str], tmp_path: Path, run_cli: Cli, finish: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hf_sentiment.training.assemble as module

    plain = BertForSentimentAnalysis.forward

    @wraps(plain)  # the Trainer reads its signature
    def overflow(model: Any, *args: Any, **kwargs: Any) -> Any:
        output = plain(model, *args, **kwargs)
        if output.loss is not None:
            # The largest float32 overflows where it is rounded to fewer digits.
            largest = torch.full((1, 1), torch.finfo(torch.float32).max, device="cpu")
            rounded = torch.nn.functional.linear(largest, torch.ones(1, 1)).float()
            output.loss = output.loss + 0.0 * rounded.squeeze()
        return output

    class SignalInFloat32(module.CheckpointOnInterrupt):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 15 and not args.bf16:
                os.kill(os.getpid(), signal.SIGINT)

    expected = finish([*call, "--bf16", "false"], tmp_path / "float32")
    words = ["train", *call, "--bf16", "true", "--output_dir", tmp_path / "run"]
    monkeypatch.setattr(BertForSentimentAnalysis, "forward", overflow)
    with monkeypatch.context() as patch:
        patch.setattr(module, "CheckpointOnInterrupt", SignalInFloat32)
        code, _, err = run_cli(*words)
    assert code == 1 and err.count("training is repeated in float32") == 1 and "stopped at step 16" in err
    code, _, err = run_cli(*words)
    assert code == 0 and "training is repeated" not in err and "Going on with" in err, err
    run, other = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", expected))
    assert all(run[name].equal(other[name]) for name in other)
    records = tmp_path / "run" / "records"
    assert json.loads((records / "evaluation.json").read_text())["training"]["repeated"] is True
    bf16 = json.loads((records / "plan.json").read_text())["decisions"]["bf16"]
    assert bf16["value"] is False and "diverged in lower precision" in bf16["reason"]
    assert json.loads((expected / "records" / "evaluation.json").read_text())["training"]["repeated"] is False


def test_a_run_without_evaluations_that_diverges_fails_and_stays_failed(
    call: list[str], tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["train", *call, "--eval_strategy", "no", "--save_strategy", "epoch", "--output_dir", tmp_path / "run"]
    words.remove("--metric_for_best_model")
    words.remove("calibrated_loss")
    with monkeypatch.context() as patch:
        patch.setattr("hf_sentiment.training.assemble.SeedEveryEpoch", lambda: _LoseAt(25))
        code, _, err = run_cli(*words)
        assert code == 1 and "training diverged, the weights are not finite at step" in err.strip().splitlines()[-1]
    kept = {path.name for path in (tmp_path / "run").glob("checkpoint-*")}
    assert kept  # from before, and from where it stopped: nobody's weights are thrown away
    code, _, again = run_cli(*words)
    assert code == 1 and "stays stopped" in again
    assert again.strip().splitlines()[-1] == err.strip().splitlines()[-1]
    assert not (tmp_path / "run" / "records" / "evaluation.json").exists()


def test_the_card_claims_only_what_was_done(call: list[str], tmp_path: Path, run_cli: Cli) -> None:
    few = ["--max_steps", "20"]
    run_cli("train", *call, *few, "--output_dir", tmp_path / "last", "--load_best_model_at_end", "false")
    assert "kept: the evaluation" not in (tmp_path / "last" / "README.md").read_text()
    code, _, err = run_cli("train", *call, *few, "--output_dir", tmp_path / "none", "--eval_strategy", "no")
    assert code == 0, err
    card = (tmp_path / "none" / "README.md").read_text()
    assert "the best evaluation is kept" not in card


def test_a_test_split_that_repeats_training_texts_is_said_to(
    call: list[str], reviews_file: Path, tmp_path: Path, run_cli: Cli
) -> None:
    code, _, err = run_cli(
        "train", *call, "--output_dir", tmp_path / "run", "--max_steps", "2", "--test_file", reviews_file
    )
    assert code == 0, err
    card = (tmp_path / "run" / "README.md").read_text()
    assert "repeat a training text" in card
    assert "Warning: the model was trained on 192 and was chosen by 48 of these 240 texts" in err
    assert str(reviews_file.parent) not in card


def test_what_the_run_saw_whose_model_one_goes_on_from_counts_as_seen(
    finished: Path, call: list[str], tmp_path: Path, run_cli: Cli
) -> None:
    other = tmp_path / "other.csv"
    texts = [
        (f"the cast loved the {noun} {verb}", label)
        for noun, label in (("film", "positive"), ("plot", "negative"))
        for verb in "abcdefghijklmnopqrst"
    ]
    other.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in texts))
    words = [*call, "--model_name_or_path", finished, "--train_file", other, "--max_steps", "1"]
    code, _, err = run_cli("train", *words, "--output_dir", tmp_path / "on", "--lexicon", "false")
    assert code == 0, err
    first, both = read_seen_texts(finished), read_seen_texts(tmp_path / "on")
    assert first is not None and both is not None
    assert len(both["train"]) > len(first["train"]) and set(first["train"]) < set(both["train"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--push_to_hub"], "--push_to_hub: "),
        (["--resume_from_checkpoint", "checkpoint-1"], "--resume_from_checkpoint: run the same command again"),
        (["--load_best_model_at_end", "true", "--eval_strategy", "no"], "requires the save and eval strategy to match"),
        (["--load_best_model_at_end", "--save_strategy", "no"], "requires the save and eval strategy to match"),
        (["--eval_strategy", "no", "--alarm", "stop"], "--alarm stop needs evaluations"),
        (["--eval_strategy", "no", "--early_stopping_patience", "2"], "--early_stopping_patience 2 needs evaluations"),
        (["--greater_is_better", "true"], "--greater_is_better true: of calibrated_loss less is better"),
        (["--alarm", "loud"], "--alarm must be one of warn, stop, rollback, off, got 'loud'"),
        (["--max_train_samples", "2", "--labels", "a,b,c"], "none of --labels a,b,c"),
    ],
)
def test_what_would_be_ignored_is_refused(
    words: list[str], message: str, call: list[str], tmp_path: Path, run_cli: Cli
) -> None:
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "run")
    assert code == 2 and message in err.strip().splitlines()[-1], err


def test_saves_and_evaluations_that_do_not_come_together_keep_the_last(
    call: list[str], tmp_path: Path, run_cli: Cli
) -> None:
    for index, words in enumerate((["--save_strategy", "no"], ["--eval_strategy", "steps", "--eval_steps", "5"])):
        code, _, err = run_cli("train", *call, *words, "--max_steps", "11", "--output_dir", tmp_path / str(index))
        assert code == 0, err
    rows = (tmp_path / "1" / "records" / "history.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [5, 10, 11]


def test_sharded_weights_are_sent_to_the_script(
    call: list[str], tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    code, _, err = run_cli("train", *call, "--output_dir", tmp_path / "run")
    assert code == 2 and "FSDP and DeepSpeed shard them: recipes/finetune.py" in err


def test_the_suite_is_on_by_default(finished: Path) -> None:
    rows = [json.loads(line) for line in (finished / "records" / "history.jsonl").read_text().splitlines()]
    assert all({"gap/gap", "gap/alarm", "gap/train_loss_low"} <= row.keys() for row in rows)
    training = json.loads((finished / "records" / "evaluation.json").read_text())["training"]
    best = min(rows, key=lambda row: row["eval_calibrated_loss"])
    assert training["best_epoch"] == best["epoch"] and training["alarms"] == [] and training["lora"] is None
    card = (finished / "README.md").read_text()
    assert f"kept: the weights of epoch {best['epoch']:g}" in card
    assert "The overfitting alarm, which sounds in at most 5 % of runs without overfitting, did not sound." in card


def test_a_run_that_overfits_stops_says_so_and_keeps_its_best_through_a_kill(
    call: list[str], tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "--num_train_epochs",
        "40",
        "--learning_rate",
        "1e-2",
        "--classifier_dropout",
        "0.0",
        "--save_total_limit",
        "1",
    ]
    words += ["--max_train_samples", "40", "--early_stopping_patience", "3", "--metric_for_best_model", "loss"]
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "run")
    assert code == 0, err
    training = json.loads((tmp_path / "run" / "records" / "evaluation.json").read_text())["training"]
    assert training["epochs"] < 40 and "has not improved on" in training["stopped"]
    assert f"Stopped early: {training['stopped']}." in (tmp_path / "run" / "README.md").read_text()
    assert training["best_epoch"] < training["epochs"]

    import hf_sentiment.commands.train as module

    with monkeypatch.context() as patch:  # as if killed after the model was saved, before the evaluation was
        patch.setattr(module, "render_card", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            arguments = parse_call([*call, *words, "--output_dir", str(tmp_path / "killed")])
            train(**arguments)
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "killed")
    assert code == 0 and "stays stopped" in err
    killed, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "run"))
    assert all(killed[name].equal(expected[name]) for name in expected)


@pytest.mark.parametrize("pooling", ["pooler", pytest.param("mean", marks=pytest.mark.faults)])
def test_lora_by_one_flag(
    pooling: str, call: list[str], tmp_path: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--lora", "true", "--pooling", pooling, "--learning_rate", "1e-3"]
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "run")
    assert code == 0, err
    folder = tmp_path / "run"
    assert load_file(folder / "model.safetensors").keys() >= {
        "classifier.weight",
        "bert.embeddings.word_embeddings.weight",
    }
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    steps = sorted(int(path.name.removeprefix("checkpoint-")) for path in folder.glob("checkpoint-*"))
    assert (folder / f"checkpoint-{steps[0]}" / "adapter_model.safetensors").is_file()
    assert not (folder / f"checkpoint-{steps[0]}" / "model.safetensors").exists()
    assert "low-rank adapters of rank 8 (LoRA)" in (folder / "README.md").read_text()
    assert type(AutoModelForSequenceClassification.from_pretrained(folder)).__name__ == "BertForSentimentAnalysis"
    # Killed after training, before the end: the same command takes it up and ends with the same model.
    expected = load_file(folder / "model.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr("hf_sentiment.commands.train.render_card", lambda *_: 1 / 0)
        code, _, _ = run_cli("train", *call, *words, "--output_dir", tmp_path / "killed")
        assert code == 1
    (tmp_path / "killed" / "model.safetensors").unlink()
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "killed")
    assert code == 0 and "Going on with the unfinished run" in err
    resumed = load_file(tmp_path / "killed" / "model.safetensors")
    assert all(resumed[name].equal(expected[name]) for name in expected)


def test_the_alarm_can_be_switched_off(call: list[str], tmp_path: Path, run_cli: Cli) -> None:
    code, _, err = run_cli("train", *call, "--alarm", "off", "--max_steps", "12", "--output_dir", tmp_path / "run")
    assert code == 0, err
    assert "gap/" not in (tmp_path / "run" / "records" / "history.jsonl").read_text()
    assert "overfitting alarm" not in (tmp_path / "run" / "README.md").read_text()


def test_a_checkpoint_at_the_end_of_an_epoch_that_was_due_by_its_step_resumes_exactly(
    call: list[str], tmp_path: Path, run_cli: Cli
) -> None:
    words = ["--max_train_samples", "60", "--num_train_epochs", "4", "--save_strategy", "steps", "--save_steps", "8"]
    words += ["--eval_strategy", "steps", "--eval_steps", "3"]
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "run")
    assert code == 0, err
    expected = load_file(tmp_path / "run" / "model.safetensors")
    (tmp_path / "run" / "records" / "evaluation.json").unlink()
    for folder in (tmp_path / "run").glob("checkpoint-*"):
        if folder.name != "checkpoint-8":  # the end of the second epoch of four steps
            shutil.rmtree(folder)
    code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "run")
    assert code == 0 and "from checkpoint-8" in err, err
    resumed = load_file(tmp_path / "run" / "model.safetensors")
    assert all(resumed[name].equal(expected[name]) for name in expected)


def test_mixed_precision_is_trained_in_where_it_is_said_and_stays_in_the_run(
    tiny_checkpoint: Path, reviews: list[tuple[str, str]], tmp_path: Path
) -> None:
    import pandas as pd
    import torch
    from transformers import Trainer, TrainingArguments

    seen = []

    def note(module: Any, inputs: Any, output: torch.Tensor) -> None:
        seen.append((output.dtype, module.weight.dtype))

    frame = pd.DataFrame(reviews, columns=["text", "label"])
    arguments = SentimentArguments(model_name_or_path=str(tiny_checkpoint))
    for wanted, mixed in ((torch.bfloat16, True), (torch.float32, False)):
        seen.clear()
        # No --use_cpu: where there is nothing else, it need not be said.
        options = {"output_dir": str(tmp_path / "run"), "max_steps": 2, "disable_tqdm": True, "bf16": mixed}
        run = assemble(arguments, options, frame)
        hook = run.model.classifier.register_forward_hook(note)
        run.fit()
        hook.remove()
        assert set(seen) == {(wanted, torch.float32)}
    other = Trainer(run.model, TrainingArguments(str(tmp_path / "other"), report_to=[]))
    assert other.accelerator.mixed_precision == "no"


@pytest.mark.parametrize("labels", [2, 3])
def test_a_finished_run_is_trained_further(
    labels: int, finished: Path, reviews: list[tuple[str, str]], tmp_path: Path, run_cli: Cli
) -> None:
    before = tmp_path / "before"
    shutil.copytree(finished, before)
    config = json.loads((before / "config.json").read_text()) | {"class_weights": [0.5, 1.5]}
    (before / "config.json").write_text(json.dumps(config))
    rows = [(text, "neutral" if labels == 3 and row % 3 == 0 else name) for row, (text, name) in enumerate(reviews)]
    (tmp_path / "more.csv").write_text("text,label\n" + "".join(f'"{text}",{name}\n' for text, name in rows))
    words = ["--train_file", tmp_path / "more.csv", "--max_steps", "2", "--use_cpu", "true", "--disable_tqdm", "true"]
    for name, source in (("once", before), ("twice", tmp_path / "once")):
        code, _, err = run_cli("train", "--model_name_or_path", source, *words, "--output_dir", tmp_path / name)
        assert code == 0, err
    after = json.loads((tmp_path / "twice" / "config.json").read_text())
    assert len(after["id2label"]) == labels
    assert after.get("class_weights") is None and after["problem_type"] == "single_label_classification"


def test_a_kill_while_the_first_record_is_written_does_not_block_the_folder(tmp_path: Path) -> None:
    from hf_sentiment.records.folder import RunFolder

    records = tmp_path / "run" / "records"
    records.mkdir(parents=True)
    (records / ".arguments.json.k2x9.json").write_text("")
    RunFolder.open(tmp_path / "run", {"seed": 1}).begin({"seed": 1})
    assert [path.name for path in records.iterdir()] == ["arguments.json"]
    (tmp_path / "other" / "records").mkdir(parents=True)
    (tmp_path / "other" / "records" / "invoices.csv").write_text("mine")
    with pytest.raises(CallError, match="exists and is no run of this command"):
        RunFolder.open(tmp_path / "other", {"seed": 1})


def test_the_batch_of_a_process_may_be_said_anew_until_the_run_is_finished(tmp_path: Path) -> None:
    from hf_sentiment.records.folder import RunFolder

    folder, call = RunFolder(tmp_path), {"seed": 1, "per_device_train_batch_size": 4}
    folder.begin(call)
    (tmp_path / "checkpoint-1").mkdir()
    (tmp_path / "checkpoint-1" / "trainer_state.json").write_text("{}")
    other = call | {"per_device_train_batch_size": 8}
    assert RunFolder.open(tmp_path, other) == folder
    (folder.records / "evaluation.json").write_text("{}")
    with pytest.raises(CallError, match="other arguments \\(per_device_train_batch_size was 4, now 8\\)"):
        RunFolder.open(tmp_path, other)
