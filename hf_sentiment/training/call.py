"""What was said: our arguments and those of `TrainingArguments`, as they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any

from hf_sentiment.training.arguments import SentimentArguments

OF_EVALUATIONS = ("load_best_model_at_end", "metric_for_best_model", "eval_on_start", "eval_steps")
"""Arguments of `TrainingArguments` that, where they are true, need validation texts."""


@dataclass(frozen=True)
class Call:
    """What was said of a run. What is decided is another object, the `Plan`, and nothing of it comes back here.

    Attributes:
        arguments: Model and data; `None` is what was not said.
        training: Arguments of `TrainingArguments`, only those that were said. Members of transformers' enumerations
            (`IntervalStrategy.NO`) are the words that they stand for.
    """

    arguments: SentimentArguments
    training: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = {name: value.value if isinstance(value, Enum) else value for name, value in self.training.items()}
        # A frozen object can only be set like this.
        object.__setattr__(self, "training", words)

    @property
    def seed(self) -> int:
        """Of the head and the training; by default the Trainer's."""
        return int(self.training.get("seed", 42))

    @property
    def data_seed(self) -> int:
        """Of the splits, and of the texts that are drawn; by default that of the training."""
        said = self.training.get("data_seed")
        return self.seed if said is None else int(said)

    @property
    def steps(self) -> int:
        """How many steps to take, where that is said in place of epochs; else 0."""
        return max(0, self.training.get("max_steps") or 0)

    @property
    def wants_evaluations(self) -> bool:
        """Whether something is said that needs validation texts."""
        # A patience of 0 asks that nothing be stopped.
        if self.arguments.early_stopping_patience or self.arguments.alarm in ("stop", "rollback"):
            return True
        if str(self.training.get("eval_strategy") or "no") != "no":
            return True
        return any(self.training.get(name) for name in OF_EVALUATIONS)

    @property
    def said(self) -> dict[str, Any]:
        """All arguments by name, as `make_plan` takes them."""
        ours = {item.name: getattr(self.arguments, item.name) for item in fields(self.arguments)}
        # The callback keeps the best weights, not the Trainer.
        return {**self.training, **ours, "keep_best": self.training.get("load_best_model_at_end")}
