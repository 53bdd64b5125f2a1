"""SHA-256 of files, written beside them when they are whole, and checked before they are used."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import write_json
from hf_sentiment.records.serialization import read_json

_NAME = "sha256.json"


def write_checksums(folder: Path, files: Iterable[Path]) -> None:
    """Write down what the files hold, as the last file of `folder`.

    Args:
        folder: What is whole now.
        files: Those that it needs, also outside it.
    """
    write_json(
        folder / _NAME, {Path(os.path.relpath(file, folder)).as_posix(): sha256_of(file) for file in sorted(files)}
    )


def damaged_file(folder: Path) -> str | None:
    """The first file of a folder that is not what was written, or is gone; `None` where all are, or none is listed."""
    try:
        listed = read_json(folder / _NAME)
        pairs = sorted(listed.items()) if listed is not None else []
        return next((name for name, digest in pairs if not has_hash(folder / name, digest)), None)
    except (CallError, AttributeError, TypeError):  # not JSON, or of another form
        return _NAME


def has_hash(file: Path, sha256: str | None) -> bool:
    """Whether a file is there and has this SHA-256 (of 90 MB of weights it takes about 0.1 s)."""
    return file.is_file() and sha256_of(file) == sha256


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
