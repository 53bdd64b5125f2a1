"""Tiny random encoders of every family that has to work, as their makers' checkpoints are."""

from __future__ import annotations

from typing import Any

# What all have, and what some call otherwise or need besides.
_SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.3,
}
_DISTILBERT = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "initializer_range": 0.3}
_FIRST_POSITION_2 = {"max_position_embeddings": 50, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
_ROBERTA = {**_SIZES, **_FIRST_POSITION_2, "type_vocab_size": 1}
_BERT = {**_SIZES, "max_position_embeddings": 48, "pad_token_id": 0}
_DEBERTA = {
    **_BERT,
    "relative_attention": True,
    "position_buckets": 8,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "type_vocab_size": 0,
}
_ROTARY = {**_SIZES, "max_position_embeddings": 64}
# Model types of transformers with the options of a tiny one.
FAMILIES: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": {**_DISTILBERT, "max_position_embeddings": 48},
    "electra": {**_BERT, "embedding_size": 8},
    "albert": {**_BERT, "embedding_size": 8},
    "mpnet": {**_SIZES, **_FIRST_POSITION_2},
    "deberta": {**_DEBERTA, "position_buckets": -1, "max_relative_positions": 16},
    "deberta-v2": _DEBERTA,
    "modernbert": {**_ROTARY, "pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "local_attention": 16},
    "eurobert": {**_ROTARY, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
    "nomic_bert": {**_ROTARY, "pad_token_id": 0},
    "gte": {**_ROTARY, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
}


def family_config(model_type: str, **options: Any) -> Any:
    """The stock config of a tiny one of this family."""
    from transformers import AutoConfig

    return AutoConfig.for_model(model_type, **{"vocab_size": 41, **FAMILIES[model_type], **options})


def family_model(model_type: str, auto_class: Any = None, seed: int = 0, **options: Any) -> Any:
    """A seeded tiny stock model of this family, by default without a head, in evaluation mode."""
    import torch
    from transformers import AutoModel

    torch.manual_seed(seed)
    return (auto_class or AutoModel).from_config(family_config(model_type, **options)).eval()
