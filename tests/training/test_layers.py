"""Each layer's learning rate is a share of the next higher one's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from hf_sentiment.errors import CallError
from hf_sentiment.training.optimizer import layerwise_optimizer


def test_rates_fall_from_the_head_to_the_embeddings(make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = make_tiny()
    arguments = TrainingArguments(output_dir=str(tmp_path), learning_rate=1e-3, weight_decay=0.1, use_cpu=True)
    optimizer = layerwise_optimizer(model, arguments, 0.5, lora=False)
    assert optimizer is not None
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = {names[id(group["params"][0])]: group for group in optimizer.param_groups}
    assert set(groups) == set(names.values())
    for start, rate in (
        ("classifier.", 1e-3),
        ("bert.pooler.", 1e-3),
        ("bert.encoder.layer.1.", 5e-4),
        ("bert.encoder.layer.0.", 2.5e-4),
        ("bert.embeddings.", 1.25e-4),
    ):
        found = [group for name, group in groups.items() if name.startswith(start)]
        assert found and all(group["lr"] == pytest.approx(rate) for group in found), start
    for name, group in groups.items():
        assert group["weight_decay"] == (0.0 if name.endswith(("bias", "LayerNorm.weight")) else 0.1), name
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1e-3)  # which the history shows


def test_a_decay_of_1_leaves_it_to_the_trainer_and_adapters_have_one_rate(
    make_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    assert layerwise_optimizer(make_tiny(), arguments, 1.0, lora=True) is None
    with pytest.raises(CallError, match=r"--layerwise_lr_decay 0\.9 and --lora: adapters have one rate"):
        layerwise_optimizer(make_tiny(), arguments, 0.9, lora=True)
