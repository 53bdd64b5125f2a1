"""The Ray cluster that work is done on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO


@contextmanager
def ray_cluster(output: TextIO, **options: Any) -> Iterator[None]:
    """The cluster that the process is in, or that RAY_ADDRESS names; or one of this machine, for the time of the work.

    Args:
        output: Where goes what Ray prints.
        **options: Of one of this machine, as `ray.init` has them.
    """
    import ray

    logging.getLogger("ray").setLevel(logging.ERROR)
    begun = not ray.is_initialized()
    if begun:
        address = os.environ.get("RAY_ADDRESS", "local")
        alone = options | {"include_dashboard": False} if address == "local" else {}
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **alone)
    try:
        with redirect_stdout(output):
            yield
    finally:
        if begun:
            ray.shutdown()
