"""A file that is written in parts beside its name, gone on with after a kill, and there once it is whole."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import refuse_existing, write_json

logger = logging.getLogger(__name__)

_SECONDS = 2.0


@dataclass
class Part:
    """What is written so far.

    Attributes:
        folder: Beside the file; for what else is needed on the way.
        file: To be written at its end.
        progress: As the last `commit` had it; empty at the beginning.
        whole: What takes the name in the end: what was written, unless something is made of it.
    """

    folder: Path
    file: BinaryIO
    call: Mapping[str, Any] | None
    progress: dict[str, Any]
    whole: Path
    _next: float = field(default=0.0, init=False)

    def commit(self, progress: Mapping[str, Any]) -> None:
        """What was written until now stays, whatever happens; not more often than every two seconds.

        Args:
            progress: Plain JSON, from which the same call goes on.
        """
        if self.call is None or time.monotonic() < self._next:  # waiting for the disk takes a while
            return
        self.file.flush()
        os.fsync(self.file.fileno())
        state = {"call": dict(self.call), "bytes": self.file.tell(), "progress": dict(progress)}
        write_json(self.folder / "state.json", state)
        self.progress = dict(progress)
        self._next = time.monotonic() + _SECONDS


@contextmanager
def resumable_file(path: str | os.PathLike[str], call: Mapping[str, Any] | None) -> Iterator[Part]:
    """A file to write, in the folder `.NAME.part` beside it; after the block it has its name.

    Args:
        path: What is to be written.
        call: What was asked for, as plain JSON: only the same goes on with a part. `None`: nothing of it is kept.

    Raises:
        CallError: There is a part of another call or a damaged one, another process writes it, or it is there.
    """
    path = Path(path)
    folder = path.with_name(f".{path.name}.part")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            refuse_existing(path)  # another call may have made it since the name was looked at
            part = _begun(path, folder, call)
            with part.file:
                yield part
            with part.whole.open("rb+") as file:
                os.fsync(file.fileno())
            if path.exists():
                # What was read from a stream is there once: no other call may begin here.
                if not (folder / "state.json").is_file():
                    write_json(folder / "state.json", {"call": {"input": "a stream"}, "bytes": 0, "progress": {}})
                raise CallError(
                    f"--output {path} was made by somebody else meanwhile and is not overwritten: all that was to be "
                    f"in it is in {part.whole}: move that file, then remove {folder}"
                )
            os.replace(part.whole, path)
    except Timeout as error:
        raise CallError(f"--output {path}: another process is writing it: wait for it, or name another file") from error
    except BaseException as error:
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # of a full disk the system says no name
        if (folder / "state.json").is_file():
            if not isinstance(error, CallError):  # of another call nothing was done
                logger.warning("What was done is kept in %s: the same command again goes on with it", folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)  # another call that found nothing to do may have removed it


def _begun(path: Path, folder: Path, call: Mapping[str, Any] | None) -> Part:
    """A new part, or the one that is there as it was at its last commit."""
    written = folder / "written"
    length, progress = 0, {}
    if (folder / "state.json").is_file():
        try:
            state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
            before, length, progress = dict(state["call"]), int(state["bytes"]), dict(state["progress"])
            there = written.stat().st_size
        except (ValueError, LookupError, TypeError, FileNotFoundError):
            there = -1
        if not 0 <= length <= there:
            raise CallError(f"--output {path}: the part of it that is there is damaged: remove {folder}")
        now = dict(call or {})
        # Another call's work is nobody's to throw away unasked.
        if different := [name for name in before if before[name] != now.get(name)]:
            raise CallError(
                f"--output {path}: a part of it is there from another call (another {', '.join(different)}): run that "
                f"command again to go on with it, name another file, or remove {folder}"
            )
    written.touch()
    file = written.open("rb+")
    file.truncate(length)
    file.seek(0, os.SEEK_END)
    return Part(folder, file, call, progress, written)
