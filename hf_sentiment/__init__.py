"""hf-sentiment: fine-tune, trust and publish a BERT sentiment classifier in the Hugging Face ecosystem.

Importing the package registers `BertForSentimentAnalysis` with transformers' Auto classes. It imports neither torch nor
transformers: each name below is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_sentiment.registration import register_auto_classes

if TYPE_CHECKING:
    from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
    from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
    from hf_sentiment.callbacks.lora import LoraCallback
    from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
    from hf_sentiment.inference.classifier import SentimentClassifier
    from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
    from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
    from hf_sentiment.training.arguments import SentimentArguments

__version__ = "0.1.0"

_HOMES = {
    "BertForSentimentAnalysis": "hf_sentiment.model.modeling_bert_sentiment",
    "BertSentimentConfig": "hf_sentiment.model.configuration_bert_sentiment",
    "EarlyStoppingCallback": "hf_sentiment.callbacks.early_stopping.callback",
    "LearningCurveCallback": "hf_sentiment.callbacks.learning_curve.callback",
    "LoraCallback": "hf_sentiment.callbacks.lora",
    "OverfittingGapCallback": "hf_sentiment.callbacks.overfitting_gap.callback",
    "SentimentArguments": "hf_sentiment.training.arguments",
    "SentimentClassifier": "hf_sentiment.inference.classifier",
}

__all__ = [
    "BertForSentimentAnalysis",
    "BertSentimentConfig",
    "EarlyStoppingCallback",
    "LearningCurveCallback",
    "LoraCallback",
    "OverfittingGapCallback",
    "SentimentArguments",
    "SentimentClassifier",
    "__version__",
]

register_auto_classes()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
