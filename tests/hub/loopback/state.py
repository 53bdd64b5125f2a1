"""Everything the server keeps, and the rules of who sees what."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping

from .accounts import Accounts, Token
from .messages import Refused, Request
from .storage import Commit, File, Repository, wants_lfs


class State:
    """Accounts, repositories and large files.

    Attributes:
        endpoint: URL of the hub, without a final slash.
        storage_endpoint: URL of the storage host, another origin.
        page_size: rows of a tree, commits or model list in one answer.
        lock: held while a request is acted on.
    """

    def __init__(self) -> None:
        self.accounts = Accounts()
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.moved: dict[tuple[str, str], str] = {}
        self.objects: dict[str, bytes] = {}
        self.endpoint = self.storage_endpoint = ""
        self.page_size = 1000
        self.lock = threading.RLock()
        self._secret = secrets.token_hex(8)

    def token(self, request: Request) -> Token | None:
        """The token of the request; None for a request without one.

        Raises:
            Refused: 401 for a token that is none, on public repositories too.
        """
        if request.bearer is None:
            return None
        token = self.accounts.find(request.bearer)
        if token is None:
            raise Refused(401, "Invalid credentials in Authorization header")
        return token

    def find(self, kind: str, name: str, token: Token | None) -> Repository:
        """A repository that the token may see.

        Raises:
            Refused: RepoNotFound, for a missing and a hidden one alike: 401 for the anonymous, else 404.
        """
        repository = self.repositories.get((kind, name))
        if repository is None or (repository.private and not self.accounts.may_read(token, repository.namespace)):
            if token is None:
                raise Refused(401, "Invalid username or password.", "RepoNotFound")
            raise Refused(404, "Repository not found", "RepoNotFound")
        if repository.disabled:
            raise Refused(403, "Access to this resource is disabled.")
        return repository

    def demand_write(self, repository: Repository, token: Token | None) -> None:
        """Refuse, 403 (401 without a token), who may not write there."""
        if token is None:
            raise Refused(401, "Invalid username or password.")
        if not self.accounts.may_write(token, repository.namespace):
            raise Refused(
                403,
                "Forbidden: you don't have write access to this repository; "
                "pass `create_pr=1` as a query parameter to create a Pull Request",
            )

    def demand_files(self, repository: Repository, token: Token | None) -> None:
        """Refuse the files of a gated repository to those who have not been granted access."""
        if not repository.gated or self.accounts.may_read(token, repository.namespace):
            return
        if token is None or token.user not in repository.granted:
            what = f"Access to model {repository.name} is restricted. You must have access to it and be authenticated."
            raise Refused(401 if token is None else 403, what, "GatedRepo")

    def create(self, kind: str, name: str, token: Token | None, *, private: bool) -> Repository:
        """A new repository with its initial commit.

        Raises:
            Refused: 401, 403 without the right to, 409 (with the `url`) when it exists.
        """
        if token is None:
            raise Refused(401, "Invalid username or password.")
        namespace = name.split("/")[0]
        if not self.accounts.may_write(token, namespace):
            what = f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"'
            raise Refused(403, what)
        if (kind, name) in self.repositories:
            raise Refused(409, f"You already created this {kind} repo", url=self.url(kind, name))
        repository = Repository(kind, name, private=private, author=token.user)
        self.repositories[kind, name] = repository
        self.moved.pop((kind, name), None)
        return repository

    def url(self, kind: str, name: str) -> str:
        """The address of a repository's page."""
        return f"{self.endpoint}/{'' if kind == 'model' else kind + 's/'}{name}"

    def signed(self, method: str, oid: str) -> str:
        """The address of a large file on the storage host, good for that method only."""
        return f"{self.storage_endpoint}/storage/{oid}?X-Signature={self._signature(method)}"

    def is_signed(self, request: Request) -> bool:
        """Whether the request came by an address that `signed` made."""
        return request.query.get("X-Signature") == self._signature(request.method)

    def _signature(self, method: str) -> str:
        return f"{'PUT' if method == 'PUT' else 'GET'}-{self._secret}"

    # By the tests themselves, without HTTP.

    def commit(
        self,
        repository: Repository,
        changes: Mapping[str, bytes | None],
        title: str,
        author: str,
        ref: str = "refs/heads/main",
    ) -> Commit:
        """A commit by somebody else: new contents by path, None to delete; as large files where the Hub would."""
        with self.lock:
            head = repository.commits[repository.refs[ref]]
            files = {path: file for path, file in head.files.items() if changes.get(path, b"") is not None}
            for path, data in changes.items():
                if data is not None:
                    files[path] = File(data, wants_lfs(head, path, len(data), data[:512]))
                    if files[path].lfs:
                        self.objects[files[path].sha256] = data
                        repository.objects.add(files[path].sha256)
            return repository.commit(ref, files, title, "", author)
