"""Configuration of `EncoderForSentimentAnalysis`.

This file travels with every saved model, so it imports nothing but torch, transformers and its sibling.
"""

from __future__ import annotations

import copy
from typing import Any

from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    PreTrainedConfig,
    __version__,
)

from .configuration_bert_sentiment import SentimentConfig

_DEFAULT_ENCODER = "roberta"
# How the stock heads that have a choice look at the tokens; what they add to it is theirs.
_STOCK_POOLINGS = {"bos": "cls", "cls": "cls", "late": "mean", "mean": "mean"}
# Encoders that read tables, texts of certain lengths only, or how letters look and sound.
_OTHER_INPUTS = ("tapas", "reformer", "roc_bert")
# Of the checkpoint that the encoder came from: its head, and where it was.
_NOT_OF_AN_ENCODER = ("auto_map", "id2label", "label2id", "problem_type", "trust_remote_code", "_name_or_path")


def encoder_class(model_type: Any) -> type[Any]:
    """transformers' own class of a text encoder without a head.

    Raises:
        ValueError: There is none of this type, or somebody has put another class in its place.
    """
    found: Any
    if isinstance(model_type, str) and model_type in CONFIG_MAPPING and model_type not in _OTHER_INPUTS:
        config_class = CONFIG_MAPPING[model_type]
        # What reads both ways is pre-trained with masks; decoders and pictures have other heads.
        if config_class in MODEL_FOR_MASKED_LM_MAPPING and config_class in MODEL_MAPPING:
            found = MODEL_MAPPING[config_class]
            found = found[0] if isinstance(found, tuple) else found
            native = all(item.__module__.startswith("transformers.models.") for item in (config_class, found))
            if native and found.input_modalities == "text":
                return found
    raise ValueError(
        f"{model_type!r} is no text encoder of transformers {__version__} itself: choose a checkpoint of one, such as "
        "FacebookAI/xlm-roberta-base or answerdotai/ModernBERT-base"
    )


class EncoderSentimentConfig(SentimentConfig):
    """The config of any text encoder of transformers, with the options of the sentiment head.

    Args:
        encoder_config (dict | PreTrainedConfig): Of the encoder. Its `model_type` is one that transformers itself has;
            code of others that it names is left out. What this config has not, such as `hidden_size`, is read and
            written there.
        classifier_dropout (float): As in `SentimentConfig`.
        pooling (str): `"cls"` (default), `"mean"`, `"max"`, or `"pooler"` where the encoder has one.
        class_weights (list[float]): As in `SentimentConfig`.
        label_smoothing (float): As in `SentimentConfig`.
        label_rule (dict): As in `SentimentConfig`.
        long_texts (dict): As in `SentimentConfig`.
        sentence_encoder (bool): As in `SentimentConfig`.
        normalize (bool): As in `SentimentConfig`.
        text_prefix (str): As in `SentimentConfig`.

    Raises:
        ValueError: `encoder_config` is of no text encoder that transformers has, or as in `SentimentConfig`.

    Examples:
        >>> EncoderSentimentConfig(encoder_config={"model_type": "modernbert"}).hidden_size
        768
    """

    model_type = "encoder_sentiment"
    sub_configs = {"encoder_config": AutoConfig}  # noqa: RUF012

    encoder_config: dict[str, Any] | PreTrainedConfig | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        given = self.encoder_config or {"model_type": _DEFAULT_ENCODER}
        if isinstance(given, dict):
            given = {key: value for key, value in given.items() if key not in _NOT_OF_AN_ENCODER}
            given = encoder_class(given.get("model_type")).config_class(**given)
        elif type(given) is not encoder_class(given.model_type).config_class:
            raise ValueError(f"encoder_config is a {type(given).__name__}, which is not transformers' own")
        if given.is_encoder_decoder or getattr(given, "is_decoder", False):
            raise ValueError(f"encoder_config is of a decoder ({given.model_type}): choose an encoder's checkpoint")
        if getattr(given, "attention_type", None) == "block_sparse":
            # What BigBird takes for good after the first short text; its blocks depend on the longest text of a batch.
            given.attention_type = "original_full"
        self.encoder_config = given
        super().__post_init__(**kwargs)

    def __getattr__(self, name: str) -> Any:
        # Called for what this config has not. Through __dict__: a copy has no encoder_config while it is made. What
        # concerns rotary positions, the base class would set up once more, with its own defaults.
        encoder = self.__dict__.get("encoder_config")
        if name.startswith(("_", "rope_")) or not isinstance(encoder, PreTrainedConfig):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(encoder, name)

    def __setattr__(self, name: str, value: Any) -> None:
        encoder = self.__dict__.get("encoder_config")
        # The Trainer writes the tokenizer's pad id into a config, from which some encoders count positions.
        ours = name.startswith("_") or name == "pad_token_id" or hasattr(type(self), name) or name in self.__dict__
        if not ours and isinstance(encoder, PreTrainedConfig) and hasattr(encoder, name):
            setattr(encoder, name, value)
        else:
            super().__setattr__(name, value)

    @classmethod
    def _of_encoder(cls, name: str, config_dict: dict[str, Any]) -> dict[str, Any]:
        if not config_dict.get("model_type"):
            raise ValueError(f"{name} has no model_type in its config.json: name a checkpoint of transformers")
        try:
            encoder_class(config_dict["model_type"])
        except ValueError as error:
            raise ValueError(f"{name} cannot be the encoder: {error}") from error
        ours = {"model_type": cls.model_type, "encoder_config": copy.deepcopy(config_dict)}
        pooling = _STOCK_POOLINGS.get(str(config_dict.get("classifier_pooling")))
        return ours if pooling is None else ours | {"pooling": pooling}


__all__ = ["EncoderSentimentConfig"]
