"""What was published is loaded as its card says: every block of it is run, with the package and without."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from loopback import LoopbackHub
from publish_support import lora_folder  # noqa: F401
from without_package import BLOCKED

# ruff: noqa: F811  # fixtures that are imported

_PUBLISH = """
import json, os, sys
from huggingface_hub import HfApi
from hf_sentiment.hub.publish import publish

base, lora = sys.argv[1:]
api = HfApi()
api.create_repo("me/tiny-bert", private=True)
api.upload_folder(repo_id="me/tiny-bert", folder_path=base)
merged = publish(lora, "me/merged", base_model="me/tiny-bert")
adapter = publish(lora, "me/adapter", adapter=True, base_model="me/tiny-bert")
cards = [open(api.hf_hub_download(repo, "README.md"), encoding="utf-8").read() for repo in ("me/merged", "me/adapter")]
print(json.dumps([[published.largest_difference for published in (merged, adapter)], cards]))
"""

_RUN_BLOCKS = """
import json, sys
for block in json.load(sys.stdin):
    print("BLOCK", flush=True)
    exec(compile(block, "README.md", "exec"), {"__name__": "__main__"})
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Of a machine that knows the loopback Hub and nothing else."""
    with LoopbackHub() as hub:
        yield hub.environment(tmp_path_factory.mktemp("home"))


def python(environment: dict[str, str], script: str, *words: str, stdin: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        input=stdin,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def published(environment: dict[str, str], lora_folder: Path, tiny_checkpoint: Path) -> tuple[list[float], list[str]]:
    """A merged model and the adapter of the same run: how far each download's logits are off, and the cards."""
    out = python(environment, _PUBLISH, str(tiny_checkpoint), str(lora_folder))
    differences, cards = json.loads(out.splitlines()[-1])
    return differences, cards


def test_downloads_say_what_the_runs_say(published: tuple[list[float], list[str]]) -> None:
    differences, _ = published
    assert differences[0] <= 1e-5 and differences[1] <= 1e-4


def test_every_block_of_the_cards_runs(
    published: tuple[list[float], list[str]], environment: dict[str, str], tmp_path: Path
) -> None:
    blocks: list[str] = []
    for card in published[1]:
        found = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
        assert len(found) == 4
        blocks += found
    with_package = [block for block in blocks if "hf_sentiment" in block]
    without = [block for block in blocks if "hf_sentiment" not in block]
    assert len(with_package) == len(without) == 4
    for which, start, some in (("with", "", with_package), ("without", BLOCKED, without)):
        clean = environment | {"HF_HOME": str(tmp_path / which)}
        out = python(clean, start + _RUN_BLOCKS, stdin=json.dumps(some))
        assert out.count("BLOCK") == 4 and "Do you wish to run the custom code?" not in out
        assert re.search(r"'label': '(negative|positive)'", out)


def test_what_the_check_blocks_is_this_package() -> None:
    from hf_sentiment.hub.download_check import Blocker

    with pytest.raises(ModuleNotFoundError, match="hf_sentiment"):
        Blocker().find_spec("hf_sentiment.hub")
    assert Blocker().find_spec("json") is None


def test_no_setting_of_this_process_reaches_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hf_sentiment.hub import verification

    seen: dict[str, Any] = {}

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        seen.update(options["env"], words=words)
        return subprocess.CompletedProcess(words, 1, "", "Traceback\nOSError: no hf_abcdefghijklmnop there")

    monkeypatch.setattr(verification.subprocess, "run", run)
    monkeypatch.setenv("HF_HUB_CACHE", "/cache")
    with pytest.raises(verification.HubError, match="OSError: no hf_… there"):
        verification.run_check({}, endpoint="http://hub", token="secret")
    assert not {"HF_HUB_CACHE", "HF_HUB_OFFLINE"} & set(seen)
    assert (seen["HF_ENDPOINT"], seen["HF_TOKEN"]) == ("http://hub", "secret")
    assert "secret" not in " ".join(seen["words"]) and seen["HF_HOME"] != constants.HF_HOME
