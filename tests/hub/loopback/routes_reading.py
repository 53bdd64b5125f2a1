"""Reading: information, trees, refs, commits, files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from . import cards
from .accounts import Token
from .messages import Refused, Request, Response, as_json
from .routing import route
from .state import State
from .storage import Commit, File, Repository, blob_id


def paged(state: State, request: Request, rows: list[Any], size: int | None = None) -> Response:
    """One page of the rows, with a Link to the next."""
    size = size or state.page_size
    start = int(request.query.get("cursor", 0))
    answer = as_json(rows[start : start + size])
    if start + size < len(rows):
        query = urlencode({**request.query, "cursor": start + size})
        answer.headers["Link"] = f'<{state.endpoint}{request.path}?{query}>; rel="next"'
    return answer


@route("GET", "/api/{kinds}")
def list_repositories(state: State, request: Request, token: Token | None, kinds: str) -> Response:
    """The repositories that the caller may see, by author and name."""
    rows = []
    for (kind, name), repository in sorted(state.repositories.items()):
        hidden = repository.private and not state.accounts.may_read(token, repository.namespace)
        author = request.query.get("author", repository.namespace)
        if (
            kind + "s" == kinds
            and not hidden
            and author == repository.namespace
            and request.query.get("search", "") in name
        ):
            rows.append(_describe(repository, repository.head, blobs=False))
    return paged(state, request, rows[: int(request.query.get("limit", len(rows)))])


@route("GET", "/api/{kinds}/{id}")
def info(
    state: State, request: Request, token: Token | None, repository: Repository, revision: str = "main"
) -> Response:
    """A repository at a revision."""
    return as_json(_describe(repository, repository.resolve(revision), request.flag("blobs")))


route("GET", "/api/{kinds}/{id}/revision/{revision}")(info)


def _describe(repository: Repository, commit: Commit, blobs: bool) -> dict[str, Any]:
    siblings = []
    for path, file in sorted(commit.files.items()):
        row = file.describe(path)
        more = {"size": row["size"], "blobId": row["oid"]} if blobs else {}
        if blobs and file.lfs:
            more["lfs"] = {"sha256": file.sha256, "size": row["size"], "pointerSize": len(file.pointer)}
        siblings.append({"rfilename": path, **more})
    card = _card(commit)
    described: dict[str, Any] = {
        "_id": blob_id(repository.name.encode())[:24],
        "id": repository.name,
        **({"modelId": repository.name} if repository.kind == "model" else {}),
        "author": repository.namespace,
        "sha": commit.id,
        "private": repository.private,
        "gated": repository.gated,
        "disabled": repository.disabled,
        "downloads": 0,
        "likes": 0,
        "tags": [tag for tag in card.get("tags") or [] if isinstance(tag, str)],
        "createdAt": repository.created,
        "lastModified": commit.date,
        "cardData": card,
        "siblings": siblings,
        "spaces": [],
        "usedStorage": sum(len(file.data) for file in commit.files.values() if file.lfs),
    }
    for name in ("sdk", "models") if repository.kind == "space" else ("pipeline_tag", "library_name", "model-index"):
        if name in card:
            described[name] = card[name]
    if "config.json" in commit.files:
        described["config"] = _json(commit.files["config.json"].data)
    if "model.safetensors" in commit.files:
        described["safetensors"] = _parameters(commit.files["model.safetensors"].data)
    return described


def _card(commit: Commit) -> dict[str, Any]:
    try:
        card = cards.read(commit.files["README.md"].data.decode())
    except (KeyError, ValueError, cards.yaml.YAMLError):
        return {}
    return card if isinstance(card, dict) else {}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return {}


def _parameters(data: bytes) -> dict[str, Any]:
    """The number of parameters by dtype, from a safetensors header."""
    header = _json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    counts: dict[str, int] = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            number = 1
            for length in tensor["shape"]:
                number *= length
            counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + number
    return {"parameters": counts, "total": sum(counts.values())}


@route("GET", "/api/{kinds}/{id}/tree/{revision}")
def tree(
    state: State, request: Request, token: Token | None, repository: Repository, revision: str, path: str = ""
) -> Response:
    """Files and folders, one level or all."""
    commit = repository.resolve(revision)
    start = path.strip("/") + "/" if path.strip("/") else ""
    rows = {row["path"]: row for row in _rows(commit, start, request.flag("recursive"))}
    if start and not rows:
        raise _no_entry(commit, f"{path} does not exist on {revision}")
    expand = request.flag("expand")
    if expand:
        rows = {name: _expanded(commit, row) for name, row in rows.items()}
    return paged(state, request, [rows[name] for name in sorted(rows)], min(state.page_size, 100) if expand else None)


route("GET", "/api/{kinds}/{id}/tree/{revision}/{path*}")(tree)


def _rows(commit: Commit, start: str, recursive: bool) -> Iterator[dict[str, Any]]:
    for name, file in commit.files.items():
        if not name.startswith(start):
            continue
        parts = name[len(start) :].split("/")
        for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
            yield _folder(commit, start + "/".join(parts[:depth]))
        if recursive or len(parts) == 1:
            yield file.describe(name)


def _folder(commit: Commit, path: str) -> dict[str, Any]:
    content = sorted((name, file.oid) for name, file in commit.files.items() if name.startswith(path + "/"))
    return {"type": "directory", "path": path, "oid": blob_id(repr(content).encode()), "size": 0}


def _expanded(commit: Commit, row: dict[str, Any]) -> dict[str, Any]:
    last = commit.last_change(row["path"])
    return {**row, "lastCommit": {"id": last.id, "title": last.title, "date": last.date}}


def _no_entry(commit: Commit, message: str) -> Refused:
    refused = Refused(404, message, "EntryNotFound")
    refused.headers["X-Repo-Commit"] = commit.id
    return refused


@route("POST", "/api/{kinds}/{id}/paths-info/{revision}")
def paths_info(state: State, request: Request, token: Token | None, repository: Repository, revision: str) -> Response:
    """The rows of the named files and folders; what is not there is left out."""
    commit = repository.resolve(revision)
    form = request.form()
    rows = []
    for path in form.get("paths", []):
        if path in commit.files:
            rows.append(commit.files[path].describe(path))
        elif any(name.startswith(path + "/") for name in commit.files):
            rows.append(_folder(commit, path))
    if form.get("expand", ["false"])[0].lower() in {"1", "true"}:
        rows = [_expanded(commit, row) for row in rows]
    return as_json(rows)


@route("GET", "/api/{kinds}/{id}/refs")
def refs(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Branches and tags, and pull requests when asked for."""

    def below(start: str) -> list[dict[str, str]]:
        return [
            {"name": ref[len(start) :], "ref": ref, "targetCommit": commit}
            for ref, commit in repository.refs.items()
            if ref.startswith(start)
        ]

    answer: dict[str, Any] = {"branches": below("refs/heads/"), "tags": below("refs/tags/"), "converts": []}
    if request.flag("include_prs"):
        answer["pullRequests"] = below("refs/pr/")
    return as_json(answer)


@route("GET", "/api/{kinds}/{id}/commits/{revision}")
def commits(state: State, request: Request, token: Token | None, repository: Repository, revision: str) -> Response:
    """The history of a revision, newest first."""
    rows = [
        {"id": c.id, "title": c.title, "message": c.message, "date": c.date, "authors": [{"user": c.author}]}
        for c in repository.resolve(revision).history()
    ]
    return paged(state, request, rows, min(state.page_size, 50))


@route("GET", "/{prefix}{id}/resolve/{revision}/{path*}")
def resolve(
    state: State, request: Request, token: Token | None, repository: Repository, revision: str, path: str
) -> Response:
    """Where a file is: a small one behind a relative redirection here, a large one at the storage host."""
    state.demand_files(repository, token)
    commit = repository.resolve(revision)
    file = commit.files.get(path)
    if file is None:
        raise _no_entry(commit, "Entry not found")
    headers = {
        "X-Repo-Commit": commit.id,
        "X-Linked-Size": str(len(file.data)),
        "X-Linked-Etag": f'"{file.etag}"',
    }
    if file.lfs:
        return Response(302, b"", {**headers, "Location": state.signed("GET", file.sha256)})
    cache = f"/api/resolve-cache/{repository.kind}s/{repository.name}/{commit.id}/{quote(path, safe='')}"
    return Response(307, b"", {**headers, "Location": cache})


@route("GET", "/api/resolve-cache/{kinds}/{id}/{revision}/{path*}")
def resolved(
    state: State, request: Request, token: Token | None, repository: Repository, revision: str, path: str
) -> Response:
    """A small file."""
    state.demand_files(repository, token)
    commit = repository.resolve(revision)
    file = commit.files[path]
    answer = content(request, file)
    answer.headers |= {"X-Repo-Commit": commit.id, "ETag": f'"{file.etag}"'}
    return answer


def content(request: Request, file: File) -> Response:
    """The bytes of a file, or the range of them that was asked for."""
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("Range") or "")
    if wanted is None or wanted.groups() == ("", ""):
        return Response(200, file.data, headers)
    size = len(file.data)
    if not wanted[1]:
        start, end = max(0, size - int(wanted[2])), size
    else:
        start, end = int(wanted[1]), min(size, int(wanted[2]) + 1 if wanted[2] else size)
    if start >= size or start >= end:
        return Response(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    return Response(206, file.data[start:end], {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"})
