"""Training on the word vectors that occur: the others get no gradient, so they need no memory and no optimizer step.

Of multilingual encoders most parameters are vectors of words that no training text has: 96 of the 118 million of
multilingual-e5-small. Adam would go through all of them at every step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow.compute as pc
import torch
from datasets import Dataset
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

# Optimizers that treat every number by itself. Others (adafactor, lamb) look at whole rows or at the whole table, and
# would train the rows that occur otherwise without the rest.
_ELEMENTWISE = ("adamw_torch", "adamw_torch_fused", "sgd", "adagrad", "rmsprop")


class OccurringWords(nn.Embedding):
    """Word embeddings of which only some rows are parameters; to all others outside it is the whole table.

    `state_dict` has the whole table under the usual name and `load_state_dict` takes it, so that checkpoints are those
    of the plain model. Words that do not occur are looked up in the table that stood before.

    Args:
        whole: The embeddings whose place it takes; their table is kept, and not copied.
        ids: Rows that are trained, each once, `[occurring]`.
    """

    def __init__(self, whole: nn.Embedding, ids: torch.Tensor) -> None:
        table = whole.weight.detach()
        ids = ids.to(table.device)
        places = torch.full((len(table),), -1, dtype=torch.long, device=table.device)  # -1: does not occur
        places[ids] = torch.arange(len(ids), device=table.device)
        padding = None if whole.padding_idx is None else int(places[whole.padding_idx])
        super().__init__(len(ids), table.shape[1], padding_idx=padding, _weight=table[ids])
        self.num_embeddings = len(table)  # as whoever asks expects it
        # Plain attributes and no buffers: callbacks that keep weights keep buffers too, and these need no keeping.
        self.ids, self.places, self.table = ids, places, table

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Vectors `[..., width]` of word ids `[...]`."""
        places = self.places.to(input.device)[input]
        elsewhere = places < 0
        vectors = functional.embedding(places.clamp(min=0), self.weight, self.padding_idx)
        if not elsewhere.any():
            return vectors
        # An evaluation has words that training has not: they are as they were.
        rows = functional.embedding(input.to(self.table.device), self.table).to(vectors)
        return torch.where(elsewhere.unsqueeze(-1), rows, vectors)

    def whole_table(self) -> torch.Tensor:
        """The table with the rows as they are trained by now, `[words, width]`; the one that is kept, not a copy."""
        self.table[self.ids] = self.weight.detach().to(self.table)
        return self.table

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.whole_table()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        rows = state_dict.pop(prefix + "weight", None)
        if rows is not None:
            self.table.copy_(rows)
            state_dict[prefix + "weight"] = rows.to(self.ids.device)[self.ids]
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        if rows is not None:
            state_dict[prefix + "weight"] = rows


def only_occurring(optimizer: str, augment: str, lora: bool) -> bool:
    """Whether to train on the words that occur: where that is exact, and word vectors are trained at all.

    Args:
        optimizer: As `TrainingArguments.optim` names it.
        augment: As `--augment` names it; edited texts have other words.
        lora: Whether adapters are trained.
    """
    return optimizer in _ELEMENTWISE and augment == "none" and not lora


def occurring_ids(dataset: Dataset, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """The token ids that occur in tokenised texts, and the special ones, in order, `[occurring]`."""
    found = set(tokenizer.all_special_ids)
    for batch in dataset.with_format("arrow").iter(batch_size=4096):
        found.update(pc.unique(pc.list_flatten(batch["input_ids"])).to_pylist())
    return torch.tensor(sorted(found), dtype=torch.long)


@contextmanager
def only_occurring_words(model: PreTrainedModel, ids: torch.Tensor | None) -> Iterator[None]:
    """Within it, training changes only the rows `ids` of the word embeddings; after it, the model is plain again.

    Where `only_occurring` says so, the weights are those of training on all rows, but for weight decay, from which
    rows that do not occur are spared. It has to be made within.

    Args:
        model: Any transformers model.
        ids: As `occurring_ids` gives them; `None` changes nothing.
    """
    whole = model.get_input_embeddings()
    if ids is None or type(whole) is not nn.Embedding or not whole.weight.requires_grad:
        yield
        return
    some = OccurringWords(whole, ids)
    model.set_input_embeddings(some)
    try:
        yield
    finally:
        with torch.no_grad():
            whole.weight.copy_(some.whole_table())  # itself, unless the model has moved to another device
        model.set_input_embeddings(whole)
