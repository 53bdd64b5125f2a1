"""Each layer's learning rate is a share of the next higher one's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import FAMILIES, family_config
from transformers import AutoConfig, TrainingArguments

from hf_sentiment import EncoderForSentimentAnalysis, EncoderSentimentConfig
from hf_sentiment.errors import CallError
from hf_sentiment.training.optimizer import layer_depths, layerwise_optimizer


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


@pytest.mark.parametrize("family", FAMILIES)
def test_layers_are_found_by_structure(family: str) -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config(family)))
    depths = layer_depths(model)
    layers = 1 if family == "albert" else 2  # ALBERT's layers are one and the same
    assert set(depths) == set(dict(model.named_parameters()))
    assert set(depths.values()) == set(range(layers + 2))
    assert depths["classifier.weight"] == 0
    words = next(name for name, one in model.named_parameters() if one is model.get_input_embeddings().weight)
    assert depths[words] == layers + 1
    # What a layer alone moves is of its depth.
    inside = {depth for name, depth in depths.items() if any(f".{row}." in name for row in range(layers))}
    assert inside == set(range(1, layers + 1))


def test_the_parts_of_a_layer_may_be_in_several_lists() -> None:
    nested = AutoConfig.for_model("xlm", vocab_size=41, emb_dim=16, n_layers=3, n_heads=2)
    depths = layer_depths(EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=nested)))
    for part in ("attentions.0.q_lin", "ffns.0.lin1", "layer_norm1.0", "layer_norm2.0"):
        assert depths[f"encoder.{part}.weight"] == 3, part
    assert depths["encoder.ffns.2.lin1.weight"] == 1 and depths["encoder.embeddings.weight"] == 4


@pytest.mark.parametrize("family", ["modernbert", "eurobert"])
def test_norms_of_any_class_are_not_decayed(family: str, tmp_path: Path) -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config(family)))
    arguments = TrainingArguments(output_dir=str(tmp_path), weight_decay=0.1, use_cpu=True)
    optimizer = layerwise_optimizer(model, arguments, 0.5, lora=False)
    assert optimizer is not None
    decayed = {id(group["params"][0]) for group in optimizer.param_groups if group["weight_decay"]}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            assert (id(parameter) in decayed) == (
                isinstance(module, torch.nn.Linear | torch.nn.Embedding) and parameter.dim() > 1
            )
