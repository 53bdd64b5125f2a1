"""Timing training steps changes nothing, and what a run began with is what it goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, family_config

from hf_sentiment import EncoderForSentimentAnalysis, EncoderSentimentConfig
from hf_sentiment.commands.train import train
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.training.arguments import parse_call
from hf_sentiment.training.plan import time_steps
from hf_sentiment.training.plan.steps import computes_in_bfloat16

Make = Callable[..., Any]


def test_the_model_random_numbers_and_threads_are_left_as_they_were(
    make_tiny: Make, tiny_inputs: dict[str, Any]
) -> None:
    model = make_tiny()
    before, state, threads = model.state_dict(), torch.get_rng_state(), torch.get_num_threads()
    before = {name: tensor.clone() for name, tensor in before.items()}
    times = time_steps(model, tiny_inputs, (False, True))
    assert all(model.state_dict()[name].equal(before[name]) for name in before)
    assert all(parameter.grad is None for parameter in model.parameters()) and not model.training
    assert torch.get_rng_state().equal(state) and torch.get_num_threads() == threads
    assert model.config.problem_type is None
    assert (times.texts, times.tokens) == (3, 27)
    assert times.float32 is not None and times.bfloat16 is not None and times.seconds > 0 and times.slowdown >= 1


def test_one_format_alone_is_timed_where_the_user_has_chosen(make_tiny: Make, tiny_inputs: dict[str, Any]) -> None:
    assert time_steps(make_tiny(), tiny_inputs, (False,), rounds=1).bfloat16 is None
    only = time_steps(make_tiny(), tiny_inputs, (True,), adapters=True, rounds=1)
    assert only.float32 is None and only.prefers_bfloat16


@pytest.mark.parametrize("faster", [True, False])
def test_a_run_that_is_taken_up_keeps_the_number_format_that_it_began_with(
    faster: bool, tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = StepTimes(16, 300, float32=1.0, bfloat16=0.1 if faster else 10.0, seconds=0.1, slowdown=1.0)
    monkeypatch.setattr("hf_sentiment.training.plan.gather.native_bfloat16", lambda device: True)
    monkeypatch.setattr("hf_sentiment.training.plan.gather.time_steps", lambda *_, **__: measured)
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--num_train_epochs", "1"]
    words += ["--eval_strategy", "no", "--disable_tqdm", "true", "--output_dir", str(tmp_path / "run")]
    arguments = parse_call(words)
    with monkeypatch.context() as patch:
        patch.setattr("hf_sentiment.commands.train.render_card", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):  # as if killed after its last checkpoint
            train(**arguments)
    other = replace(measured, bfloat16=10.0 if faster else 0.1)
    monkeypatch.setattr("hf_sentiment.training.plan.gather.time_steps", lambda *_, **__: other)
    assert train(**arguments) is not None
    record = json.loads((tmp_path / "run" / "records" / "plan.json").read_text())
    assert record["decisions"]["bf16"]["value"] is faster
    assert record["facts"]["steps"] == asdict(measured)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_an_encoder_cannot_compute_is_found_before_it_is_planned(family: str) -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config(family))).eval()
    # Its mask overflows: https://github.com/huggingface/transformers/issues/35332
    assert computes_in_bfloat16(model) == (family != "deberta")
