"""The head before anything else is trained: solved for on a model's frozen features, with or without labels."""

from __future__ import annotations

import logging

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from hf_sentiment.compute.processes import main_does
from hf_sentiment.head.features import frozen_features
from hf_sentiment.head.lexicon import LexiconPrior
from hf_sentiment.head.solve import linear_probe, out_of_fold_logits, zero_shot_head
from hf_sentiment.model import SentimentModel

logger = logging.getLogger(__name__)

# More texts hardly move a direction of some hundred numbers, and each costs a forward pass.
HEAD_TEXTS = 2000


def fit_head_first(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    dataset: Dataset,
    seed: int,
    prior: LexiconPrior | None = None,
    *,
    balanced: bool = False,
    folds: bool = False,
) -> np.ndarray | None:
    """A linear probe of at most 2,000 training texts, drawn with `seed`, which becomes the model's head.

    Args:
        model: Its encoder stays as it is.
        tokenizer: Of the model.
        dataset: Tokenised training texts.
        seed: Of the draw and the folds.
        prior: What the lexicon taught the encoder.
        balanced: Whether every label counts the same.
        folds: Whether to return `out_of_fold_logits`, of all texts that the head is made of.
    """
    if len(dataset) > HEAD_TEXTS and not folds:  # folds judge every text
        dataset = dataset.shuffle(seed=seed).select(range(HEAD_TEXTS))
    logger.info("Fitting the head on frozen features of %d texts", len(dataset))
    features, labels = frozen_features(model, tokenizer, dataset), np.asarray(dataset["labels"][:])
    num_labels = model.classifier.out_features
    main_does(lambda: linear_probe(features, labels, num_labels, prior, balanced)).copy_into(model.classifier)
    if not folds:
        return None
    return main_does(lambda: out_of_fold_logits(features, labels, num_labels, prior, balanced, seed))


def fit_zero_shot_head(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    prior: LexiconPrior,
    unlabeled: Dataset | None = None,
) -> int:
    """`zero_shot_head`, which becomes the model's head.

    Args:
        model: Its encoder was taught the lexicon.
        tokenizer: Of the model.
        prior: What it was taught, with the labels' polarities.
        unlabeled: Tokenised texts of the kind that the model is for.

    Returns:
        How many of `unlabeled` the head rests on: all of them or, where `zero_shot_head` cannot use them, none.
    """
    texts = 0 if unlabeled is None else len(unlabeled)
    logger.info("Making the head of the lexicon, without a label, and of %d unlabelled texts", texts)
    features = None if unlabeled is None else frozen_features(model, tokenizer, unlabeled)
    head = main_does(lambda: zero_shot_head(prior, features))
    head.copy_into(model.classifier)
    # The same head as without them: they were too few, too many labels were there, or they fell into no two groups.
    return 0 if np.array_equal(head.bias, zero_shot_head(prior).bias) else texts
