"""Requests, responses and refusals, free of sockets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Request:
    """One request as it came.

    `path` is raw (still percent-quoted, for a revision may hold a quoted slash) and without the query. `origin` is
    "hub" or "storage", the two hosts of the server.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str

    @property
    def bearer(self) -> str | None:
        """The token in the Authorization header; None without the header, "" for a header of another form."""
        value = self.headers.get("Authorization")
        if value is None:
            return None
        scheme, _, token = value.partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refused: 400 when it is none.
        """
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            raise Refused(400, "Invalid JSON body") from None
        if not isinstance(value, dict):
            raise Refused(400, "The body must be a JSON object")
        return value

    def form(self) -> dict[str, list[str]]:
        """The body as a URL-encoded form."""
        return parse_qs(self.body.decode("utf-8"), keep_blank_values=True)

    def flag(self, name: str) -> bool:
        """Whether the query switches `name` on."""
        return self.query.get(name, "").lower() in {"1", "true"}


@dataclass
class Response:
    """What goes back. The handler adds Content-Length, and sends no body for HEAD."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Refused(Exception):
    """An answer that is an error; `code` becomes X-Error-Code, from which the client chooses its exception."""

    def __init__(self, status: int, message: str, code: str | None = None, **more: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.more = status, message, code, more
        self.headers: dict[str, str] = {}

    def response(self) -> Response:
        """The error as an HTTP response; keyword arguments of the constructor are further keys of the JSON body."""
        answer = as_json({"error": self.message, **self.more}, self.status)
        # Header values are latin-1 on the wire.
        answer.headers["X-Error-Message"] = self.message.encode("ascii", "replace").decode()
        if self.code:
            answer.headers["X-Error-Code"] = self.code
        answer.headers |= self.headers
        return answer


def as_json(value: Any, status: int = 200, **headers: str) -> Response:
    """A JSON response; headers are given with underscores for hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8", **named})
