"""`publish`: from a run's folder to a Hub repository that is complete and verified, or as it was before.

What is sent goes on a branch first, in one commit; there it is downloaded again, by its hash, into a clean cache of a
process without this package, and its logits are compared. Only then does one commit, on the revision that was looked at
in the beginning, put the same files on the main branch: nobody ever gets there what was not verified, whatever fails.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import HfApi, constants, get_token

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.bundle import Bundle, build_bundle
from hf_sentiment.hub.handwritten import keep_handwritten
from hf_sentiment.hub.messages import AGAIN, LOG_IN, HubError, explain
from hf_sentiment.hub.metadata import check_card, check_language, check_license, is_repo_id, keep_metadata
from hf_sentiment.hub.remote import STAGING, Changes, Head, Repository, changes_to, patiently
from hf_sentiment.hub.summary import describe
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
        largest_difference: Of a logit of the download and of this machine; `None` where nothing was sent.
    """

    repo_id: str
    url: str
    commit: str | None
    files: dict[str, int]
    private: bool
    changed: bool
    folder: Path | None = None
    largest_difference: float | None = None


def publish(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    public: bool = False,
    adapter: bool = False,
    create_pr: bool = False,
    dry_run: bool = False,
    card_template: str | os.PathLike[str] | None = None,
    license: str | None = None,
    language: str | None = None,
    base_model: str | None = None,
    quote_texts: bool = True,
    token: str | None = None,
    endpoint: str | None = None,
) -> Published:
    """Publish a run on the Hub; said again, it goes on, or finds that nothing is left to do.

    Args:
        folder: A run's folder, or any folder with a trained classifier and its tokenizer. It is only read.
        repo_id: `OWNER/NAME`.
        public: Let everybody see it. Without it a new repository is private, and a public one is refused.
        adapter: The adapter and head of a LoRA run, instead of the merged model.
        create_pr: Open a pull request instead of changing the main branch.
        dry_run: Make the folder, say what would be sent, and stop; nobody is asked anything.
        card_template: A Jinja template of one's own for README.md.
        license: Of the model, from the Hub's list. Default: the base model's, where it is known.
        language: Of the texts, an ISO 639 code.
        base_model: The base's Hub id, where the run does not say it.
        quote_texts: Whether the card may quote texts of the test split.
        token: Default: what `hf auth login` saved, or HF_TOKEN. Needed for the upload only.
        endpoint: Of the Hub. Default: HF_ENDPOINT.

    Raises:
        CallError: A wrong argument, or a folder that cannot be published.
        HubError: The Hub could not do it; the message says what the repository is like now.
    """
    run = Path(folder)
    _check_call(repo_id, license, language)
    endpoint = endpoint or constants.ENDPOINT
    token = token or get_token()
    place = Path(tempfile.mkdtemp(prefix="hf-sentiment-publish-"))
    try:
        bundle = build_bundle(
            run,
            place,
            repo_id=repo_id,
            adapter=adapter,
            secrets=[token] if token else [],
            template=card_template,
            license=license,
            language=language,
            base_model=base_model,
            quote_texts=quote_texts,
        )
        for line in describe(bundle, repo_id, public, create_pr):
            logger.info(line)
        if dry_run:
            logger.info("Nothing was sent. The folder: %s", place)
            sizes = {name: path.stat().st_size for name, path in bundle.files().items()}
            return Published(repo_id, f"{endpoint}/{repo_id}", None, sizes, not public, False, place)
        if token is None:
            raise HubError(f"no token: {LOG_IN}")
        api = HfApi(endpoint=endpoint, token=token, library_name="hf-sentiment")
        return _Publication(api, repo_id, bundle, run, public, create_pr).carry_out()
    finally:
        if not dry_run:
            shutil.rmtree(place, ignore_errors=True)


def _check_call(repo_id: str, license: str | None, language: str | None) -> None:
    name = repo_id.rpartition("/")[2] or "reviews"
    if "/" not in repo_id:
        raise CallError(f"{repo_id}: whose? Name it OWNER/{name}, with your user name or your organisation's")
    if not is_repo_id(repo_id):
        raise CallError(f"{repo_id} is no name for a repository: OWNER/NAME of letters, digits, - _ .")
    if license is not None:
        check_license(license)
    if language is not None:
        check_language(language)


class _Publication:
    """One publication: what was there when it began, what it has done, and how that is undone."""

    def __init__(self, api: HfApi, repo_id: str, bundle: Bundle, run: Path, public: bool, create_pr: bool) -> None:
        self.repository = Repository(api, repo_id)
        self.repo_id = repo_id
        self.bundle = bundle
        self.run = run
        self.public = public
        self.create_pr = create_pr
        self.token = str(api.token)
        self.endpoint = str(api.endpoint)
        self.before: Head | None = None
        self.created = False
        self.staged = False
        self.settled = False  # whether the main branch may have been changed

    def carry_out(self) -> Published:
        """Everything after the folder is made."""
        user = self._user()
        self.before = self.repository.head()
        self._check_target()
        if self.before is not None:
            self._keep_what_people_wrote(self.before)
        changes = changes_to(self.before, self.bundle)
        if self.before is not None and not changes:
            logger.info("%s has all of it already, at %s: nothing to send", self.repo_id, self.before.commit[:10])
            return self._done(self.before.commit, changed=False)
        logger.info(self._what_changes(changes))
        expectation = expect(self.bundle, self.run)
        if self.create_pr:
            return self._propose(user, changes, expectation)
        with self._undone_on_failure():
            parent = self._ready()
            if self.created:  # the Hub has put files of its own there
                changes = changes_to(parent, self.bundle)
            self.repository.stage(parent.commit)
            self.staged = True
            staged = self._commit(changes, parent, STAGING)
            difference = self._verify(expectation, staged)
            commit = self._commit(changes, parent, "main")
        self._tidy()
        logger.info("Verified: %d files; largest difference of a logit: %.1g", len(self.bundle.files()), difference)
        return self._done(commit, changed=True, difference=difference)

    # Before anything is sent

    def _user(self) -> str:
        """The user of the token; one that cannot write is found out before anything is sent."""
        with self.repository.doing("ask the Hub whose token this is"):
            answer = self.repository.api.whoami()
        user = str(answer["name"])
        role = answer.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise HubError(f"the token of {user} may only read: {LOG_IN}")
        owner = self.repo_id.partition("/")[0]
        groups = [str(group["name"]) for group in answer.get("orgs", [])]
        if owner not in (user, *groups) and not self.create_pr:
            raise HubError(f"{owner}/ is not yours: publish to {', '.join(f'{name}/' for name in (user, *groups))}")
        return user

    def _check_target(self) -> None:
        if self.before is None and self.create_pr:
            raise CallError(f"{self.repo_id} does not exist, or is not yours to see: publish it without --create_pr")
        if self.before is not None and not self.before.private and not self.public:
            raise CallError(f"{self.repo_id} is public: say --public to publish there for everybody to see")

    def _keep_what_people_wrote(self, head: Head) -> None:
        """Put the hand-written parts of the present card into the new one."""
        present = self.repository.card(head)
        if present is None:
            return
        path = self.bundle.folder / "README.md"
        card = path.read_text(encoding="utf-8")
        card = keep_metadata(keep_handwritten(card, present), present)
        check_card(card)
        path.write_text(card, encoding="utf-8")

    def _what_changes(self, changes: Changes) -> str:
        if self.before is None:
            return f"{self.repo_id} is new, and will be {'public' if self.public else 'private'}"
        gone = f", removed: {', '.join(changes.deleted)}" if changes.deleted else ""
        where = f"{self.repo_id} is there, at {self.before.commit[:10]}"
        return f"{where}: {len(changes.added)} files are new or other, {changes.unchanged} are the same{gone}"

    # Sending

    def _ready(self) -> Head:
        """The revision to build on: the one that was looked at, or the first of a new repository."""
        if self.before is not None:
            return self.before
        try:
            self.repository.create(private=not self.public)
        except HubError as error:
            # Was it only the answer that was lost? An answer of 409 is another's repository.
            if "409" in str(error) or patiently(self.repository.head) is None:
                raise
        self.created = True
        head = self.repository.head()
        if head is None:
            raise HubError(f"{self.repo_id} was created, and is not there: {AGAIN}")
        return head

    def _commit(self, changes: Changes, parent: Head, revision: str) -> str:
        """Commit, or find that the commit is there although its answer was lost; the commit's hash."""
        try:
            self.settled = self.settled or revision == "main"
            return str(self.repository.commit(self.bundle, changes, parent.commit, revision=revision).oid)
        except HubError:
            head = patiently(lambda: self.repository.head(revision))
            if head is None or head.commit == parent.commit or changes_to(head, self.bundle):
                self.settled = False  # the branch is not what was to be sent: this commit did not happen
                raise
            return head.commit

    def _verify(self, expectation: Expectation, commit: str) -> float:
        logger.info("Downloading %s again, to check it", commit[:10])
        return verify(expectation, self.repo_id, commit, endpoint=self.endpoint, token=self.token)

    def _propose(self, user: str, changes: Changes, expectation: Expectation) -> Published:
        """A pull request instead of a commit; one that is there already, of an answer that was lost, is taken."""
        assert self.before is not None
        number = self._find_proposal(user)
        if number is None:
            try:
                made = self.repository.commit(self.bundle, changes, self.before.commit, create_pr=True)
                number = int(str(made.pr_num))
            except HubError:
                number = patiently(lambda: self._find_proposal(user))
                if number is None:
                    raise
        head = patiently(lambda: self.repository.head(f"refs/pr/{number}"))
        if head is None:
            raise HubError(f"pull request {number} of {self.repo_id} has gone: {AGAIN}")
        try:
            difference = self._verify(expectation, head.commit)
        except SentimentError as error:
            patiently(lambda: self.repository.close(number))
            raise HubError(f"{error}; pull request {number} is closed, {self.repo_id} is as it was") from error
        url = f"{self.endpoint}/{self.repo_id}/discussions/{number}"
        sizes = {name: path.stat().st_size for name, path in self.bundle.files().items()}
        return Published(self.repo_id, url, head.commit, sizes, self.before.private, True, None, difference)

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
        except (Exception, KeyboardInterrupt) as error:
            state = self._undo()
            if isinstance(error, KeyboardInterrupt):
                raise HubError(f"stopped; {state}") from error
            line = str(error) if isinstance(error, SentimentError) else str(explain(error, self.repo_id, "publish"))
            raise HubError(f"{line}; {state}") from error

    def _undo(self) -> str:
        if self.settled:  # a commit of the main branch was sent, and nobody can say what became of it
            return f"whether {self.repo_id} is as it was or has all of it could not be found out: {AGAIN}"
        try:
            if self.created:
                patiently(self.repository.delete)
                return f"{self.repo_id}, which was created, is removed again"
            if self.staged:
                patiently(self.repository.unstage)
        except HubError as error:
            left = "an empty repository" if self.created else f"the branch {STAGING}"
            return f"{self.repo_id} has nothing new but {left}, which could not be removed ({error})"
        if self.before is None:
            return "nothing was created"
        return f"{self.repo_id} is as it was, at {self.before.commit[:10]}"

    def _tidy(self) -> None:
        try:
            patiently(self.repository.unstage)
        except HubError as error:
            logger.warning("%s; the next publish removes it", error)

    def _done(self, commit: str, *, changed: bool, difference: float | None = None) -> Published:
        private = not self.public
        if self.before is not None and self.before.private and self.public:
            try:
                patiently(self.repository.open_up)
            except HubError as error:
                raise HubError(f"{error}; {self.repo_id} is complete, at {commit[:10]}, and still private") from error
        url = f"{self.endpoint}/{self.repo_id}" + (f"/commit/{commit}" if changed else "")
        sizes = {name: path.stat().st_size for name, path in self.bundle.files().items()}
        return Published(self.repo_id, url, commit, sizes, private, changed, None, difference)
