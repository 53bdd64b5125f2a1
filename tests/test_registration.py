"""The Auto classes know the model once the package is imported, in whatever order, and importing it stays cheap."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_CHECKS = """
import importlib, sys
import hf_sentiment, hf_sentiment.registration
for _ in range(2):
    importlib.reload(hf_sentiment.registration)
    importlib.reload(hf_sentiment)
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline
from transformers import AutoModelForTokenClassification
from hf_sentiment import BertForSentimentAnalysis, BertSentimentConfig

folder = sys.argv[1]
assert type(AutoConfig.from_pretrained(folder)) is BertSentimentConfig
assert type(AutoConfig.for_model("bert_sentiment", num_labels=3)) is BertSentimentConfig
for loader in (AutoModel, AutoModelForSequenceClassification):
    for trust in ({}, {"trust_remote_code": False}, {"trust_remote_code": True}):
        model = loader.from_pretrained(folder, **trust)
        assert type(model) is BertForSentimentAnalysis, (loader, trust, type(model).__module__)
    model = loader.from_config(BertSentimentConfig(hidden_size=8, num_attention_heads=1, num_hidden_layers=1))
    assert type(model) is BertForSentimentAnalysis
for trust in ({}, {"trust_remote_code": True}):
    pipe = pipeline("text-classification", model=folder, **trust)
    assert type(pipe.model) is BertForSentimentAnalysis
    assert pipe("good film")[0]["label"] in {"negative", "positive"}
from hf_sentiment import EncoderForSentimentAnalysis, EncoderSentimentConfig
config = AutoConfig.for_model("encoder_sentiment", num_labels=3, hidden_size=8, num_attention_heads=1)
assert type(config) is EncoderSentimentConfig and config.encoder_config.hidden_size == 8
for loader in (AutoModel, AutoModelForSequenceClassification):
    assert type(loader.from_config(config)) is EncoderForSentimentAnalysis
try:
    AutoModelForTokenClassification.from_pretrained(folder)
except ValueError as error:
    assert "BertSentimentConfig" in str(error)
else:
    raise AssertionError("this is no token classifier")
# Stock BERT is what it was.
from transformers import BertConfig, BertModel
assert type(AutoModel.from_config(BertConfig(hidden_size=8, num_attention_heads=1, num_hidden_layers=1))) is BertModel
assert AutoModelForSequenceClassification._model_mapping[BertSentimentConfig] is BertForSentimentAnalysis
import inspect, transformers.models.auto.modeling_auto as modeling_auto
assert "MODEL_MAPPING_NAMES" in inspect.getsource(modeling_auto)
for model_type in ("bert_sentiment", "encoder_sentiment"):
    assert model_type in modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES
    assert model_type not in modeling_auto.MODEL_MAPPING_NAMES  # where bare encoders are looked up
print("done")
"""

_CHEAP = """
import sys
import hf_sentiment
heavy = {"torch", "transformers", "numpy", "datasets", "peft", "sklearn", "scipy", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
try:
    hf_sentiment.Nonsense
except AttributeError as error:
    assert "Nonsense" in str(error)
else:
    raise AssertionError
assert set(hf_sentiment.__all__) <= set(dir(hf_sentiment))
"""

_INTERRUPTED = """
import sys
import hf_sentiment
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "transformers.models.auto.auto_factory":
            sys.meta_path.remove(self)
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
try:
    from transformers.models.auto import modeling_auto
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("nothing was interrupted")
"""

_ORDERS = {
    "ours-first": _CHEAP,
    "transformers-and-config-first": "from transformers import AutoConfig; import hf_sentiment",
    "auto-modules-first": "from transformers import AutoModelForSequenceClassification; import hf_sentiment",
    "others-first": "import peft, sentence_transformers; import hf_sentiment",
    "auto-modules-interrupted-between": _INTERRUPTED + "from transformers import AutoModel, AutoTokenizer, Trainer",
}


def _run(script: str, *arguments: str, cwd: Path) -> str:
    root = Path(__file__).parents[1]
    environment = dict(os.environ, HF_HOME=str(cwd / "hf"), HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
    environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])
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


@pytest.mark.parametrize(
    "order", [pytest.param(order, marks=[pytest.mark.engines] * (order == "others-first")) for order in _ORDERS]
)
def test_known_to_the_auto_classes_in_any_import_order(order: str, tiny_folder: Path, tmp_path: Path) -> None:
    if order == "others-first":
        pytest.importorskip("sentence_transformers")
    assert "done" in _run(_ORDERS[order] + "\n" + _CHECKS, str(tiny_folder), cwd=tmp_path)


def test_every_public_name_resolves() -> None:
    import hf_sentiment

    for name in hf_sentiment.__all__:
        try:
            assert getattr(hf_sentiment, name) is not None
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("hf_sentiment"):
                raise
            pytest.skip(f"{error.name} is not there yet")
