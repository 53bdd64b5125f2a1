"""The running hub that tests hold."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from .faults import Faults
from .handler import Server
from .log import Log
from .state import State
from .storage import Commit, Repository


class LoopbackHub:
    """A running hub; use it in a `with` block.

    Attributes:
        endpoint: its URL.
        tokens: `write`, `read`, `fine`, `other` and `bad`, see `Tokens`.
        faults: what shall go wrong, see `Faults.add`.
        log: what was asked, see `Log`.
        state: everything kept.
    """

    def __init__(self) -> None:
        self.state, self.faults, self.log = State(), Faults(), Log()
        self.tokens = self.state.accounts.tokens
        self.stopping = threading.Event()
        self._servers = [Server(self, origin) for origin in ("hub", "storage")]
        self.endpoint, self.state.storage_endpoint = (server.url for server in self._servers)
        self.state.endpoint = self.endpoint

    def __enter__(self) -> LoopbackHub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    # What is there, and what somebody else does, without HTTP.

    def repository(self, name: str, kind: str = "model") -> Repository | None:
        """The repository of that name; None when there is none."""
        return self.state.repositories.get((kind, name))

    def files(self, name: str, revision: str = "main", kind: str = "model") -> dict[str, bytes]:
        """The files of a revision."""
        return {path: file.data for path, file in self._there(name, kind).resolve(revision).files.items()}

    def commits(self, name: str, revision: str = "main", kind: str = "model") -> list[str]:
        """The titles of a revision's commits, newest first."""
        return [commit.title for commit in self._there(name, kind).resolve(revision).history()]

    def create(self, name: str, files: Mapping[str, bytes] | None = None, *, private: bool = False) -> Repository:
        """A model repository of "me" or "team" with these files."""
        token = self.state.accounts.find(self.tokens.write)
        repository = self.state.create("model", name, token, private=private)
        if files:
            self.commit(name, files)
        return repository

    def commit(
        self, name: str, changes: Mapping[str, bytes | None], title: str = "By another hand", author: str = "other"
    ) -> Commit:
        """A commit on main by somebody else; None deletes."""
        return self.state.commit(self._there(name, "model"), changes, title, author)

    def _there(self, name: str, kind: str) -> Repository:
        repository = self.repository(name, kind)
        assert repository is not None, f"there is no {kind} {name}"
        return repository

    # Clients in processes of their own.

    def environment(self, home: Path, token: str | None = "", **more: str) -> dict[str, str]:
        """The environment of a process whose client shall speak to this hub.

        Args:
            home: its HF_HOME (cache, stored tokens), created here.
            token: its HF_TOKEN; "" means `tokens.write`, None means none.
            more: further variables.
        """
        home.mkdir(parents=True, exist_ok=True)
        # The client would ask for it, at moments of its own choosing; so the log and the count of requests stay clear.
        (home / ".agent_harnesses.json").write_text('{"standardEnvVars": [], "harnesses": {}}', encoding="utf-8")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) and not name.lower().endswith("_proxy")
        }
        given = self.tokens.write if token == "" else token
        return {
            **kept,
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **({"HF_TOKEN": given} if given else {}),
            **more,
        }

    def run(
        self,
        *words: str,
        home: Path,
        token: str | None = "",
        cwd: Path | None = None,
        package: bool = True,
        quick: bool = True,
        check: bool = True,
        timeout: float = 120,
        **more: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run Python in a process of its own against this hub.

        Args:
            words: arguments of the interpreter ("-m", "hf_sentiment", ...), or one text of code, and its arguments.
            home, token, more: as for `environment`.
            cwd: its working directory; `home` by default.
            package: whether `import hf_sentiment` works there.
            quick: whether the client's waits between tries take no time.
            check: whether to fail, with what it wrote, when its exit code is not 0.
            timeout: seconds.
        """
        environment = self.environment(home, token, **more)
        shim = home / "shim"
        shim.mkdir(exist_ok=True)
        (shim / "sitecustomize.py").write_text(_SHIM, encoding="utf-8")
        paths = [str(shim), str(Path(__file__).parents[3])] if package else [str(shim)]
        environment |= {"PYTHONPATH": os.pathsep.join(paths), "LOOPBACK_BLOCK": "" if package else "hf_sentiment"}
        environment["LOOPBACK_QUICK"] = "1" if quick else ""
        arguments = words if words[0].startswith("-") else ("-c", *words)
        process = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd or home,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and process.returncode != 0:
            raise AssertionError(f"exit code {process.returncode}\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}")
        return process


# Stands in for a machine without the package, wherever it is installed on this one; and takes the waits out of the
# client once it is imported.
_SHIM = """
import importlib.abc, importlib.util, os, sys

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == os.environ.get("LOOPBACK_BLOCK"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        waiting = ("huggingface_hub.utils._http", "huggingface_hub.file_download")
        if os.environ.get("LOOPBACK_QUICK") and name in waiting:
            sys.meta_path.remove(self)
            try:
                spec = importlib.util.find_spec(name)
            finally:
                sys.meta_path.insert(0, self)
            execute = spec.loader.exec_module
            def quickly(module):
                execute(module)
                module.time = Time()
            spec.loader.exec_module = quickly
            return spec

class Time:
    def __getattr__(self, name):
        import time
        return (lambda seconds: None) if name == "sleep" else getattr(time, name)

sys.meta_path.insert(0, Finder())
"""
