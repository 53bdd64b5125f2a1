"""What the server was asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Entry:
    """A request as it came and what was answered.

    Attributes:
        method: GET, HEAD, ...
        path: raw, without the query.
        origin: "hub" or "storage".
        authorized: whether it carried an Authorization header.
        size: bytes of its body.
        status: of the answer; None when the connection was cut, or before there is an answer.
        fault: the kind of fault that was played on it.
    """

    method: str
    path: str
    origin: str
    authorized: bool
    size: int
    status: int | None = None
    fault: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.status}" + (f" [{self.fault}]" if self.fault else "")


class Log:
    """The requests in the order of their arrival. `list(hub.log)`, `len(hub.log)`, `str(hub.log)`."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Append."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()

    def find(self, method: str | None = None, path: str = "") -> list[Entry]:
        """The requests of that method (None = any) whose path contains the regular expression."""
        return [entry for entry in self if method in (None, entry.method) and re.search(path, entry.path)]

    def count(self, method: str | None = None, path: str = "") -> int:
        """How many `find` finds."""
        return len(self.find(method, path))

    @property
    def leaks(self) -> list[Entry]:
        """Requests that carried a token to the storage host, where none belongs."""
        return [entry for entry in self if entry.origin == "storage" and entry.authorized]

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def __str__(self) -> str:
        return "\n".join(map(str, self))
