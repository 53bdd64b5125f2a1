"""Which function answers which request."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from .messages import Refused, Request, Response
from .state import State

Answer = Callable[..., Response]
_ROUTES: list[tuple[str, re.Pattern[str], Answer]] = []
_FIELDS = {
    # The type of repositories in API paths, and in those that browsers use.
    "kinds": r"(?P<kinds>models|datasets|spaces)",
    "prefix": r"(?P<kinds>datasets/|spaces/|)",
    "id": r"(?P<id>[^/]+/[^/]+?)",
}


def route(method: str, template: str, *, origin: str = "hub") -> Callable[[Answer], Answer]:
    """Register the function for a method and a path template, on the raw path.

    `{name}` stands for one segment and `{name*}` for the rest; both reach the function unquoted, as keyword arguments.
    With `{id}` and `{kinds}` or `{prefix}` the function gets `repository` instead, which the caller may see. Every
    function gets `state`, `request` and `token` first.
    """

    def field(match: re.Match[str]) -> str:
        name = match.group(1)
        if name in _FIELDS:
            return _FIELDS[name]
        return rf"(?P<{name[:-1]}>.+)" if name.endswith("*") else rf"(?P<{name}>[^/]+)"

    escaped = re.sub(r"\\([{}*])", r"\1", re.escape(template))
    pattern = re.compile(f"{origin}:{re.sub(r'{([a-z]+[*]?)}', field, escaped)}")

    def register(answer: Answer) -> Answer:
        _ROUTES.append((method, pattern, answer))
        return answer

    return register


def dispatch(state: State, request: Request) -> Response:
    """Act on a request. The state's lock is held meanwhile."""
    try:
        with state.lock:
            return _act(state, request)
    except Refused as refused:
        return refused.response()


def _act(state: State, request: Request) -> Response:
    token = state.token(request) if request.origin == "hub" else None
    method = "GET" if request.method == "HEAD" else request.method
    for known, pattern, answer in _ROUTES:
        match = pattern.fullmatch(f"{request.origin}:{request.path}")
        if known != method or match is None:
            continue
        arguments: dict[str, Any] = {name: unquote(value) for name, value in match.groupdict().items()}
        if "id" in arguments:
            kind = arguments.pop("kinds").rstrip("/s") or "model"
            name = arguments.pop("id")
            if (kind, name) in state.moved:
                return _elsewhere(request, match, state.moved[kind, name])
            arguments["repository"] = state.find(kind, name, token)
        return answer(state, request, token, **arguments)
    if request.origin == "hub" and re.search(r"^/api/(models|datasets|spaces)/|/resolve/", request.path):
        # A repository of one name, or a part of the API that this server does not have.
        raise Refused(401 if token is None else 404, "Repository not found", "RepoNotFound")
    raise Refused(404, f"Cannot {request.method} {request.path}")


def _elsewhere(request: Request, match: re.Match[str], name: str) -> Response:
    """The redirection from a moved repository's old name."""
    shift = len(request.origin) + 1
    start, end = match.start("id") - shift, match.end("id") - shift
    query = "&".join(f"{key}={value}" for key, value in request.query.items())
    location = request.path[:start] + name + request.path[end:] + (f"?{query}" if query else "")
    return Response(307, b"", {"Location": location})
