"""How long the training of a plan will take."""

from __future__ import annotations

from hf_sentiment.head.first import HEAD_TEXTS
from hf_sentiment.training.plan.decisions import Plan
from hf_sentiment.training.plan.steps import BUSY

# A training step in forward passes of its batch.
TRAINING_PASSES = 3
# What the lexicon takes, in token slots of a training step: 400 batches of 32 phrases of some eleven tokens, padded,
# less what its frozen embeddings save, and the ridge regression before.
LEXICON_TOKENS = 190_000
# What VADER's scores take: 120 batches of 32 texts and phrases of some 16 tokens.
SCORED_TOKENS = 60_000


def expected_seconds(plan: Plan) -> float | None:
    """Seconds that training will take on this machine when its cores are free; `None` if no step was timed.

    The lexicon is in them where the encoder has yet to be taught.
    """
    facts = plan.facts
    if facts.steps is None:
        return None
    epochs = plan.num_train_epochs.value
    forward = 0.0  # texts that pass without a gradient
    if epochs and plan.evaluates:
        forward += (epochs + plan.eval_on_start.value) * facts.num_validation
    if plan.head_first.value:
        forward += min(facts.num_train, HEAD_TEXTS) if epochs else facts.num_train  # folds need every text
    # In steps of the batch that was timed; forward passes count a third. Processes share the texts, not the lexicon.
    steps = (epochs * facts.num_train + forward / TRAINING_PASSES) / facts.steps.texts / facts.processes
    if plan.teaches_lexicon:
        steps += LEXICON_TOKENS / facts.steps.tokens
    if plan.scored_texts:
        steps += SCORED_TOKENS / facts.steps.tokens
    exchanged = epochs * facts.num_train / facts.steps.texts / facts.processes * facts.exchange
    return facts.steps.seconds * steps + exchanged


def time_line(plan: Plan) -> str | None:
    """What the expected time is, with what of it is spent once, and what others on the machine make of it.

    `None` if no step was timed.
    """
    steps, seconds = plan.facts.steps, expected_seconds(plan)
    if steps is None or seconds is None:
        return None
    once = ", the lexicon included, which this encoder learns once if it has to" if plan.teaches_lexicon else ""
    shared = f", {plan.facts.processes} processes" if plan.facts.processes > 1 else ""
    line = f"  About {duration(seconds)} of training on this machine ({plan.facts.device}{shared}){once}"
    if steps.slowdown < BUSY:
        return f"{line}."
    return (
        f"{line}, when its cores are free; other programs want them now: a step took {steps.slowdown:.1f} times its "
        f"processor time, which makes {duration(seconds * steps.slowdown)}."
    )


def duration(seconds: float) -> str:
    """`40 s`, `5 min` or `2.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
