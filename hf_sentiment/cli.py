"""The command `hf-sentiment`: finds the command, reads its flags, and answers an error by one line and an exit code.

Everything for people goes to stderr; stdout carries results alone. Exit codes: 0 done, 1 the work failed or the audit
found errors, 2 the call was wrong. An error is one line; `--debug` shows the traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from hf_sentiment.commands.command import say
from hf_sentiment.commands.flags import COMMANDS, help_of
from hf_sentiment.compute import processes
from hf_sentiment.compute.threads import wait_briefly
from hf_sentiment.errors import CallError, SentimentError, first_line
from hf_sentiment.parser import FlagParser, nearest, switch

# What to do about an error of the system, by its number.
_REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "make room there, or name another place")
_REMEDIES |= dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name another place, or change its rights")

_HELP = """usage: hf-sentiment COMMAND ...

Fine-tune a text encoder for sentiment, measure, use and publish it.

commands:
{commands}

`hf-sentiment COMMAND --help` says what a command takes. --version prints the version, --debug shows the traceback of an
error."""


@dataclass(frozen=True)
class Everywhere:
    """Flags that stand before or after any command."""

    help: bool = switch("Say what the command takes.", "-h")
    version: bool = switch("Print the version.")
    debug: bool = switch("Show the traceback of an error.")


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code.

    Args:
        words: Those after `hf-sentiment`; by default this process's own.
    """
    _set_up_logging()
    wait_briefly()
    with one_line_errors(every_kind=True):
        parser = FlagParser("hf-sentiment", Everywhere)
        # It takes three flags, wherever they stand; a value that looks like one is part of another word
        # (--text_column=--debug). What it does not know is the command and its words.
        everywhere, rest = parser.parse_known_args(sys.argv[1:] if words is None else list(words))
    with one_line_errors(everywhere.debug, every_kind=True):
        code = _run(everywhere, rest)
        sys.stdout.flush()  # here, where a pipe that nobody reads any more is answered
    sys.exit(code)


def _run(everywhere: argparse.Namespace, words: list[str]) -> int:
    if everywhere.version:
        from hf_sentiment import __version__

        print(f"hf-sentiment {__version__}")
        return 0
    if not words:
        print(_help())
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise CallError(f"no command {name}{nearest(name, COMMANDS)}: `hf-sentiment --help` lists the commands")
    if everywhere.help:
        print(help_of(name))
        return 0
    command = COMMANDS[name]
    if processes.started() > 1 and name != "train":
        raise CallError(f"{name} is for one process, and WORLD_SIZE is {processes.started()}: only train shares work")
    if command.trains:
        from hf_sentiment.training.arguments import parse_call

        said = parse_call(rest, command, command=f"hf-sentiment {name}")
    else:
        said = FlagParser(f"hf-sentiment {name}", command).said(rest)
    # A command's own flags are its fields; the rest are arguments of training.
    own = {field.name: said.pop(field.name) for field in dataclasses.fields(command) if field.name in said}
    return command(**own).run(said)


def _help() -> str:
    commands = "\n".join(f"  {name:<10}{(kind.__doc__ or '').splitlines()[0]}" for name, kind in COMMANDS.items())
    return _HELP.format(commands=commands)


@contextlib.contextmanager
def one_line_errors(debug: bool = False, every_kind: bool = False) -> Iterator[None]:
    """Answer this package's errors by one line on stderr and an exit code, as the command line does; also a decorator.

    Of several processes one says it, and all end.

    Args:
        debug: Let the errors through, for their traceback.
        every_kind: Those of other packages as well.

    Raises:
        SystemExit: After an error: 2 where the call was wrong, else 1.

    Examples:
        >>> @one_line_errors()
        ... def main() -> None: ...
    """
    hint = ": --debug shows where" if every_kind else ""
    try:
        yield
        processes.leave()
    except KeyboardInterrupt:
        _fail("stopped", 1)
    except BrokenPipeError:  # the reader has had enough, as `head` has after some lines
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit would flush into it again
        raise SystemExit(0) from None
    except SentimentError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except OSError as error:
        if debug:
            raise
        where = f"{error.filename}: " if error.filename else ""
        remedy = _REMEDIES.get(error.errno or 0)
        _fail(f"{where}{error.strerror or first_line(error)}{f': {remedy}' if remedy else hint}", 1)
    except Exception as error:  # the last stop: one line for a person, the traceback on request
        if debug or not every_kind:
            raise
        if "allocate memory" in str(error) or isinstance(error, MemoryError) or "out of memory" in str(error):
            _fail(f"memory ran out ({first_line(error)}): take smaller batches, shorter texts or a smaller model", 1)
        _fail(f"{type(error).__name__}: {first_line(error)}{hint}", 1)


def _fail(message: str, code: int) -> NoReturn:
    several = processes.started() > 1
    if several:
        processes.ignore_signals()
    if "tqdm" in sys.modules:  # a bar that was under way has left the cursor in its line
        for bar in list(getattr(sys.modules["tqdm"].tqdm, "_instances", ())):
            bar.close()
    if processes.first_to_end():
        say(f"error: {' '.join(message.splitlines())}")  # names of files and cells may have lines
    if several:  # without torch's destructors, which wait for the others or abort
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)


def _set_up_logging() -> None:
    """Our own messages on stderr, plain; the libraries' from warnings on."""
    # Made anew at every call: tests and notebooks replace sys.stderr.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    package = logging.getLogger("hf_sentiment")
    package.handlers = [handler]
    package.setLevel(logging.INFO)
    package.propagate = False
