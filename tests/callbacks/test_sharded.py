"""Weights that FSDP2 shards over two real processes: the best are kept, put back, merged and saved whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import launch
from safetensors.torch import load_file
from sharded import train
from transformers import AutoModelForSequenceClassification
from two_processes import rows

from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

CONFIGS = Path(__file__).parents[2] / "recipes" / "accelerate_configs"
ADAPTER = {
    "base_model.model.classifier.weight",
    "base_model.model.bert.encoder.layer.1.attention.self.query.lora_A.weight",
}


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("sharded")
    launch("sharded.py", folder, launcher=["--config_file", str(CONFIGS / "fsdp2.yaml"), "--mixed_precision", "no"])
    one, other = (json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    return folder, one


@pytest.mark.parametrize("case", ["full", "lora"])
def test_sharded_weights_are_kept_put_back_and_saved_whole(case: str, launched: tuple[Path, Any]) -> None:
    folder, found = launched[0] / case, launched[1][case]
    assert len(found["sharded"]) >= 39  # all of them, and the adapters
    assert found["best"] < found["last"]
    # The kept ones are those of the best evaluation, as torch gathers them.
    kept = load_file(folder / f"_best-early-stopping-{found['best']}" / "00000.safetensors")
    best = load_file(folder / "best.safetensors")
    assert {name for name in best if name in kept} and all(
        best[name].equal(kept[name]) for name in best if name in kept
    )
    final = load_file(folder / "final" / "model.safetensors")
    if case == "full":
        assert final.keys() == best.keys() and all(final[name].equal(best[name]) for name in best)
    else:
        assert found["rolled_back"] == [True]
        assert load_file(folder / "adapter" / "adapter_model.safetensors").keys() >= ADAPTER
    # A run that was taken up ends alike.
    resumed = load_file(folder / "resumed" / "model.safetensors")
    assert resumed.keys() == final.keys() and all(resumed[name].equal(final[name]) for name in final)


@pytest.mark.parametrize("case", ["full", "lora"])
def test_what_sharded_processes_save_is_what_one_process_learns(
    case: str, launched: tuple[Path, Any], tmp_path: Path
) -> None:
    folder, found = launched[0] / case, launched[1][case]
    model = AutoModelForSequenceClassification.from_pretrained(folder / "final")
    assert type(model) is BertForSentimentAnalysis and model.config.architectures == ["BertForSentimentAnalysis"]
    with torch.no_grad():
        logits = model(torch.tensor(rows(20, 2)["input_ids"][:])).logits
    torch.testing.assert_close(logits, torch.tensor(found["logits"]), atol=1e-5, rtol=1e-5)
    alone = train(tmp_path, case, 8)
    assert (alone["best"], alone["last"], alone["rolled_back"]) == tuple(
        found[name] for name in ("best", "last", "rolled_back")
    )
    # Steps this long let rounding grow: without AVX-512 it came to 0.002.
    torch.testing.assert_close(torch.tensor(alone["logits"]), logits, atol=1e-2, rtol=1e-2)
