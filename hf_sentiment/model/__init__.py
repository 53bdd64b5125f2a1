"""What travels to the Hub: the configuration and the model, each in a file that needs only torch and transformers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BertSentimentConfig": "hf_sentiment.model.configuration_bert_sentiment",
    "BertForSentimentAnalysis": "hf_sentiment.model.modeling_bert_sentiment",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
