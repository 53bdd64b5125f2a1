"""What the alarm advises: only what the run has not used, each with the argument that turns it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import remedies

Make = Callable[..., Any]
ALL = [
    *(
        "more labelled texts",
        "EarlyStoppingCallback()",
        "LoraCallback()",
        "classifier_dropout=0.3",
        "weight_decay=0.01",
    ),
    *("label_smoothing_factor=0.1", "half the learning rate"),
]


def advised(run: Any) -> str:
    return "; ".join(remedies(run.args, run.state, run.model))


def test_a_run_that_uses_nothing_is_told_everything_in_order(make_trainer: Make, make_tiny: Make) -> None:
    said = advised(make_trainer(model=make_tiny(classifier_dropout=0.0), learning_rate=1e-3))
    places = [said.index(part) for part in ALL]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("used", "options", "left_out"),
    [
        ({"callbacks": [EarlyStoppingCallback(1)]}, {}, ["EarlyStoppingCallback()"]),
        ({}, {"load_best_model_at_end": True, "save_strategy": "epoch"}, ["EarlyStoppingCallback()"]),
        ({"callbacks": [LoraCallback()]}, {}, ["LoraCallback()"]),
        ({"frozen": True}, {}, ["LoraCallback()"]),
        ({"config": {"classifier_dropout": 0.3}}, {}, ["classifier_dropout=0.3"]),
        ({}, {"weight_decay": 0.1}, ["weight_decay=0.01"]),
        ({}, {"label_smoothing_factor": 0.1}, ["label_smoothing_factor=0.1"]),
        ({"config": {"label_smoothing": 0.1}}, {}, ["label_smoothing_factor=0.1"]),
        ({}, {"learning_rate": 2e-5}, ["half the learning rate"]),
        ({"callbacks": [LoraCallback()]}, {"learning_rate": 2e-4}, ["LoraCallback()", "half the learning rate"]),
    ],
)
def test_what_a_run_uses_is_left_out_and_nothing_else(
    used: dict[str, Any], options: dict[str, Any], left_out: list[str], make_trainer: Make, make_tiny: Make
) -> None:
    model = make_tiny(**{"classifier_dropout": 0.0, **used.get("config", {})})
    if used.get("frozen"):
        model.bert.embeddings.requires_grad_(False)
    said = advised(make_trainer(*used.get("callbacks", []), model=model, **{"learning_rate": 1e-3, **options}))
    assert [part for part in ALL if part not in said] == left_out


def test_smoothing_beside_class_weights_is_the_models(make_trainer: Make, make_tiny: Make) -> None:
    said = advised(make_trainer(model=make_tiny(class_weights=[0.5, 2.0]), learning_rate=1e-3))
    assert "label_smoothing_factor=0.1, in a script model.config.label_smoothing=0.1" in said


def test_half_the_learning_rate_is_half_of_what_it_is_by_now(make_trainer: Make) -> None:
    run = make_trainer(learning_rate=1e-3)
    assert "learning_rate=0.000125" in "; ".join(remedies(run.args, run.state, run.model, lowered=0.25))


def test_every_advised_argument_is_one_that_train_takes(make_trainer: Make, make_tiny: Make) -> None:
    import re

    from hf_sentiment.training.arguments import parse_call

    said = advised(make_trainer(model=make_tiny(classifier_dropout=0.0), learning_rate=1e-3))
    assert "--" not in said  # most who read it have a script of their own
    arguments = re.findall(r"(\w+)=([\w.-]+)", said)
    assert len(arguments) == len(ALL) - 2
    for name, value in arguments:
        assert name in parse_call([f"--{name}", value])
