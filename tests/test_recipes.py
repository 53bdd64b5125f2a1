"""Every recipe is parsed, and every recipe is run: on a tiny random BERT and made-up rows."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hf_sentiment.training.arguments import parse_arguments, parse_call

RECIPES = Path(__file__).parents[1] / "recipes"
# Not those of accelerate, which have a folder of their own and are no arguments.
YAML = sorted(RECIPES.glob("*.yaml"))
SCRIPTS = sorted(RECIPES.rglob("*.py"))
# What a recipe names on the Hub is replaced by what the test has: data, columns and label names.
REPLACED = ("dataset_name", "dataset_config_name", "text_column", "label_column", "labels")


def test_all_recipes_are_here() -> None:
    names = {path.stem for path in YAML}
    assert {"starter", "multilingual", "sst2", "imdb", "tweet_eval_3class", "bert_base_reviews"} <= names
    assert {"finetune", "predict", "callbacks_with_your_own_model"} <= {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.stem)
def test_a_recipe_says_what_it_needs_and_parses(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    heads = re.findall(r"^# (\w+):", text, flags=re.MULTILINE)
    assert heads[:5] == ["What", "Data", "Hardware", "Launch", "Override"]
    launch = re.search(r"^# Launch: +(.+)$", text, flags=re.MULTILINE)
    assert launch is not None and f"recipes/{path.name}" in launch[1]
    parse_arguments([str(path), "--output_dir", str(tmp_path)])


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.stem)
def test_the_courses_numbers(path: Path) -> None:
    said = parse_call([str(path)])
    assert said["classifier_dropout"] == 0.3
    if "bert-base" in said["model_name_or_path"]:
        assert said["pooling"] == "pooler"
        assert 2e-5 <= said["learning_rate"] <= 3e-5
        assert said["num_train_epochs"] <= 4
        assert said["weight_decay"] > 0
        assert (said["eval_strategy"], said["early_stopping_patience"]) == ("epoch", 1)
        assert said["metric_for_best_model"] == "loss"
        assert said["train_sampling_strategy"] == "group_by_length"


def offline(path: Path, folder: Path, checkpoint: Path, rows: Path) -> Path:
    """The recipe with the tiny model and the made-up rows in place of what it would fetch."""
    recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    recipe = {name: value for name, value in recipe.items() if name not in REPLACED}
    recipe |= {"model_name_or_path": str(checkpoint), "train_file": str(rows), "max_length": 32, "use_cpu": True}
    target = folder / path.name
    target.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return target


@pytest.fixture
def three_class_file(tmp_path: Path, reviews: list[tuple[str, str]]) -> Path:
    path = tmp_path / "three.csv"
    rows = [(text, ("negative", "neutral", "positive")[index % 3]) for index, (text, _) in enumerate(reviews)]
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.stem)
def test_a_recipe_runs(
    path: Path,
    tmp_path: Path,
    tiny_checkpoint: Path,
    reviews_file: Path,
    three_class_file: Path,
    run_cli: Callable[..., Any],
) -> None:
    rows = three_class_file if "3class" in path.stem else reviews_file
    recipe = offline(path, tmp_path, tiny_checkpoint, rows)
    code, _, err = run_cli("train", recipe, "--output_dir", tmp_path / "run", "--max_steps", "4")
    assert code == 0, err
    assert (tmp_path / "run" / "model.safetensors").is_file()


@pytest.mark.parametrize("name", ["imdb", "tweet_eval_3class"])
def test_the_script_runs_every_kind_of_recipe(
    name: str,
    tmp_path: Path,
    tiny_checkpoint: Path,
    reviews_file: Path,
    three_class_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = three_class_file if "3class" in name else reviews_file
    recipe = offline(RECIPES / f"{name}.yaml", tmp_path, tiny_checkpoint, rows)
    output = tmp_path / "run"
    monkeypatch.setattr(
        sys, "argv", ["finetune.py", str(recipe), "--output_dir", str(output), "--num_train_epochs", "1"]
    )
    runpy.run_path(str(RECIPES / "finetune.py"), run_name="__main__")
    assert {"model.safetensors", "modeling_bert_sentiment.py", "test_results.json"} <= {
        p.name for p in output.iterdir()
    }
    assert (output / "records" / "curves.svg").is_file()


def test_the_callbacks_script_runs_on_a_model_that_is_not_ours(
    tmp_path: Path, reviews_file: Path, tiny_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForSequenceClassification, DistilBertConfig

    script = RECIPES / "callbacks_with_your_own_model.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 60
    config = DistilBertConfig(vocab_size=len(tiny_tokenizer), n_layers=1, n_heads=2, dim=16, hidden_dim=24)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path / "theirs")
    tiny_tokenizer.save_pretrained(tmp_path / "theirs")
    words = [script.name, str(tmp_path / "theirs"), str(reviews_file), str(tmp_path / "run")]
    monkeypatch.setattr(sys, "argv", words)
    runpy.run_path(str(script), run_name="__main__")
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run")
    assert type(loaded).__name__ == "DistilBertForSequenceClassification"
    assert loaded.config.label2id == {"negative": 0, "positive": 1}
    assert (tmp_path / "run" / "records" / "curves.png").is_file() and (tmp_path / "run" / "adapter").is_dir()


def test_the_prediction_script_prints_three_sentences(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["predict.py", str(tiny_folder)])
    runpy.run_path(str(RECIPES / "predict.py"), run_name="__main__")
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 3
    assert all(re.match(r" *(negative|positive)  [01]\.\d{3}  \w", line) for line in lines)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_numbered_and_carries_its_dependencies(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# /// script\n")
    assert len(text.splitlines()) <= 90
    steps = [int(step) for step in re.findall(r"^    # (\d+)\. ", text, flags=re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 2


def test_the_table_of_recipes_is_complete() -> None:
    table = (RECIPES / "README.md").read_text(encoding="utf-8")
    assert all(f"({path.name})" in table for path in [*YAML, *SCRIPTS])


def test_the_script_heeds_the_flags_that_it_takes(
    tmp_path: Path, tiny_checkpoint: Path, reviews_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    recipe = offline(RECIPES / "imdb.yaml", tmp_path, tiny_checkpoint, reviews_file)
    output = tmp_path / "run"
    words = ["--output_dir", str(output), "--max_steps", "2", "--pooling", "mean", "--head_first", "true"]
    words += ["--label_smoothing_factor", "0.2", "--max_length", "400"]
    monkeypatch.setattr(sys, "argv", ["finetune.py", str(recipe), *words])
    runpy.run_path(str(RECIPES / "finetune.py"), run_name="__main__")
    config = json.loads((output / "config.json").read_text())
    assert (config["pooling"], config["label_smoothing"]) == ("mean", 0.2)
    assert config["label_rule"]["labels"] == ["negative", "positive"]


def test_the_script_trains_where_nothing_is_evaluated(
    tmp_path: Path, tiny_checkpoint: Path, reviews_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--use_cpu"]
    monkeypatch.setattr(sys, "argv", ["finetune.py", *words, "--output_dir", str(tmp_path / "run"), "--max_steps", "2"])
    runpy.run_path(str(RECIPES / "finetune.py"), run_name="__main__")
    assert (tmp_path / "run" / "test_results.json").is_file()


def test_the_script_trains_without_held_out_texts_from_a_taught_encoder(
    tmp_path: Path, tiny_sentence_encoder: Path, reviews_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    words = ["--model_name_or_path", str(tiny_sentence_encoder), "--train_file", str(reviews_file), "--use_cpu"]
    words += ["--output_dir", str(output), "--max_steps", "2", "--validation_share", "0", "--test_share", "0"]
    words += ["--head_first", "true", "--lexicon", "true", "--layerwise_lr_decay", "0.9"]
    monkeypatch.setattr(sys, "argv", ["finetune.py", *words])
    runpy.run_path(str(RECIPES / "finetune.py"), run_name="__main__")
    assert (output / "model.safetensors").is_file() and not (output / "test_results.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unlabeled_file", "u.csv"], "error: --unlabeled_file u.csv: `hf-sentiment train` takes it, and nothing"),
        (["--imbalance", "class_weights"], "error: --imbalance is not for this script: leave it out"),
        (["--train_fiel", "r.csv"], "error: unknown argument --train_fiel, did you mean --train_file?"),
        (["--train_file", "nowhere.csv"], "error: nowhere.csv: no such file"),
        (["--resume_from_checkpoint", "run/checkpoint-9"], "error: --resume_from_checkpoint run/checkpoint-9: no chec"),
    ],
)
def test_a_wrong_call_of_the_script_is_one_line(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["finetune.py", "--output_dir", str(tmp_path / "run"), *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(RECIPES / "finetune.py"), run_name="__main__")
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(message)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.faults)])
def test_a_script_that_a_signal_stops_saves_fails_and_can_go_on(
    number: int, tmp_path: Path, tiny_checkpoint: Path, reviews_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "run"
    words = [sys.executable, str(RECIPES / "finetune.py"), "--model_name_or_path", str(tiny_checkpoint), "--use_cpu"]
    words += ["--train_file", str(reviews_file), "--output_dir", str(output), "--max_steps", "300"]
    words += ["--logging_steps", "1", "--save_strategy", "no", "--disable_tqdm", "true", "--validation_share", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if "'loss'" in line:
            process.send_signal(number)
            break
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    (checkpoint,) = output.glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    said = f"error: stopped at step {step} of 300, which is saved: go on with trainer.train("
    assert said in err.strip().splitlines()[-1] and f"--resume_from_checkpoint {checkpoint})" in err
    # Nothing was tested or saved as if it had ended.
    assert not (output / "model.safetensors").exists() and not (output / "test_results.json").exists()
    again = [*words[1:], "--resume_from_checkpoint", str(checkpoint), "--max_steps", str(step + 2)]
    monkeypatch.setattr(sys, "argv", again)
    runpy.run_path(str(RECIPES / "finetune.py"), run_name="__main__")
    assert (output / "model.safetensors").is_file() and (output / "test_results.json").is_file()
