"""Finding a model on the Hub: it is asked once, what it lacks is one line, and its silence leaves the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import snapshot_download
from loopback import LoopbackHub

from hf_sentiment.errors import CallError
from hf_sentiment.inference import locating
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.locating import find_checkpoint


def test_what_the_hub_has_and_what_it_lacks(hub: LoopbackHub, client: Any, tiny_folder: Path) -> None:
    client.api.create_repo("me/reviews")
    client.api.upload_folder(repo_id="me/reviews", folder_path=tiny_folder)
    assert find_checkpoint("me/reviews") == "me/reviews"
    assert SentimentClassifier.from_pretrained("me/reviews").predict(["good"])[0]["label"] is not None
    with pytest.raises(CallError, match=r"me/nothing: no such folder .*no such model on the Hub, or a private one"):
        find_checkpoint("me/nothing")
    with pytest.raises(CallError, match="me/reviews has no branch, tag or commit no-such-branch on the Hub"):
        find_checkpoint("me/reviews", "no-such-branch")


def test_where_the_hub_is_silent_the_cache_has_a_copy(
    hub: LoopbackHub, client: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import httpx2

    def silent(*args: Any, **kwargs: Any) -> None:
        raise httpx2.ConnectTimeout("timed out")

    client.api.create_repo("me/cached")
    client.api.upload_folder(repo_id="me/cached", folder_path=tiny_folder)
    kept = snapshot_download("me/cached")
    monkeypatch.setattr(locating, "get_hf_file_metadata", silent)
    assert find_checkpoint("me/cached") == kept
    assert "The Hub cannot be reached: taking the copy of me/cached in the cache" in caplog.text
