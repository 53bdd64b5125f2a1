"""The errors that a user of this package can meet: each is one line that says what, where, and what to do."""

from __future__ import annotations


class SentimentError(ValueError):
    """Base of this package's errors.

    It is a `ValueError`, so code that already guards a `transformers` call guards ours as well. The command line
    prints the message alone, without a traceback, and ends with `exit_code`.
    """

    exit_code = 1


class CallError(SentimentError):
    """The call was wrong: an argument, a path, a column or a combination of them. Exit code 2."""

    exit_code = 2


class NoRows(CallError):
    """A file without a row."""


class DataError(SentimentError):
    """The call was right and the data is not: rows that cannot be used, classes too small to split. Exit code 1."""


def missing_extra(extra: str, what: str) -> CallError:
    """An extra of this package is not installed.

    Args:
        extra: Its name.
        what: What is missing, or what is wanted of it; the call that installs it follows.
    """
    return CallError(f'{what}: `pip install --constraint constraints.txt ".[{extra}]"`, in the clone')


def first_line(error: BaseException) -> str:
    """What went wrong in one line: the first that says something, or else the name of the error's class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
