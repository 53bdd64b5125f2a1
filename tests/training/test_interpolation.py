"""Weights between the start of a fine-tuning and its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from hf_sentiment.training.interpolation import copy_weights, interpolate_weights


def test_every_parameter_goes_that_share_of_the_way() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3))
    start = copy_weights(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    interpolate_weights(model, start, 0.25)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, start[name] + 0.25)


def test_the_copy_does_not_move_with_the_model() -> None:
    model = nn.Linear(2, 2)
    start = copy_weights(model)
    before = start["weight"].clone()
    nn.init.zeros_(model.weight)
    assert start["weight"].equal(before)


def test_the_end_of_train_lies_between_the_head_first_model_and_the_fine_tuned_one(
    finish: Callable[..., Path], tiny_sentence_encoder: Path, reviews_file: Path, tmp_path: Path
) -> None:
    words = ["--model_name_or_path", str(tiny_sentence_encoder), "--train_file", str(reviews_file)]
    words += ["--use_cpu", "true", "--disable_tqdm", "true", "--calibrate", "false", "--validation_share", "0.2"]
    start = finish([*words, "--num_train_epochs", "0"], tmp_path / "start")
    words += ["--num_train_epochs", "2", "--fine_tuned_share"]
    end, between = (finish([*words, share], tmp_path / share) for share in ("1", "0.3"))
    first, last, mixed = (load_file(folder / "model.safetensors") for folder in (start, end, between))
    moved = [name for name in first if not first[name].equal(last[name])]
    assert "classifier.weight" in moved and any(name.startswith("bert.encoder") for name in moved)
    card = (between / "README.md").read_text()
    assert "The weights lie 0.3 of the way" in card and "of the way" not in (end / "README.md").read_text()
    for name in first:
        torch.testing.assert_close(mixed[name], torch.lerp(first[name], last[name], 0.3), atol=1e-6, rtol=0)


def test_where_validation_texts_tell_that_fine_tuning_did_harm_the_head_alone_is_kept(
    finish: Callable[..., Path], tiny_sentence_encoder: Path, reviews_file: Path, tmp_path: Path
) -> None:
    words = ["--model_name_or_path", str(tiny_sentence_encoder), "--train_file", str(reviews_file), "--use_cpu", "true"]
    words += ["--disable_tqdm", "true", "--calibrate", "false", "--validation_share", "0.4"]
    start = finish([*words, "--num_train_epochs", "0"], tmp_path / "start")
    ruined = finish([*words, "--num_train_epochs", "2", "--learning_rate", "1"], tmp_path / "ruined")
    head, kept = (load_file(folder / "model.safetensors") for folder in (start, ruined))
    assert all(kept[name].equal(head[name]) for name in head)
    assert json.loads((ruined / "records" / "evaluation.json").read_text())["training"]["best_epoch"] == 0
    assert "of the way" not in (ruined / "README.md").read_text()
