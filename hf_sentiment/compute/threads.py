"""How many threads there are, and how they wait for each other, which is settled before torch is imported."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Turns of the loop in which a thread of libgomp waits before it sleeps; its own default is 300,000. Where other
# processes want the cores too, a thread that waits keeps the one that it waits for from running: beside such, a step
# took 18 s on two threads by default, 2.0 s with this, and 2.9 s on one; on free cores it costs 2 to 4 %
# (benchmarks/README.md).
SPINS = 1000


def wait_briefly() -> None:
    """Let waiting threads sleep soon, unless the user has said how they wait (`OMP_WAIT_POLICY`, `GOMP_SPINCOUNT`).

    GNU's OpenMP looks at it, which torch brings along on Linux, when it is loaded: call this before torch is imported.
    Results do not depend on it, as they would on the number of threads.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


@contextmanager
def threads_of_torch(number: int) -> Iterator[None]:
    """So many threads for the time of the work.

    Args:
        number: 1 or more.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
