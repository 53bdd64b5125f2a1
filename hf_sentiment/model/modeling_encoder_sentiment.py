"""`EncoderForSentimentAnalysis`: any text encoder of transformers, one pooled vector, dropout, one linear layer.

This file travels with every saved model, so it imports nothing but torch, transformers and its siblings.
"""

# No `from __future__ import annotations` here: transformers reads the annotations of models as objects.
import inspect
import os
from typing import Any

from transformers import PreTrainedConfig
from transformers.utils import logging

from .configuration_bert_sentiment import HUB_ARGUMENTS, BertSentimentConfig
from .configuration_encoder_sentiment import EncoderSentimentConfig, encoder_class
from .modeling_bert_sentiment import BertForSentimentAnalysis, SentimentModel

logger = logging.get_logger(__name__)

# What the loader of an encoder needs to know; all else is for the whole model.
_OF_FILES = (*HUB_ARGUMENTS, "variant", "use_safetensors", "weights_only", "key_mapping", "ignore_mismatched_sizes")
_CAPABILITIES = (
    "_supports_sdpa",
    "_supports_flash_attn",
    "_supports_flex_attn",
    "_supports_attention_backend",
    "_can_compile_fullgraph",
    "supports_gradient_checkpointing",
)


class EncoderForSentimentAnalysis(SentimentModel):
    """A text encoder with a sentiment head: `encoder` → pooling → `dropout` → `classifier`.

    Args:
        config: An `EncoderSentimentConfig`. To start from a checkpoint, call `from_pretrained` with the label names:

    Raises:
        ValueError: The config asks for a pooler, and the encoder has none.

    Examples:
        >>> model = EncoderForSentimentAnalysis.from_pretrained(  # doctest: +SKIP
        ...     "answerdotai/ModernBERT-base", labels=["negative", "neutral", "positive"]
        ... )
    """

    config: EncoderSentimentConfig
    config_class = EncoderSentimentConfig
    base_model_prefix = "encoder"
    # Of some encoder; an instance says what its own is capable of.
    _supports_sdpa = _supports_flash_attn = _supports_flex_attn = _supports_attention_backend = True
    supports_gradient_checkpointing = True

    def __init__(self, config: EncoderSentimentConfig) -> None:
        if not _is_ours(config):
            raise ValueError(f"{type(self).__name__} needs an EncoderSentimentConfig, got a {type(config).__name__}")
        nested: Any = config.encoder_config
        encoder = encoder_class(nested.model_type)
        for name in _CAPABILITIES:  # before the parent checks the config against them
            setattr(self, name, getattr(encoder, name))
        super().__init__(config)
        self._takes_segments = "token_type_ids" in inspect.signature(encoder.forward).parameters
        self.encoder = encoder(nested, **_pooler_option(config))
        self._make_head(nested.hidden_size)
        # Files have the names that are in memory, which the Trainer loads as they are, and no older ones of an encoder.
        self._weight_conversions: list[Any] = []
        self.post_init()

    @classmethod
    def _load(cls, name: str | os.PathLike[str] | None, *model_args: Any, **kwargs: Any) -> Any:
        """Load our own checkpoint as it is; of any other one the encoder, by its own class, which knows its names."""
        hub = {key: kwargs[key] for key in HUB_ARGUMENTS if key in kwargs}
        if name is None or _model_type(name, hub) == cls.config_class.model_type:
            return super()._load(name, *model_args, **kwargs)
        files = {key: kwargs[key] for key in _OF_FILES if key in kwargs}
        config, dtype = kwargs.pop("config", None), kwargs.pop("dtype", kwargs.pop("torch_dtype", "auto"))
        with_info = kwargs.pop("output_loading_info", False)
        if not _is_ours(config):
            config, kwargs = cls.config_class.from_pretrained(
                name if config is None else config, return_unused_kwargs=True, **kwargs
            )
        verbosity = logging.get_verbosity()
        logging.set_verbosity_error()  # what is left over is of a head, and what is missing an error
        try:
            encoder, found = encoder_class(config.encoder_config.model_type).from_pretrained(
                name,
                config=config.encoder_config,
                attn_implementation="eager",  # which all have; the model's own is set below
                dtype=dtype,
                output_loading_info=True,
                **_pooler_option(config),
                **files,
            )
            if found["missing_keys"]:
                raise ValueError(
                    f"{name} lacks weights of its encoder ({', '.join(sorted(found['missing_keys'])[:3])}): name "
                    "another pooling if these are of a pooler, or another checkpoint"
                )
            # Once more in the usual way, from memory: devices, attention and quantization are then as for any model.
            model, info = super()._load(
                None,
                *model_args,
                config=config,
                state_dict={f"{cls.base_model_prefix}.{key}": value for key, value in encoder.state_dict().items()},
                dtype=encoder.dtype,
                output_loading_info=True,
                **{key: value for key, value in kwargs.items() if key not in _OF_FILES},
            )
        finally:
            logging.set_verbosity(verbosity)
        if verbosity <= logging.WARNING:
            logger.warning("%s: the head is new, as no checkpoint of another model has it: train it", name)
        model.config.name_or_path = model.name_or_path = str(name)
        info |= {key: found[key] for key in ("unexpected_keys", "mismatched_keys")}
        return (model, info) if with_info else model


def _pooler_option(config: EncoderSentimentConfig) -> dict[str, bool]:
    """Whether the encoder gets its own pooler, for its constructor.

    Raises:
        ValueError: The config asks for a pooler, and the encoder has none.
    """
    model_type = config.encoder_config.model_type  # type: ignore[union-attr]
    if "add_pooling_layer" in inspect.signature(encoder_class(model_type).__init__).parameters:
        return {"add_pooling_layer": config.pooling == "pooler"}
    if config.pooling == "pooler":
        raise ValueError(f'a {model_type} has no pooler of its own: name another pooling, for example pooling="mean"')
    return {}


def _is_ours(config: Any) -> bool:
    """Whether it is a config of ours: of this class, or of the same one that was loaded from another place."""
    return isinstance(config, PreTrainedConfig) and "encoder_config" in vars(config)


def _model_type(name: str | os.PathLike[str], hub: dict[str, Any]) -> str | None:
    """What a checkpoint's config.json says that it is."""
    model_type: str | None = PreTrainedConfig.get_config_dict(name, **hub)[0].get("model_type")
    return model_type


def sentiment_model_class(name: str | os.PathLike[str], **hub: Any) -> type[SentimentModel]:
    """The class that loads a checkpoint: BERT's own for a BERT, and the other one for any other encoder.

    Args:
        name: A Hub id or a folder.
        **hub: `revision`, `token` and the like, as in `from_pretrained`.

    Raises:
        OSError: There is no such checkpoint.
    """
    is_bert = _model_type(name, hub) in ("bert", BertSentimentConfig.model_type)
    return BertForSentimentAnalysis if is_bert else EncoderForSentimentAnalysis


__all__ = ["EncoderForSentimentAnalysis"]
