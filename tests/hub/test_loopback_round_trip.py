"""Create, upload, read, download and delete with the real client."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, hf_hub_download, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
from loopback import LoopbackHub

CARD = b"---\nlicense: apache-2.0\n---\n# A model\n"
WEIGHTS = bytes(range(256)) * 100


def test_round_trip(hub: LoopbackHub, client: Any) -> None:
    api = client.api
    url = api.create_repo("me/name", private=True)
    assert str(url) == f"{hub.endpoint}/me/name" and url.repo_id == "me/name"
    first = api.model_info("me/name")
    assert first.private and [row.rfilename for row in first.siblings] == [".gitattributes"]
    add = [
        CommitOperationAdd("README.md", CARD),
        CommitOperationAdd("deep/er/config.json", b"{}"),
        CommitOperationAdd("weights.safetensors", WEIGHTS),
    ]
    made = api.create_commit("me/name", add, commit_message="All", parent_commit=first.sha)
    info = api.model_info("me/name", files_metadata=True)
    assert info.sha == made.oid and info.card_data.license == "apache-2.0"
    assert hub.commits("me/name") == ["All", "initial commit"]
    large = next(row for row in info.siblings if row.rfilename == "weights.safetensors")
    assert large.lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest() and large.size == len(WEIGHTS)
    assert hub.files("me/name")["weights.safetensors"] == WEIGHTS

    folder = Path(snapshot_download("me/name", revision=made.oid))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS
    assert (folder / "deep/er/config.json").read_bytes() == b"{}"
    assert Path(hf_hub_download("me/name", "README.md")).read_bytes() == CARD
    assert client.api.verify_repo_checksums("me/name", revision=made.oid).mismatches == []

    api.create_commit("me/name", [CommitOperationDelete("deep/", is_folder=True)], commit_message="Less")
    assert api.list_repo_files("me/name") == [".gitattributes", "README.md", "weights.safetensors"]
    assert [c.title for c in api.list_repo_commits("me/name")] == ["Less", "All", "initial commit"]
    api.delete_repo("me/name")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("me/name")
    assert hub.log.count("PUT", "^/storage/") == 1 and not hub.log.leaks


def test_what_is_there_is_not_sent_again(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    for _ in range(2):
        client.api.upload_file(path_or_fileobj=WEIGHTS, path_in_repo="weights.bin", repo_id="me/name")
    client.api.upload_file(path_or_fileobj=WEIGHTS, path_in_repo="copy.bin", repo_id="me/name")
    assert hub.log.count("PUT") == 1 and len(hub.commits("me/name")) == 3


def test_stale_parent(hub: LoopbackHub, client: Any) -> None:
    parent = hub.create("me/name").head.id
    hub.commit("me/name", {"notes.txt": b"Mine"})
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        client.api.upload_file(
            path_or_fileobj=b"1", path_in_repo="a.txt", repo_id="me/name", parent_commit=parent, revision="main"
        )
    assert caught.value.response.status_code == 412
    assert set(hub.files("me/name")) == {".gitattributes", "notes.txt"}


def test_exists(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name")
    assert client.api.create_repo("me/name", exist_ok=True).repo_id == "me/name"
    with pytest.raises(HfHubHTTPError) as caught:
        client.api.create_repo("me/name")
    assert caught.value.response.status_code == 409
