"""The plan for people and for machines: warnings, aligned lines, and the record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hf_sentiment.data.audit import LIMITS
from hf_sentiment.records.schema import PlanRecord
from hf_sentiment.table import table_lines
from hf_sentiment.training.plan.decisions import Decision, Plan
from hf_sentiment.training.plan.estimate import expected_seconds, time_line
from hf_sentiment.training.plan.facts import RULES_RIGHT
from hf_sentiment.training.plan.rules import GUARDS, RULES


def plan_warnings(plan: Plan) -> list[str]:
    """One line for each value of the user's that no literature or lexicon supports, and for unknown words."""
    facts, lines = plan.facts, []
    if LIMITS["unknown_tokens"].severity(facts.unknown) == "warning":
        lines.append(
            f"{100 * facts.unknown:.0f} % of the tokens are unknown to this checkpoint, which cannot tell them apart: "
            "take one with the language and the signs of your texts (`hf-sentiment audit` lists the most common)"
        )
    if plan.lexicon.value and not facts.lexicons:
        lines.append(
            f"--lexicon true: there is no sentiment lexicon for the texts' language ({facts.language or 'unknown'}) "
            "that this checkpoint could learn, so it is taught the English one"
        )
    if facts.unlabeled is not None and not plan.scored_texts:
        lines.append(f"The texts without labels are not used: {_why_unused(plan)}")
    for guard in GUARDS:
        decision = plan.decisions[guard.name]  # of an argument that always has one
        low, high = guard.limits(facts)
        if decision.by == "user" and not low <= float(decision.value) <= high:
            planned, _ = next(rule.decide(facts) for rule in RULES if rule.name == guard.name)
            lines.append(
                f"--{guard.name} {decision.value:g} is outside {low:g} to {high:g}: {guard.beyond} ({guard.source}); "
                f"the plan would take {planned:g}"
            )
    return lines


def _why_unused(plan: Plan) -> str:
    """Why no VADER scores of texts without labels are taught."""
    right = plan.facts.rules_right
    if not plan.lexicon.value:
        return f"no lexicon ({plan.lexicon.reason})"
    if not plan.facts.unlabeled:
        return "fewer than 100 of them have at most 64 tokens"
    if right is None:
        return "VADER's scores are of English texts, and 16 labelled ones that are not neutral have to tell their worth"
    return f"VADER's scores are right about {right:.0%} of the labelled ones, and gain from {RULES_RIGHT:.0%} on"


def plan_record(plan: Plan) -> PlanRecord:
    """Facts, decisions that matter and the expected time."""
    return PlanRecord(asdict(plan.facts), {**plan.in_use}, expected_seconds(plan))


def plan_lines(plan: Plan, sources: bool = False, width: int | None = None) -> list[str]:
    """The plan as aligned lines: argument, value, reason; then the expected time.

    Args:
        plan: As `make_plan` made it.
        sources: Whether each reason has the numbers of its sources, which follow below.
        width: Of a line, in which reasons are wrapped; by default they are not.
    """
    decisions = plan.in_use
    # Sources in the order in which they are first named, each once: its place is its number.
    named = list(dict.fromkeys(source for decision in decisions.values() for source in _sources(decision)))
    rows = []
    for name, decision in decisions.items():
        numbers = "".join(f" [{named.index(source) + 1}]" for source in _sources(decision)) if sources else ""
        rows.append((name, str(decision.value), decision.reason + numbers))
    lines = table_lines(rows, width=width, indent="  ")
    time = time_line(plan)
    if time is not None:
        lines.append(time)
    if sources:
        lines += ["", *(f"  [{number}] {source}" for number, source in enumerate(named, start=1))]
    return lines


def _sources(decision: Decision[Any]) -> list[str]:
    return decision.source.split("; ") if decision.source else []
