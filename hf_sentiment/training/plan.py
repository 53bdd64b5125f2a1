"""The plan: training arguments computed from the data and the model, each with its reason and source.

The rules stand in one table, `RULES`. What the user says always wins, and is recorded as the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hf_sentiment.errors import CallError

# Longer inputs are cut by default: attention and memory grow with the square, and the verdict of a review stands early
# or late but rarely only in its middle. The percentile covers all but one text in a hundred.
LENGTH_PERCENTILE = 99
LONGEST_DEFAULT = 256

_DEVLIN = "Devlin et al. 2019 (arXiv:1810.04805), appendix A.3"
_MOSBACH = "Mosbach et al. 2021 (arXiv:2006.04884)"
_KUMAR = "Kumar et al. 2022 (arXiv:2202.10054)"
_GUO = "Guo et al. 2017 (arXiv:1706.04599)"
_PRECHELT = "Prechelt 1998, Early Stopping - But When?"
_HU = "Hu et al. 2022 (arXiv:2106.09685), appendix D"
_LONGPRE = "Longpre et al. 2020 (arXiv:2010.01764)"
_OURS = "measured on the starter data, benchmarks/README.md"


@dataclass(frozen=True)
class Facts:
    """What the rules may look at.

    Attributes:
        num_train: Training texts.
        tokens: A length in tokens that 99 % of the training texts do not exceed.
        max_position: Tokens that the model can read.
        hidden_size: Width of the encoder.
        pooling: Of the model.
        calibrate: Whether a temperature will be folded into the head.
        lora: Whether adapters are trained instead of all weights.
    """

    num_train: int
    tokens: int
    max_position: int
    hidden_size: int
    pooling: str
    calibrate: bool = True
    lora: bool = False

    @property
    def sentence_encoder(self) -> bool:
        """Whether frozen features are already good: the checkpoint pools over tokens, as sentence encoders do."""
        return self.pooling in ("mean", "max")

    @property
    def small_model(self) -> bool:
        """Narrower than BERT-base, as MiniLM, TinyBERT and the like."""
        return self.hidden_size < 768


@dataclass(frozen=True)
class Decision:
    """One value of the plan: `by` is "plan" or "user"."""

    value: Any
    reason: str
    source: str = ""
    by: str = "plan"


@dataclass(frozen=True)
class Rule:
    """How one argument follows from the facts."""

    name: str
    value: Callable[[Facts], Any]
    reason: Callable[[Facts], str]
    source: str = ""


def _learning_rate(facts: Facts) -> float:
    if facts.lora:
        return 1e-3 if facts.small_model else 5e-4
    return 1e-4 if facts.small_model else 2e-5


def _epochs(facts: Facts) -> int:
    if not facts.small_model:
        return 3
    return 2 if facts.num_train >= 2000 else 4 if facts.num_train >= 500 else 8


RULES: tuple[Rule, ...] = (
    Rule(
        "max_length",
        lambda facts: int(min(facts.max_position, LONGEST_DEFAULT, max(16, facts.tokens))),
        lambda facts: f"99 % of the training texts have at most {facts.tokens} tokens",
    ),
    Rule(
        "head_first",
        lambda facts: facts.sentence_encoder,
        lambda facts: (
            "a sentence encoder's frozen features already tell labels apart"
            if facts.sentence_encoder
            else f"{facts.pooling} features of a plain BERT say little before it is fine-tuned"
        ),
        _KUMAR,
    ),
    Rule(
        "augment",
        lambda facts: "none",
        lambda facts: "pre-trained encoders gain nothing consistent from edited texts",
        _LONGPRE,
    ),
    Rule(
        "learning_rate",
        _learning_rate,
        lambda facts: (
            "adapters take higher rates than all weights"
            if facts.lora
            else "small encoder: BERT-base's 2e-5 needs several times the steps"
            if facts.small_model
            else "BERT"
        ),
        f"{_DEVLIN}; {_HU}; {_OURS}",
    ),
    Rule(
        "num_train_epochs",
        lambda facts: float(_epochs(facts)),
        lambda facts: f"{facts.num_train} training texts",
        f"{_DEVLIN}; {_OURS}",
    ),
    Rule(
        "per_device_train_batch_size",
        lambda facts: 16,
        lambda facts: "the smaller of BERT's two batch sizes: more steps for the same texts",
        _DEVLIN,
    ),
    Rule(
        "per_device_eval_batch_size",
        lambda facts: 32,
        lambda facts: "batches of equal length are fastest small on a CPU",
        _OURS,
    ),
    Rule(
        "warmup_steps",
        lambda facts: 0.1,
        lambda facts: "a tenth of the steps: Adam's variance estimate is poor at first",
        _MOSBACH,
    ),
    Rule("weight_decay", lambda facts: 0.01, lambda facts: "as BERT was trained", _DEVLIN),
    Rule(
        "train_sampling_strategy",
        lambda facts: "group_by_length",
        lambda facts: "texts of equal length together waste little padding",
        _OURS,
    ),
    Rule("eval_strategy", lambda facts: "epoch", lambda facts: "validation loss is watched at every epoch"),
    Rule("save_strategy", lambda facts: "epoch", lambda facts: "a killed run goes on from its last epoch"),
    Rule("save_total_limit", lambda facts: 1, lambda facts: "the last checkpoint and the best weights are enough"),
    Rule(
        "early_stopping_patience",
        lambda facts: 2,
        lambda facts: "one evaluation may be bad luck; the best weights are kept, not the last",
        _PRECHELT,
    ),
    Rule(
        "metric_for_best_model",
        lambda facts: "calibrated_loss" if facts.calibrate else "loss",
        lambda facts: "validation loss after the temperature that is fitted at the end" if facts.calibrate else "loss",
        _GUO,
    ),
    Rule("logging_strategy", lambda facts: "epoch", lambda facts: "a training loss beside every validation loss"),
)


def make_plan(facts: Facts, said: Mapping[str, Any]) -> dict[str, Decision]:
    """Every rule's decision by argument name; arguments in `said` keep the user's value.

    Args:
        facts: About data and model.
        said: Arguments that the user gave, by name; `None` counts as not given.
    """
    plan = {}
    for rule in RULES:
        if said.get(rule.name) is not None:
            plan[rule.name] = Decision(said[rule.name], "set by you", by="user")
        else:
            plan[rule.name] = Decision(rule.value(facts), rule.reason(facts), rule.source)
    _settle_evaluations(plan)
    return plan


def _settle_evaluations(plan: dict[str, Decision]) -> None:
    """What follows from how often the user wants evaluations, in place; what the user said stays.

    Raises:
        CallError: The user asks for early stopping without evaluations.
    """
    evaluated, stopping = str(plan["eval_strategy"].value), plan["early_stopping_patience"]
    if evaluated == "no":
        if stopping.by == "user" and stopping.value:
            raise CallError(
                f"--early_stopping_patience {stopping.value} needs evaluations, and --eval_strategy is no: give "
                "--eval_strategy epoch"
            )
        plan["early_stopping_patience"] = Decision(0, "nothing is evaluated: the last weights are kept")
        if plan["metric_for_best_model"].by == "plan":
            del plan["metric_for_best_model"]
    elif plan["save_strategy"].by == "plan":
        plan["save_strategy"] = Decision(evaluated, "a killed run goes on from its last evaluation")


def token_percentile(lengths: Any) -> int:
    """The length in tokens that 99 % of the texts do not exceed."""
    return int(np.percentile(np.asarray(lengths), LENGTH_PERCENTILE, method="higher"))


def plan_record(facts: Facts, plan: Mapping[str, Decision]) -> dict[str, Any]:
    """Facts and decisions as plain JSON."""
    return {"facts": asdict(facts), "decisions": {name: asdict(decision) for name, decision in plan.items()}}


def plan_lines(plan: Mapping[str, Decision]) -> list[str]:
    """The plan as aligned lines: argument, value, reason."""
    width = max(len(name) for name in plan)
    values = {name: str(decision.value) for name, decision in plan.items()}
    value_width = max(len(value) for value in values.values())
    return [f"  {name:<{width}}  {values[name]:<{value_width}}  {plan[name].reason}" for name in plan]
