"""Clients in processes of their own, with nothing patched but their environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from loopback import LoopbackHub

_PUBLISH = """
import os, sys
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download
api = HfApi()
api.create_repo("me/name", exist_ok=True)
operations = [CommitOperationAdd("a.txt", b"1"), CommitOperationAdd("b.bin", bytes(range(256)))]
print(api.create_commit("me/name", operations, commit_message="From a process").oid)
assert open(hf_hub_download("me/name", "b.bin"), "rb").read() == bytes(range(256))
"""


def test_environment(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", "1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment = hub.environment(tmp_path / "home", token=None, HF_DEBUG="1")
    assert environment["HF_ENDPOINT"] == hub.endpoint and environment["HF_DEBUG"] == "1"
    assert not {"HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HTTP_PROXY"} & set(environment)
    hub.faults.add("503", "POST", "/preupload/", seconds=300)  # waited for in no time
    done = hub.run(_PUBLISH, home=tmp_path / "home")
    assert done.stdout.strip() == hub.repository("me/name").head.id
    assert len(hub.log) == hub.log.count(path="/(repos/create|preupload|objects|storage|commit|resolve|resolve-cache)")


def test_neither_token_nor_package(hub: LoopbackHub, tmp_path: Path) -> None:
    done = hub.run(_PUBLISH, home=tmp_path / "home", token=None, check=False)
    assert done.returncode == 1 and "401" in done.stderr and hub.repository("me/name") is None
    done = hub.run("import hf_sentiment", home=tmp_path / "home", package=False, check=False)
    assert "No module named 'hf_sentiment'" in done.stderr
    assert hub.run("import hf_sentiment", home=tmp_path / "home").returncode == 0
    with pytest.raises(AssertionError, match=r"exit code 3\n1\n"):
        hub.run("-c", "print(1); raise SystemExit(3)", home=tmp_path / "home")


def test_a_client_with_the_chunk_store_finds_none(hub: LoopbackHub, tmp_path: Path) -> None:
    done = hub.run(_PUBLISH, home=tmp_path / "home", check=False, HF_HUB_DISABLE_XET="0")
    if done.returncode == 0:
        pytest.skip("hf_xet is not installed")
    assert "ConnectionError" in done.stderr and hub.commits("me/name") == ["initial commit"]
