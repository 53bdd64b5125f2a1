"""The Space of a published model: the page of `demo`, file for file, that loads the model by its Hub id.

It is sent as a model is: onto a branch, read again from there, and then by one commit onto the main branch.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi

from hf_sentiment.errors import CallError, SentimentError, missing_extra
from hf_sentiment.hub.bundle import Bundle
from hf_sentiment.hub.card import CardOptions, check_card, split_card
from hf_sentiment.hub.messages import HubError
from hf_sentiment.hub.publication import Publication, Published
from hf_sentiment.hub.remote import Head, Repository, changes_to
from hf_sentiment.hub.scan import check_files
from hf_sentiment.hub.verification import Expectation

logger = logging.getLogger(__name__)

_TEXT = """
A page that labels texts and files with [{repo_id}](https://huggingface.co/{repo_id}). `app.py` is what
`hf-sentiment demo` serves.
"""


class SpaceBundle(Bundle):
    """The files of a Space. Whatever else somebody put into it stays."""

    def stale(self, present: Iterable[str]) -> list[str]:
        """Nothing: no loader looks for parts of a model there."""
        return []


def build_space(target: Path, model: Bundle, repo_id: str, options: CardOptions, secrets: Iterable[str]) -> SpaceBundle:
    """Put the files of a Space into an empty folder.

    Args:
        target: An empty folder.
        model: What is published as the model.
        repo_id: Of the model, and of the Space.
        options: With `package_source`, from where the Space installs this package.
        secrets: Values that must not be in it.

    Raises:
        CallError: Nobody says from where the package can be installed, or Gradio is not there.
    """
    if options.package_source is None:
        raise CallError(
            "--space: a Space installs this package, which is on no index: say from where, "
            "--package_source git+https://HOST/OWNER/hf-sentiment@COMMIT"
        )
    if model.adapter or model.exported:
        what = "an adapter: leave out --adapter" if model.adapter else "an exported folder: publish the run"
        raise CallError(f"--space: the page loads a whole model, and not {what}")
    try:
        gradio = metadata.version("gradio")
    except metadata.PackageNotFoundError as error:
        what = "--space: gradio is not here, whose version the Space must name"
        raise missing_extra("demo", what) from error
    header: dict[str, Any] = {
        "title": repo_id.partition("/")[2],
        "sdk": "gradio",
        "sdk_version": gradio,
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
        "models": [repo_id],
    }
    header |= {"license": model.metadata["license"]} if "license" in model.metadata else {}
    (target / "README.md").write_text(_card(header, _TEXT.format(repo_id=repo_id)), encoding="utf-8")
    (target / "app.py").write_bytes((files("hf_sentiment") / "commands" / "demo.py").read_bytes())
    # What the model was tried with; the rest is the package's own choice.
    pins = [f"{name}=={metadata.version(name).partition('+')[0]}" for name in ("torch", "transformers")]
    lines = [f"hf-sentiment @ {options.package_source}", *pins]
    (target / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    check_files(target, secrets)
    return SpaceBundle(target, False, None, header, [], 0)


def _card(header: dict[str, Any], text: str) -> str:
    return f"---\n{yaml.safe_dump(header, sort_keys=False, allow_unicode=True)}---\n{text}"


class SpacePublication(Publication):
    """One publication of a Space: as of a model, but what is compared in the end are the files."""

    def __init__(self, api: HfApi, repo_id: str, bundle: SpaceBundle, public: bool | None) -> None:
        super().__init__(api, repo_id, bundle, bundle.folder, public, message="Publish page with hf-sentiment")
        self.repository = Repository(api, repo_id, "space")

    def _keep(self, head: Head) -> None:
        """Keep what people set and wrote on the page of the Space; refuse a Space of something else."""
        present = self.repository.card(head) or ""
        header = check_card(present) if present else {}
        made = not set(head.files) <= {".gitattributes", "README.md"}  # else it is as the Hub made it
        if made and self.repo_id not in (header.get("models") or []):
            raise CallError(f"{self.repo_id} is a Space of something else: rename it, or publish to another name")
        if made:
            title = {"title": header.get("title", self.bundle.metadata["title"])}
            card = _card(header | self.bundle.metadata | title, split_card(present)[1])
            (self.bundle.folder / "README.md").write_text(card, encoding="utf-8")

    def _expect(self) -> Expectation:
        return Expectation([], [], 0.0, {}, None)  # no model is loaded

    def _verify(self, expectation: Expectation, commit: str) -> float:
        head = self.repository.head(commit)
        if head is None or changes_to(head, self.bundle):
            raise HubError(f"what arrived in the Space {self.repo_id} is not what was sent")
        return 0.0

    def _undo(self, cut: bool) -> str:
        return super()._undo(cut=False)  # there are no large files worth keeping

    def beside(self, model: Published) -> Published:
        """Carry it out once the model is published; what goes wrong is of the Space alone.

        Args:
            model: What was published.
        """
        logger.info("The Space of the page:")
        try:
            page = self.carry_out()
        except SentimentError as error:
            raise type(error)(f"{self.repo_id} is published as a model, and its Space is not: {error}") from error
        if model.private:
            logger.info("The model is private: give the Space a token that reads it, as its secret HF_TOKEN")
        return replace(model, space=page.url)
