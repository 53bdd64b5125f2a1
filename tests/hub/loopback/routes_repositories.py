"""Accounts and repositories: who am I, create, delete, move, settings, access."""

from __future__ import annotations

from .accounts import Token
from .cards import SDKS
from .messages import Refused, Request, Response, as_json
from .routing import route
from .state import State
from .storage import File, Repository


@route("GET", "/api/whoami-v2")
def whoami(state: State, request: Request, token: Token | None) -> Response:
    """Who the token is."""
    if token is None:
        raise Refused(401, "Invalid username or password.")
    return as_json(state.accounts.whoami(token))


@route("POST", "/api/repos/create")
def create(state: State, request: Request, token: Token | None) -> Response:
    """A new repository."""
    wanted = request.json()
    if token is None:
        raise Refused(401, "Invalid username or password.")
    name = f"{wanted.get('organization') or token.user}/{wanted['name']}"
    kind = wanted.get("type") or "model"
    private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    if kind == "space" and wanted.get("sdk") not in SDKS:
        raise Refused(400, f'"sdk" must be one of [{", ".join(SDKS)}]')
    repository = state.create(kind, name, token, private=private)
    if kind == "space":
        # The Hub's own first card, in the same commit as its .gitattributes.
        header = f"title: {wanted['name']}\nsdk: {wanted['sdk']}\nsdk_version: 6.0.0\napp_file: app.py"
        card = f"---\n{header}\n---\n\nConfigure it.\n"
        files = {**repository.head.files, "README.md": File(card.encode())}
        repository.commit("refs/heads/main", files, "initial commit", "", token.user, squash=True)
    return as_json({"url": state.url(kind, name), "name": name, "id": repository.head.id[:24]})


@route("DELETE", "/api/repos/delete")
def delete(state: State, request: Request, token: Token | None) -> Response:
    """The end of a repository."""
    wanted = request.json()
    user = token.user if token else ""
    kind, name = wanted.get("type") or "model", f"{wanted.get('organization') or user}/{wanted['name']}"
    repository = state.find(kind, name, token)
    state.demand_write(repository, token)
    del state.repositories[kind, name]
    return Response()


@route("POST", "/api/repos/move")
def move(state: State, request: Request, token: Token | None) -> Response:
    """A new name; the old one answers with a redirection."""
    wanted = request.json()
    kind, old, new = wanted.get("type") or "model", wanted["fromRepo"], wanted["toRepo"]
    repository = state.find(kind, old, token)
    state.demand_write(repository, token)
    if not state.accounts.may_write(token, new.split("/")[0]):
        raise Refused(403, f'You don\'t have the rights to move a {kind} to the namespace "{new.split("/")[0]}"')
    if (kind, new) in state.repositories:
        raise Refused(409, "A repository of that name exists")
    state.repositories[kind, new] = state.repositories.pop((kind, old))
    repository.name = new
    state.moved[kind, old] = new
    state.moved.pop((kind, new), None)
    return Response()


@route("PUT", "/api/{kinds}/{id}/settings")
def settings(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Visibility and gate."""
    state.demand_write(repository, token)
    wanted = request.json()
    if "visibility" in wanted or "private" in wanted:
        repository.private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
    repository.gated = wanted.get("gated", repository.gated)
    return as_json({"private": repository.private, "gated": repository.gated})


@route("GET", "/api/{kinds}/{id}/auth-check")
def auth_check(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Whether the files may be read."""
    state.demand_files(repository, token)
    return Response()


@route("GET", "/api/{kinds}/{id}/auth-check/write")
def auth_check_write(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Whether the repository may be written to."""
    state.demand_write(repository, token)
    return Response()


@route("POST", "/api/{kinds}/{id}/user-access-request/grant")
def grant(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Open the gate to a user."""
    state.demand_write(repository, token)
    user = request.json()["user"]
    repository.granted.add(user)
    return as_json({"user": {"user": user}, "status": "accepted"})
