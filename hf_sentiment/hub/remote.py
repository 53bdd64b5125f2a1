"""One repository of the Hub: what it holds, what of a folder it lacks, and the steps of changing it."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from hf_sentiment.hub.bundle import Bundle
from hf_sentiment.hub.card import read_card
from hf_sentiment.hub.messages import explain

_T = TypeVar("_T")
# Where a publication stands until it is verified.
STAGING = "hf-sentiment-publish"
# What must not be left undone by one bad answer (looking at what happened, tidying up) is tried again after that many
# seconds. The client itself does not try these again.
PAUSES = [1.0, 3.0]


@dataclass(frozen=True)
class Head:
    """What a revision holds.

    Attributes:
        commit: Its hash.
        files: Path → SHA-256 of a large file, or git's hash of any other.
        private: Whether the repository is.
    """

    commit: str
    files: dict[str, str]
    private: bool


@dataclass(frozen=True)
class Changes:
    """What has to be sent to make a revision hold a bundle.

    Attributes:
        added: Paths whose content is new or another.
        deleted: Paths that would be taken for parts of the new model.
        unchanged: How many files are there already.
    """

    added: list[str]
    deleted: list[str]
    unchanged: int

    def __bool__(self) -> bool:
        return bool(self.added or self.deleted)


class Repository:
    """A repository that one token speaks of; every error of the client comes out as one line.

    Args:
        api: With endpoint and token.
        repo_id: `OWNER/NAME`.
        kind: "model" or "space".
    """

    def __init__(self, api: HfApi, repo_id: str, kind: str = "model") -> None:
        self.api = api
        self.repo_id = repo_id
        self.kind = kind
        self.url = "/".join([str(api.endpoint), *(["spaces"] if kind == "space" else []), repo_id])

    def exists(self) -> bool:
        """Whether there is such a repository, for this token to see."""
        with self.doing("look at the repository"):
            return self.api.repo_exists(self.repo_id, repo_type=self.kind)

    def head(self, revision: str | None = None) -> Head | None:
        """What a branch holds, by default the main one; `None` where there is no such repository or branch."""
        with self.doing("look at the repository"):
            try:
                info = self.api.repo_info(self.repo_id, revision=revision, repo_type=self.kind)
                # The files by the commit and not by the branch, which may move between the two requests.
                return self._head(str(info.sha), bool(info.private))
            except GatedRepoError:
                raise  # it is there, although this is a `RepositoryNotFoundError` too
            except (RepositoryNotFoundError, RevisionNotFoundError):
                return None

    def _head(self, commit: str, private: bool) -> Head:
        entries = self.api.list_repo_tree(self.repo_id, recursive=True, revision=commit, repo_type=self.kind)
        files = {
            entry.path: entry.lfs.sha256 if entry.lfs is not None else entry.blob_id
            for entry in entries
            if isinstance(entry, RepoFile)
        }
        return Head(commit, files, private)

    def card(self, head: Head) -> str | None:
        """The text of README.md at a revision."""
        if "README.md" not in head.files:
            return None
        # Not into the user's cache: an empty one cannot have another revision's card.
        with tempfile.TemporaryDirectory(prefix="hf-sentiment-card-") as cache, self.doing("read the present card"):
            path = self.api.hf_hub_download(
                self.repo_id, "README.md", revision=head.commit, cache_dir=cache, repo_type=self.kind
            )
            return read_card(Path(path), f"README.md of {self.repo_id}")

    def create(self) -> None:
        """Create the repository; private, for it is empty."""
        with self.doing("create the repository"):
            sdk = "gradio" if self.kind == "space" else None
            self.api.create_repo(self.repo_id, private=True, repo_type=self.kind, space_sdk=sdk)

    def stage(self, parent: str) -> None:
        """A branch at `parent` to put the files on; one that an earlier attempt left is removed."""
        with self.doing("make a branch to check the files on"):
            refs = self.api.list_repo_refs(self.repo_id, repo_type=self.kind)
            if any(branch.name == STAGING for branch in refs.branches):
                self.api.delete_branch(self.repo_id, branch=STAGING, repo_type=self.kind)
            self.api.create_branch(self.repo_id, branch=STAGING, revision=parent, repo_type=self.kind)

    def commit(
        self,
        bundle: Bundle,
        changes: Changes,
        parent: str,
        *,
        message: str,
        revision: str = "main",
        create_pr: bool = False,
    ) -> CommitInfo:
        """One commit with all changes, refused where the branch is not at `parent` any more.

        Args:
            bundle: The files.
            changes: Which of them are sent, and what goes.
            parent: Hash of the commit that the changes are to.
            message: Title of the commit.
            revision: The branch.
            create_pr: Open a pull request instead of changing the branch.
        """
        # A deletion that stands with the additions leaves no revision in which both models are there.
        files = bundle.files()
        operations: list[Any] = [CommitOperationAdd(name, str(files[name])) for name in changes.added]
        operations += [CommitOperationDelete(name, is_folder=False) for name in changes.deleted]
        with self.doing("upload the files" if revision == STAGING or create_pr else "commit the files"):
            return self.api.create_commit(
                self.repo_id,
                operations,
                commit_message=message,
                revision=revision,
                parent_commit=parent,
                create_pr=create_pr,
                repo_type=self.kind,
            )

    def unstage(self) -> None:
        """Remove the branch that the files were checked on."""
        with self.doing(f"remove the branch {STAGING}"):
            self.api.delete_branch(self.repo_id, branch=STAGING, repo_type=self.kind)

    def delete(self) -> None:
        """Remove the repository."""
        with self.doing("remove the repository"):
            self.api.delete_repo(self.repo_id, missing_ok=True, repo_type=self.kind)

    def open_up(self) -> None:
        """Make the repository public."""
        with self.doing("make the repository public"):
            self.api.update_repo_settings(self.repo_id, private=False, repo_type=self.kind)

    def proposals(self, author: str) -> Iterator[tuple[int, str]]:
        """Number and revision of the open pull requests of an author."""
        with self.doing("look at the pull requests"):
            found = list(
                self.api.get_repo_discussions(
                    self.repo_id, author=author, discussion_type="pull_request", discussion_status="open"
                )
            )
        for discussion in found:
            yield discussion.num, f"refs/pr/{discussion.num}"

    def close(self, number: int) -> None:
        """Close a pull request."""
        with self.doing(f"close pull request {number}"):
            self.api.change_discussion_status(
                self.repo_id, number, "closed", comment="The download of these files could not be verified."
            )

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """A context in which whatever the client raises becomes one line about `what`."""
        try:
            yield
        except Exception as error:  # not `KeyboardInterrupt`, which is nobody's answer
            raise explain(error, self.repo_id, what) from error


def patiently(action: Callable[[], _T]) -> _T:
    """Do something that may fail by chance, some times."""
    for pause in PAUSES:
        try:
            return action()
        except Exception:
            time.sleep(pause)
    return action()


def changes_to(head: Head | None, bundle: Bundle) -> Changes:
    """What a revision lacks of a bundle, and what it has that must go."""
    # The Hub names a file by one of two hashes, and which one is its own decision (`.gitattributes`): either will do.
    present: Mapping[str, str] = {} if head is None else head.files
    files = bundle.files()
    added = [name for name, path in files.items() if name not in present or present[name] not in hashes_of(path)]
    return Changes(added, bundle.stale(present), len(files) - len(added))


def hashes_of(path: Path) -> tuple[str, str]:
    """SHA-256, by which the Hub knows a large file, and git's hash, by which it knows any other."""
    state = path.stat()
    return _hashes(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _hashes(path: Path, size: int, changed: int) -> tuple[str, str]:
    """Of a file as it was then: a publication asks again and again for the hashes of the same large files."""
    # Whole in memory: a bundle's largest file is the model, which was there before.
    content = path.read_bytes()
    return hashlib.sha256(content).hexdigest(), git_hash(content)
