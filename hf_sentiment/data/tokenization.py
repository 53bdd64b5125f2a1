"""Tokenising once: cached by `datasets`, truncated, never padded (the collator pads to a batch's longest text)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from datasets import Dataset

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def tokenize(dataset: Dataset, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Dataset:
    """Token ids of every text, cut at `max_length` tokens; the share that was cut is logged.

    Args:
        dataset: With `text`, and `label` where there are labels.
        tokenizer: Of the model.
        max_length: In tokens, special ones included.

    Returns:
        `tokenizer.model_input_names`, `labels` (where there are labels) and `length` (tokens kept), in the same order.
    """
    # `datasets` leaves a fast tokenizer's last truncation and padding out of its hash, so the cache holds whatever the
    # tokenizer was used for before.
    tokenized = dataset.map(
        _tokenize_batch,
        batched=True,
        fn_kwargs={"tokenizer": tokenizer, "max_length": max_length},
        remove_columns=dataset.column_names,
        desc="Tokenising",
    )
    share = pc.mean(tokenized.data.column("truncated")).as_py() if len(tokenized) else 0.0
    if share:
        logger.info("%.1f %% of %d texts are cut at %d tokens", 100 * share, len(tokenized), max_length)
    return tokenized.remove_columns("truncated")


def _tokenize_batch(
    batch: dict[str, list[Any]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> dict[str, list[Any]]:
    """For `Dataset.map`."""
    encoded = tokenizer(batch["text"], truncation=True, max_length=max_length, padding=False)
    columns = {name: encoded[name] for name in tokenizer.model_input_names if name in encoded}
    if "label" in batch:
        columns["labels"] = batch["label"]
    lengths = [len(ids) for ids in encoded["input_ids"]]
    full = [i for i, length in enumerate(lengths) if length >= max_length]
    cut: set[int] = set()
    if full:
        # Only a text that fills the window can have been cut.
        whole = tokenizer([batch["text"][i] for i in full], truncation=False, verbose=False)["input_ids"]
        cut = {i for i, ids in zip(full, whole, strict=True) if len(ids) > max_length}
    columns["length"] = lengths
    columns["truncated"] = [i in cut for i in range(len(lengths))]
    return columns


def whole_words(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The pieces of the vocabulary that are words of letters by themselves, with their ids.

    None where the vocabulary does not tell them from pieces of words.

    Args:
        tokenizer: WordPiece marks what goes on (`##ing`), SentencePiece (`▁film`) and byte-level BPE (`Ġfilm`) what
            begins.
    """
    vocabulary = tokenizer.get_vocab()
    if any(piece.startswith("##") for piece in vocabulary):
        return {piece: row for piece, row in vocabulary.items() if piece.isalpha()}
    begins = {piece: row for piece, row in vocabulary.items() if piece[:1] in ("▁", "Ġ")}
    words = {
        # Byte-level BPE writes bytes above 127 as other letters.
        tokenizer.convert_tokens_to_string([piece]).strip() if piece[0] == "Ġ" else piece[1:]: row
        for piece, row in begins.items()
    }
    return {word: row for word, row in words.items() if word.isalpha()}
