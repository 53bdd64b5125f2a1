"""Every kind of fault, as the client sees it."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from loopback import LoopbackHub

BIG = bytes(range(256)) * 20
GOT = "/storage/"


@pytest.fixture
def api(hub: LoopbackHub, client: Any) -> Any:
    """The client, with a repository "me/name" there."""
    hub.create("me/name", {"big.bin": BIG, "small.txt": b"A small text"})
    return client.api


def _note() -> list[CommitOperationAdd]:
    return [CommitOperationAdd("note.txt", b"1")]


def _big() -> list[CommitOperationAdd]:
    return [CommitOperationAdd("new.bin", BIG[::-1])]


@pytest.mark.parametrize("kind", ["401", "403", "409", "412", "429", "500", "503"])
def test_a_status_at_the_commit_is_not_tried_again(kind: str, api: Any, client: Any, hub: LoopbackHub) -> None:
    fault = hub.faults.add(kind, "POST", "/commit/", message="Of the test")
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_commit("me/name", _note(), commit_message="x")
    assert caught.value.response.status_code == int(kind) and caught.value.server_message == "Of the test"
    assert fault.fired == 1 and client.waits == [] and "note.txt" not in hub.files("me/name")
    api.create_commit("me/name", _note(), commit_message="x")
    assert fault.fired == 1 and "note.txt" in hub.files("me/name")
    assert [entry.fault for entry in hub.log.find("POST", "/commit/")] == [kind, None]


@pytest.mark.parametrize(
    ("kind", "seconds", "waits"),
    [("429", 7, [8.0]), ("503", 4, [5.0]), ("500", 1, [1]), ("cut", 1, [1])],
)
@pytest.mark.parametrize("path", ["/preupload/", "/objects/batch", "/objects/verify"])
def test_what_is_tried_again(
    path: str, kind: str, seconds: float, waits: list[float], api: Any, client: Any, hub: LoopbackHub
) -> None:
    fault = hub.faults.add(kind, "POST", path, seconds=seconds)
    api.create_commit("me/name", _big(), commit_message="x")
    assert fault.fired == 1 and client.waits == waits and hub.files("me/name")["new.bin"] == BIG[::-1]


def test_six_failures_are_too_many(api: Any, client: Any, hub: LoopbackHub) -> None:
    hub.faults.add("500", "POST", "/preupload/", times=math.inf)
    with pytest.raises(HfHubHTTPError):
        api.create_commit("me/name", _note(), commit_message="x")
    assert client.waits == [1, 2, 4, 8, 8] and hub.log.count("POST", "/preupload/") == 6


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", ["cut", "500"])
def test_before_and_after_the_commit(kind: str, after: bool, api: Any, client: Any, hub: LoopbackHub) -> None:
    hub.faults.add(kind, "POST", "/commit/", after=after)
    with pytest.raises(httpx2.RemoteProtocolError if kind == "cut" else HfHubHTTPError):
        api.create_commit("me/name", _note(), commit_message="x")
    assert ("note.txt" in hub.files("me/name")) is after and client.waits == []


@pytest.mark.parametrize(("kind", "after"), [("500", False), ("cut", False), ("cut", True), ("429", False)])
def test_upload_of_a_large_file_is_tried_again(kind: str, after: bool, api: Any, client: Any, hub: LoopbackHub) -> None:
    hub.faults.add(kind, "PUT", GOT, after=after)
    api.create_commit("me/name", _big(), commit_message="x")
    assert hub.log.count("PUT", GOT) == 2 and hub.files("me/name")["new.bin"] == BIG[::-1] and not hub.log.leaks


def test_upload_of_a_large_file_refused(api: Any, hub: LoopbackHub) -> None:
    hub.faults.add("403", "PUT", GOT)
    with pytest.raises(RuntimeError, match="Error while uploading"):
        api.create_commit("me/name", _big(), commit_message="x")
    assert "new.bin" not in hub.files("me/name")


def test_upload_garbled_on_its_way_is_found_by_no_one_but_who_looks(api: Any, hub: LoopbackHub) -> None:
    hub.faults.add("wrong-bytes", "PUT", GOT)
    made = api.create_commit("me/name", _big(), commit_message="x")
    got = Path(api.hf_hub_download("me/name", "new.bin", revision=made.oid)).read_bytes()
    assert len(got) == len(BIG) and sum(a != b for a, b in zip(got, BIG[::-1], strict=True)) == 1
    assert [row["path"] for row in api.verify_repo_checksums("me/name").mismatches] == ["new.bin"]


@pytest.mark.parametrize(("name", "path"), [("big.bin", GOT), ("small.txt", "/resolve-cache/")], ids=["large", "small"])
class TestDownload:
    def _get(self, api: Any, name: str) -> bytes:
        return Path(api.hf_hub_download("me/name", name)).read_bytes()

    def test_wrong_bytes_pass(self, name: str, path: str, api: Any, hub: LoopbackHub) -> None:
        hub.faults.add("wrong-bytes", "GET", path)
        assert self._get(api, name) != hub.files("me/name")[name]

    def test_short(self, name: str, path: str, api: Any, hub: LoopbackHub) -> None:
        hub.faults.add("short", "GET", path)
        with pytest.raises(OSError, match="Consistency check failed"):
            self._get(api, name)
        assert self._get(api, name) == hub.files("me/name")[name]

    def test_cut_is_tried_again(self, name: str, path: str, api: Any, client: Any, hub: LoopbackHub) -> None:
        hub.faults.add("cut-body", "GET", path)
        assert self._get(api, name) == hub.files("me/name")[name]
        assert client.waits == [1]

    def test_reset_is_not(self, name: str, path: str, api: Any, hub: LoopbackHub) -> None:
        hub.faults.add("reset", "GET", path)
        with pytest.raises(httpx2.ReadError):
            self._get(api, name)
        assert self._get(api, name) == hub.files("me/name")[name]

    @pytest.mark.parametrize("kind", ["403", "500"])
    def test_status(self, name: str, path: str, kind: str, api: Any, client: Any, hub: LoopbackHub) -> None:
        hub.faults.add(kind, "GET", path)
        with pytest.raises(HfHubHTTPError):
            self._get(api, name)
        assert client.waits == []

    @pytest.mark.parametrize("kind", ["503", "slow"])
    def test_an_old_file_from_the_cache(self, name: str, path: str, kind: str, api: Any, hub: LoopbackHub) -> None:
        old = self._get(api, name)
        hub.commit("me/name", {name: old[::-1]})
        hub.faults.add(kind, "HEAD", f"/resolve/main/{name}", seconds=60)
        got = api.hf_hub_download("me/name", name, etag_timeout=0.1)
        assert Path(got).read_bytes() == old


def test_an_interrupted_snapshot_goes_on(api: Any, hub: LoopbackHub) -> None:
    hub.faults.add("500", "GET", GOT)
    with pytest.raises(HfHubHTTPError):
        snapshot_download("me/name")
    hub.log.clear()
    folder = Path(snapshot_download("me/name"))
    assert (folder / "big.bin").read_bytes() == BIG and hub.log.count("GET", GOT) == 1


def test_conflict_while_creating(api: Any, hub: LoopbackHub) -> None:
    busy = "Cannot create repo: another conflicting operation is in progress"
    fault = hub.faults.add("409", "POST", "/repos/create", times=3, message=busy)
    api.create_repo("me/new")
    assert fault.fired == 3 and hub.log.count("POST", "/repos/create") == 4
    # And a 409 that lies.
    hub.faults.add("409", "POST", "/repos/create")
    assert api.create_repo("me/never", exist_ok=True).repo_id == "me/never" and hub.repository("me/never") is None


def test_whichever_request_it_is(api: Any, hub: LoopbackHub) -> None:
    api.create_commit("me/name", _note(), commit_message="x")
    assert str(hub.log) == "POST /api/models/me/name/preupload/main 200\nPOST /api/models/me/name/commit/main 200"
    for number in (1, 2):
        hub.log.clear()
        hub.faults.add("403", at=number)
        with pytest.raises(HfHubHTTPError):
            api.create_commit("me/name", [CommitOperationAdd(f"{number}.txt", b"1")], commit_message="x")
        assert [entry.fault for entry in hub.log] == [None] * (number - 1) + ["403"]
        hub.faults.clear()


def test_somebody_else_just_before_the_commit(api: Any, hub: LoopbackHub) -> None:
    hub.faults.add(lambda request: hub.commit("me/name", {"theirs.txt": b"2"}), "POST", "/commit/")
    with pytest.raises(HfHubHTTPError, match="A commit has happened since"):
        head = api.model_info("me/name").sha
        api.create_commit("me/name", _note(), commit_message="x", parent_commit=head)
    assert "theirs.txt" in hub.files("me/name") and "note.txt" not in hub.files("me/name")


def test_body_and_headers_of_an_error(api: Any, hub: LoopbackHub) -> None:
    hub.faults.add(
        "403", "POST", "/commit/", body="<h1>No</h1>", headers={"X-Request-Id": "7", "X-Error-Code": "GatedRepo"}
    )
    with pytest.raises(HfHubHTTPError) as caught:
        api.create_commit("me/name", _note(), commit_message="x")
    assert caught.value.request_id == "7" and type(caught.value).__name__ == "GatedRepoError"
    # A gateway's page where JSON is expected.
    hub.faults.add("502", "POST", "/validate-yaml", body="<h1>Bad gateway</h1>")
    with pytest.raises(ValueError):
        api.upload_file(path_or_fileobj=b"# A card", path_in_repo="README.md", repo_id="me/name")


@pytest.mark.parametrize("after", [False, True])
def test_slow_before_and_after(after: bool, api: Any, hub: LoopbackHub) -> None:
    hub.faults.add("slow", "POST", "/branch/", seconds=60, after=after)
    url, head = f"{hub.endpoint}/api/models/me/name/branch/new", {"Authorization": f"Bearer {hub.tokens.write}"}
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(url, json={}, headers=head, timeout=0.3)
    refs, patience = hub.repository("me/name").refs, 100
    while after and "refs/heads/new" not in refs and patience:
        time.sleep(0.1)
        patience -= 1
    assert ("refs/heads/new" in refs) is after


def test_of_two_faults_the_first_is_played_and_both_count(api: Any, hub: LoopbackHub) -> None:
    first, second = hub.faults.add("403", "POST"), hub.faults.add("500", "POST", "/commit/", at=2)
    with pytest.raises(HfHubHTTPError):
        api.create_commit("me/name", _note(), commit_message="x")
    api.create_commit("me/name", _note(), commit_message="x")
    hub.commit("me/name", {"note.txt": b"2"})
    with pytest.raises(HfHubHTTPError):
        api.create_commit("me/name", _note(), commit_message="x")
    assert (first.fired, first.seen, second.fired, second.seen) == (1, 5, 1, 2)


def test_unknown_kind(hub: LoopbackHub) -> None:
    with pytest.raises(ValueError, match="no such kind of fault: 'sloow'"):
        hub.faults.add("sloow")
