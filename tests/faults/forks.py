"""A process that has imported everything once, and forks a child for each run: kills by the dozen, in seconds each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

# What changes a folder, by the name that Python's audit has for it.
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "os.truncate")


class Forks:
    """`run` of a command line in a child, which is killed at a moment, or not."""

    def __enter__(self) -> Forks:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def run(self, words: Sequence[str], folder: Path, **kill: Any) -> dict[str, Any]:
        """The exit codes of all ranks, the changes to the folder, the seconds, and what was said.

        Args:
            words: Of `train`, without its folder.
            folder: Of the run.
            **kill: `change`: the number of the change to the folder before which it is killed; `seconds`: after so
                many of them; `ranks`: how many processes; `rank`: which of them is killed, by default all.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        call = {"words": ["train", *words, "--output_dir", str(folder)], "folder": str(folder), **kill}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def _child(call: dict[str, Any], rank: int, port: int, log: str, pipe: int) -> None:
    """Run the command line; the process ends here."""
    changes = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal changes
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event in CHANGES) and f"{arguments[0]}/".startswith(f"{call['folder']}/"):
            changes += 1
            if changes == call.get("change") and rank == call.get("rank", 0):
                os.kill(os.getpid(), signal.SIGKILL)

    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if call.get("ranks", 1) > 1:
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": call["ranks"], "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
    sys.addaudithook(watch)
    code = 1
    try:
        from hf_sentiment.cli import main

        main(call["words"])
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stderr.flush()
        os.write(pipe, f"{changes}\n".encode())
        os._exit(code)


def _run(call: dict[str, Any], port: int) -> dict[str, Any]:
    log = f"{call['folder']}.log"
    Path(log).unlink(missing_ok=True)
    reading, writing = os.pipe()
    began = time.monotonic()
    children = []
    for rank in range(call.get("ranks", 1)):
        child = os.fork()
        if child == 0:
            _child(call, rank, port, log, writing)
        children.append(child)
    os.close(writing)
    if "seconds" in call:
        time.sleep(call["seconds"])
        for rank, child in enumerate(children):
            if rank == call.get("rank", rank):
                os.kill(child, signal.SIGKILL)
    codes = _codes(children)
    with os.fdopen(reading) as pipe:
        changes = [int(line) for line in pipe]
    said = Path(log).read_text(encoding="utf-8", errors="replace")
    seconds = time.monotonic() - began
    return {"codes": codes, "changes": max(changes, default=0), "seconds": seconds, "said": said[-3000:]}


def _codes(children: Sequence[int]) -> list[int]:
    """How each has ended; once one did so badly, the others are ended as a launcher does it."""
    codes: list[int | None] = [None] * len(children)
    strikes = [(10.0, signal.SIGKILL), (0.2, signal.SIGTERM)]
    began = None
    while None in codes:
        time.sleep(0.01)
        for rank, child in enumerate(children):
            if codes[rank] is None and (found := os.waitpid(child, os.WNOHANG))[0]:
                codes[rank] = os.waitstatus_to_exitcode(found[1])
        if began is None and any(codes):
            began = time.monotonic()
        if began is not None and strikes and time.monotonic() - began > strikes[-1][0]:
            number = strikes.pop()[1]
            for child in (child for child, code in zip(children, codes, strict=True) if code is None):
                os.kill(child, number)
    return [code for code in codes if code is not None]


def _serve() -> None:
    import hf_sentiment.commands.train  # before the forks, which then need no time for it

    assert hf_sentiment.commands.train is not None
    for number, line in enumerate(sys.stdin):
        answer = _run(json.loads(line), 20_000 + (os.getpid() + 7 * number) % 30_000)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
