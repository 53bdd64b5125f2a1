"""Head first: the head is a logistic regression on frozen features, or the lexicon's alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from sklearn.linear_model import LogisticRegression

from hf_sentiment.data.splits import label_folds
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.head import solve
from hf_sentiment.head.features import frozen_features
from hf_sentiment.head.first import fit_head_first, fit_zero_shot_head
from hf_sentiment.head.lexicon import LexiconPrior
from hf_sentiment.head.solve import linear_probe, out_of_fold_logits, zero_shot_head

# Valence is the first of eight features, and its zero lies at 0.5.
PRIOR = LexiconPrior(np.eye(8, dtype=np.float32)[0], -0.5)


@pytest.fixture
def tokens(reviews: list[tuple[str, str]], tiny_tokenizer: Any) -> Dataset:
    columns = {"text": [text for text, _ in reviews], "label": [int(label == "positive") for _, label in reviews]}
    return tokenize(Dataset.from_dict(columns), tiny_tokenizer, 48)


def drawn(texts: int, num_labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of texts and their labels, which each of eight features tells a little of."""
    labels = np.arange(texts) % num_labels
    noise = np.random.default_rng(seed).normal(size=(texts, 8))
    return (noise + labels[:, None]).astype(np.float32), labels


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


@pytest.mark.parametrize("prior", [None, PRIOR])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_head_predicts_as_the_regression_does(
    num_labels: int, balanced: bool, prior: LexiconPrior | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve, "INVERSE_PENALTIES", np.array([0.7]))
    monkeypatch.setattr(solve, "STRETCHES", np.array([1.5]))
    features, labels = drawn(90, num_labels)
    features, labels = np.vstack([features, features[labels == 0]]) + 100, np.append(labels, labels[labels == 0])
    solved = linear_probe(features, labels, num_labels, prior, balanced)
    design = features - features.mean(axis=0, dtype=np.float64)
    design /= np.sqrt((design**2).sum(axis=1).mean())
    if prior is not None:  # the direction once more, twice as long
        design = np.column_stack([design, 2 * design[:, 0]])
    inverse = 1.4 if num_labels == 2 else 0.7
    weights = "balanced" if balanced else None
    regression = LogisticRegression(C=inverse, max_iter=1000, class_weight=weights).fit(design, labels)
    logits = 1.5 * design @ regression.coef_.T + regression.intercept_  # the length is not that of the intercept
    expected = softmax(np.column_stack([0 * logits, logits]) if num_labels == 2 else logits)
    np.testing.assert_allclose(softmax(solved.logits(features.astype(np.float64))), expected, atol=1e-5)
    head = torch.nn.Linear(8, num_labels)
    solved.copy_into(head)
    np.testing.assert_allclose(solved.logits(features), head(torch.tensor(features)).detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("prior", [None, PRIOR])
def test_it_does_not_matter_where_features_lie_nor_how_far_apart(prior: LexiconPrior | None) -> None:
    features, labels = drawn(60, 2)
    expected = linear_probe(features, labels, 2, prior).logits(features)
    for scale, shift in ((1.0, 50.0), (0.01, 3.0), (100.0, -20.0)):
        moved = scale * features.astype(np.float64) + shift
        np.testing.assert_allclose(linear_probe(moved, labels, 2, prior).logits(moved), expected, atol=1e-2)


def test_labels_that_features_do_not_tell_make_a_shorter_head() -> None:
    features, labels = drawn(200, 2)
    told = np.linalg.norm(linear_probe(features, labels, 2).weight)
    untold = np.linalg.norm(linear_probe(features, np.random.default_rng(1).permutation(labels), 2).weight)
    assert untold < told / 5


@pytest.mark.parametrize("texts", [1, 2])
@pytest.mark.parametrize("prior", [None, PRIOR])
def test_one_or_two_texts_of_a_label_are_enough(texts: int, prior: LexiconPrior | None) -> None:
    features, labels = drawn(3 * texts, 3)
    features += 10 * np.eye(8, dtype=np.float32)[labels]
    for rows in (labels < 2, labels < 3):
        known = linear_probe(features[rows], labels[rows], labels[rows].max() + 1, prior)
        assert (known.logits(features[rows]).argmax(axis=1) == labels[rows]).all()


def test_all_texts_alike_make_a_head_that_knows_the_shares() -> None:
    labels = np.array([0] * 30 + [1] * 10)
    probabilities = softmax(linear_probe(np.ones((40, 4), dtype=np.float32), labels, 2).logits(np.ones((1, 4))))
    np.testing.assert_allclose(probabilities, [[0.75, 0.25]], atol=1e-2)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_same_texts_make_the_same_head_however_many_are_judged(
    num_labels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = drawn(300, num_labels)
    order = np.argsort(labels, kind="stable")  # all texts of a label, then all of the next
    heads = [linear_probe(features[order], labels[order], num_labels) for _ in range(2)]
    assert np.array_equal(heads[0].weight, heads[1].weight) and np.array_equal(heads[0].bias, heads[1].bias)
    monkeypatch.setattr(solve, "JUDGED_TEXTS", 100)
    fewer = linear_probe(features[order], labels[order], num_labels)
    agree = fewer.logits(features).argmax(axis=1) == heads[0].logits(features).argmax(axis=1)
    assert agree.mean() > 0.95


def test_a_label_without_texts_is_an_error() -> None:
    for prior in (None, LexiconPrior(np.ones(4, dtype=np.float32), 0.0)):
        with pytest.raises(ValueError, match="no training text has label 1"):
            linear_probe(np.ones((3, 4), dtype=np.float32), np.zeros(3, dtype=int), 2, prior)


@pytest.mark.parametrize("num_labels", [2, 3])
def test_few_labels_follow_the_priors_direction_more_than_they_would_by_themselves(num_labels: int) -> None:
    features, labels = drawn(4 * num_labels, num_labels)
    along = []
    for prior in (None, PRIOR):
        weight = linear_probe(features, labels, num_labels, prior).weight
        direction = weight[-1] - weight[0]
        along.append(direction[0] / np.linalg.norm(direction))
    assert along[1] > along[0] + 0.1


def test_labels_that_contradict_the_prior_win() -> None:
    features, labels = drawn(200, 2)
    against = LexiconPrior(-PRIOR.weight, 0.0)
    accuracy = (linear_probe(features, labels, 2, against).logits(features).argmax(axis=1) == labels).mean()
    assert accuracy > 0.85


def test_it_is_fitted_on_the_training_texts(
    make_tiny: Callable[..., Any], tiny_tokenizer: Any, tokens: Dataset
) -> None:
    model, expected = make_tiny(pooling="mean"), torch.nn.Linear(16, 2)
    features = frozen_features(model, tiny_tokenizer, tokens)
    linear_probe(features, np.asarray(tokens["labels"]), 2).copy_into(expected)
    assert fit_head_first(model, tiny_tokenizer, tokens, seed=0) is None
    torch.testing.assert_close(model.classifier.weight, expected.weight)
    torch.testing.assert_close(model.classifier.bias, expected.bias)
    assert fit_head_first(model, tiny_tokenizer, tokens, seed=0, folds=True).shape == (240, 2)  # type: ignore[union-attr]


def test_a_fold_is_judged_by_a_head_that_did_not_see_it() -> None:
    features, labels = np.eye(40, dtype=np.float32), np.arange(40) % 2  # each text is alone on its axis
    seen = linear_probe(features, labels, 2).logits(features).argmax(axis=1)
    assert (seen == labels).all()
    found = out_of_fold_logits(features, labels, 2, None, False, seed=0)
    assert found is not None and np.ptp(found[:, 1] - found[:, 0]) < 1e-3  # unseen, all look the same
    again = out_of_fold_logits(features, labels, 2, None, False, seed=0)
    assert np.array_equal(found, again)  # type: ignore[arg-type]


def test_centre_scale_and_penalty_are_those_of_the_other_folds() -> None:
    features, labels = drawn(60, 2)
    found = out_of_fold_logits(features, labels, 2, PRIOR, True, seed=3)
    for rest, held in label_folds(labels, 2, seed=3):
        # What is held out may be anything: the head that judges it is the same.
        wild = features.copy()
        wild[held] *= 1000
        judged = out_of_fold_logits(wild, labels, 2, PRIOR, True, seed=3)
        alone = linear_probe(features[rest], labels[rest], 2, PRIOR, True)
        np.testing.assert_allclose(judged[held], alone.logits(wild[held]))  # type: ignore[index]
        np.testing.assert_allclose(found[held], alone.logits(features[held]))  # type: ignore[index]


def test_there_are_no_folds_of_a_label_with_one_text() -> None:
    features = np.random.default_rng(0).normal(size=(9, 4))
    assert out_of_fold_logits(features, np.array([0] * 8 + [1]), 2, None, False, seed=0) is None
    assert out_of_fold_logits(features, np.array([0] * 9), 2, None, False, seed=0) is None
    assert out_of_fold_logits(features, np.array([0] * 7 + [1] * 2), 2, None, False, seed=0) is not None


def at(valence: float) -> np.ndarray:
    """Features of one text of that valence."""
    return ((valence - PRIOR.bias) * np.eye(8)[:1]).astype(np.float32)


@pytest.mark.parametrize(("polarity", "positive"), [((-1.0, 1.0), 1), ((1.0, -1.0), 0)])
def test_without_labels_two_labels_meet_at_valence_0_in_either_order(
    polarity: tuple[float, float], positive: int
) -> None:
    head = zero_shot_head(replace(PRIOR, polarity=polarity))
    assert head.logits(at(0.2)).argmax() == positive and head.logits(at(-0.2)).argmax() != positive
    logits = head.logits(at(1.5))[0]  # the log odds grow by 1 with each point of valence
    assert logits[positive] - logits[1 - positive] == pytest.approx(1.5, abs=1e-5)


def test_without_labels_neutral_is_what_is_within_half_a_point_of_0() -> None:
    head = zero_shot_head(replace(PRIOR, polarity=(-1.0, 0.0, 1.0)))
    assert [int(head.logits(at(v)).argmax()) for v in (-2, -0.55, -0.45, 0.45, 0.55, 2)] == [0, 0, 1, 1, 2, 2]


def test_unlabeled_texts_tell_where_one_polarity_ends_and_how_many_there_are() -> None:
    generator = np.random.default_rng(0)
    valence = np.concatenate([generator.normal(-0.5, 0.7, 60), generator.normal(2.5, 0.7, 540)])
    unlabeled = np.zeros((600, 8), dtype=np.float32)
    unlabeled[:, 0] = valence - PRIOR.bias
    for polarity, positive in (((-1.0, 1.0), 1), ((1.0, -1.0), 0)):
        head = zero_shot_head(replace(PRIOR, polarity=polarity), unlabeled)
        assert (head.logits(unlabeled).argmax(axis=1) == positive).mean() == pytest.approx(0.9, abs=0.02)
        # The mixture's border, which is nearer to the rarer group, and not the lexicon's 0.
        assert head.logits(at(0.3)).argmax() != positive and head.logits(at(0.85)).argmax() == positive


def test_unlabeled_texts_that_tell_nothing_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    few, many = np.zeros((20, 8), dtype=np.float32), np.zeros((80, 8), dtype=np.float32)
    many[:, 0] = np.random.default_rng(0).normal(size=80)
    for polarity, texts in (((-1.0, 1.0), few), ((-1.0, 0.0, 1.0), many)):
        prior = replace(PRIOR, polarity=polarity)
        assert np.array_equal(zero_shot_head(prior, texts).weight, zero_shot_head(prior).weight)
    assert "more than two labels" in caplog.text


def test_a_head_without_labels_is_put_into_the_model(
    make_tiny: Callable[..., Any], tiny_tokenizer: Any, tokens: Dataset
) -> None:
    model = make_tiny(pooling="mean")
    prior = LexiconPrior(np.linspace(-1, 1, 16).astype(np.float32), 0.1, (-1.0, 1.0))
    fit_zero_shot_head(model, tiny_tokenizer, prior)
    expected = zero_shot_head(prior)
    np.testing.assert_allclose(model.classifier.weight.detach(), expected.weight, rtol=1e-6)
    np.testing.assert_allclose(model.classifier.bias.detach(), expected.bias, rtol=1e-6)
    before = expected.weight
    fit_zero_shot_head(model, tiny_tokenizer, prior, tokens)
    assert not np.allclose(model.classifier.weight.detach(), before)


def test_labels_that_say_nothing_leave_the_lexicons_direction_as_it_is() -> None:
    signs: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(10):
        generator = np.random.default_rng(seed)
        features = generator.normal(size=(16, 8)).astype(np.float32)
        labels = generator.permutation(np.arange(16) % 2)
        for known, slopes in signs.items():
            prior = replace(PRIOR, polarity=(-1.0, 1.0) if known else None)
            head = linear_probe(features, labels, 2, prior)
            slopes.append(float((head.weight[1] - head.weight[0]) @ PRIOR.weight))
    assert min(signs[True]) > 0 > min(signs[False])


def test_three_polarities_pull_the_outer_ones_apart_along_the_lexicons_direction() -> None:
    apart: dict[Any, float] = {None: 0.0, (-1.0, 0.0, 1.0): 0.0}
    for seed in range(10):
        features = np.random.default_rng(seed).normal(size=(18, 8)).astype(np.float32)
        for polarity in apart:
            head = linear_probe(features, np.arange(18) % 3, 3, replace(PRIOR, polarity=polarity))
            apart[polarity] += float((head.weight[2] - head.weight[0]) @ PRIOR.weight)
    assert apart[-1.0, 0.0, 1.0] > max(0.0, apart[None])
