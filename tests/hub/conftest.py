"""A running loopback Hub, and the client in this process turned towards it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import LoopbackHub


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    """A new, empty hub."""
    with LoopbackHub() as running:
        yield running


class Client:
    """The client of this process, turned towards a hub.

    Attributes:
        api: `HfApi` with the write token of "me", which is HF_TOKEN too.
        waits: the seconds that the client would have waited between tries; none passed.
        home: new and empty; the cache is `home / "hub"`, a stored token would be `home / "token"`.
    """

    def __init__(self, hub: LoopbackHub, home: Path) -> None:
        self._hub, self.home = hub, home
        self.waits: list[float] = []
        self.api = self.with_token(hub.tokens.write)

    def with_token(self, token: str | bool) -> Any:
        """An `HfApi` with another token; False is none."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self._hub.endpoint, token=token)


class _Time:
    """The module `time`, but `sleep` notes the seconds instead of letting them pass."""

    def __init__(self, waits: list[float]) -> None:
        self._waits = waits

    def sleep(self, seconds: float) -> None:
        self._waits.append(seconds)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


@pytest.fixture
def client(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Functions of huggingface_hub and transformers speak to `hub` in this process, though it was started offline.

    The client reads its environment when it is imported, and reads the constants made of it at each use: so these are
    set. Code of models fetched from the hub can not be loaded so (its folder is fixed too early): use `hub.run` for
    that.
    """
    import huggingface_hub
    from huggingface_hub import constants, file_download, hf_api
    from huggingface_hub.utils import _detect_agent, _http, close_session

    home = tmp_path / "hf-home"
    home.mkdir()
    for name, value in {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_URL_HOSTS": constants.HF_URL_HOSTS | {"127.0.0.1"},
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_CACHE": str(home / "hub"),
        "HF_ASSETS_CACHE": str(home / "assets"),
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_STORED_TOKENS_PATH": str(home / "stored_tokens"),
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr(hf_api.api, "endpoint", hub.endpoint)
    monkeypatch.setattr(_http, "_HUB_ORIGINS", _http._HUB_ORIGINS | {_http._url_origin(hub.endpoint)})
    monkeypatch.setattr(_detect_agent, "_registry", _detect_agent._EMPTY_REGISTRY)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", hub.tokens.write)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    huggingface_hub.utils.disable_progress_bars()
    here = Client(hub, home)
    monkeypatch.setattr(_http, "time", _Time(here.waits))
    monkeypatch.setattr(file_download, "time", _Time(here.waits))
    close_session()
    _forget_the_endpoint()
    yield here
    close_session()
    _forget_the_endpoint()
    huggingface_hub.utils.enable_progress_bars()


def _forget_the_endpoint() -> None:
    """transformers keeps one client with the endpoint of its first use."""
    module: Any = sys.modules.get("transformers.utils.hub")
    if module is not None:
        module._hf_api = None
