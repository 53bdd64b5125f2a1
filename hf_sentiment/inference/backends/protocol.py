"""What a classifier asks of an engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np


class Tokens(NamedTuple):
    """Token sequences of texts, as a model takes them.

    Attributes:
        columns: Input name → one sequence a text, none of them padded; `input_ids` is one of the names.
        cut: Of each text whether it is longer than the model reads.
    """

    columns: dict[str, list[list[int]]]
    cut: list[bool]


class Backend(Protocol):
    """A model with its tokenizer. Several threads may call it at once.

    Attributes:
        config: Its config.json: `id2label`, `problem_type`, `label_rule` and the rest.
        max_length: Tokens of a text that it reads, special ones included.
    """

    config: Mapping[str, Any]
    max_length: int

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The tokens of each text, cut at `max_length`."""

    def logits(self, tokens: Tokens, rows: Sequence[int]) -> np.ndarray:
        """The model's outputs before softmax for one batch, `[rows, labels]`, in float32.

        Args:
            tokens: What `tokenize` gave.
            rows: Which of its texts are the batch.
        """
