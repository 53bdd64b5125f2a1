"""Who may do what, and how the client is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, get_token, whoami
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from loopback import LoopbackHub

from hf_sentiment.hub.messages import explain


def _note() -> list[CommitOperationAdd]:
    return [CommitOperationAdd("note.txt", b"1")]


def _status(caught: pytest.ExceptionInfo[Any]) -> int:
    return caught.value.response.status_code


def test_whoami(hub: LoopbackHub, client: Any) -> None:
    answer = client.api.whoami()
    assert answer["name"] == "me" and answer["auth"]["accessToken"]["role"] == "write"
    assert {org["name"]: org["roleInOrg"] for org in answer["orgs"]} == {"team": "write", "closed": "read"}
    assert client.with_token(hub.tokens.read).whoami()["auth"]["accessToken"]["role"] == "read"
    scoped = client.with_token(hub.tokens.fine).whoami()["auth"]["accessToken"]["fineGrained"]["scoped"]
    assert [row["entity"]["name"] for row in scoped] == ["me"]
    # Functions of the module speak to the hub too.
    assert get_token() == hub.tokens.write and whoami()["name"] == "me"


def test_no_token_and_no_request(hub: LoopbackHub, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(LocalTokenNotFoundError):
        whoami()
    assert len(hub.log) == 0


def test_a_bad_token_is_refused_everywhere(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    api = client.with_token(hub.tokens.bad)
    for call in (api.whoami, lambda: api.model_info("me/name"), lambda: api.create_repo("me/new")):
        with pytest.raises(HfHubHTTPError) as caught:
            call()
        assert _status(caught) == 401 and not isinstance(caught.value, RepositoryNotFoundError)


@pytest.mark.parametrize("name", ["me/secret", "me/missing"])
def test_a_hidden_repository_looks_like_a_missing_one(name: str, hub: LoopbackHub, client: Any) -> None:
    hub.create("me/secret", private=True)
    for token, status in ((hub.tokens.other, 404), (False, 401)):
        api = client.with_token(token)
        for call in (
            lambda api=api: api.model_info(name),
            lambda api=api: api.hf_hub_download(name, "README.md"),
            lambda api=api: api.create_commit(name, _note(), commit_message="x"),
        ):
            with pytest.raises(RepositoryNotFoundError) as caught:
                call()
            assert _status(caught) == status
        assert name not in [model.id for model in api.list_models()]


def test_settings(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name", private=True)
    client.api.update_repo_settings("me/name", visibility="public")
    assert client.with_token(False).model_info("me/name").private is False
    client.api.update_repo_settings("me/name", gated="auto")
    anonymous, other = client.with_token(False), client.with_token(hub.tokens.other)
    for api, status in ((anonymous, 401), (other, 403)):
        assert api.model_info("me/name").gated == "auto"
        with pytest.raises(GatedRepoError) as caught:
            api.hf_hub_download("me/name", ".gitattributes")
        assert _status(caught) == status
    client.api.grant_access("me/name", "other")
    assert other.hf_hub_download("me/name", ".gitattributes")


@pytest.mark.parametrize(
    ("token", "namespace", "may"),
    [
        ("write", "me", True),
        ("write", "team", True),
        ("write", "closed", False),
        ("write", "other", False),
        ("write", "nobody", False),
        ("fine", "me", True),
        ("fine", "team", False),
        ("read", "me", False),
        ("other", "team", False),
    ],
)
def test_who_may_create(token: str, namespace: str, may: bool, hub: LoopbackHub, client: Any) -> None:
    api = client.with_token(getattr(hub.tokens, token))
    if may:
        assert api.create_repo(f"{namespace}/name", private=True).repo_id == f"{namespace}/name"
        return
    with pytest.raises(HfHubHTTPError, match="rights to create a model under the namespace") as caught:
        api.create_repo(f"{namespace}/name")
    assert _status(caught) == 403 and hub.repository(f"{namespace}/name") is None
    assert "the token may not do that in" in str(explain(caught.value, f"{namespace}/name", "create it"))


@pytest.mark.parametrize("token", ["read", "other"])
def test_who_may_not_write(token: str, hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    api = client.with_token(getattr(hub.tokens, token))
    for call in (
        lambda: api.create_commit("me/name", _note(), commit_message="x"),
        lambda: api.create_branch("me/name", branch="b"),
        lambda: api.delete_repo("me/name"),
        lambda: api.update_repo_settings("me/name", visibility="private"),
        lambda: api.auth_check("me/name", write=True),
    ):
        with pytest.raises(HfHubHTTPError) as caught:
            call()
        assert _status(caught) == 403
    assert hub.commits("me/name") == ["initial commit"] and not hub.repository("me/name").private


def test_pull_request_by_a_stranger(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    other = client.with_token(hub.tokens.other)
    made = other.create_commit("me/name", _note(), commit_message="A note", commit_description="Why", create_pr=True)
    assert made.pr_num == 1 and made.pr_revision == "refs/pr/1"
    assert "note.txt" not in hub.files("me/name") and "note.txt" in hub.files("me/name", "refs/pr/1")
    with pytest.raises(HfHubHTTPError):
        other.merge_pull_request("me/name", 1)
    # Its author may go on.
    more = [CommitOperationAdd("more.bin", b"\0\1")]
    other.create_commit("me/name", more, commit_message="More", revision="refs/pr/1")
    details = client.api.get_discussion_details("me/name", 1)
    assert (details.title, details.author, details.status) == ("A note", "other", "open")
    assert details.events[0].content == "Why"
    client.api.comment_discussion("me/name", 1, "Thanks")
    hub.commit("me/name", {"meanwhile.txt": b"2"})
    client.api.merge_pull_request("me/name", 1)
    assert {"note.txt", "more.bin", "meanwhile.txt"} < set(hub.files("me/name"))
    listed = list(client.api.get_repo_discussions("me/name"))
    assert [(row.num, row.status, row.is_pull_request) for row in listed] == [(1, "merged", True)]
    # A token of role read opens none, not even its owner's.
    with pytest.raises(HfHubHTTPError) as caught:
        client.with_token(hub.tokens.read).create_commit("me/name", _note(), commit_message="x", create_pr=True)
    assert _status(caught) == 403


def test_discussion_and_draft(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    assert client.api.create_discussion("me/name", title="A question", description="Well?").num == 1
    assert client.api.create_pull_request("me/name", title="A draft").status == "draft"
    client.api.rename_discussion("me/name", 1, new_title="Another question")
    client.api.change_discussion_status("me/name", 1, new_status="closed")
    details = client.api.get_discussion_details("me/name", 1)
    assert (details.title, details.status) == ("Another question", "closed")


def test_branches_and_tags(hub: LoopbackHub, client: Any) -> None:
    first = hub.create("me/name").head.id
    api = client.api
    api.create_branch("me/name", branch="try/this")
    api.create_branch("me/name", branch="try/this", exist_ok=True)
    api.create_commit("me/name", _note(), commit_message="On it", revision="try/this")
    api.create_tag("me/name", tag="v1", revision="try/this")
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_tag("me/name", tag="v1")
    assert _status(caught) == 409
    refs = api.list_repo_refs("me/name", include_pull_requests=True)
    assert {branch.name for branch in refs.branches} == {"main", "try/this"}
    assert [tag.ref for tag in refs.tags] == ["refs/tags/v1"] and refs.pull_requests == []
    assert api.model_info("me/name").sha == first != api.model_info("me/name", revision="v1").sha
    api.super_squash_history("me/name", branch="try/this", commit_message="One")
    assert hub.commits("me/name", "try/this") == ["One"]
    api.delete_tag("me/name", tag="v1")
    api.delete_branch("me/name", branch="try/this")
    for revision in ("v1", "try/this", "deadbeef"):
        with pytest.raises(RevisionNotFoundError):
            api.model_info("me/name", revision=revision)
        with pytest.raises(RevisionNotFoundError):
            api.create_commit("me/name", _note(), commit_message="x", revision=revision)


def test_move(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/old", {"a file.txt": b"1"})
    client.api.move_repo("me/old", "team/new")
    assert client.api.model_info("me/old").id == "team/new"
    assert Path(client.api.hf_hub_download("me/old", "a file.txt")).read_bytes() == b"1"
    client.api.create_commit("me/old", _note(), commit_message="By the old name")
    assert hub.commits("team/new")[0] == "By the old name" and hub.repository("me/old") is None
