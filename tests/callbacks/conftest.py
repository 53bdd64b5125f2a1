"""Small real trainings for the callbacks: tiny random models on made-up token sequences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import Trainer, TrainingArguments

TINY = {
    "vocab_size": 36,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 48,
}


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., Dataset]:
    """`make_rows(length, seed, noise)`: token sequences whose second token decides the label, but for flipped ones."""

    def make(length: int = 48, seed: int = 0, noise: float = 0.0, token_labels: bool = False) -> Dataset:
        generator = torch.Generator().manual_seed(seed)
        sizes = torch.randint(4, 10, (length,), generator=generator).tolist()
        ids = [torch.randint(5, 30, (size,), generator=generator).tolist() for size in sizes]
        flipped = (torch.rand(length, generator=generator) < noise).tolist()
        labels = [(row[1] > 15) != flip for row, flip in zip(ids, flipped, strict=True)]
        return Dataset.from_dict(
            {
                "input_ids": ids,
                "attention_mask": [[1] * len(row) for row in ids],
                "labels": [[int(token > 15) for token in row] for row in ids]
                if token_labels
                else list(map(int, labels)),
            }
        )

    return make


@pytest.fixture(scope="session")
def make_learner() -> Callable[..., Any]:
    """`make_learner(**options)`: a tiny model, initialised as models are, that learns `make_rows` within few epochs."""
    from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
    from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

    def make(**options: Any) -> BertForSentimentAnalysis:
        torch.manual_seed(0)
        dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
        return BertForSentimentAnalysis(
            BertSentimentConfig(**{**TINY, "hidden_size": 32, "pooling": "mean", **dropout, **options})
        )

    return make


@pytest.fixture
def make_trainer(
    tmp_path: Path, make_tiny: Callable[..., Any], make_rows: Callable[..., Dataset], tiny_tokenizer: Any
) -> Callable[..., Trainer]:
    """`make_trainer(*callbacks, model=, folder=, …)`: a Trainer of a tiny model; further arguments to its arguments."""

    def make(
        *callbacks: Any,
        model: Any = None,
        folder: Path | None = None,
        train: Any = None,
        evaluation: Any = None,
        trainer: dict[str, Any] | None = None,
        **options: Any,
    ) -> Trainer:
        values: dict[str, Any] = {"num_train_epochs": 3, "per_device_train_batch_size": 4, "learning_rate": 5e-3}
        values |= {"eval_strategy": "epoch", "save_strategy": "no", "use_cpu": True, "disable_tqdm": True}
        values |= {"logging_strategy": "no", "report_to": []} | options
        torch.manual_seed(0)
        return Trainer(
            model=make_tiny() if model is None and "model_init" not in (trainer or {}) else model,
            args=TrainingArguments(output_dir=str(folder or tmp_path / "run"), **values),
            train_dataset=make_rows() if train is None else train,
            eval_dataset=make_rows(32, 1) if evaluation is None else evaluation,
            processing_class=tiny_tokenizer,
            callbacks=list(callbacks),
            **(trainer or {}),
        )

    return make


@pytest.fixture(scope="session")
def weights() -> Callable[[Any], dict[str, torch.Tensor]]:
    """`weights(model)`: a copy of all its tensors, by name."""
    return lambda model: {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="session")
def same() -> Callable[..., bool]:
    """`same(one, other)`: whether two copies of weights are equal bit for bit."""

    def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
        return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in other)

    return equal
