"""Publishing: validation, preupload, large files, commits, branches and tags."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from typing import Any

from . import cards
from .accounts import Token
from .messages import Refused, Request, Response, as_json
from .routes_discussions import open_discussion, pull_request_of
from .routes_reading import content
from .routing import route
from .state import State
from .storage import File, Repository, wants_lfs


@route("POST", "/api/validate-yaml")
def validate_yaml(state: State, request: Request, token: Token | None) -> Response:
    """What is wrong with a card's metadata."""
    errors, warnings = cards.validate(request.json().get("content", ""), request.json().get("repoType") or "model")
    if errors and "text/plain" in request.headers.get("Accept", ""):
        return Response(
            400, "\n".join(f"- Error: {error}" for error in errors).encode(), {"Content-Type": "text/plain"}
        )
    answer = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return as_json(answer, 400 if errors else 200)


def _demand_commit(state: State, request: Request, token: Token | None, repository: Repository, revision: str) -> None:
    """Refuse who may neither commit to the revision nor open a pull request."""
    if request.flag("create_pr") or pull_request_of(repository, revision, token):
        if token is None:
            raise Refused(401, "Invalid username or password.")
        if token.role == "read":
            raise Refused(403, "Forbidden: a token of role read cannot open pull requests")
        return
    state.demand_write(repository, token)


@route("POST", "/api/{kinds}/{id}/preupload/{revision}")
def preupload(state: State, request: Request, token: Token | None, repository: Repository, revision: str) -> Response:
    """Which files go by LFS, and which are there already."""
    _demand_commit(state, request, token, repository, revision)
    head = repository.resolve(revision)
    rows = []
    for wanted in request.json()["files"]:
        path = wanted["path"]
        sample = base64.b64decode(wanted.get("sample", ""))
        lfs = wants_lfs(head, path, wanted["size"], sample)
        row: dict[str, Any] = {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
        present = head.files.get(path)
        if present is not None and present.lfs == lfs:
            row["oid"] = present.etag
        rows.append(row)
    return as_json({"files": rows, "commitOid": head.id})


@route("POST", "/{prefix}{id}.git/info/lfs/objects/batch")
def lfs_batch(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """Where to send large files; nowhere when they are here."""
    # The batch says nothing of a pull request: whoever may open one may send its files.
    if token is None:
        raise Refused(401, "Invalid username or password.")
    if token.role == "read":
        raise Refused(403, "Forbidden: this token cannot write")
    rows = []
    for wanted in request.json()["objects"]:
        row: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"]}
        if wanted["oid"] not in repository.objects:
            verify = f"{state.url(repository.kind, repository.name)}.git/info/lfs/objects/verify"
            row["actions"] = {"upload": {"href": state.signed("PUT", wanted["oid"])}, "verify": {"href": verify}}
        rows.append(row)
    return as_json({"transfer": "basic", "objects": rows})


@route("POST", "/{prefix}{id}.git/info/lfs/objects/verify")
def lfs_verify(state: State, request: Request, token: Token | None, repository: Repository) -> Response:
    """The end of an upload."""
    if token is None:
        raise Refused(401, "Invalid username or password.")
    wanted = request.json()
    if len(state.objects.get(wanted["oid"], b"")) != wanted["size"]:
        raise Refused(404, f"Object {wanted['oid']} of {wanted['size']} bytes was not uploaded")
    repository.objects.add(wanted["oid"])
    return Response()


@route("PUT", "/storage/{oid}", origin="storage")
def store(state: State, request: Request, token: Token | None, oid: str) -> Response:
    """Keep a large file."""
    _demand_signature(state, request)
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refused(400, "BadDigest")
    state.objects[oid] = request.body
    return Response(200, b"", {"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


@route("GET", "/storage/{oid}", origin="storage")
def fetch(state: State, request: Request, token: Token | None, oid: str) -> Response:
    """A large file."""
    _demand_signature(state, request)
    if oid not in state.objects:
        raise Refused(404, "NoSuchKey")
    answer = content(request, File(state.objects[oid]))
    answer.headers["ETag"] = f'"{hashlib.md5(state.objects[oid]).hexdigest()}"'
    return answer


def _demand_signature(state: State, request: Request) -> None:
    if request.bearer is not None:  # as storage hosts answer: one kind of authentication at a time
        raise Refused(400, "InvalidArgument: Only one auth mechanism allowed")
    if not state.is_signed(request):
        raise Refused(403, "AccessDenied: Request has expired")


@route("POST", "/api/{kinds}/{id}/commit/{revision}")
def commit(state: State, request: Request, token: Token | None, repository: Repository, revision: str) -> Response:
    """All changes at once, or none."""
    _demand_commit(state, request, token, repository, revision)
    assert token is not None
    ref = repository.ref_of(revision)
    head = repository.resolve(revision)
    lines = _lines(request)
    header = next((value for key, value in lines if key == "header"), None)
    if header is None or not header.get("summary"):
        raise Refused(400, "The commit has no summary")
    parent = header.get("parentCommit")
    if parent and not (re.fullmatch("[0-9a-f]{5,40}", parent) and head.id.startswith(parent)):
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    if ref is None or ref.startswith("refs/tags/"):
        raise Refused(400, f"{revision} is not a branch")
    files = dict(head.files)
    for key, value in lines:
        if key != "header":
            _change(state, repository, files, key, value)
    title, description = header["summary"], header.get("description", "")
    answer: dict[str, Any] = {"success": True, "hookOutput": ""}
    if request.flag("create_pr"):
        discussion = open_discussion(repository, token, title, description, pull_request=True, base=head)
        ref = f"refs/pr/{discussion.num}"
        answer["pullRequestUrl"] = f"{state.url(repository.kind, repository.name)}/discussions/{discussion.num}"
    made = repository.commit(ref, files, title, description, token.user)
    url = f"{state.url(repository.kind, repository.name)}/commit/{made.id}"
    return as_json({**answer, "commitOid": made.id, "commitUrl": url})


def _lines(request: Request) -> list[tuple[str, dict[str, Any]]]:
    try:
        rows = [json.loads(line) for line in request.body.splitlines() if line.strip()]
        return [(row["key"], row["value"]) for row in rows]
    except (ValueError, KeyError, TypeError):
        raise Refused(400, "The commit must be lines of JSON with a key and a value") from None


def _change(state: State, repository: Repository, files: dict[str, File], key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if not path or path.startswith("/") or any(part in {"", ".", "..", ".git"} for part in path.rstrip("/").split("/")):
        raise Refused(400, f"Invalid path: {path!r}")
    if key == "file":
        try:
            data = base64.b64decode(value["content"], validate=True)
        except binascii.Error:
            raise Refused(400, f"{path}: the content is not base64") from None
        if path == "README.md":
            errors, _ = cards.validate(data.decode("utf-8", "replace"), repository.kind)
            if errors:
                raise Refused(400, f"Invalid metadata in README.md: {'; '.join(errors)}")
        files[path] = File(data)
    elif key == "lfsFile":
        oid = value["oid"]
        if oid not in repository.objects:
            raise Refused(400, f"{path}: the large file {oid} was not uploaded")
        files[path] = File(state.objects[oid], lfs=True, declared=oid)
    elif key == "deletedFile":
        if path not in files:
            raise Refused(404, "A file with this name doesn't exist", "EntryNotFound")
        del files[path]
    elif key == "deletedFolder":
        gone = [name for name in files if name.startswith(path.rstrip("/") + "/")]
        if not gone:
            raise Refused(404, "A folder with this name doesn't exist", "EntryNotFound")
        for name in gone:
            del files[name]
    else:
        raise Refused(400, f"Unknown operation {key}")


@route("POST", "/api/{kinds}/{id}/branch/{branch*}")
def create_branch(state: State, request: Request, token: Token | None, repository: Repository, branch: str) -> Response:
    """A branch at a revision."""
    state.demand_write(repository, token)
    start = repository.resolve(request.json().get("startingPoint") or "main")
    _new_ref(repository, f"refs/heads/{branch}", start.id)
    return Response()


@route("DELETE", "/api/{kinds}/{id}/branch/{branch*}")
def delete_branch(state: State, request: Request, token: Token | None, repository: Repository, branch: str) -> Response:
    """The end of a branch, but not of main."""
    state.demand_write(repository, token)
    if branch == "main":
        raise Refused(403, "Cannot delete refs/heads/main")
    return _delete_ref(repository, f"refs/heads/{branch}")


@route("POST", "/api/{kinds}/{id}/tag/{revision*}")
def create_tag(state: State, request: Request, token: Token | None, repository: Repository, revision: str) -> Response:
    """A tag at a revision."""
    state.demand_write(repository, token)
    _new_ref(repository, f"refs/tags/{request.json()['tag']}", repository.resolve(revision).id)
    return Response()


@route("DELETE", "/api/{kinds}/{id}/tag/{tag*}")
def delete_tag(state: State, request: Request, token: Token | None, repository: Repository, tag: str) -> Response:
    """The end of a tag."""
    state.demand_write(repository, token)
    return _delete_ref(repository, f"refs/tags/{tag}")


@route("POST", "/api/{kinds}/{id}/super-squash/{branch}")
def super_squash(state: State, request: Request, token: Token | None, repository: Repository, branch: str) -> Response:
    """One commit in place of a branch's history."""
    state.demand_write(repository, token)
    head = repository.resolve(branch)
    assert token is not None
    title = request.json().get("message") or f"Super-squash branch '{branch}'"
    repository.commit(repository.ref_of(branch) or "", head.files, title, "", token.user, squash=True)
    return Response()


def _new_ref(repository: Repository, ref: str, target: str) -> None:
    if ref in repository.refs:
        raise Refused(409, f"Reference {ref} already exists")
    repository.refs[ref] = target


def _delete_ref(repository: Repository, ref: str) -> Response:
    if repository.refs.pop(ref, None) is None:
        raise Refused(404, f"Reference {ref} does not exist", "RevisionNotFound")
    return Response()
