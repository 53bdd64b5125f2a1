"""Head first: the head is a logistic regression on frozen features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression

from hf_sentiment.data import tokenise
from hf_sentiment.training.optimisation import HEAD_C, fit_head, fit_head_first, frozen_features


@pytest.fixture
def tokens(reviews: list[tuple[str, str]], tiny_tokenizer: Any) -> Dataset:
    columns = {"text": [text for text, _ in reviews], "label": [int(label == "positive") for _, label in reviews]}
    return tokenise(Dataset.from_dict(columns), tiny_tokenizer, 48)


def test_features_are_what_reaches_the_head_in_the_order_given(
    make_tiny: Callable[..., Any], tiny_tokenizer: Any, tokens: Dataset
) -> None:
    model = make_tiny(pooling="mean").train()
    features = frozen_features(model, tiny_tokenizer, tokens)
    assert model.training
    batch = tiny_tokenizer.pad({"input_ids": tokens["input_ids"][:5]}, return_tensors="pt")
    with torch.no_grad():
        logits = model.eval()(**batch).logits
        assert torch.allclose(model.classifier(torch.tensor(features[:5])), logits, atol=1e-5)


def test_the_head_predicts_as_the_regression_does() -> None:
    generator = np.random.default_rng(0)
    for num_labels in (2, 3):
        labels = np.arange(90) % num_labels
        features = (generator.normal(size=(90, 8)) + labels[:, None]).astype(np.float32)
        head = torch.nn.Linear(8, num_labels)
        fit_head(head, features, labels)
        scale = np.linalg.norm(features, axis=1).mean()
        expected = (
            LogisticRegression(C=HEAD_C, max_iter=1000).fit(features / scale, labels).predict_proba(features / scale)
        )
        found = head(torch.tensor(features)).softmax(dim=1).detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_label_without_texts_is_an_error() -> None:
    with pytest.raises(ValueError, match="no training text has label 1"):
        fit_head(torch.nn.Linear(4, 2), np.ones((3, 4), dtype=np.float32), np.zeros(3, dtype=int))


def test_it_is_fitted_on_the_training_texts(
    make_tiny: Callable[..., Any], tiny_tokenizer: Any, tokens: Dataset
) -> None:
    model, expected = make_tiny(pooling="mean"), torch.nn.Linear(16, 2)
    fit_head(expected, frozen_features(model, tiny_tokenizer, tokens), np.asarray(tokens["labels"]))
    fit_head_first(model, tiny_tokenizer, tokens, seed=0)
    torch.testing.assert_close(model.classifier.weight, expected.weight)
    torch.testing.assert_close(model.classifier.bias, expected.bias)
