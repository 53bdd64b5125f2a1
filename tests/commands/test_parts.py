"""`train --folds` and `--seeds`: runs that a run is made of, and how far they differ."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_sentiment.commands.parts import fold_parts
from hf_sentiment.commands.train import train
from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.errors import CallError, DataError

Finish = Callable[[Sequence[str], Path], Path]
Cli = Callable[..., tuple[int, str, str]]


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_each_text_is_judged_by_a_run_on_the_others_and_duplicates_stay_together(tmp_path: Path) -> None:
    rows = [(f"a {word} film number {number}", label) for number in range(6) for word, label in
            (("good", "positive"), ("bad", "negative"))]  # fmt: skip
    rows += [("A good film, number 0!", "positive"), ("a bad film: number 3", "negative")]
    file = tmp_path / "few.csv"
    file.write_text("text,label\n" + "\n".join(f'"{text}",{label}' for text, label in rows))
    data = prepare_data(train_file=str(file), validation_share=0.0, test_share=0.0)
    parts = list(fold_parts(data, 3, seed=1))
    held = np.concatenate([part.held for part in parts])
    assert sorted(held) == list(range(len(rows)))
    for part in parts:
        trained, judged = set(part.texts["train"]["text"]), set(part.judged["text"])
        assert not trained & judged and len(trained) + len(judged) == len(rows)
        assert {"a good film number 0", "A good film, number 0!"} - trained in (
            set(),
            {"a good film number 0", "A good film, number 0!"},
        )
        assert {"positive", "negative"} == set(part.texts["train"]["label"])
    with pytest.raises(DataError, match=r"--folds 9 are too many \(label .* only 7 .*, 6 of them .*\): say fewer"):
        list(fold_parts(data, 9, seed=1))


@pytest.fixture(scope="module")
def folds(finish: Finish, tiny_checkpoint: Path, reviews_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--folds", "2"]
    words += ["--max_train_samples", "40", "--num_train_epochs", "1", "--report_to", "none"]
    return finish(words, tmp_path_factory.mktemp("folds") / "run")


def test_too_many_folds_leave_nothing(tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path, run_cli: Cli) -> None:
    words = ["--model_name_or_path", tiny_checkpoint, "--train_file", reviews_file, "--max_train_samples", "40"]
    code, _, said = run_cli("train", *words, "--folds", "90", "--output_dir", tmp_path / "run")
    assert code == 1 and said.splitlines()[-1].startswith("error: --folds 90 are too many (")
    assert not (tmp_path / "run").exists()


def test_what_asks_for_validation_texts_is_of_the_final_run(
    tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path, run_cli: Cli
) -> None:
    words = ["--model_name_or_path", tiny_checkpoint, "--train_file", reviews_file, "--folds", 2, "--eval_steps", 1]
    words += ["--max_train_samples", 40, "--validation_share", 0.2, "--max_steps", 2, "--report_to", "none"]
    code, _, said = run_cli("train", *words, "--alarm", "stop", "--output_dir", tmp_path / "run")
    assert code == 0, said
    evaluated = [path for path in tmp_path.rglob("history.jsonl") if '"eval_loss"' in path.read_text()]
    assert evaluated == [tmp_path / "run" / "records" / "history.jsonl"]


def test_folds_measure_and_the_final_model_is_trained_on_all(folds: Path) -> None:
    evaluation = read(folds / "records" / "evaluation.json")
    assert evaluation["split"] == "cross-validation" and evaluation["texts"] == 40
    assert read(folds / "records" / "audit.json")["used"] == {"train": 40}
    assert [read(path)["used"] for path in sorted(folds.glob("folds/*/records/audit.json"))] == [{"train": 20}] * 2
    # What is measured is what the runs of the folds said, at the temperature that was fitted on it.
    logits = np.concatenate([np.load(path) for path in sorted(folds.glob("folds/*/records/held_out.npy"))])
    assert logits.shape == (40, 2) and evaluation["temperature"] > 0
    (spread,) = evaluation["training"]["spreads"]
    assert spread["kind"] == "folds" and spread["runs"] == [20, 20]
    assert spread["accuracy"]["mean"] == pytest.approx(evaluation["model"]["accuracy"]["value"])
    assert spread["accuracy"]["least"] <= spread["accuracy"]["mean"] <= spread["accuracy"]["most"]
    assert (
        "Over 2 folds" in (folds / "README.md").read_text()
        and "Over 2 folds" in (folds / "records" / "report.html").read_text()
    )
    assert (folds / "model.safetensors").is_file() and not list(folds.glob("folds/**/*.safetensors"))


def test_folds_are_planned_as_the_whole(folds: Path) -> None:
    whole, part = (read(folds / place / "records" / "plan.json")["decisions"] for place in (".", "folds/fold-1"))
    for name in ("learning_rate", "max_length", "label_smoothing_factor", "fine_tuned_share", "num_train_epochs"):
        assert whole[name]["value"] == part[name]["value"], name


def test_seeds_have_the_same_splits_and_other_weights(
    tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    arguments = {"model_name_or_path": str(tiny_checkpoint), "train_file": str(reviews_file), "num_train_epochs": 1}
    run = train(**arguments, max_train_samples=24, seeds=2, report_to="none", output_dir=str(tmp_path / "run"))
    assert run is not None and run.evaluation.training is not None
    other = tmp_path / "run" / "seeds" / "seed-43" / "records"
    mine, its = (read(place / "audit.json")["content"] for place in (tmp_path / "run" / "records", other))
    assert mine == its
    (spread,) = run.evaluation.training.spreads
    assert spread.kind == "seeds" and spread.runs == (42, 43) and spread.log_loss.deviation > 0
    assert {run.evaluation.model.log_loss.value, read(other / "evaluation.json")["model"]["log_loss"]["value"]} == {
        spread.log_loss.least,
        spread.log_loss.most,
    }
    assert not list((tmp_path / "run").glob("seeds/**/*.safetensors"))
    # As if the other had not been.
    alone = train(**arguments, max_train_samples=24, report_to="none", output_dir=str(tmp_path / "alone"))
    assert alone is not None and alone.evaluation.model == run.evaluation.model
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "alone" / "model.safetensors"
    ).read_bytes()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"folds": 1}, "--folds must be at least 2, got 1"),
        ({"seeds": 0}, "--seeds must be at least 1, got 0"),
        ({"unlabeled_file": "a.txt", "folds": 2}, "--folds: nothing is split off texts without labels: leave it out"),
    ],
)
def test_a_wrong_number_is_an_error(said: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        train(**said, output_dir="runs/never")
