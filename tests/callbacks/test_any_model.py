"""All four callbacks on models and tasks that are not ours, and what holds for the suite as a whole."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    RobertaConfig,
)

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.callbacks.shared import IGNORED_LABEL, per_text_losses
from hf_sentiment.errors import CallError

Make = Callable[..., Any]
SMALL = {"vocab_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 24}
MODELS: dict[str, Callable[[], Any]] = {
    "roberta": lambda: AutoModelForSequenceClassification.from_config(RobertaConfig(**SMALL)),
    "distilbert": lambda: AutoModelForSequenceClassification.from_config(
        DistilBertConfig(vocab_size=40, n_layers=2, n_heads=2, dim=16, hidden_dim=24)
    ),
    "tokens": lambda: AutoModelForTokenClassification.from_config(BertConfig(**SMALL)),
    "regression": lambda: AutoModelForSequenceClassification.from_config(BertConfig(**SMALL, num_labels=1)),
}


def numbers(dataset: Any) -> Any:
    """The same rows with labels that are numbers."""
    return dataset.map(lambda row: {"label": float(row["labels"])}, remove_columns="labels")


@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("name", list(MODELS))
def test_the_whole_suite_runs_on(
    name: str, lora: bool, make_trainer: Make, make_rows: Make, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import DataCollatorForTokenClassification, DataCollatorWithPadding

    tokens = name == "tokens"
    sets = [make_rows(48, 0, token_labels=tokens), make_rows(32, 1, token_labels=tokens)]
    if name == "regression":
        sets = [numbers(rows) for rows in sets]
    torch.manual_seed(0)
    collator = DataCollatorForTokenClassification if tokens else DataCollatorWithPadding
    alarm = OverfittingGapCallback()
    callbacks = [LearningCurveCallback(), EarlyStoppingCallback(2), alarm, *([LoraCallback()] if lora else [])]
    run = make_trainer(
        *callbacks,
        model=MODELS[name](),
        train=sets[0],
        evaluation=sets[1],
        trainer={"data_collator": collator(tiny_tokenizer)},
        num_train_epochs=3,
        learning_rate=1e-3,
        gradient_accumulation_steps=2,
    )
    kind = type(run.model) if not lora else None
    run.train()
    assert len(alarm.test["steps"]) == 3
    rows = [json.loads(line) for line in (tmp_path / "run" / "records" / "history.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1.0, 2.0, 3.0]
    assert all("gap/validation_loss" in row for row in rows)
    if name != "tokens":  # where the Trainer's loss is a mean over batches of tokens, not over texts
        for row in rows:
            assert row["gap/validation_loss"] == pytest.approx(row["eval_loss"], rel=1e-4)
    assert (alarm.test["tests"]["error"]["rows"] == []) == (name == "regression")
    if kind is not None:
        assert type(run.model) is kind


def test_losses_of_tokens_are_means_over_the_judged_ones() -> None:
    scores = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[0, 1, IGNORED_LABEL, IGNORED_LABEL], [2, IGNORED_LABEL, 1, 0]])
    losses, right = per_text_losses(scores, labels)
    first = torch.nn.functional.cross_entropy(scores[0, :2], labels[0, :2])
    assert losses[0] == pytest.approx(float(first), abs=1e-6)
    expected = (scores[1].argmax(-1) == labels[1])[[0, 2, 3]].float().mean()
    assert right is not None and right[1] == pytest.approx(float(expected))


def test_a_text_without_labels_is_left_out_and_a_diverged_model_is_not() -> None:
    labels = torch.tensor([[IGNORED_LABEL, IGNORED_LABEL], [0, 1]])
    losses, _ = per_text_losses(torch.zeros(2, 2, 2), labels)
    assert torch.isnan(losses[0]) and losses[1] == pytest.approx(float(np.log(2)))
    losses, _ = per_text_losses(torch.full((2, 2), torch.nan), torch.tensor([0, 1]))
    assert torch.isinf(losses).all()


def test_several_labels_at_once() -> None:
    losses, right = per_text_losses(torch.tensor([[3.0, -3.0], [3.0, 3.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert losses[0] == pytest.approx(0.0486, abs=1e-4) and right is not None and right.tolist() == [1.0, 0.0]


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(CallError, match=r"not for logits of shape \[2, 4\] with labels of shape \[2, 3\]"):
        per_text_losses(torch.zeros(2, 4), torch.zeros(2, 3, dtype=torch.long))


@pytest.mark.parametrize("options", [{}, {"eval_strategy": "steps", "eval_steps": 4, "eval_on_start": True}])
def test_observers_leave_weights_as_they_are(
    options: dict[str, Any], make_trainer: Make, weights: Make, same: Make, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import DataCollatorWithPadding

    class Noisy(DataCollatorWithPadding):  # as one that masks or augments: it draws from the global generators
        def __call__(self, features: Any) -> Any:
            torch.rand(1), np.random.rand(), random.random()
            return super().__call__(features)

    copies = []
    for name in ("with", "without"):
        observers = [LearningCurveCallback(), OverfittingGapCallback(), EarlyStoppingCallback(99, restore_best=False)]
        given = observers if name == "with" else []
        collator = {"data_collator": Noisy(tiny_tokenizer)}
        run = make_trainer(*given, folder=tmp_path / name, trainer=collator, **options)
        run.train()
        copies.append(weights(run.model))
    assert same(*copies)


def test_constructor_arguments_are_plain_json_and_give_the_same_callback() -> None:
    for callback in (
        LearningCurveCallback(),
        EarlyStoppingCallback(3, min_delta="1se", monitor="accuracy"),
        OverfittingGapCallback("stop", probe_size=64),
        LoraCallback(target_modules=["query"]),
    ):
        state = json.loads(json.dumps(callback.state()))
        assert type(callback).from_state(state).state() == callback.state()


def test_a_sweep_resets_them_for_every_trial(make_trainer: Make, make_tiny: Make) -> None:
    stop, alarm = EarlyStoppingCallback(1, monitor="loss"), OverfittingGapCallback()
    run = make_trainer(stop, alarm, trainer={"model_init": lambda: make_tiny()})
    run.train()
    first = (stop.evaluations, alarm.test["steps"])
    run.train()
    assert (stop.evaluations, alarm.test["steps"]) == first
