"""The plan: training arguments computed from the data, the model and the machine, each with its reason and source.

The rules stand in one table, `rules.RULES`. What the user says always wins, and is recorded as
the user's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hf_sentiment.data.audit import LIMITS
from hf_sentiment.errors import CallError
from hf_sentiment.head.first import HEAD_TEXTS
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.training.plan.rules import GUARDS, RULES, Facts, fine_tuning_epochs
from hf_sentiment.training.plan.steps import BUSY

LENGTH_PERCENTILE = 99
# A training step in forward passes of its batch.
TRAINING_PASSES = 3
# What the lexicon takes, in token slots of a training step: 400 batches of 32 phrases of some nine tokens, less what
# its frozen embeddings save, and the ridge regression before.
LEXICON_TOKENS = 130_000
# What a head alone has no use for.
_OF_FINE_TUNING = (
    *("lora", "augment", "learning_rate", "layerwise_lr_decay", "fine_tuned_share", "label_smoothing_factor"),
    *("per_device_train_batch_size", "warmup_steps", "weight_decay", "train_sampling_strategy", "eval_strategy"),
    *("eval_on_start", "save_strategy", "save_total_limit", "keep_best", "early_stopping_patience"),
    *("metric_for_best_model", "logging_strategy"),
)


@dataclass(frozen=True)
class Decision:
    """One value of the plan: `by` is "plan" or "user"."""

    value: Any
    reason: str
    source: str = ""
    by: str = "plan"


def make_plan(facts: Facts, said: Mapping[str, Any]) -> dict[str, Decision]:
    """Every rule's decision by argument name; arguments in `said` keep the user's value.

    Args:
        facts: About data, model and machine.
        said: Arguments that the user gave, by name; `None` counts as not given.

    Raises:
        CallError: The user asks for evaluations, or early stopping, without validation texts.
    """
    plan = {}
    for rule in RULES:
        if said.get(rule.name) is not None:
            plan[rule.name] = Decision(said[rule.name], "set by you", by="user")
        else:
            plan[rule.name] = Decision(rule.value(facts), rule.reason(facts), rule.source)
    _settle_training(plan, facts, said)
    _settle_evaluations(plan, facts)
    return plan


def _settle_training(plan: dict[str, Decision], facts: Facts, said: Mapping[str, Any]) -> None:
    """What follows from what else the user says of training, in place.

    All weights are trained after all where the user wants no head first, or says how many steps; a head alone is
    judged on folds where there are no validation texts.
    """
    head_first, steps = plan["head_first"].value, (said.get("max_steps") or 0) > 0
    if plan["num_train_epochs"].by == "plan" and facts.head_alone and facts.num_train and (steps or not head_first):
        reason = "you set --max_steps" if steps else "there is no head first, which alone would do"
        plan["num_train_epochs"] = Decision(fine_tuning_epochs(facts), reason)
    no_epochs = not steps and not float(plan["num_train_epochs"].value)
    _settle_fine_tuning(plan, facts, no_epochs)
    if no_epochs and facts.num_train and not head_first:
        raise CallError("--num_train_epochs 0 trains the head alone, and only head first: give --head_first true")
    if no_epochs and facts.num_train and not facts.num_validation:
        reason = f"no texts are held out of {facts.num_train}: the head is judged on folds"
        plan["validation"] = Decision("cross-validation", reason, plan["validation"].source)


def _settle_fine_tuning(plan: dict[str, Decision], facts: Facts, head_alone: bool) -> None:
    """What only fine-tuning has, in place: nothing of it for a head alone, and no mixing where there is no start."""
    smoothing, share = plan["label_smoothing_factor"], plan["fine_tuned_share"]
    if head_alone and smoothing.by == "plan":
        plan["label_smoothing_factor"] = Decision(0.0, "nothing is fine-tuned", smoothing.source)
    if share.by == "plan" and (head_alone or not plan["head_first"].value):
        reason = "nothing is fine-tuned" if head_alone else "there is no head first to start from"
        plan["fine_tuned_share"] = share = Decision(1.0, reason, share.source)
    if float(share.value) < 1 and facts.adapters:
        raise CallError(f"--fine_tuned_share {share.value:g} and --lora: adapters end as trained; leave one out")
    if float(share.value) < 1 and not plan["head_first"].value:
        raise CallError(f"--fine_tuned_share {share.value:g} mixes with the head-first model: give --head_first true")


def _settle_evaluations(plan: dict[str, Decision], facts: Facts) -> None:
    """What follows from how often the user wants evaluations, in place; what the user said stays."""
    evaluated, stopping = str(plan["eval_strategy"].value), plan["early_stopping_patience"]
    if evaluated != "no" and not facts.num_validation:
        raise CallError(f"--eval_strategy {evaluated} needs validation texts: give --validation_share 0.2, or a file")
    chosen = [name for name in ("early_stopping_patience", "metric_for_best_model") if plan[name].by == "user"]
    if plan["keep_best"].by == "plan" and chosen and plan[chosen[0]].value:
        plan["keep_best"] = Decision(True, f"you set --{chosen[0]}")
    if evaluated == "no":
        if stopping.by == "user" and stopping.value:
            lacking = (
                "evaluations, and --eval_strategy is no: give --eval_strategy epoch"
                if facts.num_validation
                else "validation texts: give --validation_share 0.2, or a file"
            )
            raise CallError(f"--early_stopping_patience {stopping.value} needs {lacking}")
        plan["early_stopping_patience"] = Decision(0, "nothing is evaluated")
        if plan["keep_best"].by == "plan":
            plan["keep_best"] = Decision(False, "nothing is evaluated: the last weights are kept")
        if plan["eval_on_start"].by == "plan":
            plan["eval_on_start"] = Decision(False, "nothing is evaluated")
        if plan["metric_for_best_model"].by == "plan":
            del plan["metric_for_best_model"]
    elif plan["save_strategy"].by == "plan":
        plan["save_strategy"] = Decision(evaluated, "a killed run goes on from its last evaluation")


def plan_warnings(facts: Facts, plan: Mapping[str, Decision]) -> list[str]:
    """One line for each value of the user's that is outside what the literature supports, and for unknown words."""
    lines = []
    if LIMITS["unknown_tokens"].severity(facts.unknown) == "warning":
        lines.append(
            f"{100 * facts.unknown:.0f} % of the tokens are unknown to this checkpoint, which cannot tell them apart: "
            "take one with the language and the signs of your texts (`hf-sentiment audit` lists the most common)"
        )
    for guard in GUARDS:
        decision = plan[guard.name]
        low, high = guard.low(facts), guard.high(facts)
        if decision.by == "user" and not low <= float(decision.value) <= high:
            planned = next(rule.value(facts) for rule in RULES if rule.name == guard.name)
            lines.append(
                f"--{guard.name} {decision.value:g} is outside {low:g} to {high:g}: {guard.beyond} ({guard.source}); "
                f"the plan would take {planned:g}"
            )
    return lines


def expected_seconds(facts: Facts, plan: Mapping[str, Decision]) -> float | None:
    """Seconds that training will take on this machine when its cores are free; `None` if no step was timed.

    The lexicon is in them where the encoder has yet to be taught.
    """
    if facts.steps is None:
        return None
    steps, taught = facts.steps, facts.taught or not plan["lexicon"].value
    epochs = float(plan["num_train_epochs"].value)
    evaluations = epochs + bool(plan["eval_on_start"].value) if epochs and _evaluates(plan) else 0.0
    forward = evaluations * facts.num_validation
    forward += bool(plan["head_first"].value) * (facts.num_train if not epochs else min(facts.num_train, HEAD_TEXTS))
    texts = epochs * facts.num_train + forward / TRAINING_PASSES
    return steps.seconds * (texts / steps.texts + (0 if taught else LEXICON_TOKENS / steps.tokens))


def _evaluates(plan: Mapping[str, Decision]) -> bool:
    return str(plan["eval_strategy"].value) != "no"


def trains(facts: Facts, plan: Mapping[str, Decision]) -> bool:
    """Whether gradient steps are taken: of fine-tuning, or to teach the encoder the lexicon."""
    return float(plan["num_train_epochs"].value) > 0 or bool(plan["lexicon"].value and not facts.taught)


def _in_use(facts: Facts, plan: Mapping[str, Decision]) -> dict[str, Decision]:
    """The decisions that matter: where the head is all that is solved for, nothing of fine-tuning does."""
    idle = set() if float(plan["num_train_epochs"].value) else set(_OF_FINE_TUNING)
    if not trains(facts, plan):
        idle |= {"bf16"}
    return {name: decision for name, decision in plan.items() if decision.by == "user" or name not in idle}


def token_percentile(lengths: Any) -> int:
    """The length in tokens that 99 % of the texts do not exceed."""
    return int(np.percentile(np.asarray(lengths), LENGTH_PERCENTILE, method="higher"))


def plan_record(facts: Facts, plan: Mapping[str, Decision]) -> dict[str, Any]:
    """Facts, decisions that matter and the expected time as plain JSON."""
    return {
        "facts": asdict(facts),
        "decisions": {name: asdict(decision) for name, decision in _in_use(facts, plan).items()},
        "expected_seconds": expected_seconds(facts, plan),
    }


def plan_lines(facts: Facts, plan: Mapping[str, Decision], sources: bool = False) -> list[str]:
    """The plan as aligned lines: argument, value, reason; then the expected time.

    Args:
        facts: What the plan is based on.
        plan: As `make_plan` made it.
        sources: Whether each reason has the numbers of its sources, which follow below.
    """
    plan, whole = _in_use(facts, plan), plan
    width = max(len(name) for name in plan)
    values = {name: str(decision.value) for name, decision in plan.items()}
    value_width = max(len(value) for value in values.values())
    named = list(dict.fromkeys(source for decision in plan.values() for source in _sources(decision)))
    lines = []
    for name, decision in plan.items():
        numbers = "".join(f" [{named.index(source) + 1}]" for source in _sources(decision)) if sources else ""
        lines.append(f"  {name:<{width}}  {values[name]:<{value_width}}  {decision.reason}{numbers}")
    seconds = expected_seconds(facts, whole)
    if seconds is not None and facts.steps is not None:
        lines.append(_time_line(facts.steps, seconds, facts, bool(whole["lexicon"].value)))
    if sources:
        lines += ["", *(f"  [{number}] {source}" for number, source in enumerate(named, start=1))]
    return lines


def _time_line(steps: StepTimes, seconds: float, facts: Facts, lexicon: bool) -> str:
    """What the expected time is, with what of it is spent once, and what others on the machine make of it."""
    once = ", the lexicon included, which this encoder learns once" if lexicon and not facts.taught else ""
    line = f"  About {duration(seconds)} of training on this machine ({facts.device}){once}"
    if steps.slowdown < BUSY:
        return f"{line}."
    return (
        f"{line}, when its cores are free; other programs want them now: a step took {steps.slowdown:.1f} times its "
        f"processor time, which makes {duration(seconds * steps.slowdown)}."
    )


def _sources(decision: Decision) -> list[str]:
    return decision.source.split("; ") if decision.source else []


def duration(seconds: float) -> str:
    """`40 s`, `5 min` or `2.5 h`."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
