"""A saved folder in an interpreter that does not have this package: loaded, saved again there, and loaded again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from families import family_config
from without_package import BLOCKED

from hf_sentiment import EncoderForSentimentAnalysis, EncoderSentimentConfig

_GENERATIONS = """
import json, pathlib, sys
import torch
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

first, kind = sys.argv[1], sys.argv[3]
inputs, expected = map(torch.tensor, json.loads(sys.argv[2]))
stem, name, sources = {
    "bert": ("bert_sentiment", "BertForSentimentAnalysis", ["bert_sentiment"]),
    "encoder": ("encoder_sentiment", "EncoderForSentimentAnalysis", ["bert_sentiment", "encoder_sentiment"]),
}[kind]
trusted = {"trust_remote_code": True}

for loader in (AutoConfig, AutoModel, AutoModelForSequenceClassification):
    for trust in ({}, {"trust_remote_code": False}):
        try:
            loader.from_pretrained(first, **trust)
        except ValueError as error:
            assert "trust_remote_code" in str(error), error
        else:
            raise AssertionError(f"{loader.__name__} ran code that nobody trusted")

def check(folder, loader):
    model = loader.from_pretrained(folder, **trusted)
    assert type(model).__name__ == name, type(model)
    assert type(model).__module__.startswith("transformers_modules."), type(model).__module__
    with torch.no_grad():
        assert torch.equal(model(inputs).logits, expected)
    return model

def complete(folder):
    config = json.loads((pathlib.Path(folder) / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": f"configuration_{stem}.{name.replace('ForSentimentAnalysis', 'SentimentConfig')}",
        "AutoModel": f"modeling_{stem}.{name}",
        "AutoModelForSequenceClassification": f"modeling_{stem}.{name}",
    }, config["auto_map"]
    files = {f"{part}_{source}.py" for part in ("configuration", "modeling") for source in sources}
    assert {path.name for path in pathlib.Path(folder).glob("*.py")} == files
    for file in files:
        assert (pathlib.Path(folder) / file).read_text() == (pathlib.Path(first) / file).read_text()

folder = first
for generation, (loader, saver) in enumerate([
    (AutoModelForSequenceClassification, AutoModel),
    (AutoModel, AutoModelForSequenceClassification),
    (AutoModel, AutoModel),
]):
    complete(folder)
    config = AutoConfig.from_pretrained(folder, **trusted)
    assert config.id2label == {0: "negative", 1: "positive"} and config.classifier_dropout == 0.3
    check(folder, loader)
    model = check(folder, saver)
    answer = pipeline("text-classification", model=folder, **trusted)("this film is great !", top_k=None)
    assert {row["label"] for row in answer} == {"negative", "positive"}, answer
    tokenizer = AutoTokenizer.from_pretrained(folder, **trusted)
    folder = f"generation.{generation}/re-saved"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)

relabelled = AutoModelForSequenceClassification.from_pretrained(folder, labels=["bad", "so-so", "good"], **trusted)
assert relabelled.config.id2label == {0: "bad", 1: "so-so", 2: "good"}
assert "hf_sentiment" not in sys.modules
print("done")
"""


def _run(script: str, *arguments: str, cwd: Path) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment.update(HF_HOME=str(cwd / "hf"), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    process = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


def _check_three_generations(model: Any, tokenizer: Any, encoder: str, tmp_path: Path) -> None:
    """Saved here, loaded and saved and loaded again where the package is not; `encoder` is what the model calls it."""
    folder = tmp_path / "my.model-v1"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    inputs = [[2, 7, 8, 12, 3], [2, 9, 3, 5, 6]]
    with torch.no_grad():
        expected = model(torch.tensor(inputs)).logits.tolist()
    assert "done" in _run(BLOCKED + _GENERATIONS, str(folder), json.dumps([inputs, expected]), encoder, cwd=tmp_path)


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_three_generations(pooling: str, make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path) -> None:
    _check_three_generations(make_tiny(pooling=pooling), tiny_tokenizer, "bert", tmp_path)


def test_three_generations_of_another_encoder(tiny_tokenizer: Any, tmp_path: Path) -> None:
    config = EncoderSentimentConfig(encoder_config=family_config("electra"), pooling="mean")
    _check_three_generations(EncoderForSentimentAnalysis(config).eval(), tiny_tokenizer, "encoder", tmp_path)


def test_the_shipped_files_import_nothing_but_torch_transformers_and_each_other(tmp_path: Path) -> None:
    from transformers.dynamic_module_utils import get_imports, get_relative_import_files

    EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config("electra"))).save_pretrained(
        tmp_path
    )
    allowed = {"torch", "transformers", "copy", "inspect", "json", "os", "typing", "__future__"}
    for file in tmp_path.glob("*.py"):
        # What transformers demands to be installed before it runs the file, and copies beside it.
        assert set(get_imports(file)) <= allowed
    needed = get_relative_import_files(tmp_path / "modeling_bert_sentiment.py")
    assert [Path(name).name for name in needed] == ["configuration_bert_sentiment.py"]
    needed = get_relative_import_files(tmp_path / "modeling_encoder_sentiment.py")
    assert {Path(name).stem for name in needed} == {
        "configuration_bert_sentiment",
        "configuration_encoder_sentiment",
        "modeling_bert_sentiment",
    }
