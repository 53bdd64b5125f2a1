"""Writing files that are whole or not there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_sentiment.errors import CallError

# What the name of a folder begins with while it is written.
PARTIAL = "_partial-"


def refuse_existing(output: Path, flag: str = "--output") -> None:
    """See that what is written there overwrites nothing.

    Args:
        output: A file.
        flag: What names it.

    Raises:
        CallError: It exists.
    """
    if output.exists():
        raise CallError(f"{flag} {output} exists and is not overwritten: name another file, or remove it")


def write_atomically(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write beside `path`, then rename: a reader, or a kill at any moment, sees the old file or the whole new one."""
    with file_atomically(path) as beside:
        beside.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


@contextlib.contextmanager
def file_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A file beside `path` to write into, which then takes its place: whole or not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    beside = Path(name)
    try:
        yield beside
        with beside.open("rb+") as file:  # Windows flushes only what may be written
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; a run's records are as readable as any other file.
        beside.chmod(0o666 & ~current_umask())
        os.replace(beside, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of a full disk the system says no name
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def folder_atomically(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder beside `path` to write into, which then takes its place: whole or not there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, as a rename is atomic within one file system only.
    beside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f"{PARTIAL}{path.name}-"))
    try:
        yield beside
        beside.chmod(0o777 & ~current_umask())
        # A folder cannot be replaced in one step: for a moment there is none, and never half of one.
        if path.exists():
            shutil.rmtree(path)
        beside.rename(path)
    except BaseException:  # Ctrl-C as well
        shutil.rmtree(beside, ignore_errors=True)
        raise


def current_umask() -> int:
    """The permission bits that this process takes from new files; POSIX tells them only by setting them."""
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """`write_atomically` of indented JSON; NaN is refused, so that every parser reads it."""
    write_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
