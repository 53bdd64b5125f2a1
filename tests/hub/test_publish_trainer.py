"""The plain Trainer script pushes its model with our card."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from loopback import LoopbackHub

SCRIPT = Path(__file__).parents[2] / "recipes" / "finetune.py"


def test_the_script_pushes_a_whole_model_with_our_card(
    hub: LoopbackHub,
    client: Any,
    tiny_checkpoint: Path,
    reviews_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--max_steps", "4"]
    words += [
        "--output_dir",
        str(tmp_path / "run"),
        "--eval_strategy",
        "steps",
        "--eval_steps",
        "2",
        "--use_cpu",
        "true",
    ]
    words += ["--push_to_hub", "true", "--hub_model_id", "me/reviews", "--hub_private_repo", "true"]
    monkeypatch.setattr(sys, "argv", ["finetune.py", *words, "--disable_tqdm", "true", "--save_strategy", "no"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    files = hub.files("me/reviews")
    assert {"config.json", "model.safetensors", "modeling_bert_sentiment.py", "tokenizer.json", "README.md"} <= set(
        files
    )
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "text-classification" and card.data.eval_results[0].metric_type == "accuracy"
    assert "## How good it is" in card.content and str(tmp_path) not in card.content
    assert hub.repository("me/reviews").private and not hub.log.leaks
