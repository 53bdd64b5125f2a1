"""`python -m hf_sentiment` as a script for several processes, each of which also writes down a hash of its weights."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

from hf_sentiment.cli import main
from hf_sentiment.training.run import Run

adjust = Run.adjust


def note(run: Run) -> None:
    adjust(run)
    weights = b"".join(tensor.detach().numpy().tobytes() for tensor in run.model.state_dict().values())
    Path(os.environ["NOTES"], os.environ["RANK"]).write_text(hashlib.sha256(weights).hexdigest())


if __name__ == "__main__":
    Run.adjust = note  # type: ignore[method-assign]
    main(sys.argv[1:])
