"""Is what the Hub has what was sent, and does it work where this package is not? Asked after every upload."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from hf_sentiment.errors import CallError, first_line
from hf_sentiment.hub import download_check
from hf_sentiment.hub.bundle import Bundle
from hf_sentiment.hub.messages import HubError, without_tokens
from hf_sentiment.hub.remote import hashes_of
from hf_sentiment.inference.loading import readable_tokens

# Of the logits of one model on the same machine: nothing but the order of sums may differ.
TOLERANCE = 1e-5
# Merging rounds once more, so an adapter's logits are compared with those of the merged model within a little more.
_MERGED_TOLERANCE = 1e-4
# Plain texts, one that is mixed, signs and numbers, a single token, and one that has to be cut.
_SENTENCES = (
    "An absolute delight from start to finish.",
    "The worst two hours of my life.",
    "It is what it is; I have seen better, and I have seen worse.",
    "not bad at all, but not good either ?! 10/10",
    "x",
    "this film is great and this book is dull . " * 80,
)
# The settings of this process that would let the other one see something of it.
_CACHES = (
    "HF_HUB_CACHE",
    "HUGGINGFACE_HUB_CACHE",
    "TRANSFORMERS_CACHE",
    "HF_MODULES_CACHE",
    "HF_ASSETS_CACHE",
    "HF_XET_CACHE",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
)


@dataclass(frozen=True)
class Expectation:
    """What a download must give: written down before anything is sent.

    Attributes:
        sentences: Texts; of an exported folder none.
        logits: Of each, `[sentences, labels]`.
        tolerance: Of the logits, absolute, and relative for those above 1.
        hashes: SHA-256 of every file that is sent, by path.
        base_model: Of an adapter, its base's Hub id.
    """

    sentences: list[str]
    logits: list[list[float]]
    tolerance: float
    hashes: dict[str, str]
    base_model: str | None


def expect(bundle: Bundle, run: Path) -> Expectation:
    """What a download of the bundle must give.

    Args:
        bundle: What will be sent.
        run: The run's folder; of an adapter or a stock class, the model in it says what the logits must be.

    Raises:
        CallError: The model cannot be loaded, or the stock class has other logits.
    """
    hashes = {name: hashes_of(path)[0] for name, path in bundle.files().items()}
    if bundle.exported:
        return Expectation([], [], 0.0, hashes, None)
    # And the texts that the Hub's page will show with its own answers.
    sentences = [*_SENTENCES, *(row["text"] for row in bundle.metadata.get("widget") or [])]
    # Of an adapter, the merged model of the run says what its twin must say, if there is one.
    merged = bundle.adapter and (run / "model.safetensors").is_file()
    try:
        tokenizer = AutoTokenizer.from_pretrained(bundle.folder)
        if bundle.adapter and not merged:
            model = _with_adapter(bundle)
        else:
            model = AutoModelForSequenceClassification.from_pretrained(
                run if merged or bundle.stock else bundle.folder, dtype=torch.float32
            )
        twin = None
        if bundle.stock and not bundle.embeds:
            twin = AutoModelForSequenceClassification.from_pretrained(bundle.folder, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise CallError(f"{run}: the model that would be published cannot be loaded: {first_line(error)}") from error
    # By the same function as the other process, so that only files and code can differ.
    # Modules say themselves how many tokens they read, which shall be as many as the run does.
    longest = readable_tokens(tokenizer, model) if bundle.embeds else None
    rows = download_check.logits(model, tokenizer, sentences, longest)
    if not np.isfinite(rows).all():
        raise CallError(f"{run}: the model's outputs are not finite: it is broken, train again")
    if bundle.embeds:
        _compare(download_check.embeddings(bundle.folder, sentences), rows, TOLERANCE, "sentence-transformers")
    elif twin is not None:
        _compare(download_check.logits(twin, tokenizer, sentences), rows, TOLERANCE, "the stock class")
    return Expectation(sentences, rows, _MERGED_TOLERANCE if merged else TOLERANCE, hashes, bundle.base_model)


def _with_adapter(bundle: Bundle) -> Any:
    from peft import PeftModel

    assert bundle.base_model is not None
    config = AutoConfig.from_pretrained(bundle.folder)
    base = AutoModelForSequenceClassification.from_pretrained(bundle.base_model, config=config, dtype=torch.float32)
    return PeftModel.from_pretrained(base, str(bundle.folder))


def verify(expectation: Expectation, repo_id: str, commit: str, *, endpoint: str, token: str) -> float | None:
    """Download a commit into a clean cache and compare files and logits.

    Args:
        expectation: What was sent.
        repo_id: `OWNER/NAME`.
        commit: Its hash.
        endpoint: Of the Hub.
        token: Of somebody who may read it.

    Returns:
        The largest difference of a logit; of an exported folder, whose files alone are compared, `None`.

    Raises:
        HubError: It cannot be downloaded or loaded, or is not what was sent.
    """
    request = {
        "repo_id": repo_id,
        "revision": commit,
        "sentences": expectation.sentences,
        "base_model": expectation.base_model,
    }
    answer = run_check(request, endpoint=endpoint, token=token)
    for name, digest in expectation.hashes.items():
        if answer["hashes"].get(name) != digest:
            what = "is missing" if name not in answer["hashes"] else "has other bytes than were sent"
            raise HubError(f"the downloaded {name} {what}")
    if not expectation.sentences:
        return None
    return _compare(answer["logits"], expectation.logits, expectation.tolerance, "the downloaded model")


def _compare(one: list[list[float]], other: list[list[float]], tolerance: float, whose: str) -> float:
    """The largest difference of logits, both `[sentences, labels]`."""
    got, wanted = np.asarray(one), np.asarray(other)
    if got.shape != wanted.shape:
        raise HubError(f"{whose} gives {got.shape[-1]} logits, and this one {wanted.shape[-1]}")
    difference = float(np.abs(got - wanted).max())
    # Relative above 1, as float32 is: logits of some hundred differ by more without being others.
    if not (np.abs(got - wanted) <= tolerance * np.maximum(1.0, np.abs(wanted))).all():
        raise HubError(f"{whose}'s logits differ by {difference:.2g}")
    return difference


def run_check(request: dict[str, Any], *, endpoint: str, token: str) -> dict[str, Any]:
    """Run `download_check` in an interpreter that starts from nothing and cannot import this package.

    Raises:
        HubError: It failed; the message is the last line of what it said.
    """
    with tempfile.TemporaryDirectory(prefix="hf-sentiment-check-") as clean:
        environment = {name: value for name, value in os.environ.items() if name not in _CACHES}
        environment |= {
            "HF_HOME": clean,
            "HF_ENDPOINT": endpoint,
            "HF_TOKEN": token,
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        }
        # The text of the file and not its path, which would put this package's folder on the path of imports.
        done = subprocess.run(
            [sys.executable, "-c", Path(str(download_check.__file__)).read_text(encoding="utf-8")],
            input=json.dumps(request),
            env=environment,
            cwd=clean,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
        raise HubError(f"the download cannot be used: {without_tokens(lines[-1])[:400]}")
    answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return answer
