"""Discussions and pull requests."""

from __future__ import annotations

from typing import Any

from .accounts import Token
from .messages import Refused, Request, Response, as_json
from .routing import route
from .state import State
from .storage import Commit, Discussion, Repository, now


def open_discussion(
    repository: Repository, token: Token, title: str, description: str, *, pull_request: bool, base: Commit
) -> Discussion:
    """A new discussion or pull request, the latter with its ref at `base`."""
    number = len(repository.discussions) + 1
    discussion = Discussion(number, title, token.user, pull_request, "open", now())
    repository.discussions.append(discussion)
    if pull_request:
        repository.refs[f"refs/pr/{number}"] = base.id
    _event(discussion, token, "comment", _comment(description))
    return discussion


def pull_request_of(repository: Repository, revision: str, token: Token | None) -> bool:
    """Whether `revision` is a pull request that the token's user opened."""
    start, _, number = revision.rpartition("/")
    if start != "refs/pr" or token is None:
        return False
    return repository.discussion(number).author == token.user


def _comment(text: str) -> dict[str, Any]:
    return {"edited": False, "hidden": False, "latest": {"raw": text, "html": text, "updatedAt": now()}}


def _event(discussion: Discussion, token: Token, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    event = {
        "id": f"{discussion.num:012x}{len(discussion.events):012x}",
        "type": kind,
        "createdAt": now(),
        "author": {"name": token.user},
        "data": data,
    }
    discussion.events.append(event)
    return event


def _describe(repository: Repository, discussion: Discussion) -> dict[str, Any]:
    return {
        "num": discussion.num,
        "title": discussion.title,
        "author": {"name": discussion.author},
        "status": discussion.status,
        "isPullRequest": discussion.is_pull_request,
        "createdAt": discussion.created,
        "repo": {"name": repository.name, "type": repository.kind},
    }


def _demand_token(token: Token | None) -> Token:
    if token is None:
        raise Refused(401, "Invalid username or password.")
    if token.role == "read":
        raise Refused(403, "Forbidden: a token of role read cannot take part in discussions")
    return token


@route("GET", "/api/{kinds}/{id}/discussions")
def discussions(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """All discussions, newest first."""
    kind, status, author = (request.query.get(name) for name in ("type", "status", "author"))
    rows = [
        _describe(repository, discussion)
        for discussion in reversed(repository.discussions)
        if kind in (None, "all", "pull_request" if discussion.is_pull_request else "discussion")
        and status in (None, "all", "open" if discussion.status in {"open", "draft"} else "closed")
        and author in (None, discussion.author)
    ]
    start = int(request.query.get("p", 0)) * state.page_size
    return as_json({"discussions": rows[start : start + state.page_size], "count": len(rows), "start": start})


@route("POST", "/api/{kinds}/{id}/discussions")
def new_discussion(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Open one; a pull request opened so is a draft."""
    wanted = request.json()
    discussion = open_discussion(
        repository,
        _demand_token(token),
        wanted["title"],
        wanted.get("description", ""),
        pull_request=bool(wanted.get("pullRequest")),
        base=repository.head,
    )
    if discussion.is_pull_request:
        discussion.status = "draft"
    return as_json({"num": discussion.num, "pullRequest": discussion.is_pull_request})


@route("GET", "/api/{kinds}/{id}/discussions/{number}")
def discussion_details(
    state: State, request: Request, token: Token | None, repository: Repository, number: str
) -> Response:
    """One with its events."""
    discussion = repository.discussion(number)
    answer = {**_describe(repository, discussion), "events": discussion.events}
    if discussion.is_pull_request:
        answer["changes"] = {"base": "refs/heads/main", "mergeCommitId": discussion.merge_commit}
        answer["filesWithConflicts"] = []
        answer["diff"] = ""
    return as_json(answer)


@route("POST", "/api/{kinds}/{id}/discussions/{number}/{action}")
def act_on_discussion(
    state: State, request: Request, token: Token | None, repository: Repository, number: str, action: str
) -> Response:
    """Comment, rename, open or close, merge."""
    discussion = repository.discussion(number)
    user, wanted = _demand_token(token), request.json()
    if action == "comment":
        event = _event(discussion, user, "comment", _comment(wanted["comment"]))
        return as_json({"newMessage": event})
    if user.user != discussion.author or action == "merge":
        state.demand_write(repository, user)
    if action == "title":
        old, discussion.title = discussion.title, wanted["title"]
        return as_json({"newTitle": _event(discussion, user, "title-change", {"from": old, "to": wanted["title"]})})
    if action == "status":
        discussion.status = wanted["status"]
        return as_json({"newStatus": _event(discussion, user, "status-change", {"status": wanted["status"]})})
    if action == "merge":
        _merge(repository, discussion, user)
        return as_json({"newStatus": _event(discussion, user, "status-change", {"status": "merged"})})
    raise Refused(404, f"Cannot {action} a discussion")


def _merge(repository: Repository, discussion: Discussion, token: Token) -> None:
    """Bring what the pull request changed into main; changes of main since are kept, on the same path they are lost."""
    if discussion.status != "open" or not discussion.is_pull_request:
        raise Refused(400, f"This pull request is {discussion.status} and cannot be merged")
    proposed = repository.resolve(f"refs/pr/{discussion.num}")
    known = {commit.id for commit in repository.head.history()}
    base = next(commit for commit in proposed.history() if commit.id in known)
    files = dict(repository.head.files)
    for path in {*base.files, *proposed.files}:
        if base.files.get(path) != proposed.files.get(path):
            files.pop(path, None)
            if path in proposed.files:
                files[path] = proposed.files[path]
    title = f"{discussion.title} (#{discussion.num})"
    discussion.merge_commit = repository.commit("refs/heads/main", files, title, "", token.user).id
    discussion.status = "merged"
