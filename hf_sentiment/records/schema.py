"""What the records of a run hold, typed."""

from __future__ import annotations

from dataclasses import dataclass

# How many times as fast as float32 another format must be, so that chance does not choose it: the fastest of three
# differs by a few hundredths from call to call, also beside other processes (benchmarks/README.md).
_MARGIN = 1.15


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
