"""VADER's scores of the user's own texts without labels, taught where they are right about the labelled ones."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from transformers import PreTrainedTokenizerBase

from hf_sentiment.compute.processes import main_does, share_weights
from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.head.features import LinearHead
from hf_sentiment.head.lexicon.phrases import lexicon_phrases, rule_valences
from hf_sentiment.head.lexicon.teach import (
    BATCH,
    LexiconPrior,
    plain_model,
    polarity,
    regressor_of,
    teach,
    valence_head,
)
from hf_sentiment.model import SentimentModel

logger = logging.getLogger(__name__)

STEPS = 120
# Examples that are texts; the others are phrases, so that the words are not forgotten.
_SCORED = round(0.6 * STEPS * BATCH)
# Tokens of a text. Of a longer one the encoder would read less than was scored.
LONGEST = 64
# Fewer labelled texts tell too little, and fewer others are soon learned by heart.
LEAST_LABELED, LEAST_UNLABELED = 16, 100


def rules_right(texts: Sequence[str], labels: np.ndarray, names: Sequence[str]) -> float | None:
    """The share of labelled texts, the neutral ones aside, on which the sign of VADER's score is the label's.

    A score of 0 is half right. `None` of fewer than 16, or where the names are no polarities.

    Args:
        texts: Labelled ones.
        labels: Their indices, `[texts]`.
        names: Of the labels.
    """
    values = polarity(names)
    if values is None:
        return None
    signs = np.sign(values)[labels]
    polar = np.flatnonzero(signs).tolist()
    if len(polar) < LEAST_LABELED:
        return None
    found = np.sign(rule_valences([texts[row] for row in polar]))
    return float(np.mean((1 + signs[polar] * found) / 2))


def readable(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[str]:
    """Those of the texts that can be learned from: as many, drawn at random, as a lesson has, less the long ones.

    None where fewer than 100 are left.

    Args:
        tokenizer: Of the model.
        texts: Without labels.
    """
    drawn = random.Random(0).sample(list(texts), min(len(texts), _SCORED))
    lengths = [len(ids) for ids in tokenizer(drawn)["input_ids"]] if drawn else []
    short = [text for text, length in zip(drawn, lengths, strict=True) if length <= LONGEST]
    return short if len(short) >= LEAST_UNLABELED else []


def learn_rules(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    prior: LexiconPrior,
    texts: Sequence[str],
    *,
    bfloat16: bool = False,
    progress: bool = True,
) -> LexiconPrior:
    """Teach the encoder VADER's score of texts without labels, in place, and say where valence is in its output then.

    Of several processes the main one teaches, and all have the weights.

    Args:
        model: Its encoder was taught the lexicon. Its head is not touched.
        tokenizer: Of the model.
        prior: What the encoder was taught.
        texts: As `readable` leaves them.
        bfloat16: Whether in mixed precision.
        progress: Whether to show a bar.
    """
    model = plain_model(model)

    def learned() -> LexiconPrior:
        logger.info("Teaching the encoder VADER's scores of %d texts without labels", len(texts))
        scored = list(zip(texts, rule_valences(texts), strict=True))
        examples = [scored[number % len(scored)] for number in range(_SCORED)]
        examples += lexicon_phrases(tokenizer, STEPS * BATCH - len(examples))
        random.Random(0).shuffle(examples)
        regressor = regressor_of(model)
        LinearHead(prior.weight[None], np.array([prior.bias])).copy_into(regressor.classifier)
        with untouched_random_state():
            teach(regressor, tokenizer, examples, LONGEST, bfloat16=bfloat16, progress=progress)
        head = valence_head(regressor)
        return replace(prior, weight=head["valence.weight"].numpy(), bias=float(head["valence.bias"]))

    prior = main_does(learned)
    share_weights(model.base_model)
    return prior
