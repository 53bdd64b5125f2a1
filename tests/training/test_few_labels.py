"""`train` with few labels, and with none: usable models, honestly described."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers.trainer_utils import IntervalStrategy

from hf_sentiment.commands.train import train
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.training.arguments import SentimentArguments, parse_call, split_arguments
from hf_sentiment.training.assemble import assemble

Cli = Callable[..., tuple[int, str, str]]


def write(path: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = ("text", "label")) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def card_of(folder: Path) -> str:
    return " ".join((folder / "README.md").read_text(encoding="utf-8").split())


def evaluation_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "records" / "evaluation.json").read_text())
    return record


@pytest.fixture(scope="module")
def call(tiny_sentence_encoder: Path) -> list[str]:
    return ["--model_name_or_path", str(tiny_sentence_encoder), "--use_cpu", "true", "--disable_tqdm", "true"]


@pytest.fixture(scope="module")
def few_file(tmp_path_factory: pytest.TempPathFactory, reviews: list[tuple[str, str]]) -> Path:
    """Forty labelled texts, as many of each label. Read-only."""
    return write(tmp_path_factory.mktemp("few") / "few.csv", reviews[::6])


@pytest.fixture(scope="module")
def unlabeled_file(tmp_path_factory: pytest.TempPathFactory, reviews: list[tuple[str, str]]) -> Path:
    """All texts but those of `few_file`, without labels. Read-only."""
    rows = [[text] for index, (text, _) in enumerate(reviews) if index % 6]
    return write(tmp_path_factory.mktemp("unlabeled") / "texts.csv", rows, ["text"])


@pytest.fixture(scope="module")
def few(call: list[str], few_file: Path, finish: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on forty labels. Read-only."""
    return finish([*call, "--train_file", str(few_file)], tmp_path_factory.mktemp("runs") / "few")


def test_forty_labels_are_all_trained_on_and_judged_on_folds(few: Path) -> None:
    evaluation = evaluation_of(few)
    assert (evaluation["split"], evaluation["texts"], evaluation["training"]["steps"]) == ("cross-validation", 40, 0)
    assert set(evaluation["baselines"]) == {"majority", "tfidf_logistic_regression"}
    assert 0.02 < evaluation["temperature"] <= 1  # every one of them is right
    accuracy = evaluation["model"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    decisions = json.loads((few / "records" / "plan.json").read_text())["decisions"]
    assert decisions["validation"]["value"] == "cross-validation" and decisions["lexicon"]["value"] is True
    assert not list(few.glob("checkpoint-*"))


def words_of(folder: Path) -> str:
    """The words in the picture of a run, which are drawn as shapes, each with a comment that spells it."""
    assert (folder / "records" / "curves.png").stat().st_size > 1000
    picture = (folder / "records" / "curves.svg").read_text(encoding="utf-8")
    return " ".join(re.findall(r"<!-- (.*?) -->", picture)).replace("&#45;", "-")


def history_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records" / "history.jsonl").read_text().splitlines()]


def test_a_head_alone_leaves_a_history_and_a_picture_of_what_was_measured(few: Path) -> None:
    (row,), evaluation = history_of(few), evaluation_of(few)
    assert (row["step"], row["epoch"], row["final"], row["texts"]) == (0, 0.0, "cross-validation", 40)
    assert row["folds_accuracy"] == evaluation["model"]["accuracy"]["value"]
    assert row["folds_loss_low"] == evaluation["model"]["log_loss"]["low"] <= row["folds_loss"]
    words = words_of(few)
    assert "Measured in cross-validation on the 40 training texts, 95 % intervals" in words
    assert all(name in words for name in ("this model", "TF-IDF + logistic regression", "majority label"))
    assert "log loss (lower is better)" in words and f"{row['folds_accuracy']:.3f}" in words
    assert "curves.png" in card_of(few)


def report_of(folder: Path) -> str:
    """The words of a run's report."""
    page = (folder / "records" / "report.html").read_text(encoding="utf-8")
    return " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_the_report_of_a_head_alone_has_pictures_and_says_what_there_is_not(few: Path) -> None:
    assert (few / "records" / "report.html").read_text(encoding="utf-8").count("data:image/svg+xml") == 2
    report = report_of(few)
    assert "Cross-validation on the 40 training texts" in report and "there is no course to draw" in report
    assert "fitted on the folds" in report and "There was no overfitting alarm" in report
    assert "What was decided, and why" in report and "he check of the data found" in report


def test_a_run_without_labels_leaves_them_too(
    call: list[str], unlabeled_file: Path, few_file: Path, finish: Callable[..., Path], tmp_path: Path
) -> None:
    named = ["--labels", "negative,positive"]
    divided = finish([*call, *named, "--unlabeled_file", str(unlabeled_file)], tmp_path / "divided")
    (row,) = history_of(divided)
    assert row["final"] == "nothing measured" and row["elapsed_seconds"] > 0
    assert "labels the 200 unlabelled texts" in words_of(divided) and "Nothing was measured" in words_of(divided)
    assert "no labelled text to measure it on" in report_of(divided)
    assert "How the model labels the texts without labels" in report_of(divided)
    alone = finish([*call, *named, "--train_file", str(few_file), "--max_train_samples", "0"], tmp_path / "alone")
    assert history_of(alone)[0]["step"] == 0 and "Nothing was measured" in words_of(alone)


def test_all_weights_without_evaluations_leave_the_training_loss_and_what_was_measured(
    call: list[str], reviews_file: Path, finish: Callable[..., Path], tmp_path: Path
) -> None:
    words = [*call, "--train_file", str(reviews_file), "--max_steps", "6", "--eval_strategy", "no"]
    half = finish([*words, "--fine_tuned_share", "0.5"], tmp_path / "half")
    *course, final = history_of(half)
    assert [row["step"] for row in course] == [1, 2, 3, 4, 5, 6] and all("train_loss" in row for row in course)
    assert (final["step"], final["final"]) == (6, "test") and "train_loss" not in final
    assert final["test_loss"] == evaluation_of(half)["model"]["log_loss"]["value"]
    drawn = words_of(half)
    assert "are kept are not on this curve: 0.5 of the way" in drawn and "what is kept, on 48 test" in drawn
    whole = finish([*words, "--test_share", "0", "--fine_tuned_share", "1"], tmp_path / "whole")
    assert history_of(whole)[-1]["final"] == "nothing measured"
    assert "kept, the last: step 6" in words_of(whole)


def test_evaluated_weights_that_are_mixed_afterwards_are_no_point_of_the_curve(
    call: list[str], reviews_file: Path, finish: Callable[..., Path], tmp_path: Path
) -> None:
    words = [*call, "--train_file", str(reviews_file), "--num_train_epochs", "1", "--validation_share", "0.2"]
    mixed = finish([*words, "--eval_strategy", "epoch", "--fine_tuned_share", "0.8"], tmp_path / "mixed")
    assert all("eval_loss" in row and "final" not in row for row in history_of(mixed))
    drawn = words_of(mixed)
    assert "are kept are not on this curve: 0.8 of the way" in drawn and "lowest validation loss" in drawn


def test_the_card_says_that_it_was_cross_validated_and_claims_no_test_split(few: Path) -> None:
    from huggingface_hub import ModelCard

    card = card_of(few)
    assert (
        "Measured by cross-validation on the 40 training texts" in card and "Accuracy in cross-validation: **" in card
    )
    assert "of the test split" not in card and "held-out" not in card and "No text is in two splits" not in card
    assert "Trained: the linear head, by regularised logistic regression" in card and "Trained: all weights" not in card
    assert "the encoder was taught the valences of a sentiment lexicon" in card and "Source of the lexicon" in card
    assert not ModelCard.load(few / "README.md").data.eval_results


def test_the_saved_head_is_the_regression_on_the_taught_encoder(
    few: Path, call: list[str], few_file: Path, finish: Callable[..., Path], tmp_path: Path
) -> None:
    words = [*call, "--train_file", str(few_file)]
    again = finish(words, tmp_path / "again")
    first, second = (load_file(folder / "model.safetensors") for folder in (few, again))
    assert all(first[name].equal(second[name]) for name in first)
    plain = finish([*words, "--lexicon", "false"], tmp_path / "plain")
    other = load_file(plain / "model.safetensors")
    assert any(not first[name].equal(other[name]) for name in first if name.startswith("bert.encoder"))
    assert "lexicon" not in card_of(plain).split("Training arguments")[0]


def test_it_predicts_and_can_be_published(few: Path, few_file: Path, run_cli: Cli) -> None:
    code, out, err = run_cli("predict", few, few_file, "--text_column", "text")
    assert code == 0, err
    assert {json.loads(line)["label"] for line in out.splitlines()} <= {"negative", "positive"}
    assert len(out.splitlines()) == 40
    code, _, err = run_cli("publish", few, "someone/few", "--dry_run")
    assert code == 0, err


def test_folds_tell_a_temperature(call: list[str], reviews_file: Path, tmp_path: Path) -> None:
    words = [*call, "--train_file", str(reviews_file), "--num_train_epochs", "0", "--test_share", "0"]
    arguments = parse_call([*words, "--output_dir", str(tmp_path / "run")])
    result = train(**arguments)
    assert result is not None and result.evaluation.temperature is not None
    assert "fitted on the folds" in card_of(tmp_path / "run")


def test_rare_labels_count_as_much(call: list[str], reviews: list[tuple[str, str]], tmp_path: Path) -> None:
    rows = write(tmp_path / "skewed.csv", [*reviews[:90], *reviews[-10:]])
    common = [*call, "--train_file", str(rows), "--lexicon", "false", "--calibrate", "false"]
    texts = [text for text, _ in reviews[:5]]
    found = {}
    for kind in ("none", "logit_adjustment", "class_weights"):
        arguments = parse_call([*common, "--imbalance", kind, "--output_dir", str(tmp_path / kind)])
        result = train(**arguments)
        assert result is not None
        found[kind] = softmax(SentimentClassifier.from_pretrained(tmp_path / kind).logits(texts))
    plain, adjusted = found["none"], found["logit_adjustment"]
    assert (found["class_weights"][:, 0] > plain[:, 0]).all()
    np.testing.assert_allclose(
        adjusted[:, 0] / adjusted[:, 1], 9 * plain[:, 0] / plain[:, 1], rtol=1e-4
    )  # nine times as many of the other label
    config = json.loads((tmp_path / "class_weights" / "config.json").read_text())
    assert config["class_weights"] == pytest.approx([5.0, 100 / 180])
    assert json.loads((tmp_path / "none" / "config.json").read_text()).get("class_weights") is None
    assert "Rare labels weighed more in the loss" in card_of(tmp_path / "class_weights")
    assert "(logit adjustment)" in card_of(tmp_path / "logit_adjustment")


@pytest.mark.parametrize(
    ("words", "sizes", "validation"),
    [
        ([], {"train": 192, "test": 48}, "cross-validation"),  # 192 are fewer than 200: the head alone
        (["--num_train_epochs", "1"], {"train": 192, "test": 48}, "none"),
        (["--early_stopping_patience", "2"], {"train": 144, "validation": 48, "test": 48}, "split"),
        (["--alarm", "stop"], {"train": 144, "validation": 48, "test": 48}, "split"),
        (["--eval_strategy", "epoch"], {"train": 144, "validation": 48, "test": 48}, "split"),
        (["--metric_for_best_model", "macro_f1"], {"train": 144, "validation": 48, "test": 48}, "split"),
        (["--eval_strategy", "no"], {"train": 192, "test": 48}, "cross-validation"),
    ],
)
def test_validation_texts_are_held_out_of_few_only_for_what_needs_them(
    words: list[str], sizes: dict[str, int], validation: str, call: list[str], reviews_file: Path, tmp_path: Path
) -> None:
    said = parse_call([*call, *words, "--train_file", str(reviews_file), "--output_dir", str(tmp_path / "run")])
    run = assemble(*split_arguments(said))
    assert {name: len(split) for name, split in run.data.splits.items()} == sizes
    assert run.plan.validation.value == validation
    assert run.model.config.label_smoothing == (0.1 if validation == "none" else 0.0)


def test_no_evaluations_can_be_said_in_transformers_words(
    tiny_sentence_encoder: Path, reviews_file: Path, tmp_path: Path
) -> None:
    arguments = SentimentArguments(model_name_or_path=str(tiny_sentence_encoder), train_file=str(reviews_file))
    run = assemble(arguments, {"output_dir": str(tmp_path / "run"), "eval_strategy": IntervalStrategy.NO})
    assert "validation" not in run.splits and not run.stopping.keeps_best and run.alarm is None


@pytest.mark.parametrize(("more", "saved"), [({}, 3), ({"save_steps": 5}, 5)])
def test_steps_between_evaluations_are_those_between_checkpoints(
    more: dict[str, int], saved: int, tiny_sentence_encoder: Path, reviews_file: Path, tmp_path: Path
) -> None:
    arguments = SentimentArguments(model_name_or_path=str(tiny_sentence_encoder), train_file=str(reviews_file))
    run = assemble(arguments, {"output_dir": str(tmp_path / "run"), "eval_steps": 3, "num_train_epochs": 1.0, **more})
    said = run.trainer.args
    assert (said.eval_strategy, said.eval_steps, said.save_strategy, said.save_steps) == ("steps", 3, "steps", saved)
    assert len(run.splits["validation"])


def test_what_the_user_wants_trained_is_trained(call: list[str], few_file: Path, tmp_path: Path, run_cli: Cli) -> None:
    words = ["train", *call, "--train_file", few_file, "--lexicon", "false"]
    for name, more in (
        ("steps", ["--max_steps", "3"]),
        ("epochs", ["--num_train_epochs", "1"]),
        ("lora", ["--lora", "true", "--max_steps", "3"]),
        ("no_head", ["--head_first", "false", "--max_steps", "3"]),
    ):
        code, _, err = run_cli(*words, *more, "--output_dir", tmp_path / name)
        assert code == 0, err
        assert evaluation_of(tmp_path / name)["training"]["steps"] == 3
        card = card_of(tmp_path / name)
        assert ("low-rank adapters of rank 8" if name == "lora" else "Trained: all weights") in card, name
        assert "Nothing was measured" in err and "**Nothing was measured.**" in card, name


@pytest.fixture(scope="module")
def tested_without_labels(
    call: list[str],
    unlabeled_file: Path,
    few_file: Path,
    finish: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A run without labels, measured on forty. Read-only."""
    words = [*call, "--unlabeled_file", str(unlabeled_file), "--labels", "negative,positive"]
    return finish([*words, "--test_file", str(few_file)], tmp_path_factory.mktemp("runs") / "tested")


def test_without_labels_and_without_a_test_nothing_is_claimed(
    call: list[str], unlabeled_file: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = tmp_path / "run"
    words = ["--unlabeled_file", unlabeled_file, "--labels", "negative,positive", "--output_dir", folder]
    code, _, err = run_cli("train", *call, *words)
    assert code == 0, err
    assert f"Nothing was measured: hf-sentiment evaluate {folder} --test_file FILE does, with labels" in err
    assert "model" not in evaluation_of(folder)
    card = card_of(folder)
    assert "**No labelled text was seen.**" in card and "without a labelled text" in card
    assert "**Nothing was measured.**" in card and "of a sentiment lexicon and of 200 texts without labels" in card
    for claim in ("Measured on", "Accuracy", "Trained: ", "fine-tuned on", "Licence of the data"):
        assert claim not in card, claim
    code, out, err = run_cli("predict", folder, unlabeled_file)
    assert code == 0 and len(out.splitlines()) == 200, err
    code, _, err = run_cli("publish", folder, "someone/none", "--dry_run")
    assert code == 0, err


def test_beside_labels_the_others_are_scored_where_the_scores_are_right(
    call: list[str],
    few: Path,
    unlabeled_file: Path,
    few_file: Path,
    reviews: list[tuple[str, str]],
    finish: Callable[..., Path],
    tmp_path: Path,
) -> None:
    scored = finish([*call, "--train_file", str(few_file), "--unlabeled_file", str(unlabeled_file)], tmp_path / "run")
    facts = json.loads((scored / "records" / "plan.json").read_text())["facts"]
    assert facts["rules_right"] > 0.9 and facts["unlabeled"] == 200
    assert evaluation_of(scored)["training"]["unlabeled_texts"] == 200
    assert "it was also taught their score of 200 texts without labels" in card_of(scored)
    plain, taught = (load_file(folder / "model.safetensors") for folder in (few, scored))
    layers = [name for name in plain if ".layer." in name]
    assert all(not torch.equal(plain[name], taught[name]) for name in layers)
    # Where the labels say something else than the words, nothing is learned from the others.
    rows = [(text, ("negative", "positive")[number % 3 == 0]) for number, (text, _) in enumerate(reviews[::6])]
    other = write(tmp_path / "other.csv", rows)
    alone = finish([*call, "--train_file", str(other)], tmp_path / "alone")
    unused = finish([*call, "--train_file", str(other), "--unlabeled_file", str(unlabeled_file)], tmp_path / "unused")
    assert (alone / "model.safetensors").read_bytes() == (unused / "model.safetensors").read_bytes()
    assert evaluation_of(unused)["training"]["unlabeled_texts"] == 0
    assert json.loads((unused / "records" / "plan.json").read_text())["facts"]["rules_right"] < 0.9


def test_without_labels_the_test_is_one(tested_without_labels: Path) -> None:
    evaluation = evaluation_of(tested_without_labels)
    assert (evaluation["split"], evaluation["texts"], "temperature" in evaluation) == ("test", 40, False)
    assert evaluation["baselines"] == {}
    card = card_of(tested_without_labels)
    assert "**No labelled text was seen.**" in card and "Measured on 40 texts of the test split" in card
    assert "| test | 40 | 20 / 20 | given |" in card and "| train |" not in card
    assert "200 texts without labels (" in card


def test_the_labels_order_is_the_users(
    call: list[str],
    unlabeled_file: Path,
    tested_without_labels: Path,
    finish: Callable[..., Path],
    tmp_path: Path,
) -> None:
    words = [*call, "--unlabeled_file", str(unlabeled_file), "--labels", "positive,negative"]
    run = finish(words, tmp_path / "run")
    texts = ["good film", "awful book", "the plot was dull"]
    found, expected = (SentimentClassifier.from_pretrained(folder) for folder in (run, tested_without_labels))
    # Expectation maximisation begins with the other one first, and ends near by.
    np.testing.assert_allclose(found.logits(texts)[:, ::-1], expected.logits(texts), atol=0.5)
    assert (found.logits(texts).argmax(axis=1) == 1 - expected.logits(texts).argmax(axis=1)).all()


def test_no_training_samples_leave_the_labels_for_the_test(
    call: list[str], reviews_file: Path, tmp_path: Path, run_cli: Cli
) -> None:
    folder = tmp_path / "run"
    words = ["--train_file", reviews_file, "--max_train_samples", "0", "--output_dir", folder]
    code, _, err = run_cli("train", *call, *words)
    assert code == 0, err
    evaluation = evaluation_of(folder)
    assert (evaluation["split"], evaluation["texts"], "temperature" in evaluation) == ("test", 48, False)
    card = card_of(folder)
    assert "**No labelled text was seen.**" in card and "divided by a temperature" not in card


def test_texts_without_labels_in_another_language_are_refused(call: list[str], tmp_path: Path, run_cli: Cli) -> None:
    german = [
        f"Der Film Nummer {number} gefiel mir überhaupt nicht, die Handlung war langweilig." for number in range(60)
    ]
    unlabeled = write(tmp_path / "de.csv", [[text] for text in german], ["text"])
    labeled = write(
        tmp_path / "labelled.csv", [(text, ("negative", "positive")[i % 2]) for i, text in enumerate(german)]
    )
    for words in (
        ["--unlabeled_file", unlabeled],
        ["--train_file", labeled, "--max_train_samples", "0", "--test_file", labeled],
    ):
        code, _, err = run_cli("train", *call, *words, "--output_dir", tmp_path / "run")
        assert code == 2 and "no sentiment lexicon for the texts' language" in err.splitlines()[-1], err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unlabeled_file", "{un}", "--labels", "ham,spam"], "no labelled texts, and no lexicon (the labels are no"),
        (["--unlabeled_file", "{un}", "--labels", "ham,spam", "--lexicon", "true"], "ham, spam are no polarities"),
        (["--unlabeled_file", "{un}", "--lexicon", "false"], "no labelled texts, and no lexicon (set by you)"),
        (["--unlabeled_file", "{un}", "--model_name_or_path", "{plain}"], "only measured for sentence encoders"),
        (["--unlabeled_file", "{un}", "--num_train_epochs", "3"], "--num_train_epochs needs labelled texts"),
        (["--unlabeled_file", "{un}", "--max_steps", "3"], "--max_steps needs labelled texts"),
        (["--unlabeled_file", "{un}", "--imbalance", "class_weights"], "--imbalance needs labelled texts"),
        (["--train_file", "{all}", "--max_train_samples", "0", "--imbalance", "logit_adjustment"], "--imbalance needs"),
        (["--unlabeled_file", "{none}"], "none.csv"),
        (["--unlabeled_file", "{none}", "--train_file", "{few}"], "none.csv"),
        (["--train_file", "{few}", "--eval_strategy", "epoch"], "--eval_strategy epoch needs validation texts"),
        (["--train_file", "{few}", "--early_stopping_patience", "2"], "needs validation texts"),
        (["--train_file", "{few}", "--layerwise_lr_decay", "0.9", "--lora", "true"], "--layerwise_lr_decay 0.9 and"),
        (["--train_file", "{all}", "--fine_tuned_share", "0.5", "--lora", "true"], "--fine_tuned_share 0.5 and --lora"),
        (["--train_file", "{all}", "--fine_tuned_share", "0.5", "--head_first", "false"], "give --head_first true"),
        (["--train_file", "{all}", "--fine_tuned_share", "0"], "--fine_tuned_share must be more than 0"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    words: list[str],
    message: str,
    call: list[str],
    few_file: Path,
    reviews_file: Path,
    unlabeled_file: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    run_cli: Cli,
) -> None:
    names = {"un": unlabeled_file, "few": few_file, "all": reviews_file, "none": tmp_path / "none.csv"}
    names["plain"] = tiny_checkpoint
    code, out, err = run_cli(
        "train", *call, *(word.format(**names) for word in words), "--output_dir", tmp_path / "run"
    )
    assert (code, out) == (2, ""), err
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and message.format(**names) in errors[0] and "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_a_rate_that_destroys_is_warned_of_once(call: list[str], few_file: Path, tmp_path: Path, run_cli: Cli) -> None:
    words = ["--train_file", few_file, "--lexicon", "false", "--max_steps", "2"]
    for rate, times in (("1e-2", 1), ("5e-5", 0)):
        code, _, err = run_cli("train", *call, *words, "--learning_rate", rate, "--output_dir", tmp_path / rate)
        assert code == 0, err
        assert err.count("is outside 1e-06 to 0.0004") == times


@pytest.mark.parametrize("more", [["--lora", "true"], ["--fine_tuned_share", "0.5"]], ids=["adapters", "half_way"])
def test_what_was_taught_the_lexicon_goes_on_from_a_checkpoint(
    more: list[str],
    call: list[str],
    reviews_file: Path,
    tmp_path: Path,
    run_cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["train", *call, "--train_file", reviews_file, "--lexicon", "true", *more]
    words += ["--num_train_epochs", "1", "--eval_strategy", "no"]
    code, _, err = run_cli(*words, "--output_dir", tmp_path / "whole")
    assert code == 0, err
    with monkeypatch.context() as patch:
        patch.setattr("hf_sentiment.commands.train.render_card", lambda *_: 1 / 0)
        assert run_cli(*words, "--output_dir", tmp_path / "killed")[0] == 1
    code, _, err = run_cli(*words, "--output_dir", tmp_path / "killed")
    assert code == 0 and "Going on with the unfinished run" in err
    killed, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "whole"))
    assert all(killed[name].equal(whole[name]) for name in whole)
