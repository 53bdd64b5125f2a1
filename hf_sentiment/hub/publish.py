"""`publish`: from a run's folder to a Hub repository that is complete and verified, or as it was before."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, get_token
from rich.filesize import decimal

from hf_sentiment.errors import CallError
from hf_sentiment.hub.bundle import Bundle, build_bundle
from hf_sentiment.hub.card import CardOptions, is_repo_id
from hf_sentiment.hub.messages import LOG_IN, HubError
from hf_sentiment.hub.publication import Publication, Published
from hf_sentiment.hub.space import SpacePublication, build_space
from hf_sentiment.table import table_lines

logger = logging.getLogger(__name__)

__all__ = ["Published", "publish"]


def publish(
    folder: str | os.PathLike[str],
    repo_id: str,
    *,
    public: bool | None = False,
    adapter: bool = False,
    stock: bool = False,
    create_pr: bool = False,
    dry_run: bool = False,
    space: bool = False,
    commit_message: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    **card: Any,
) -> Published:
    """Publish a run on the Hub; said again, it goes on, or finds that nothing is left to do.

    Args:
        folder: A run's folder, or any folder with a trained classifier and its tokenizer. It is only read.
        repo_id: `OWNER/NAME`.
        public: Let everybody see it. `False` makes a new repository private, and refuses one that is public; `None`
            leaves a repository as visible as it is.
        adapter: The adapter and head of a LoRA run, instead of the merged model.
        stock: As a class of transformers, or else of sentence-transformers, with the same logits: no remote code.
        create_pr: Open a pull request instead of changing the main branch.
        dry_run: Make the folder, say what would be sent and changed, and stop; the folder stays, for you to remove.
        space: Make or renew the Space of the same name, too: the page of `demo` (see `hf_sentiment.hub.space`).
        commit_message: Title of the commit.
        token: Default: what `hf auth login` saved, or HF_TOKEN. Needed for the upload only.
        endpoint: Of the Hub. Default: HF_ENDPOINT.
        **card: As in `CardOptions`: `license`, `language`, `base_model`, `template` and others.

    Raises:
        CallError: A wrong argument, or a folder that cannot be published.
        HubError: The Hub could not do it; the message says what the repository is like now.

    Examples:
        >>> publish("runs/reviews", "me/reviews", license="apache-2.0").url  # doctest: +SKIP
    """
    _check_name(repo_id)
    # Before anything is read: a misspelt licence shall cost no minute.
    options = CardOptions(**card)
    options.check()
    if space and create_pr:
        raise CallError("--space: a Space is not made by a pull request: leave out --create_pr")
    run, token = Path(folder), token or get_token()
    if token is None and not dry_run:  # a dry run needs none
        raise HubError(f"no token: {LOG_IN}")
    api = HfApi(endpoint=endpoint or constants.ENDPOINT, token=token or False, library_name="hf-sentiment")
    secrets = [token] if token else []
    with ExitStack() as folders:
        what: dict[str, Any] = {"adapter": adapter, "stock": stock, "secrets": secrets, "options": options}
        bundle = build_bundle(run, _new(folders), repo_id=repo_id, **what)
        model = Publication(api, repo_id, bundle, run, public, create_pr, commit_message)
        page = None
        if space:
            page = SpacePublication(api, repo_id, build_space(_new(folders), bundle, repo_id, options, secrets), public)
        for line in _describe(bundle, repo_id, public, create_pr):
            logger.info(line)
        return _carry_out(model, page, folders, dry_run)


def _new(folders: ExitStack) -> Path:
    """A new folder, removed in the end: what is sent is what was put there, whatever else lies in the run."""
    place = Path(tempfile.mkdtemp(prefix="hf-sentiment-publish-"))
    folders.callback(shutil.rmtree, place, ignore_errors=True)
    return place


def _carry_out(model: Publication, page: SpacePublication | None, folders: ExitStack, dry_run: bool) -> Published:
    if not dry_run:
        published = model.carry_out()
        return published if page is None else page.beside(published)
    published = model.rehearse()
    if page is not None:
        page.rehearse()
    folders.pop_all()  # they are what the call was for
    return published


def _check_name(repo_id: str) -> None:
    name = repo_id.rpartition("/")[2] or "reviews"
    if "/" not in repo_id:
        raise CallError(f"{repo_id}: say whose it is, OWNER/{name}, with your user name or your organisation's")
    if not is_repo_id(repo_id):
        raise CallError(f"{repo_id} is no name for a repository: OWNER/NAME of letters, digits, - _ .")


def _describe(bundle: Bundle, repo_id: str, public: bool | None, create_pr: bool) -> Iterator[str]:
    """What will be sent, as lines for a person: files, sizes, where, who can see and load it, quotes."""
    sizes = bundle.sizes()
    what = "An adapter" if bundle.adapter else "A model"
    how = ", as a pull request" if create_pr else ""
    seen = {True: "public", False: "private", None: "as visible as it is; private if it is new"}[public]
    yield f"{what} for {repo_id} ({seen}){how}:"
    yield from table_lines([(name, decimal(size)) for name, size in sizes.items()], right={1}, indent="  ")
    named = {"licence": "license", "language": "language", "base model": "base_model"}
    facts = "; ".join(f"{name}: {bundle.metadata.get(field, 'not named')}" for name, field in named.items())
    yield f"  {len(sizes)} files, {decimal(sum(sizes.values()))}; {facts}"
    yield from (f"  {line}" for line in bundle.can_load)
    if bundle.quoted:
        texts = "1 text" if bundle.quoted == 1 else f"{bundle.quoted} texts"
        yield f"  The card, README.md, quotes {texts} of your data; --no_quotes leaves them out."
