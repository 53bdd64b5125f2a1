"""Files, commits and repositories, as git would name them, in memory."""

from __future__ import annotations

import fnmatch
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from .messages import Refused

ATTRIBUTES = ".gitattributes"
_PATTERNS = """
*.7z *.arrow *.bin *.ckpt *.ftz *.gz *.h5 *.joblib *.mlmodel *.model *.msgpack *.npy *.npz *.onnx *.ot *.parquet *.pb
*.pickle *.pkl *.pt *.pth *.rar *.safetensors saved_model/**/* *.tar.* *.tar *.tflite *.tgz *.wasm *.xz *.zip *.zst
*tfevents*
"""
INITIAL_ATTRIBUTES = "".join(
    f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _PATTERNS.split()
).encode()

_LARGE = 10 * 2**20
_serial = itertools.count()


def now() -> str:
    """The time in the only form that the client parses."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def blob_id(data: bytes) -> str:
    """git's name of a blob: SHA-1 over its header and content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass(frozen=True)
class File:
    """The content of a file; with `lfs`, git holds a pointer to it."""

    data: bytes
    lfs: bool = False
    # What a large file was declared to be: its bytes differ when an upload was corrupted.
    declared: str | None = None

    @cached_property
    def sha256(self) -> str:
        """The name of a large file."""
        return self.declared or hashlib.sha256(self.data).hexdigest()

    @cached_property
    def pointer(self) -> bytes:
        """What git holds for a large file."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.data)}\n"
        return text.encode()

    @cached_property
    def oid(self) -> str:
        """git's blob id: of the pointer, for a large file."""
        return blob_id(self.pointer if self.lfs else self.data)

    @property
    def etag(self) -> str:
        """What the client names the file in its cache."""
        return self.sha256 if self.lfs else self.oid

    def describe(self, path: str) -> dict[str, Any]:
        """The file's row in a tree."""
        row: dict[str, Any] = {"type": "file", "path": path, "oid": self.oid, "size": len(self.data)}
        if self.lfs:
            row["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": len(self.pointer)}
        return row


@dataclass(frozen=True)
class Commit:
    """A commit with all its files, and its parent."""

    id: str
    parent: Commit | None
    title: str
    message: str
    author: str
    date: str
    files: Mapping[str, File]

    def history(self) -> Iterator[Commit]:
        """This commit and those before it, newest first."""
        commit: Commit | None = self
        while commit is not None:
            yield commit
            commit = commit.parent

    def last_change(self, path: str) -> Commit:
        """The newest commit that changed `path` (a file or a folder)."""

        def below(commit: Commit) -> dict[str, str]:
            return {
                name: file.oid for name, file in commit.files.items() if name == path or name.startswith(path + "/")
            }

        mine = below(self)
        return next(c for c in self.history() if c.parent is None or below(c.parent) != mine)


@dataclass
class Discussion:
    """A discussion or pull request; `events` are in the form that the client reads."""

    num: int
    title: str
    author: str
    is_pull_request: bool
    status: str
    created: str
    events: list[dict[str, Any]] = field(default_factory=list)
    merge_commit: str | None = None


class Repository:
    """A repository: commits, refs ("refs/heads/main", "refs/tags/v1", "refs/pr/1"), discussions and settings."""

    def __init__(self, kind: str, name: str, *, private: bool, author: str) -> None:
        self.kind, self.name, self.private = kind, name, private
        self.gated: str | bool = False
        self.granted: set[str] = set()
        self.disabled = False
        self.created = now()
        self.commits: dict[str, Commit] = {}
        self.refs: dict[str, str] = {}
        self.discussions: list[Discussion] = []
        # The large files that were uploaded to this repository and verified.
        self.objects: set[str] = set()
        self.commit("refs/heads/main", {ATTRIBUTES: File(INITIAL_ATTRIBUTES)}, "initial commit", "", author)

    @property
    def namespace(self) -> str:
        """The user or organisation that owns it."""
        return self.name.split("/")[0]

    @property
    def head(self) -> Commit:
        """The newest commit of main."""
        return self.commits[self.refs["refs/heads/main"]]

    def ref_of(self, revision: str) -> str | None:
        """The full name of the ref that `revision` means."""
        for candidate in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if candidate in self.refs:
                return candidate
        return None

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, tag, ref, or (shortened) commit id.

        Raises:
            Refused: 404 RevisionNotFound.
        """
        ref = self.ref_of(revision)
        if ref is not None:
            return self.commits[self.refs[ref]]
        if len(revision) >= 5:
            for name, commit in self.commits.items():
                if name.startswith(revision.lower()):
                    return commit
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(
        self, ref: str, files: Mapping[str, File], title: str, message: str, author: str, *, squash: bool = False
    ) -> Commit:
        """Put a commit with exactly `files` on top of `ref`, or in place of its history with `squash`."""
        parent = None if squash else self.commits.get(self.refs.get(ref, ""))
        content = repr((next(_serial), ref, title, sorted((path, file.oid) for path, file in files.items())))
        name = hashlib.sha1(content.encode()).hexdigest()
        commit = Commit(name, parent, title, message, author, now(), dict(files))
        self.commits[name] = commit
        self.refs[ref] = name
        return commit

    def discussion(self, number: str) -> Discussion:
        """The discussion of that number.

        Raises:
            Refused: 404.
        """
        for discussion in self.discussions:
            if str(discussion.num) == number:
                return discussion
        raise Refused(404, f"Discussion {number} does not exist")


def wants_lfs(commit: Commit, path: str, size: int, sample: bytes) -> bool:
    """Whether the Hub keeps a file as a large one: by .gitattributes, by size (10 MiB), or because it is binary."""
    if size == 0:
        return False
    attributes = commit.files.get(ATTRIBUTES, File(b"")).data.decode("utf-8", "replace")
    for line in attributes.splitlines():
        pattern, *rest = line.split() or [""]
        name = path if "/" in pattern else path.rsplit("/", 1)[-1]
        if "filter=lfs" in rest and fnmatch.fnmatch(name, pattern):
            return True
    return size > _LARGE or b"\0" in sample
