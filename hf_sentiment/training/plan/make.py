"""Making the plan: every rule, then what the user says, then what follows from it for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hf_sentiment.errors import CallError
from hf_sentiment.training.plan.decisions import Decision, Plan
from hf_sentiment.training.plan.facts import Facts
from hf_sentiment.training.plan.rules import RULES, fine_tuning_epochs

# The argument that says how many steps a strategy of steps counts.
_STEPS_OF = {"eval_strategy": "eval_steps", "save_strategy": "save_steps", "logging_strategy": "logging_steps"}


def make_plan(facts: Facts, said: Mapping[str, Any]) -> Plan:
    """Every rule's decision; arguments in `said` keep the user's value.

    Args:
        facts: About data, model and machine.
        said: Arguments that the user gave, by name; `None` counts as not given.

    Raises:
        CallError: The user asks for evaluations, or early stopping, without validation texts, or for a number of steps
            that the strategy does not count.
    """
    # First each argument by itself.
    decisions: dict[str, Decision[Any]] = {}
    for rule in RULES:
        decisions[rule.name] = _said(rule.name, said) or Decision(*rule.decide(facts), rule.source)
    # Then what they mean for each other, in this order: epochs tell whether there is fine-tuning, and that the rest.
    steps = (said.get("max_steps") or 0) > 0
    plan = _settle_evaluations(_settle_training(_settle_epochs(Plan(facts, **decisions), steps), steps))
    return _settle_memory(plan) if facts.halvings else plan


def _said(name: str, said: Mapping[str, Any]) -> Decision[Any] | None:
    """What the user says of an argument; who says how many steps, says the strategy that counts them."""
    value, steps = said.get(name), _STEPS_OF.get(name, "")
    every = said.get(steps)
    if every is None:
        return None if value is None else Decision(value, "set by you", by="user")
    if not every > 0 or (every > 1 and every % 1):
        raise CallError(f"--{steps} must be a whole number, or less than 1 as a share of all steps, got {every:g}")
    if value is not None and value != "steps":
        raise CallError(f"--{steps} {every:g} only counts with --{name} steps, and not with {value}: leave one out")
    return Decision("steps", f"you set --{steps} {every:g}", by="user")


def _settle_memory(plan: Plan) -> Plan:
    """As many texts a step as before, but fewer at once: memory ran out."""
    batch, accumulated = plan.per_device_train_batch_size.value, plan.gradient_accumulation_steps.value
    half = max(1, batch >> plan.facts.halvings)
    fewer = next(size for size in range(half, 0, -1) if batch % size == 0)
    reason = f"memory ran out at {max(1, batch >> (plan.facts.halvings - 1))} texts at once"
    return replace(
        plan,
        per_device_train_batch_size=Decision(fewer, reason),
        gradient_accumulation_steps=Decision(accumulated * batch // fewer, "as many texts a step as before"),
        per_device_eval_batch_size=Decision(min(plan.per_device_eval_batch_size.value, 2 * fewer), reason),
    )


def _settle_epochs(plan: Plan, steps: bool) -> Plan:
    """All weights are trained after all where the user wants no head first, or says how many steps."""
    if plan.num_train_epochs.by == "user" or not plan.facts.head_alone or not plan.facts.num_train:
        return plan
    if steps:
        reason = "you set --max_steps"
    elif not plan.head_first.value:
        reason = "there is no head first, which alone would do"
    else:
        return plan
    return replace(plan, num_train_epochs=Decision(fine_tuning_epochs(plan.facts), reason))


def _settle_training(plan: Plan, steps: bool) -> Plan:
    """What a head alone, or a fine-tuning, makes of the rest: a head alone without validation texts has folds."""
    head_alone = not steps and not plan.fine_tunes
    plan = _settle_fine_tuning(plan, head_alone)
    if not head_alone or not plan.facts.num_train:
        return plan
    if not plan.head_first.value:
        raise CallError("--num_train_epochs 0 trains the head alone, and only head first: give --head_first true")
    if plan.facts.num_validation:
        return plan
    reason = f"no texts are held out of {plan.facts.num_train}: the head is judged on folds"
    return replace(plan, validation=Decision("cross-validation", reason, plan.validation.source))


def _settle_fine_tuning(plan: Plan, head_alone: bool) -> Plan:
    """What only fine-tuning has: nothing of it for a head alone, and no mixing where there is no start."""
    smoothing, share = plan.label_smoothing_factor, plan.fine_tuned_share
    # A head alone is solved for: its loss has no smoothing, and its end is no mixture.
    if head_alone and smoothing.by == "plan":
        smoothing = Decision(0.0, "nothing is fine-tuned", smoothing.source)
    if share.by == "plan" and (head_alone or not plan.head_first.value):
        reason = "nothing is fine-tuned" if head_alone else "there is no head first to start from"
        share = Decision(1.0, reason, share.source)
    # From here on only what the user says can be less than 1 in vain.
    if share.value < 1 and plan.facts.adapters:
        raise CallError(f"--fine_tuned_share {share.value:g} and --lora: adapters end as trained; leave one out")
    if share.value < 1 and not plan.head_first.value:
        raise CallError(f"--fine_tuned_share {share.value:g} mixes with the head-first model: give --head_first true")
    return replace(plan, label_smoothing_factor=smoothing, fine_tuned_share=share)


def _settle_evaluations(plan: Plan) -> Plan:
    """What follows from how often the user wants evaluations; what the user said stays."""
    strategy = plan.eval_strategy.value
    if plan.evaluates and not plan.facts.num_validation:
        raise CallError(f"--eval_strategy {strategy} needs validation texts: give --validation_share 0.2, or a file")
    if not plan.evaluates:
        return _without_evaluations(plan)
    patience = plan.early_stopping_patience
    if patience.by == "user" and patience.value and plan.keep_best.by == "plan":
        plan = replace(plan, keep_best=Decision(True, "you set --early_stopping_patience: the best weights are kept"))
    if plan.save_strategy.by == "user":
        return plan
    # A checkpoint with each evaluation: callbacks that judge evaluations go on from what they last saw.
    return replace(plan, save_strategy=Decision(strategy, "a killed run goes on from its last evaluation"))


def _without_evaluations(plan: Plan) -> Plan:
    """Nothing stops early and nothing is the best where nothing is evaluated."""
    stopping, metric = plan.early_stopping_patience, plan.metric_for_best_model
    lacking = "validation texts: give --validation_share 0.2, or a file"
    if plan.eval_on_start.by == "user" and plan.eval_on_start.value and not plan.facts.num_validation:
        raise CallError(f"--eval_on_start true needs {lacking}")
    if stopping.by == "user" and stopping.value:
        if plan.facts.num_validation:
            lacking = "evaluations, and --eval_strategy is no: give --eval_strategy epoch"
        raise CallError(f"--early_stopping_patience {stopping.value} needs {lacking}")
    plan = replace(plan, early_stopping_patience=Decision(0, "nothing is evaluated"))
    if plan.keep_best.by == "plan":
        plan = replace(plan, keep_best=Decision(False, "nothing is evaluated: the last weights are kept"))
    if plan.eval_on_start.by == "plan":
        plan = replace(plan, eval_on_start=Decision(False, "nothing is evaluated"))
    if metric is not None and metric.by == "plan":
        plan = replace(plan, metric_for_best_model=None)
    return plan
