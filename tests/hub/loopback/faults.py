"""Faults that the server plays on chosen requests."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from .messages import Request, Response

# For tests that go through them all.
KINDS = ("401", "403", "409", "412", "429", "500", "503", "cut", "cut-body", "reset", "slow", "wrong-bytes", "short")

_MESSAGES = {
    401: "Invalid credentials in Authorization header",
    403: "You have read access but not the required permissions for this operation",
    409: "You already created this model repo",
    412: "A commit has happened since. Please refresh and try again.",
    429: "We had to rate limit you. Please retry later.",
    500: "Internal Error - We're working hard to fix this as soon as possible!",
    503: "Service Unavailable",
}


@dataclass
class Fault:
    """One fault; see `Faults.add`. `fired` says how often it was played."""

    kind: str
    method: str | None
    pattern: re.Pattern[str]
    at: int
    times: float
    after: bool
    seconds: float
    message: str | None
    body: str | None
    headers: dict[str, str]
    call: Callable[[Request], None] | None = None
    seen: int = 0
    fired: int = 0

    def meets(self, request: Request) -> bool:
        """Count the request if it is one of those meant, and say whether the fault's turn has come."""
        if self.method not in (None, request.method) or not self.pattern.search(request.path):
            return False
        self.seen += 1
        return self.at <= self.seen < self.at + self.times

    def response(self, request: Request, endpoint: str) -> Response | None:
        """The error that takes the place of the answer; None for the kinds that are no status."""
        if not self.kind.isdigit():
            return None
        status = int(self.kind)
        message = self.message or _MESSAGES.get(status, "An error")
        headers = {"Content-Type": "application/json; charset=utf-8", "X-Error-Message": message}
        wait = round(self.seconds)
        if status == 429:
            headers |= {"RateLimit": f'"api";r=0;t={wait}', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}
        if status == 503:
            headers["Retry-After"] = str(wait)
        content: dict[str, str] = {"error": message}
        if status == 409 and request.path == "/api/repos/create":
            wanted = request.json()
            content["url"] = f"{endpoint}/{wanted.get('organization') or 'me'}/{wanted.get('name')}"
        body = json.dumps(content) if self.body is None else self.body
        return Response(status, body.encode(), headers | self.headers)


@dataclass
class Faults:
    """The faults of a server; the first whose turn it is is played, and all count."""

    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(
        self,
        kind: str | Callable[[Request], None],
        method: str | None = None,
        path: str = "",
        *,
        at: int = 1,
        times: float = 1,
        after: bool = False,
        seconds: float = 1,
        message: str | None = None,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Fault:
        """Play a fault on the `at`-th request that matches, counted from now on, and on the next `times - 1`.

        Args:
            kind: what happens:
                a status as text ("500"): that answer instead of the real one; 429 comes with RateLimit headers and 503
                with Retry-After, both of `seconds`;
                "cut": the connection is closed without an answer;
                "cut-body": half of the answer's body is sent, then the connection is closed;
                "reset": the same, and the connection is reset (TCP RST) instead of closed;
                "slow": `seconds` pass first;
                "wrong-bytes": one byte of the answer's body is another; of a PUT to the storage, one of what is kept;
                "short": half of the answer's body, under a Content-Length that agrees with it;
                or a function, called with the request before the server acts, which then acts as ever.
            method: of the requests meant; None for any.
            path: a regular expression searched for in the raw path without the query; "" for any. Paths of the storage
                host begin with /storage/.
            at: 1 is the next match. With neither method nor path: the at-th request, whatever it is.
            times: how many in a row; `math.inf` for ever.
            after: for a status, "cut" and "slow": the server acts first, and the client does not hear of it.
            seconds: of "slow", Retry-After and RateLimit.
            message: of the error, instead of a usual one.
            body: of the error, instead of JSON with that message.
            headers: of the error, besides the usual ones.

        Returns:
            The fault, whose `fired` can be asked later.
        """
        name, call = (kind, None) if isinstance(kind, str) else ("call", kind)
        if call is None and name not in KINDS and not name.isdigit():
            raise ValueError(f"no such kind of fault: {name!r}; there are a status and {', '.join(KINDS)}")
        fault = Fault(name, method, re.compile(path), at, times, after, seconds, message, body, headers or {}, call)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """No more faults."""
        with self._lock:
            self._faults.clear()

    def meet(self, request: Request) -> Fault | None:
        """The fault to play on this request."""
        with self._lock:
            due = [fault for fault in self._faults if fault.meets(request)]
            if not due:
                return None
            due[0].fired += 1
            return due[0]
