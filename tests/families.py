"""Tiny random encoders of every family that has to work, as their makers' checkpoints are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Of the reviews that conftest.py makes up.
_TEXT = """
a the this film book plot cast is was not never very good great fine bad awful dull boring moving funny loved hated it i
. , !
"""
WORDS = _TEXT.split()
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


_BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
_LETTERS = list("abcdefghijklmnopqrstuvwxyz.,!?:'")


def _word_pieces(words: Sequence[str], special: Sequence[str]) -> dict[str, int]:
    pieces = [*special, *words, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    return {piece: row for row, piece in enumerate(dict.fromkeys(pieces))}


def _unigrams(words: Sequence[str], special: Sequence[str]) -> list[tuple[str, float]]:
    whole = [(f"▁{word}", -2.0) for word in words]
    letters = [(piece, -6.0) for letter in _LETTERS for piece in (letter, f"▁{letter}")]
    return [*((name, 0.0) for name in special), *dict(whole + letters + [("▁", -6.0)]).items()]


def _bytes(words: Sequence[str], special: Sequence[str]) -> dict[str, Any]:
    """Byte-level BPE that has learned the words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([f"{word} {word}" for word in words], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def _general(words: Sequence[str]) -> Any:
    """A tokenizer of no family, as ModernBERT and EuroBERT have."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE(**_bytes(words, _BERT_SPECIAL)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), _BERT_SPECIAL, strict=True))
    inputs = ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_input_names=inputs, **names)


def family_tokenizer(model_type: str, words: Sequence[str] = WORDS) -> Any:
    """A tokenizer of the class that checkpoints of this family have, over these words, of no stated length."""
    import transformers as hf

    if model_type in ("modernbert", "eurobert"):
        return _general(words)
    if model_type in ("bert", "electra", "nomic_bert"):
        return hf.BertTokenizer(vocab=_word_pieces(words, _BERT_SPECIAL))
    if model_type == "distilbert":
        return hf.DistilBertTokenizer(vocab=_word_pieces(words, _BERT_SPECIAL))
    if model_type == "mpnet":
        return hf.MPNetTokenizer(vocab=_word_pieces(words, [*_ROBERTA_SPECIAL, "[UNK]"]))
    if model_type == "roberta":
        return hf.RobertaTokenizer(**_bytes(words, _ROBERTA_SPECIAL))
    if model_type == "deberta":
        return hf.DebertaTokenizer(**_bytes(words, _BERT_SPECIAL))
    if model_type == "deberta-v2":
        return hf.DebertaV2Tokenizer(vocab=_unigrams(words, _BERT_SPECIAL))
    if model_type == "albert":
        return hf.AlbertTokenizer(vocab=_unigrams(words, ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]))
    if model_type == "camembert":
        return hf.CamembertTokenizer(vocab=_unigrams(words, _ROBERTA_SPECIAL), additional_special_tokens=[])
    return hf.XLMRobertaTokenizer(vocab=_unigrams(words, _ROBERTA_SPECIAL))


def family_checkpoint(model_type: str, folder: Path, **options: Any) -> Path:
    """A plain encoder of this family with its tokenizer, in `folder`."""
    tokenizer = family_tokenizer(model_type)
    family_model(model_type, vocab_size=len(tokenizer), **options).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
