"""What there is of our models: their types, their classes by name, and the files that travel with each.

It imports neither torch nor transformers, so that whoever only reads a config.json needs neither.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One of our models.

    Attributes:
        config_class: Name of the config's class.
        model_class: Name of the model's class.
        sources: The files that travel with a saved model.
        stock_class: The class of transformers that loads its weights where the encoder's own pooler is used.
    """

    config_class: str
    model_class: str
    sources: tuple[str, ...]
    stock_class: str | None

    @property
    def auto_map(self) -> dict[str, str]:
        """As `save_pretrained` writes it; a config that was saved by itself has the first alone."""
        configuration, modeling = (name.removesuffix(".py") for name in self.sources[:2])
        model = f"{modeling}.{self.model_class}"
        return {
            "AutoConfig": f"{configuration}.{self.config_class}",
            "AutoModel": model,
            "AutoModelForSequenceClassification": model,
        }


_OF_BERT = ("configuration_bert_sentiment.py", "modeling_bert_sentiment.py")
_OF_ENCODERS = ("configuration_encoder_sentiment.py", "modeling_encoder_sentiment.py", *_OF_BERT)
# By what config.json calls them.
KINDS = {
    "bert_sentiment": Kind(
        "BertSentimentConfig", "BertForSentimentAnalysis", _OF_BERT, "BertForSequenceClassification"
    ),
    "encoder_sentiment": Kind("EncoderSentimentConfig", "EncoderForSentimentAnalysis", _OF_ENCODERS, None),
}
