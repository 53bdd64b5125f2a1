"""Frozen features of an encoder, and the linear head that computes logits of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from torch import nn
from transformers import PreTrainedTokenizerBase

from hf_sentiment.compute.batching import length_sorted_batches, pad_batch
from hf_sentiment.compute.processes import count, merged, rank
from hf_sentiment.model import SentimentModel


@dataclass(frozen=True)
class LinearHead:
    """What `classifier` computes: `features @ weight.T + bias`.

    Attributes:
        weight: `[labels, hidden_size]`.
        bias: `[labels]`.
    """

    weight: np.ndarray
    bias: np.ndarray

    def logits(self, features: np.ndarray) -> np.ndarray:
        """`[texts, labels]` of features `[texts, hidden_size]`."""
        return features @ self.weight.T + self.bias

    def copy_into(self, classifier: nn.Linear) -> None:
        """Make it the weights and bias of `classifier`, in place."""
        with torch.no_grad():
            classifier.weight.copy_(torch.as_tensor(self.weight, dtype=classifier.weight.dtype))
            classifier.bias.copy_(torch.as_tensor(self.bias, dtype=classifier.bias.dtype))


def frozen_features(model: SentimentModel, tokenizer: PreTrainedTokenizerBase, dataset: Dataset) -> np.ndarray:
    """What reaches `model.classifier` in evaluation mode, `[texts, hidden_size]` in float32, in the order given.

    Several processes share the batches, and each has all rows in the end: all must call it.

    Args:
        model: A classifier whose head is the linear layer `classifier`.
        tokenizer: Its tokenizer.
        dataset: Tokenised texts.
    """
    # What goes into the head, [texts of the batch, hidden_size]: after pooling, whatever the pooling is.
    caught: list[torch.Tensor] = []
    hook = model.classifier.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    columns = [name for name in tokenizer.model_input_names if name in dataset.column_names]
    encodings = {name: dataset[name][:] for name in columns}
    features = np.zeros((len(dataset), model.classifier.in_features), dtype=np.float32)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for number, rows in enumerate(length_sorted_batches([len(ids) for ids in encodings["input_ids"]])):
                if number % count() != rank():
                    continue
                batch = pad_batch(tokenizer, encodings, rows)
                model(**{name: tensor.to(model.device) for name, tensor in batch.items()})
                # Batches come longest first; rows go back to their places.
                features[rows] = caught.pop().float().cpu().numpy()
    finally:
        hook.remove()
        model.train(was_training)
    return merged(features)
