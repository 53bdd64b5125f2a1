"""Batches of token sequences: sorted by length, padded to the batch's longest, sized by tokens and not by texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Token slots (texts x longest) a batch. On two CPU cores the starter model is fastest between 500 and 2,000: smaller
# batches pay per call, larger ones fall out of the cache (benchmarks/prediction_speed.py --tune).
TOKEN_BUDGET = 1024


@runtime_checkable
class Augmented(Protocol):
    """A data set that gives other rows in every epoch, and in `clean` the rows as they are."""

    clean: Dataset


def length_sorted_batches(lengths: Sequence[int], token_budget: int = TOKEN_BUDGET) -> Iterator[list[int]]:
    """Indices of `lengths` in batches, longest first, so that memory peaks at once and padding is small.

    A batch has at least one text, and at most `token_budget` token slots beyond that.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        size = max(1, token_budget // max(1, lengths[order[start]]))
        yield order[start : start + size]
        start += size


def pad_batch(
    tokenizer: PreTrainedTokenizerBase, encodings: dict[str, list[list[int]]], rows: list[int], side: str | None = None
) -> dict[str, torch.Tensor]:
    """The token sequences of a batch as tensors `[len(rows), longest]`.

    Args:
        tokenizer: That made them.
        encodings: Of more texts, by column.
        rows: Which of them are the batch.
        side: `"left"` or `"right"`, where padding goes; by default where the tokenizer says.
    """
    batch: dict[str, Any] = {name: [values[row] for row in rows] for name, values in encodings.items()}
    return dict(tokenizer.pad(batch, return_tensors="pt", padding_side=side))
