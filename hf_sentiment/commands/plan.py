"""`plan`: what `train` would do, and why; nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_sentiment.records.serialization import as_record
from hf_sentiment.training.arguments import split_arguments
from hf_sentiment.training.assemble import prepare_plan
from hf_sentiment.training.plan import Plan, plan_lines, plan_record


@dataclass(frozen=True)
class PlanResult:
    """What would be done.

    Attributes:
        plan: The decisions, each with its reason, and the facts about data, model and machine that they follow from.
    """

    plan: Plan

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON: what `train` writes into `records/plan.json`."""
        return as_record(plan_record(self.plan))

    def __str__(self) -> str:
        """What the command prints."""
        return "\n".join(self.lines())

    def lines(self, width: int | None = None) -> list[str]:
        """The result for people, with the sources of its rules.

        Args:
            width: Of a line, in characters; by default nothing is wrapped.
        """
        return plan_lines(self.plan, sources=True, width=width)


def plan(dataset: Any = None, **arguments: Any) -> PlanResult:
    """What `train` would do with the same arguments, and why.

    Args:
        dataset: As in `train`.
        **arguments: As in `train`; `output_dir` may be left out.

    Raises:
        CallError: An argument that is wrong.
        DataError: Data that cannot be used.

    Examples:
        >>> print(*plan(train_file="reviews.csv").lines(), sep="\\n")  # doctest: +SKIP
    """
    ours, training = split_arguments(arguments)
    return PlanResult(prepare_plan(ours, training, dataset).plan)
