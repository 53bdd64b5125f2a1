"""What every command of the command line has in common."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Command:
    """What a command takes. The first line of a docstring is its help, the rest stands below the list of its flags."""

    # Whether the arguments of training are taken too, and a recipe of them.
    trains: ClassVar[bool] = False

    def run(self, arguments: Mapping[str, Any]) -> int:
        """Do it, and return the exit code.

        Args:
            arguments: Those of training that were said, for a command that takes them.
        """
        raise NotImplementedError


def say(line: str) -> None:
    """A line for people, on stderr.

    Args:
        line: Without its end.
    """
    print(line, file=sys.stderr)


def quieten_libraries(torch: bool = True) -> None:
    """Leave one progress bar, that of the work: loading and saving take a moment each.

    Args:
        torch: Whether the work imports torch and transformers, which take seconds.
    """
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # looked at when it is imported
    if not torch:
        return
    import datasets
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()
