"""Publishing under a fault at each of its requests in turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError
from publish_support import hashes_only, publish_there, run_folder  # noqa: F401

from hf_sentiment.hub.messages import HubError

# ruff: noqa: F811  # fixtures that are imported

# Errors, and connections that are cut before the server acts, and after: by turns, or each at every request.
KINDS = ("500", "cut before", "403", "cut after")
FAULTS = ["by turns", *(pytest.param(kind, marks=pytest.mark.faults) for kind in KINDS)]


def inject(hub: Any, kind: str, turn: int, request: tuple[str, str, int]) -> Any:
    method, path, number = request
    kind = KINDS[turn % len(KINDS)] if kind == "by turns" else kind
    if kind.isdigit():
        return hub.faults.add(kind, method, path, at=number)
    return hub.faults.add("cut", method, path, at=number, after=kind == "cut after")


def trees(hub: Any) -> dict[str, dict[str, str]] | None:
    """The files of main and their hashes; `None` where there is no repository."""
    api = HfApi(endpoint=hub.endpoint, token=hub.tokens.write)
    try:
        info = api.model_info("me/reviews")
    except RepositoryNotFoundError:
        return None
    entries = api.list_repo_tree("me/reviews", recursive=True, revision=info.sha)
    return {str(info.sha): {entry.path: entry.blob_id for entry in entries if hasattr(entry, "blob_id")}}


def requests_of(hub: Any, action: Callable[[], Any]) -> list[tuple[str, str, int]]:
    """What an action asks: method, path with commits and objects left open, and which of its like it is."""
    hub.log.clear()
    action()
    seen: dict[tuple[str, str], int] = {}
    found = []
    for entry in hub.log:
        path = "/".join(
            "[^/]+" if re.fullmatch(r"[0-9a-f]{40,64}", part) else re.escape(part) for part in entry.path.split("/")
        )
        key = (entry.method, f"^{path}$")
        seen[key] = seen.get(key, 0) + 1
        # Of the files, two stand for all: a small one and a large one.
        if "/resolve" not in path or re.search(r"config|safetensors", path):
            found.append((*key, seen[key]))
    return found


@pytest.mark.parametrize("kind", FAULTS)
def test_a_new_repository_is_whole_or_not_there(
    hub: Any, publish_there: Callable[..., Any], hashes_only: None, kind: str
) -> None:
    requests = requests_of(hub, publish_there)
    (whole,) = (trees(hub) or {}).values()
    api = HfApi(endpoint=hub.endpoint, token=hub.tokens.write)
    api.delete_repo("me/reviews")
    failed = 0
    for turn, (method, path, number) in enumerate(requests):
        fault = inject(hub, kind, turn, (method, path, number))
        try:
            publish_there()
        except HubError as error:
            failed += 1
            assert "\n" not in str(error) and hub.tokens.write not in str(error)
            assert trees(hub) is None, f"{method} {path}: half a repository is left: {error}"
        else:
            assert list((trees(hub) or {}).values()) == [whole], f"{method} {path}"
        assert fault.fired, f"{method} {path} was not asked"
        hub.faults.clear()
        publish_there()
        assert list((trees(hub) or {}).values()) == [whole], f"{method} {path}"
        api.delete_repo("me/reviews")
    assert failed


@pytest.mark.parametrize("kind", FAULTS)
def test_the_revision_before_stays_until_the_new_one_is_whole(
    hub: Any, publish_there: Callable[..., Any], hashes_only: None, kind: str
) -> None:
    licenses = ["mit", "apache-2.0"]
    publish_there(license="unknown")
    requests = requests_of(hub, lambda: publish_there(license="mit"))
    for turn, (method, path, number) in enumerate(requests, start=1):
        before, new = trees(hub), licenses[turn % 2]
        commits = len(list(HfApi(endpoint=hub.endpoint, token=hub.tokens.write).list_repo_commits("me/reviews")))
        inject(hub, kind, turn, (method, path, number))
        try:
            publish_there(license=new)
        except HubError as error:
            assert "as it was" in str(error) or method == "GET" or method == "HEAD", error
            assert trees(hub) == before, f"{method} {path}: {error}"
        hub.faults.clear()
        publish_there(license=new)
        assert trees(hub) != before
        now = len(list(HfApi(endpoint=hub.endpoint, token=hub.tokens.write).list_repo_commits("me/reviews")))
        assert now == commits + 1, f"{method} {path}: {now - commits} commits"
