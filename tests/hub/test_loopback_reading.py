"""Trees in pages, paths, absent files, ranges, large files at the other host."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import file_exists, get_hf_file_metadata, hf_hub_url, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import BadRequestError, RemoteEntryNotFoundError
from huggingface_hub.file_download import _CACHED_NO_EXIST
from loopback import LoopbackHub

FILES = {"README.md": b"---\ntags: [a]\n---\n", "deep/a.txt": b"a", "deep/er/b.txt": b"b", "big.bin": b"\0" * 3000}


def test_tree(hub: LoopbackHub, client: Any) -> None:
    hub.create("me/name", FILES)
    hub.state.page_size = 2
    api = client.api
    rows = {row.path: type(row).__name__ for row in api.list_repo_tree("me/name", recursive=True)}
    assert rows == dict.fromkeys([".gitattributes", *FILES], "RepoFile") | dict.fromkeys(
        ["deep", "deep/er"], "RepoFolder"
    )
    assert hub.log.count("GET", "/tree/main") == 4
    assert [row.path for row in api.list_repo_tree("me/name", "deep")] == ["deep/a.txt", "deep/er"]
    hub.commit("me/name", {"deep/a.txt": b"A"}, "Louder")
    [louder] = [row for row in api.list_repo_tree("me/name", "deep", expand=True) if row.path == "deep/a.txt"]
    assert louder.last_commit.title == "Louder"
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree("me/name", "nowhere"))
    found = api.get_paths_info("me/name", ["big.bin", "deep", "nowhere"], expand=True)
    assert [row.path for row in found] == ["big.bin", "deep"] and found[0].lfs.size == 3000
    for number in range(3):
        hub.commit("me/name", {"n": b"%d" % number})
    assert len(api.list_repo_commits("me/name")) == 6


def test_files(hub: LoopbackHub, client: Any) -> None:
    head = hub.create("me/name", FILES).head
    small = get_hf_file_metadata(hf_hub_url("me/name", "README.md"))
    assert (small.commit_hash, small.etag, small.size) == (
        head.id,
        head.files["README.md"].oid,
        len(FILES["README.md"]),
    )
    large = get_hf_file_metadata(hf_hub_url("me/name", "big.bin"))
    assert (large.etag, large.size) == (head.files["big.bin"].sha256, 3000)
    assert large.location.startswith(hub.state.storage_endpoint + "/storage/")
    assert httpx2.get(large.location, headers={"Range": "bytes=10-19"}).status_code == 206
    assert httpx2.get(large.location, headers={"Range": "bytes=3000-"}).status_code == 416
    # Neither without the signature nor with a token.
    assert httpx2.get(large.location.split("?")[0]).status_code == 403
    assert httpx2.get(large.location, headers={"Authorization": f"Bearer {hub.tokens.write}"}).status_code == 400
    assert len(hub.log.leaks) == 1
    assert not file_exists("me/name", "absent.json")
    with pytest.raises(RemoteEntryNotFoundError):
        client.api.hf_hub_download("me/name", "absent.json")
    assert try_to_load_from_cache("me/name", "absent.json") is _CACHED_NO_EXIST
    head = hub.commit("me/name", {"big.bin": b"\0", "deep/a.txt": None})
    assert (Path(snapshot_download("me/name", revision=head.parent.id)) / "big.bin").read_bytes() == FILES["big.bin"]
    assert (Path(snapshot_download("me/name")) / "big.bin").read_bytes() == b"\0"


def test_information(hub: LoopbackHub, client: Any, tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}).encode()
    card = b"---\nlibrary_name: transformers\npipeline_tag: text-classification\ntags: [a]\n---\n"
    files = {
        "README.md": card,
        "config.json": b'{"model_type": "bert"}',
        "model.safetensors": len(header).to_bytes(8, "little") + header + bytes(24),
    }
    hub.create("me/name", files)
    info = client.api.model_info("me/name")
    assert (info.pipeline_tag, info.library_name, info.tags) == ("text-classification", "transformers", ["a"])
    assert info.safetensors.parameters == {"F32": 6} and info.config["model_type"] == "bert"
    assert [model.id for model in client.api.list_models(author="me")] == ["me/name"]


def test_commits_that_are_refused_leave_nothing(hub: LoopbackHub, client: Any) -> None:
    head = hub.create("me/name").head
    line = {"key": "lfsFile", "value": {"path": "a.bin", "algo": "sha256", "oid": "0" * 64, "size": 1}}
    small = {"key": "file", "value": {"path": "a.txt", "content": "MQ==", "encoding": "base64"}}
    start = {"key": "header", "value": {"summary": "x", "description": ""}}
    for lines, status in (
        ([start, small, line], 400),
        ([start, small, {"key": "deletedFile", "value": {"path": "absent"}}], 404),
        ([start, small, {"key": "file", "value": {"path": "../a", "content": "", "encoding": "base64"}}], 400),
        ([small], 400),
    ):
        body = "\n".join(map(json.dumps, lines))
        answer = httpx2.post(
            f"{hub.endpoint}/api/models/me/name/commit/main",
            content=body.encode(),
            headers={"Authorization": f"Bearer {hub.tokens.write}", "Content-Type": "application/x-ndjson"},
        )
        assert answer.status_code == status, (lines, answer.text)
    assert hub.repository("me/name").head == head
    with pytest.raises(BadRequestError, match="is not a branch"):
        client.api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id="me/name", revision=head.id)
