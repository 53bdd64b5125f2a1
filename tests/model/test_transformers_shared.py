"""transformers' own shared model tests, on our models and on stock BERT side by side.

Run by `make test-shared`; `TRANSFORMERS_SOURCE` names the unpacked source archive of the installed transformers.
No test that stock BERT passes may fail or be skipped for ours, with any pooling.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.shared

_SOURCE = os.environ.get("TRANSFORMERS_SOURCE")
if not _SOURCE:
    pytest.skip("TRANSFORMERS_SOURCE does not name an unpacked source archive of transformers", allow_module_level=True)
pytest.importorskip("parameterized", reason="transformers' shared tests need parameterized")

from transformers import BertForSequenceClassification  # noqa: E402
from transformers.models.auto import modeling_auto  # noqa: E402

from hf_sentiment.model.configuration_bert_sentiment import POOLINGS  # noqa: E402
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis  # noqa: E402
from hf_sentiment.model.modeling_encoder_sentiment import EncoderForSentimentAnalysis  # noqa: E402

from .shared_support import Outcome, build_case, load_mixins  # noqa: E402

_MIXINS = load_mixins(Path(_SOURCE))
# In dictionaries, where pytest does not collect them a second time.
_STOCK = {"stock": build_case(_MIXINS, "StockBertTest", BertForSequenceClassification)}
_OURS = {
    pooling: build_case(_MIXINS, f"Sentiment{pooling.title()}Test", BertForSentimentAnalysis, pooling=pooling)
    for pooling in POOLINGS
}
# Around a BERT, so that what passes there has to pass here.
_OURS |= {
    f"encoder-{pooling}": build_case(
        _MIXINS,
        f"Encoder{pooling.title()}Test",
        EncoderForSentimentAnalysis,
        pooling=pooling,
        encoder_config={"model_type": "bert"},
    )
    for pooling in ("pooler", "mean")
}
_TESTS = sorted(
    name for name in dir(_STOCK["stock"]) if name.startswith("test_") and callable(getattr(_STOCK["stock"], name))
)


@pytest.fixture(autouse=True)
def _encoder_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """By this table the mixins know the encoder inside a model of this type, to test `base_model_prefix`."""
    for model_type in ("bert_sentiment", "encoder_sentiment"):
        monkeypatch.setitem(modeling_auto.MODEL_MAPPING_NAMES, model_type, "BertModel")


@pytest.mark.parametrize("test", _TESTS)
def test_as_stock_bert(test: str) -> None:
    stock = Outcome(_STOCK["stock"], test)
    ours = {pooling: Outcome(case, test) for pooling, case in _OURS.items()}
    failed = {pooling: outcome.reason for pooling, outcome in ours.items() if outcome.status == "failed"}
    assert not failed, f"stock BERT {stock.status}; ours:\n" + "\n".join(f"{p}: {r}" for p, r in failed.items())
    if stock.status == "passed":
        skipped = {pooling: outcome.reason for pooling, outcome in ours.items() if outcome.status == "skipped"}
        assert not skipped, f"stock BERT passes what is skipped for ours: {skipped}"
    else:
        pytest.skip(f"stock BERT {stock.status}: {stock.reason[-200:]}")
