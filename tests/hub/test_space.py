"""`publish --space` against a loopback Hub: the page of `demo` beside the model, or nothing new."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback.storage import File
from publish_support import hashes_only, publish_there, run_folder  # noqa: F401

from hf_sentiment.commands import demo
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.bundle import Bundle
from hf_sentiment.hub.card import CardOptions
from hf_sentiment.hub.space import build_space

# ruff: noqa: F811  # fixtures that are imported

pytest.importorskip("gradio", reason="no gradio: make install")

Publish = Callable[..., Any]
SOURCE = "git+https://example.org/me/hf-sentiment@0123abc"
FILES = {".gitattributes", "README.md", "app.py", "requirements.txt"}


@pytest.fixture
def publish_both(publish_there: Publish, hashes_only: None) -> Publish:
    """Publishes the run to me/reviews with its Space; the model itself is other tests' business."""
    return lambda **options: publish_there(**{"space": True, "package_source": SOURCE, **options})


def space(hub: Any) -> dict[str, bytes] | None:
    """The files of the Space; `None` where there is none."""
    return None if hub.repository("me/reviews", "space") is None else hub.files("me/reviews", kind="space")


def header_of(card: bytes) -> dict[str, Any]:
    return dict(yaml.safe_load(card.decode().split("---\n")[1]))


def test_the_space_is_the_page_itself_private_and_in_one_commit(hub: Any, publish_both: Publish) -> None:
    published = publish_both(license="apache-2.0")
    files = space(hub)
    assert files is not None and set(files) == FILES
    assert files["app.py"] == Path(demo.__file__).read_bytes()
    assert header_of(files["README.md"]) == {
        "title": "reviews",
        "sdk": "gradio",
        "sdk_version": metadata.version("gradio"),
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
        "models": ["me/reviews"],
        "license": "apache-2.0",
    }
    source, *pins = files["requirements.txt"].decode().splitlines()
    assert source == f"hf-sentiment @ {SOURCE}"
    assert [pin.partition("==")[0] for pin in pins] == ["torch", "transformers"]
    assert not any("+" in pin for pin in pins)
    assert hub.commits("me/reviews", kind="space") == ["Publish page with hf-sentiment", "initial commit"]
    assert list(hub.repository("me/reviews", "space").refs) == ["refs/heads/main"]
    assert hub.repository("me/reviews", "space").private and hub.repository("me/reviews").private
    commit = hub.repository("me/reviews", "space").head.id
    assert published.space == f"{hub.endpoint}/spaces/me/reviews/commit/{commit}"
    assert published.url.startswith(f"{hub.endpoint}/me/reviews/commit/")


def test_said_again_it_keeps_what_people_set_and_wrote(hub: Any, publish_both: Publish) -> None:
    publish_both()
    there = hub.repository("me/reviews", "space")
    before = there.head.id
    assert publish_both().space == f"{hub.endpoint}/spaces/me/reviews" and there.head.id == before
    card = header_of(there.head.files["README.md"].data) | {"title": "Ours", "emoji": "🙂", "sdk_version": "5.0.0"}
    written = f"---\n{yaml.safe_dump(card, allow_unicode=True)}---\nBy hand.\n".encode()
    hub.state.commit(there, {"README.md": written, "vocab.txt": b"theirs", "app.py": b"old"}, "By hand", "me")
    publish_both()
    files = space(hub)
    assert files is not None and set(files) == FILES | {"vocab.txt"}
    assert files["app.py"] == Path(demo.__file__).read_bytes()
    assert header_of(files["README.md"]) == card | {"sdk_version": metadata.version("gradio")}
    assert files["README.md"].decode().endswith("---\nBy hand.\n")


def test_it_is_as_public_as_the_model(hub: Any, publish_both: Publish) -> None:
    publish_both(public=True)
    assert not hub.repository("me/reviews", "space").private and not hub.repository("me/reviews").private


def test_a_dry_run_sends_nothing_and_leaves_both_folders(
    hub: Any, publish_both: Publish, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "hf_sentiment"):
        published = publish_both(dry_run=True)
    assert space(hub) is None and hub.repository("me/reviews") is None
    folders = [Path(name) for name in re.findall(r"What would be is in (\S+):", caplog.text)]
    assert published.folder == folders[0]
    assert {path.name for path in folders[1].iterdir()} == FILES - {".gitattributes"}
    for folder in folders:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"package_source": None}, "--space: a Space installs this package, which is on no index: say from where"),
        ({"create_pr": True}, "--space: a Space is not made by a pull request: leave out --create_pr"),
    ],
)
def test_a_call_that_cannot_be_is_refused_before_anything_is_sent(
    hub: Any, publish_both: Publish, options: dict[str, Any], line: str
) -> None:
    with pytest.raises(CallError, match=f"^{re.escape(line)}"):
        publish_both(**options)
    assert hub.repository("me/reviews") is None and space(hub) is None


def test_an_adapter_has_no_page(tmp_path: Path) -> None:
    adapter = Bundle(tmp_path, True, "me/base", {}, [], 0)
    with pytest.raises(CallError, match=r"^--space: the page loads a whole model, and not an adapter"):
        build_space(tmp_path, adapter, "me/reviews", CardOptions(package_source=SOURCE), [])
    assert list(tmp_path.iterdir()) == []


def test_a_space_of_something_else_is_left_alone(hub: Any, publish_both: Publish) -> None:
    token = hub.state.accounts.find(hub.tokens.write)
    there = hub.state.create("space", "me/reviews", token, private=True)
    files = {"README.md": b"---\nsdk: docker\nmodels: [me/other]\n---\n", "Dockerfile": b"FROM scratch"}
    hub.state.commit(there, files, "Mine", "me")
    wanted = "me/reviews is published as a model, and its Space is not: me/reviews is a Space of something else"
    with pytest.raises(CallError, match=f"^{re.escape(wanted)}"):
        publish_both()
    assert set(space(hub) or {}) == {".gitattributes", *files} and hub.repository("me/reviews") is not None


def test_a_fault_at_any_request_leaves_no_space_or_a_whole_one(hub: Any, publish_both: Publish) -> None:
    publish_both()
    asked = [
        (entry.method, entry.path) for entry in hub.log if "/spaces/" in entry.path or entry.path == "/api/repos/create"
    ]
    # In the order in which they are asked; commits and objects are other ones each time.
    paths = [(method, re.sub(r"[0-9a-f]{40}", "[0-9a-f]{40}", path)) for method, path in asked]
    outcomes = set()
    for method, path in dict.fromkeys(paths):
        for kind, after in (("500", False), ("cut", True)):
            number = 2 if path == "/api/repos/create" else 1  # the first is the model's
            for name in ("model", "space"):
                hub.state.repositories.pop((name, "me/reviews"), None)
            fault = hub.faults.add(kind, method, f"^{path}$", at=number, after=after)
            try:
                publish_both()
                outcomes.add("whole")
                assert set(space(hub) or {}) == FILES
            except SentimentError as error:
                outcomes.add("failed")
                assert "me/reviews is published as a model, and its Space is not: " in str(error)
                whole = "could not be found out" in str(error)
                assert set(space(hub) or {}) == FILES if whole else space(hub) is None, f"{method} {path} {kind}"
                assert hub.repository("me/reviews") is not None
            assert fault.fired or after
            hub.faults.clear()
    assert outcomes == {"whole", "failed"}


def test_a_connection_that_stays_cut_leaves_no_space(hub: Any, publish_both: Publish) -> None:
    hub.faults.add("cut", "POST", "^/api/spaces/me/reviews/commit/", times=9)
    with pytest.raises(SentimentError, match=r"its Space is not: .* me/reviews, which was created, is removed again$"):
        publish_both()
    assert space(hub) is None


def test_files_that_arrive_as_others_are_found(hub: Any, publish_both: Publish) -> None:
    def corrupt(_: object) -> None:
        there = hub.repository("me/reviews", "space")
        there.commits[there.refs["refs/heads/hf-sentiment-publish"]].files["app.py"] = File(b"other")

    hub.faults.add(corrupt, "GET", "^/api/spaces/me/reviews/tree/", at=2)
    with pytest.raises(SentimentError, match="what arrived in the Space me/reviews is not what was sent"):
        publish_both()
    assert space(hub) is None


def test_the_space_runs(hub: Any, publish_both: Publish, tmp_path: Path) -> None:
    client = pytest.importorskip("gradio_client")
    publish_both()
    folder = tmp_path / "app"
    folder.mkdir()
    for name, content in (space(hub) or {}).items():
        (folder / name).write_bytes(content)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"GRADIO_SERVER_PORT": str(port), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    process = subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=folder,
        env=hub.environment(tmp_path / "home", **settings),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while process.poll() is None:
            try:
                page = client.Client(f"http://127.0.0.1:{port}/", verbose=False)
                break
            except Exception:  # not there yet
                time.sleep(0.2)
        else:
            raise AssertionError(process.stderr and process.stderr.read())
        bars, _ = page.predict("the film was great .", api_name="/label_text")
        assert bars["label"] in ("negative", "positive")
        assert "data:image/svg+xml" in str(page.config)  # the curves that were published
    finally:
        process.kill()
        process.communicate()
