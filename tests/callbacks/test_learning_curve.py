"""`LearningCurveCallback`: the history as it happened, with any model, and a run that does not notice it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import BertConfig, BertForTokenClassification, Trainer, TrainingArguments

from hf_sentiment import LearningCurveCallback
from hf_sentiment.callbacks.learning_curve import draw_curves, read_history


def rows(length: int = 24, token_labels: bool = False) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 30, (length, 6), generator=generator)
    labels: Any = (ids > 15).long().tolist() if token_labels else (ids[:, 1] > 15).long().tolist()
    return Dataset.from_dict({"input_ids": ids.tolist(), "labels": labels})


def trainer(folder: Path, model: Any, callbacks: list[Any], token_labels: bool = False, **options: Any) -> Trainer:
    arguments = {"num_train_epochs": 3, "per_device_train_batch_size": 4, "eval_strategy": "epoch", "use_cpu": True}
    arguments |= {"save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-2} | options
    return Trainer(
        model=model,
        args=TrainingArguments(output_dir=str(folder), **arguments),
        train_dataset=rows(token_labels=token_labels),
        eval_dataset=rows(8, token_labels),
        callbacks=callbacks,
    )


def test_every_evaluation_has_a_training_loss_even_in_a_run_shorter_than_a_logging_interval(
    tmp_path: Path, make_tiny: Callable[..., Any]
) -> None:
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()])
    assert run.args.logging_steps > run.args.num_train_epochs * 6
    run.train()
    history = read_history(tmp_path / "records" / "history.jsonl")
    assert [(row["step"], row["epoch"]) for row in history] == [(6, 1.0), (12, 2.0), (18, 3.0)]
    assert all({"train_loss", "eval_loss", "learning_rate", "elapsed_seconds"} <= row.keys() for row in history)


def test_weights_are_the_same_with_and_without_it(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    weights = []
    for name, callbacks in (("with", [LearningCurveCallback()]), ("without", [])):
        run = trainer(tmp_path / name, make_tiny(), callbacks)
        run.train()
        weights.append(run.model.state_dict())
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[1])


def test_it_works_with_someone_elses_model_and_steps(tmp_path: Path) -> None:
    config = BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    model = BertForTokenClassification(config)
    run = trainer(
        tmp_path, model, [LearningCurveCallback()], True, eval_strategy="steps", eval_steps=5, eval_on_start=True
    )
    run.train()
    assert [row["step"] for row in read_history(tmp_path / "records" / "history.jsonl")] == [0, 5, 10, 15, 18]


def test_evaluations_outside_training_are_not_of_the_run(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()])
    run.train()
    before = (tmp_path / "records" / "history.jsonl").read_bytes()
    run.evaluate()
    run.predict(rows(8))
    assert (tmp_path / "records" / "history.jsonl").read_bytes() == before


def test_a_second_training_begins_a_new_history(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    run = trainer(tmp_path, make_tiny(), [LearningCurveCallback()], num_train_epochs=2)
    run.train()
    run.train()
    assert len(read_history(tmp_path / "records" / "history.jsonl")) == 2


def test_nan_is_left_out_and_the_file_stays_json(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    callback = LearningCurveCallback()
    run = trainer(tmp_path, make_tiny(), [callback], num_train_epochs=1)
    with torch.no_grad():
        run.model.classifier.weight.fill_(float("nan"))
    run.train()
    for line in (tmp_path / "records" / "history.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize("count", [1, 2, 12])
def test_pictures_are_whole_and_the_same_every_time(tmp_path: Path, count: int) -> None:
    history = [
        {"step": 10 * i, "epoch": float(i), "train_loss": 1 / i, "eval_loss": 0.5 + i / 50, "eval_accuracy": 0.8}
        for i in range(1, count + 1)
    ]
    for name in ("a", "b"):
        draw_curves(history, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (tmp_path / "a.svg").read_text().rstrip().endswith("</svg>")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
