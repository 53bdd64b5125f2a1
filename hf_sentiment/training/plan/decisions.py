"""The plan: what was decided, with the reason, the source and who decided it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from hf_sentiment.records import schema
from hf_sentiment.training.plan.facts import Facts
from hf_sentiment.training.plan.rules import RULES

T = TypeVar("T")


@dataclass(frozen=True)
class Decision(schema.Decision, Generic[T]):
    """One value of the plan, as the record has it, with the type of the argument."""

    value: T


@dataclass(frozen=True)
class Plan:
    """What a run will do: a decision for each of the `RULES`, in their order.

    Each is an argument of `TrainingArguments` or of `SentimentArguments` by its own name, but for two: `validation`
    ("split", "cross-validation" or "none") says what judges the model, and `keep_best` whether the best weights are
    kept. `metric_for_best_model` is `None` where nothing is evaluated.

    Attributes:
        facts: What the decisions are based on.
    """

    facts: Facts
    pooling: Decision[str]
    max_length: Decision[int]
    long_texts: Decision[str]
    validation: Decision[str]
    lora: Decision[bool]
    head_first: Decision[bool]
    lexicon: Decision[bool]
    augment: Decision[str]
    imbalance: Decision[str]
    learning_rate: Decision[float]
    layerwise_lr_decay: Decision[float]
    fine_tuned_share: Decision[float]
    label_smoothing_factor: Decision[float]
    num_train_epochs: Decision[float]
    per_device_train_batch_size: Decision[int]
    gradient_accumulation_steps: Decision[int]
    per_device_eval_batch_size: Decision[int]
    warmup_steps: Decision[float]
    bf16: Decision[bool]
    weight_decay: Decision[float]
    train_sampling_strategy: Decision[str]
    eval_strategy: Decision[str]
    eval_on_start: Decision[bool]
    save_strategy: Decision[str]
    save_total_limit: Decision[int]
    keep_best: Decision[bool]
    early_stopping_patience: Decision[int]
    metric_for_best_model: Decision[str] | None
    logging_strategy: Decision[str]

    @property
    def decisions(self) -> dict[str, Decision[Any]]:
        """Every decision by its name, in order."""
        # All fields but the facts.
        named = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        return {name: decision for name, decision in named.items() if decision is not None}

    @property
    def in_use(self) -> dict[str, Decision[Any]]:
        """The decisions that matter: where the head is all that is solved for, nothing of fine-tuning does."""
        # What the user says is shown in any case, so that it is seen to have arrived.
        idle = set() if self.fine_tunes else {rule.name for rule in RULES if rule.fine_tuning}
        if not self.trains:
            idle.add("bf16")
        return {name: one for name, one in self.decisions.items() if one.by == "user" or name not in idle}

    @property
    def fine_tunes(self) -> bool:
        """Whether all weights, or adapters, are trained on the labels."""
        return self.num_train_epochs.value > 0

    @property
    def lexicons(self) -> tuple[str, ...]:
        """Languages of the lexicons that the encoder is taught, where it is taught any: at the user's wish English."""
        return self.facts.lexicons or ("en",)

    @property
    def teaches_lexicon(self) -> bool:
        """Whether the encoder has yet to be taught the lexicon."""
        return self.lexicon.value and not self.facts.taught

    @property
    def scored_texts(self) -> int:
        """How many texts without labels the encoder is taught VADER's scores of."""
        return self.facts.scored_texts if self.lexicon.value else 0

    @property
    def trains(self) -> bool:
        """Whether gradient steps are taken: of fine-tuning, or to teach the encoder the lexicon."""
        return self.fine_tunes or self.teaches_lexicon or self.scored_texts > 0

    @property
    def evaluates(self) -> bool:
        """Whether validation texts are evaluated in training."""
        return self.eval_strategy.value != "no"
