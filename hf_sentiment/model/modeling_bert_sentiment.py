"""`BertForSentimentAnalysis`: a BERT encoder, one pooled vector, dropout, one linear layer.

This file travels with every saved model, so it imports nothing but torch, transformers and its sibling.

Weights have the names of stock `BertForSequenceClassification`, so either class loads what the other saved.
"""

# No `from __future__ import annotations` here: transformers reads the annotations of `forward` as objects.
import copy
import os
from typing import Any, Literal, Self

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.bert.modeling_bert import BertModel, BertPreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, logging
from transformers.utils.generic import can_return_tuple

from .configuration_bert_sentiment import BertSentimentConfig, SentimentConfig, label_maps

logger = logging.get_logger(__name__)

_ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]


class SentimentModel(PreTrainedModel):
    """What every sentiment model is, whatever its encoder: `base_model` → pooling → `dropout` → `classifier`.

    A subclass makes the encoder under the attribute `base_model_prefix`, and the head by `_make_head`.

    Attributes:
        dropout: Before the head.
        classifier: The head, a linear layer.
    """

    config: SentimentConfig
    config_class: type[SentimentConfig]
    dropout: nn.Dropout
    classifier: nn.Linear
    # What `register_for_auto_class()` sets; the second auto class is added in `save_pretrained`.
    _auto_class = "AutoModelForSequenceClassification"  # type: ignore[assignment]
    _takes_segments = True

    def _make_head(self, width: int) -> None:
        """Dropout and the linear layer on pooled vectors of this width; the config says the rest."""
        self.num_labels: int = self.config.num_labels or 0
        self.dropout = nn.Dropout(self.config.classifier_dropout or 0.0)  # the config has replaced None by its default
        self.classifier = nn.Linear(width, self.num_labels)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *model_args: Any,
        labels: list[str] | None = None,
        **kwargs: Any,
    ) -> Self:
        """Load a checkpoint of this model, of its encoder with any head or none, or of a sentence-transformers encoder.

        Args:
            pretrained_model_name_or_path: A Hub id or a folder.
            *model_args: As in `PreTrainedModel.from_pretrained`.
            labels: The label names in index order. They set the size of the head and both label maps. Where the
                checkpoint's head has another size, a new one takes its place.
            **kwargs: As in `PreTrainedModel.from_pretrained`; options of the config may be given as well.

        Raises:
            ValueError: `labels` is no list of distinct names or contradicts another argument, or the checkpoint is
                of another architecture or, where there are `labels`, lacks weights of the encoder.
        """
        kwargs.setdefault("use_safetensors", True)  # other files are pickles, which run what they hold
        given = kwargs.get("config")
        if isinstance(given, (str, os.PathLike)):
            given = kwargs["config"] = cls.config_class.from_pretrained(given)
        if isinstance(given, PreTrainedConfig) and not hasattr(given, "pooling"):
            right_call = f"{cls.config_class.__name__}.from_pretrained({str(pretrained_model_name_or_path)!r})"
            raise ValueError(f"config is a {type(given).__name__}: leave it out, or give {right_call}")
        if labels is None:
            return cls._load(pretrained_model_name_or_path, *model_args, **kwargs)
        maps = label_maps(labels)
        right_call = f"{cls.__name__}.from_pretrained({str(pretrained_model_name_or_path)!r}, labels={list(labels)!r})"
        for name, same in (*maps.items(), ("num_labels", len(labels))):
            if kwargs.pop(name, None) not in (None, same):
                raise ValueError(f"labels and {name} contradict each other, and labels says it all: {right_call}")
        if given is None:
            kwargs.update(maps)
        elif given.has_default_labels or str(given.name_or_path) == str(pretrained_model_name_or_path):
            # Nobody has named them, or it is the checkpoint's own, which the Auto classes have read for us.
            kwargs["config"] = copy.deepcopy(given)
            kwargs["config"].set_labels(labels)
        elif given.id2label != maps["id2label"]:
            raise ValueError(f"labels and config contradict each other, and labels says it all: {right_call}")
        any_size = kwargs.pop("ignore_mismatched_sizes", False)
        with_info = kwargs.pop("output_loading_info", False)
        loaded = cls._load(
            pretrained_model_name_or_path,
            *model_args,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # for the head
            **kwargs,
        )
        _check_weights(pretrained_model_name_or_path, loaded[1], any_size)
        return loaded if with_info else loaded[0]

    @classmethod
    def _load(cls, name: str | os.PathLike[str] | None, *model_args: Any, **kwargs: Any) -> Any:
        """`PreTrainedModel.from_pretrained`; a subclass may read other checkpoints in another way."""
        return super().from_pretrained(name, *model_args, **kwargs)

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Save config, safetensors weights and the source files, so that the folder loads without this package.

        Takes the arguments of `PreTrainedModel.save_pretrained`.
        """
        # FSDP2 puts a class of its own before the model's, by whose name nobody could load the folder.
        current, *bases = type(self).__mro__
        own = bases[1] if bases[0].__name__ == "FSDPModule" else current
        # Only the file's stem: loaded from a saved folder, this module has a longer name.
        name = f"{own.__module__.rpartition('.')[2]}.{own.__name__}"
        config_class = type(self.config)
        self.config.auto_map = {
            "AutoConfig": f"{config_class.__module__.rpartition('.')[2]}.{config_class.__name__}",
            "AutoModel": name,
            "AutoModelForSequenceClassification": name,
        }
        self.__class__ = own
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
        finally:
            self.__class__ = current

    @can_return_tuple
    def forward(  # type: ignore[misc]
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, ...] | SequenceClassifierOutput:
        """Classify a batch of token sequences.

        Args:
            input_ids: Token ids, `[batch, tokens]`.
            attention_mask: 1 for tokens and 0 for padding, `[batch, tokens]`; all ones if left out.
            token_type_ids: Segment ids, `[batch, tokens]`; an encoder without segments does not get them.
            position_ids: Positions, `[batch, tokens]`.
            inputs_embeds: Embeddings in place of `input_ids`, `[batch, tokens, hidden_size]`.
            labels: Label ids `[batch]` (single label; -100 is left out), 0/1 floats `[batch, num_labels]` (multi-label)
                or floats `[batch]` or `[batch, num_labels]` (regression).
            num_items_in_batch: Number of labels in the whole accumulated batch, which the Trainer passes: the loss is
                the sum over this batch divided by it, so that accumulated gradients equal the large batch's.
            **kwargs: Passed to the encoder: `output_attentions`, `output_hidden_states`, `return_dict`, …

        Returns:
            `SequenceClassifierOutput` with `logits` `[batch, num_labels]` and, with labels, the scalar `loss`.
        """
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids if self._takes_segments else None,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
        }
        given = {name: tensor for name, tensor in inputs.items() if tensor is not None}
        for name in ("output_hidden_states", "output_attentions"):  # of this config, and not of the encoder's
            if kwargs.get(name) is None and getattr(self.config, name):
                kwargs[name] = True
        outputs = self.base_model(**given, return_dict=True, **kwargs)
        return self._classify(outputs, attention_mask, labels, num_items_in_batch)

    def _classify(
        self,
        outputs: Any,
        attention_mask: torch.Tensor | None,
        labels: torch.Tensor | None,
        num_items_in_batch: torch.Tensor | int | None,
    ) -> SequenceClassifierOutput:
        """Pool what the encoder returned, and put the head on it; the loss where there are labels."""
        pooler_output = outputs.pooler_output if self.config.pooling == "pooler" else None
        pooled = self._pool(outputs.last_hidden_state, pooler_output, attention_mask)
        if self.config.normalize:
            pooled = functional.normalize(pooled, dim=-1)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else self._loss(logits, labels, num_items_in_batch)
        if labels is None and self.training and self.config.class_weights is not None:
            logger.warning_once(
                "class_weights do nothing: no labels reach the model. The Trainer's label_smoothing_factor and "
                "compute_loss_func keep them from it: set model.config.label_smoothing instead"
            )
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )

    def _pool(
        self, hidden: torch.Tensor, pooler_output: torch.Tensor | None, attention_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """One vector a text, `[batch, hidden_size]`, of token states `[batch, tokens, hidden_size]`."""
        if pooler_output is not None:
            return pooler_output
        if self.config.pooling not in ("cls", "mean", "max"):
            raise ValueError(f"this model has no pooling {self.config.pooling!r}: load it anew with that pooling")
        if self.config.pooling == "cls":
            return hidden[:, 0]
        if attention_mask is None:
            attention_mask = hidden.new_ones(hidden.shape[:2])
        if attention_mask.dim() != 2:
            raise ValueError(
                f'pooling="{self.config.pooling}" needs an attention_mask of shape [batch, tokens], got '
                f"{list(attention_mask.shape)}"
            )
        mask = attention_mask.unsqueeze(-1).to(hidden)
        if self.config.pooling == "mean":
            # A row without any token gives zeros, not 0/0.
            return (hidden * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
        lowest = torch.finfo(hidden.dtype).min
        return hidden.masked_fill(mask == 0, lowest).amax(dim=1) * mask.amax(dim=1)

    def _loss(
        self, logits: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        """The loss as a sum over items divided by their number; `class_weights`, `label_smoothing` in training only."""
        if self.config.problem_type is None:  # kept in the config, as stock BERT does: pipelines read it there
            self.config.problem_type = _infer_problem_type(self.num_labels, labels)
        labels = labels.to(logits.device)  # the last layer's, where the model is spread over several
        # A sum over a batch soon leaves the range of half precision.
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.config.problem_type == "single_label_classification":
            loss = self._cross_entropy(logits.view(-1, self.num_labels), labels.view(-1).long())
            count: torch.Tensor | int = (labels != -100).sum()
        elif self.config.problem_type == "multi_label_classification":
            loss = functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
            count = labels.numel()
        else:
            loss = functional.mse_loss(logits, labels.to(logits.dtype).view_as(logits), reduction="sum")
            count = labels.numel()
        if num_items_in_batch is not None:
            count = num_items_in_batch
        if isinstance(count, torch.Tensor):
            count = count.to(loss.device)
        return loss / (count + (count == 0))  # nothing to learn from is a loss of 0, not 0/0

    def _cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Summed over texts. In training a text's class weight is its own label's, and what is smoothed has none.

        PyTorch weighs the smoothed part too: with 19 texts of a label for each of another, the other one's share of
        that part outweighs the text's own label, and the wrong answer is the best one.
        """
        weights = self.config.class_weights if self.training else None
        smoothing = self.config.label_smoothing if self.training else 0.0
        weight = None if weights is None else logits.new_tensor(weights)
        loss = functional.cross_entropy(logits, labels, weight=weight, reduction="sum")
        if not smoothing:
            return loss
        even = functional.cross_entropy(logits, labels, label_smoothing=1.0, reduction="sum")
        return (1 - smoothing) * loss + smoothing * even


def _check_weights(name: str | os.PathLike[str], found: dict[str, Any], any_size: bool) -> None:
    """Refuse a checkpoint whose encoder did not arrive whole; of the head, nothing has to."""
    mismatched = sorted(key if isinstance(key, str) else key[0] for key in found["mismatched_keys"])
    if not any_size and any(not key.startswith("classifier.") for key in mismatched):
        raise ValueError(
            f"{name} holds weights of other shapes than its config.json says ({', '.join(mismatched[:3])}): the "
            "folder is damaged, fetch it again"
        )
    # A pooler was not trained with the rest, and many checkpoints have none.
    missing = sorted(key for key in found["missing_keys"] if not key.startswith("classifier.") and "pooler." not in key)
    if missing:
        raise ValueError(f"{name} lacks weights of its encoder ({', '.join(missing[:3])}): name another checkpoint")


class BertForSentimentAnalysis(SentimentModel, BertPreTrainedModel):
    """BERT with a sentiment head: `bert` → pooling → `dropout` → `classifier`.

    Args:
        config: A `BertSentimentConfig`. To start from a checkpoint, call `from_pretrained` with the label names:

    Examples:
        >>> model = BertForSentimentAnalysis.from_pretrained(
        ...     "google-bert/bert-base-uncased", labels=["negative", "neutral", "positive"]
        ... )
    """

    config: BertSentimentConfig
    config_class = BertSentimentConfig
    base_model_prefix = "bert"
    # Parts of a pre-training checkpoint that this model never has: no user need read about them.
    _keys_to_ignore_on_load_unexpected = [r"^cls\.", r"pooler\.dense", r"embeddings\.position_ids"]  # noqa: RUF012

    def __init__(self, config: BertSentimentConfig) -> None:
        if not hasattr(config, "pooling"):
            raise ValueError(
                f"{type(self).__name__} needs a BertSentimentConfig, got a {type(config).__name__}: "
                "BertSentimentConfig.from_pretrained(...) reads the config of any BERT checkpoint as one"
            )
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=config.pooling == "pooler")
        self._make_head(config.hidden_size)
        self.post_init()


def _infer_problem_type(num_labels: int, labels: torch.Tensor) -> _ProblemType:
    """Stock BERT's rule: one output is regression, integer labels are classes, anything else is multi-label."""
    if num_labels == 1:
        return "regression"
    if labels.dtype in (torch.long, torch.int):
        return "single_label_classification"
    return "multi_label_classification"


__all__ = ["BertForSentimentAnalysis", "SentimentModel"]
