"""Work during which others say less."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_level(level: int, *names: str) -> Iterator[None]:
    """Within it, the loggers of these names say only what is at least so serious.

    Args:
        level: As `logging` has it.
        *names: Of loggers.
    """
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(level)
        yield
    finally:
        for logger, its_level in zip(loggers, before, strict=True):
            logger.setLevel(its_level)


# What makes OpenVINO's telemetry, and that of onnxruntime, send nothing.
_UNREPORTED = {"CI": "true", "ORT_DISABLE_TELEMETRY": "1"}


@contextmanager
def unreported() -> Iterator[None]:
    """Within it, OpenVINO and onnxruntime do not tell their makers that they are imported or called."""
    before = {name: os.environ.get(name) for name in _UNREPORTED}
    os.environ.update(_UNREPORTED)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


@contextmanager
def without_reports() -> Iterator[None]:
    """Within it, transformers says nothing but errors: no table of weights that a checkpoint lacks."""
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
