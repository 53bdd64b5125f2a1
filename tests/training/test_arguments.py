"""YAML recipes and flags become the arguments of both classes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hf_sentiment.errors import CallError
from hf_sentiment.training.arguments import SentimentArguments, parse_arguments, parse_call, split_arguments


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("words", "strategy"),
    [(["--early_stopping_patience", "2"], "epoch"), (["--alarm", "stop"], "epoch"), (["--eval_steps", "4"], "steps")],
)
def test_a_script_refuses_what_it_would_ignore(words: list[str], strategy: str, tmp_path: Path) -> None:
    call = ["--output_dir", str(tmp_path), *words]
    with pytest.raises(CallError, match=rf"{words[0]} {words[1]} needs evaluations: add --eval_strategy {strategy}"):
        parse_arguments(call)
    parse_arguments([*call, "--eval_strategy", "epoch"])


def test_processes_that_do_not_know_of_each_other_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(CallError, match=r"^WORLD_SIZE is 2, and nothing says how the processes meet: start them by"):
        parse_arguments(["--output_dir", str(tmp_path)])


def test_a_flag_overrides_the_recipe(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "learning_rate: 2e-5\nnum_train_epochs: 3\nlabels: [bad, good]\nbf16: null\n")
    said = parse_call([recipe, "--learning_rate", "3e-5"])
    assert said == {"labels": ["bad", "good"], "learning_rate": 3e-5, "num_train_epochs": 3.0}
    assert parse_call(["--learning_rate", "3e-5", recipe]) == said  # wherever the recipe stands


def test_only_what_was_said_is_returned() -> None:
    assert parse_call([]) == {}


def test_switches_in_recipes_and_as_flags(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "load_best_model_at_end: true\ncalibrate: false\nhead_first: true\n")
    said = parse_call([recipe, "--bf16"])
    assert said == {"calibrate": False, "head_first": True, "load_best_model_at_end": True, "bf16": True}
    assert parse_call(["--no_calibrate"]) == {"calibrate": False}
    assert parse_call(["--no-head-first", "--lora"]) == {"head_first": False, "lora": True}


def test_both_classes_are_built(tmp_path: Path) -> None:
    sentiment, training = parse_arguments(["--output_dir", str(tmp_path), "--labels", "bad,good", "--seed", "7"])
    assert sentiment.labels == ["bad", "good"]
    assert training.seed == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learning_rte", "1"], "unknown argument --learning_rte, did you mean --learning_rate?"),
        (["--learning_rate", "fast"], "--learning_rate: invalid float value: 'fast'"),
        (["reviews.csv"], "reviews.csv: say what the file is for: --train_file reviews.csv"),
        (["recipe"], "recipe: expected a recipe that ends with .yaml, or --name value"),
        (["none.yaml"], "none.yaml: No such file or directory: name a YAML recipe, such as recipes/starter.yaml"),
        (
            ["--learning_rate"],
            "--learning_rate: expected one argument, and what begins with - is joined to it: --learning_rate=-VALUE",
        ),
        (["--no-calibrat"], "unknown argument --no-calibrat, did you mean --no_calibrate?"),
        (["--max-lenght", "9"], "unknown argument --max-lenght, did you mean --max_length?"),
        # What is a word has no flag.
        (["--recipe", "r.yaml"], "unknown argument --recipe: `hf-sentiment train --help` lists the arguments"),
        (["--no_calibrate=true"], "--no_calibrate: takes no value, got 'true'"),
    ],
)
def test_a_wrong_call_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(CallError) as caught:
        parse_call(words)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rte: 1", "unknown argument --learning_rte, did you mean --learning_rate?"),
        ("seed: x", "--seed: invalid int value: 'x'"),
        ("seed: [1, 2]", "2 is a value too many: `hf-sentiment train --help` says what is taken"),
        ("no_calibrate: true", "true is a value too many: `hf-sentiment train --help` says what is taken"),
    ],
)
def test_a_wrong_line_names_its_recipe(line: str, message: str, tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", f"{line}\n")
    with pytest.raises(CallError) as caught:
        parse_call([recipe])
    assert str(caught.value) == f"{recipe}: {message}"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"seed": -1}, "--seed must be a number of at least 0, got -1"),
        ({"seed": 2**32}, "--seed must be at most 4294967295, got 4294967296"),
        ({"per_device_train_batch_size": 0}, "--per_device_train_batch_size must be a number of at least 1, got 0"),
        ({"num_train_epochs": -1.0}, "--num_train_epochs must be a number of at least 0, got -1.0"),
        ({"learning_rate": float("nan")}, "--learning_rate must be a number of at least 0, got nan"),
        ({"learning_rate": "2e-5"}, "--learning_rate must be a number of at least 0, got '2e-5'"),
    ],
)
def test_numbers_with_which_nothing_trains_are_refused_at_once(said: dict[str, object], message: str) -> None:
    with pytest.raises(CallError) as caught:
        split_arguments(said)
    assert str(caught.value) == message


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    recipe = write(tmp_path / "r.yaml", "seed: 1\nlabels: [a\n")
    with pytest.raises(CallError, match=r"r\.yaml, line \d: not YAML"):
        parse_call([recipe])
    with pytest.raises(CallError, match="a recipe is a list of `name: value` lines"):
        parse_call([write(tmp_path / "s.yaml", "- seed\n")])
    with pytest.raises(CallError, match=r"d\.yaml: --seeds needs a value, got --$"):
        parse_call([write(tmp_path / "d.yaml", "seeds: '--'\n")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_bad_rows": "ignore"}, "--on_bad_rows must be one of error, drop, got 'ignore'"),
        ({"pooling": "sum"}, "--pooling must be one of pooler, cls, mean, max, got 'sum'"),
        ({"test_share": 0.6}, "--test_share must be at least 0 and less than 0.5, got 0.6"),
        ({"classifier_dropout": 1.0}, "--classifier_dropout must be at least 0 and less than 1, got 1.0"),
        ({"max_length": 1}, "--max_length must be at least 4, got 1"),
        ({"train_file": "a.csv", "dataset_name": "starter"}, "are two sources: name one"),
        ({"unlabeled_file": "u.csv", "max_train_samples": 8}, "--max_train_samples: nothing is split off"),
        ({"unlabeled_file": "u.csv", "validation_file": "v.csv"}, "v.csv is nothing to train on"),
        ({"unlabeled_file": "u.csv", "num_labels": 3}, "--num_labels 3: .* --labels negative,neutral,positive"),
        ({"unlabeled_file": "u.csv", "test_share": 0.1}, "--test_share: nothing is split off"),
        ({"imbalance": "smote"}, "--imbalance must be one of none, class_weights, logit_adjustment, got 'smote'"),
        ({"layerwise_lr_decay": 1.2}, "--layerwise_lr_decay must be more than 0 and at most 1, got 1.2"),
        ({"max_train_samples": -1}, "--max_train_samples must be at least 0, got -1"),
    ],
)
def test_values_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(CallError, match=message.replace("(", r"\(")):
        SentimentArguments(**options)  # type: ignore[arg-type]


def test_the_help_has_every_pooling_and_only_these() -> None:
    from hf_sentiment.model.configuration_bert_sentiment import POOLINGS

    (pooling,) = (item for item in dataclasses.fields(SentimentArguments) if item.name == "pooling")
    assert pooling.metadata["help"].startswith(f"{', '.join(POOLINGS[:-1])} or {POOLINGS[-1]}.")


def test_the_starter_data_are_the_default() -> None:
    assert SentimentArguments().dataset_name == "starter"
    assert SentimentArguments(train_file="a.csv").dataset_name is None


def test_a_script_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parse_arguments(["--help"])
    assert stop.value.code == 0
    assert "--train_file FILE" in capsys.readouterr().out
