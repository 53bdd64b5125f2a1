"""One publication, step by step, and how each step is undone.

What is sent goes on a branch first, in one commit; there it is downloaded again, by its hash, into a clean cache of a
process without this package, and its logits are compared. Only then does one commit, on the revision that was looked at
in the beginning, put the same files on the main branch: nobody ever gets there what was not verified, whatever fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import HfApi

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.bundle import Bundle
from hf_sentiment.hub.card import check_card, keep_handwritten, keep_metadata
from hf_sentiment.hub.messages import AGAIN, LOG_IN, HubError, explain
from hf_sentiment.hub.remote import STAGING, Changes, Head, Repository, changes_to, patiently
from hf_sentiment.hub.verification import Expectation, expect, verify

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Published:
    """What `publish` did.

    Attributes:
        repo_id: The repository.
        url: Of the commit, of the pull request, or of the repository where nothing had to be sent; of a dry run, where
            the repository would be.
        commit: Its hash; of a dry run, `None`.
        files: Size of every file by path.
        private: Whether the repository is.
        changed: Whether anything was sent.
        folder: Of a dry run, the folder that would be sent.
        largest_difference: Of a logit of the download and of this machine; `None` where nothing was sent, or only files
            were compared.
        space: The address of the Space with its page, where one was asked for.
    """

    repo_id: str
    url: str
    commit: str | None
    files: dict[str, int]
    private: bool
    changed: bool
    folder: Path | None = None
    largest_difference: float | None = None
    space: str | None = None


class Publication:
    """One publication: what was there when it began, what it has done, and how that is undone.

    Args:
        api: With endpoint, and token where there is one.
        repo_id: `OWNER/NAME`.
        bundle: What is sent.
        run: Where it comes from.
        public: As in `hf_sentiment.hub.publish.publish`.
        create_pr: A pull request instead of a commit on the main branch.
        message: Title of the commit.
    """

    def __init__(
        self,
        api: HfApi,
        repo_id: str,
        bundle: Bundle,
        run: Path,
        public: bool | None = False,
        create_pr: bool = False,
        message: str | None = None,
    ) -> None:
        self.repository = Repository(api, repo_id)
        self.repo_id = repo_id
        self.bundle = bundle
        self.run = run
        self.public = public
        self.create_pr = create_pr
        self.message = message or f"Publish {'adapter' if bundle.adapter else 'model'} with hf-sentiment"
        # What was there when it began; `None` where there was no repository.
        self.before: Head | None = None
        # How far it has come: nothing, created, staged, settled. `_undo` takes back by these what was done.
        self.created = False
        self.first: Head | None = None  # of a repository that was created, as the Hub made it
        self.staged = False  # the branch is there
        self.uploading = False  # onto the branch: what has arrived of large files is worth keeping
        self.settled = False  # a commit of the main branch was sent, which may have been made

    def rehearse(self) -> Published:
        """Say what would change on the Hub, as far as it can be asked; nothing is sent, and the folder stays."""
        if not self.repository.api.token:
            logger.info("The Hub was not asked what it has: no token")
        else:
            try:
                self._look(self._user())
            except SentimentError as error:
                logger.warning("Sent now, it would fail: %s", error)
        folder = self.bundle.folder
        logger.info("Nothing was sent. What would be is in %s: look at README.md, then rm -r %s", folder, folder)
        done = self._done(None, changed=False, folder=self.bundle.folder)
        return replace(done, private=done.private and not self.public)

    def carry_out(self) -> Published:
        """Send, verify, and put on the main branch, or leave everything as it was.

        Raises:
            CallError: The repository is not what the call takes it for.
            HubError: The Hub could not do it; the message says what the repository is like now.
        """
        user = self._user()
        changes = self._look(user)
        # Said again, it finds its own work done: only the visibility may be left to change.
        if self.before is not None and not changes:
            return self._open_up(self._done(self.before.commit, changed=False))
        # Before anything is sent, so that a model that cannot be loaded costs no upload.
        expectation = self._expect()
        if self.create_pr:
            return self._propose(user, changes, expectation)
        with self._undone_on_failure():
            parent = self._ready()
            changes = changes_to(parent, self.bundle)  # the Hub has put files of its own into a new one
            # Onto a branch: whoever loads the main branch meanwhile gets what was there before.
            self.repository.stage(parent.commit)
            self.staged = self.uploading = True
            staged = self._commit(changes, parent, STAGING)
            self.uploading = False
            # By the hash of the commit, as a branch may be moved between download and comparison.
            difference = self._verify(expectation, staged)
            # On the same parent as the branch: if somebody has changed the main branch since, the Hub refuses it (412).
            # The large files are there by now, so this sends little, and takes a moment.
            commit = self._commit(changes, parent, "main")
        # What is left of it now is in nobody's way, so that failing here is no failure.
        self._tidy()
        return self._open_up(self._done(commit, changed=True, difference=difference))

    # Before anything is sent

    def _user(self) -> str:
        """The user of the token; one that cannot write is found out before anything is sent."""
        with self.repository.doing("ask the Hub whose token this is"):
            answer = self.repository.api.whoami()
        user = str(answer["name"])
        role = answer.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise HubError(f"the token of {user} may only read: {LOG_IN}")
        # A pull request may be opened anywhere; other commits only with oneself or one's organisations.
        owner = self.repo_id.partition("/")[0]
        groups = [str(group["name"]) for group in answer.get("orgs", []) if group.get("roleInOrg") != "read"]
        if owner not in (user, *groups) and not self.create_pr:
            raise HubError(f"{owner}/ is not yours: publish to {', '.join(f'{name}/' for name in (user, *groups))}")
        return user

    def _look(self, user: str) -> Changes:
        """Look at what is there, keep what people wrote in the card, and say what will change."""
        self.before = self.repository.head()
        if self.before is None and self.create_pr:
            raise CallError(
                f"{self.repo_id} does not exist, or is not for {user} to see: publish it without --create_pr"
            )
        # Nobody shall publish to the world by a command that does not say so.
        if self.before is not None and not self.before.private and self.public is False:
            raise CallError(f"{self.repo_id} is public: say --public to publish there for everybody to see")
        self._check_base()
        # Before the comparison: a card that differs only in what people wrote is no change.
        if self.before is not None:
            self._keep(self.before)
        changes = changes_to(self.before, self.bundle)
        logger.info(self._what_changes(changes))
        return changes

    def _keep(self, head: Head) -> None:
        keep_what_people_wrote(self.repository, head, self.bundle)

    def _check_base(self) -> None:
        """Refuse an adapter that nobody could load, as the Hub does not have its base."""
        base = self.bundle.base_model
        if base is not None and not Repository(self.repository.api, base).exists():
            raise CallError(
                f"the adapter's base, {base}, is not on the Hub, or not for this token to see, so nobody could load "
                "the adapter: publish the base first, name the right one with --base_model OWNER/NAME, or leave out "
                "--adapter to publish the merged model"
            )

    def _what_changes(self, changes: Changes) -> str:
        if self.before is None:
            return f"{self.repo_id} is new, and will be {'public' if self.public else 'private'}"
        seen = "private" if self.before.private else "public"
        there = f"{self.repo_id} is there ({seen}, at {self.before.commit[:10]})"
        if not changes:
            return f"{there} and has all of it already: nothing to send"
        lists = {"new or other": changes.added, "removed": changes.deleted}
        named = [f"{what}: {', '.join(names)}" for what, names in lists.items() if names]
        return "; ".join([there, *named, f"the same: {changes.unchanged} files"])

    # Sending

    def _ready(self) -> Head:
        """The revision to build on: the one that was looked at, or the first of a new repository."""
        if self.before is not None:
            return self.before
        try:
            self.repository.create()
        except HubError as error:
            # Was it only the answer that was lost? Then the repository is there, and this one's. An answer of 409 is of
            # one that came to be between the look and now: another's.
            if "409" in str(error) or patiently(self.repository.head) is None:
                raise
        self.created = True
        self.first = patiently(self.repository.head)
        if self.first is None:
            raise HubError(f"{self.repo_id} was created, and is not there: {AGAIN}")
        return self.first

    def _commit(self, changes: Changes, parent: Head, revision: str, *, once_more: bool = True) -> str:
        """Commit, or find that the commit is there although its answer was lost; the commit's hash.

        A connection that was cut is tried once more: the large files that had arrived are not sent again.
        """
        try:
            # Before the request: a commit may be made although its answer never comes.
            self.settled = self.settled or revision == "main"
            made = self.repository.commit(self.bundle, changes, parent.commit, message=self.message, revision=revision)
            return str(made.oid)
        except HubError as error:
            head = patiently(lambda: self.repository.head(revision))
            # The branch has moved and holds all of the bundle: it was made, and only the answer was lost.
            if head is not None and head.commit != parent.commit and not changes_to(head, self.bundle):
                return head.commit
            self.settled = False  # the branch is not what was to be sent: this commit did not happen
            # Once more only where nothing was answered and nothing has happened: a refusal would be refused again.
            if not (once_more and error.cut and head is not None and head.commit == parent.commit):
                raise
        return self._commit(changes, parent, revision, once_more=False)

    def _expect(self) -> Expectation:
        return expect(self.bundle, self.run)

    def _verify(self, expectation: Expectation, commit: str) -> float | None:
        logger.info("Downloading %s again, to check it", commit[:10])
        api = self.repository.api
        difference = verify(expectation, self.repo_id, commit, endpoint=str(api.endpoint), token=str(api.token))
        said = "" if difference is None else f"; largest difference of a logit: {difference:.1g}"
        logger.info("Verified: %d files%s", len(self.bundle.files()), said)
        return difference

    def _propose(self, user: str, changes: Changes, expectation: Expectation) -> Published:
        """A pull request instead of a commit; one that is there already, of an answer that was lost, is taken."""
        assert self.before is not None
        # One with these very files, of this user, may be there of a call whose answer was lost.
        number = self._find_proposal(user)
        if number is None:
            try:
                made = self.repository.commit(
                    self.bundle, changes, self.before.commit, message=self.message, create_pr=True
                )
                number = int(str(made.pr_num))
            except HubError:
                number = patiently(lambda: self._find_proposal(user))
                if number is None:
                    raise
        head = patiently(lambda: self.repository.head(f"refs/pr/{number}"))
        if head is None:
            raise HubError(f"pull request {number} of {self.repo_id} has gone: {AGAIN}")
        # It is verified where it stands, as a pull request is itself a branch that nobody loads by chance.
        try:
            difference = self._verify(expectation, head.commit)
        except SentimentError as error:
            patiently(lambda: self.repository.close(number))
            raise HubError(f"{error}; pull request {number} is closed, {self.repo_id} is as it was") from error
        return self._done(head.commit, changed=True, difference=difference, page=f"discussions/{number}")

    def _find_proposal(self, user: str) -> int | None:
        for number, revision in self.repository.proposals(user):
            head = self.repository.head(revision)
            if head is not None and not changes_to(head, self.bundle):
                return number
        return None

    # Afterwards

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        """Remove what a failure, or Ctrl-C, leaves half done, and say what is there now."""
        try:
            yield
        except KeyboardInterrupt as error:
            # As if the connection had been cut: large files that have arrived are kept for the next call.
            raise HubError(f"stopped; {self._undo(cut=True)}") from error
        except Exception as error:
            known = error if isinstance(error, SentimentError) else explain(error, self.repo_id, "publish")
            cut = isinstance(known, HubError) and known.cut
            raise HubError(f"{known}; {self._undo(cut)}", cut=cut) from error

    def _undo(self, cut: bool) -> str:
        """Take back what was done, and say what is there now.

        Of a new repository whose upload was cut, the large files that have arrived are worth keeping: it stays, private
        and with nothing on its main branch. The Hub keeps them without the branch as well.
        """
        # A commit of the main branch was sent, and nobody can say what became of it. Removing the branch, or the
        # repository, might remove what is complete.
        if self.settled:
            return f"whether {self.repo_id} is as it was or has all of it could not be found out: {AGAIN}"
        keep = self.created and self.uploading and cut
        try:
            if self.created and not keep:
                # Somebody else may have put files there in these minutes, which are not to be removed.
                now = patiently(self.repository.head)
                if now is not None and self.first is not None and now.commit != self.first.commit:
                    return f"{self.repo_id}, which was created, has somebody else's files now, and none of these"
                patiently(self.repository.delete)
                return f"{self.repo_id}, which was created, is removed again"
            if self.staged:
                patiently(self.repository.unstage)
        except HubError as error:
            left = "an empty repository" if self.created else f"the branch {STAGING}"
            return f"{self.repo_id} has nothing new but {left}, which could not be removed ({error})"
        if keep:
            return (
                f"{self.repo_id}, which was created, is private and empty, and keeps the large files that have "
                f"arrived: the same command goes on from there, and `hf repos delete {self.repo_id}` removes it"
            )
        if self.before is None:
            return "nothing was created"
        return f"{self.repo_id} is as it was, at {self.before.commit[:10]}"

    def _tidy(self) -> None:
        try:
            patiently(self.repository.unstage)
        except HubError as error:
            logger.warning("%s; the next publish removes it", error)

    def _open_up(self, published: Published) -> Published:
        """Make the repository public, if that was asked for: only now that it is complete."""
        # A failure leaves it complete and private; the same call again does the rest.
        if published.private and self.public:
            try:
                patiently(self.repository.open_up)
            except HubError as error:
                commit = str(published.commit)[:10]
                raise HubError(f"{error}; {self.repo_id} is complete, at {commit}, and still private") from error
            return replace(published, private=False)
        return published

    def _done(
        self,
        commit: str | None,
        *,
        changed: bool,
        difference: float | None = None,
        page: str | None = None,
        folder: Path | None = None,
    ) -> Published:
        page = page or (f"commit/{commit}" if changed else None)
        url = "/".join([self.repository.url, *([page] if page else [])])
        private = self.before is None or self.before.private
        return Published(self.repo_id, url, commit, self.bundle.sizes(), private, changed, folder, difference)


def keep_what_people_wrote(repository: Repository, head: Head, bundle: Bundle) -> None:
    """Put the hand-written parts of the card that a repository has into the card of a bundle."""
    present = repository.card(head)
    if present is None:
        return
    path = bundle.folder / "README.md"
    card = keep_metadata(keep_handwritten(path.read_text(encoding="utf-8"), present), present)
    # What somebody set on the Hub's page has come into it, so it is looked at again.
    check_card(card)
    path.write_text(card, encoding="utf-8")
