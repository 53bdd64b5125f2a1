"""What must not leave the machine: keys, folders, user names. Looked for in every text file before it is sent."""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Iterable
from pathlib import Path

from hf_sentiment.errors import SentimentError
from hf_sentiment.records.read import open_weights

# By the forms that their makers give them; a generic search for random words would find vocabularies.
_KEYS = {
    "a Hugging Face token": re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}|\bAKIA[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
# Where folders of machines begin; a single `/` in prose, as in "10/10", is none.
_TOP = "home|Users|root|tmp|var|mnt|media|work|workspace|data|opt|srv|private|usr|etc|content|scratch|kaggle|export|nfs"
_PATHS = re.compile(
    rf"(?<![\w.:/])/(?:{_TOP})/[^\s\"'<>()]+|(?<!\w)~/[^\s\"'<>()]+|(?<![\w])[A-Za-z]:\\\\?(?:[\w.-]+\\)[^\s\"'<>]*"
)
# Of weights: those of 8 bits have any short word in them by chance, but no path of four parts.
_DEEP = re.compile(rf"/(?:{_TOP})/[\w.-]+/[\w./-]+|[A-Z]:\\Users\\[\w.-]+\\".encode())
# Of people: mail, pages, telephone numbers.
_ADDRESSES = re.compile(r"[\w.+-]+@[\w-]+\.\w+|https?://|www\.|\+?\d[\d ()/-]{7,}\d")
# Files that are a vocabulary, in which any word may stand: only keys are looked for.
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "added_tokens.json")


def is_quotable(text: str) -> bool:
    """Whether a text may be quoted on a card: no address, telephone number, path or key in it."""
    return (
        not _ADDRESSES.search(text) and not _PATHS.search(text) and not any(key.search(text) for key in _KEYS.values())
    )


def check_files(folder: Path, secrets: Iterable[str] = ()) -> None:
    """Refuse a folder that holds something private, naming the file and what it is, without repeating a key.

    Args:
        folder: What is about to be sent.
        secrets: Values that must not be in it, such as the token in use.

    Raises:
        SentimentError: Something was found.
    """
    # Short ones may stand in any text by chance.
    literal = {secret: "the token in use" for secret in secrets if secret and len(secret) > 7}
    for place in (str(Path.home()), os.getcwd()):
        if len(Path(place).parts) > 2:  # a short one may stand in a text by chance; the usual ones are known anyway
            literal[place] = "a folder of this machine"
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = path.relative_to(folder).as_posix()
        # Of weights only the header is text that somebody may have written.
        if path.suffix == ".safetensors":
            with open_weights(path) as weights:
                text = str(weights.metadata() or "")
        elif path.suffix in (".onnx", ".bin"):
            content = path.read_bytes()
            found_there = [*_DEEP.findall(content), *(word.encode() for word in literal if word.encode() in content)]
            text = b"\n".join(found_there).decode()
        else:
            text = path.read_bytes().decode("utf-8", "replace")
        found = _private(text, literal, vocabulary=path.name in _VOCABULARIES, picture=path.suffix == ".png")
        if found:
            raise SentimentError(f"{name} holds {found}: take it out there, and publish again")


def _private(text: str, literal: dict[str, str], vocabulary: bool, picture: bool) -> str | None:
    for value, what in literal.items():
        if value in text:
            return what
    for what, pattern in _KEYS.items():
        if pattern.search(text) and not picture:  # a picture's bytes have any word in them
            return what
    if vocabulary or picture:
        return None
    path = _PATHS.search(text)
    if path is not None:
        return f"a folder of some machine ({path.group()[:60]})"
    # As a part of a path or of an address: alone it may be a word.
    user = _user_name()
    if user is not None and re.search(rf"(?<=[/\\]){re.escape(user)}(?=[/\\])|\b{re.escape(user)}@[\w-]+", text):
        return "the user name of this machine"
    return None


def _user_name() -> str | None:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may have no user of that number
        return None
    return name if len(name) > 2 else None
