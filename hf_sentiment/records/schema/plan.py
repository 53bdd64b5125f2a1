"""`arguments.json` and `plan.json`: what was asked for, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# How many times as fast as float32 another format must be, so that chance does not choose it: the fastest of three
# differs by a few hundredths from call to call, also beside other processes (benchmarks/README.md).
_MARGIN = 1.15


@dataclass(frozen=True)
class CallRecord:
    """The arguments of a run that its card tells of; `arguments.json` has all of them. What was not said is `None`.

    Attributes:
        model_name_or_path: The checkpoint that training began with.
        dataset_name: The data set; of data in memory its type and hash.
        dataset_config_name: Its configuration.
        dataset_revision: Its branch, tag or commit.
        train_file: Labelled texts to train on.
        test_file: Labelled texts to test on.
        unlabeled_file: Texts without labels.
    """

    model_name_or_path: str | None = None
    dataset_name: str | None = None
    dataset_config_name: str | None = None
    dataset_revision: str | None = None
    train_file: str | None = None
    test_file: str | None = None
    unlabeled_file: str | None = None


@dataclass(frozen=True)
class Decision:
    """One value of the plan.

    Attributes:
        value: Of the argument.
        reason: Why it is this one.
        source: Where the reason is from: papers and benchmarks, divided by "; ".
        by: "plan" or "user".
    """

    value: Any
    reason: str
    source: str = ""
    by: str = "plan"


@dataclass(frozen=True)
class PlanRecord:
    """The plan of a run.

    Attributes:
        facts: What it is based on, by name.
        decisions: Those that matter, by the name of the argument.
        expected_seconds: Of training; `None` where no step was timed.
    """

    # As they are: the rules that look at them are of `training`, and so are their types.
    facts: dict[str, Any]
    decisions: dict[str, Decision]
    expected_seconds: float | None

    @property
    def steps(self) -> StepTimes | None:
        """How long a step took when the run began; `None` where that was not measured."""
        steps = self.facts.get("steps")
        return None if steps is None else StepTimes(**steps)

    @property
    def diverged(self) -> bool:
        """Whether training diverged in low precision, and this is the plan of its repetition in float32."""
        return bool(self.facts.get("diverged"))

    @property
    def halvings(self) -> int:
        """How many times memory ran out in training."""
        return int(self.facts.get("halvings", 0))

    def value(self, name: str) -> Any:
        """What was decided on an argument; `None` where that did not matter."""
        return None if name not in self.decisions else self.decisions[name].value


@dataclass(frozen=True)
class StepTimes:
    """How long a training step (forward, backward, optimiser) of a usual batch takes.

    Processor time of one thread is what formats are compared by: other processes hardly change it.

    Attributes:
        texts: Of the batch.
        tokens: Token slots of the batch.
        float32: Processor seconds of one thread; `None` if only bfloat16 was timed.
        bfloat16: The same in mixed precision; `None` if only float32 was timed.
        seconds: Of a step in the faster format on all threads and free cores.
        slowdown: How many times its processor time a step on one thread took: 1 on free cores.
    """

    texts: int
    tokens: int
    float32: float | None
    bfloat16: float | None
    seconds: float
    slowdown: float

    @property
    def prefers_bfloat16(self) -> bool:
        """Whether mixed precision is faster, by more than chance explains."""
        return self.bfloat16 is not None and (self.float32 is None or self.bfloat16 * _MARGIN < self.float32)
