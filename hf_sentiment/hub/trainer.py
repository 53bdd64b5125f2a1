"""What a plain `transformers.Trainer` sends to the Hub, made the same as `publish` sends it; two calls in a script."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import HfApi, ModelCard
from transformers.trainer_utils import HubStrategy
from transformers.utils import PushInProgress

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.bundle import Bundle, build_bundle
from hf_sentiment.hub.card import CardOptions, keep_handwritten, read_card, render_card
from hf_sentiment.hub.messages import HubError
from hf_sentiment.hub.publication import Published, keep_what_people_wrote
from hf_sentiment.hub.publish import publish
from hf_sentiment.hub.remote import Changes, Repository, changes_to
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.read import ADAPTER_FILES

if TYPE_CHECKING:
    from transformers import Trainer

    from hf_sentiment.training.arguments import SentimentArguments

logger = logging.getLogger(__name__)

# What the Trainer calls at each save; the only one of the three that has no public name.
_AT_EACH_SAVE = "_push_from_checkpoint"
# The strategies that send optimizer and random state as well.
_CHECKPOINTS = (HubStrategy.CHECKPOINT, HubStrategy.ALL_CHECKPOINTS)


def use_our_publishing(trainer: Trainer, arguments: SentimentArguments | None = None, **card: Any) -> None:
    """Let a Trainer send to the Hub what `publish` sends, with our card, and nothing else; call it before `train`.

    `trainer.push_to_hub` becomes `hf_sentiment.hub.publish.publish` of the output folder: allow-listed, verified, one
    commit on the main branch. With `push_to_hub=True`, every save puts the same files there in the background, in one
    commit that is not verified, which the card says; one that fails is a warning, and training goes on.
    `hub_strategy="checkpoint"` and `"all_checkpoints"` send the checkpoint as well, optimizer and all, but for
    `training_args.bin`, which may hold a token; the push at the end removes it.

    What the card tells is in the folder's `records/` (`record_test`, `LearningCurveCallback`) and in `arguments`; the
    rest is left out. Hand-written sections of a README.md that is there are kept.

    Args:
        trainer: Any `transformers.Trainer`.
        arguments: Model and data of the script.
        **card: As in `CardOptions`; what `push_to_hub` is told (`license`, `language`) wins.

    Raises:
        CallError: `hub_revision` names another branch than the main one.

    Examples:
        >>> use_our_publishing(trainer, arguments)  # doctest: +SKIP
        >>> trainer.push_to_hub(license="apache-2.0")  # doctest: +SKIP
    """
    if not hasattr(trainer, _AT_EACH_SAVE):
        raise CallError(f"this transformers has no Trainer.{_AT_EACH_SAVE}: install the version that was tested")
    _refuse_branch(trainer.args.hub_revision)
    given = None if arguments is None else dataclasses.asdict(arguments)
    pushes = _Pushes(trainer, CardOptions(**{"arguments": given, **card}))
    # On this Trainer and not on its class: another one in the same process stays as it is.
    trainer.create_model_card = pushes.create_model_card  # type: ignore[method-assign, assignment]
    trainer.push_to_hub = pushes.push_to_hub  # type: ignore[method-assign, assignment]
    setattr(trainer, _AT_EACH_SAVE, pushes.push_save)
    if trainer.args.push_to_hub and trainer.args.hub_strategy in _CHECKPOINTS and trainer.is_world_process_zero():
        logger.warning(
            "--hub_strategy %s sends optimizer and random state, which are pickles, to the Hub while training goes on; "
            "the push at the end removes them",
            HubStrategy(trainer.args.hub_strategy).value,
        )


def _refuse_branch(revision: str | None) -> None:
    if revision not in (None, "main"):
        raise CallError(f"--hub_revision {revision}: what is published goes to the main branch: leave it out")


class _Pushes:
    """The Hub calls of one Trainer."""

    def __init__(self, trainer: Trainer, options: CardOptions) -> None:
        self.trainer = trainer
        self.folder = Path(str(trainer.args.output_dir))
        self.options = options
        self.api = HfApi(token=trainer.args.hub_token, library_name="hf-sentiment")

    def create_model_card(self, license: str | None = None, language: str | None = None, **_: Any) -> None:
        """Write our card into the output folder."""
        if not self.trainer.is_world_process_zero():
            return
        text = render_card(
            self.folder,
            repo_id=self.trainer.hub_model_id,
            adapter=_has_adapter_alone(self.folder),
            options=self._options(license, language),
        )
        path = self.folder / "README.md"
        present = read_card(path) if path.is_file() else ""
        write_atomically(path, keep_handwritten(text, present))

    def push_to_hub(
        self,
        commit_message: str | None = "End of training",
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        license: str | None = None,
        language: str | None = None,
        **_: Any,
    ) -> Published | Future[Published] | None:
        """Save, and publish what was saved; a new repository is private unless `private` is False.

        Returns:
            What was done, or a `Future` of it where not `blocking`; `None` in all processes but the first.
        """
        trainer = self.trainer
        _refuse_branch(revision)
        trainer.callback_handler.on_push_begin(trainer.args, trainer.state, trainer.control)
        trainer.save_model(_internal_call=True)  # in every process, as sharded weights need all of them
        if not trainer.is_world_process_zero():
            return None
        # A save that is still on its way would change the branch under this one.
        trainer._finish_current_push()
        self._put_config(self.folder)
        self.create_model_card(license, language)
        api = self.api if token is None else HfApi(token=token)
        repo_id = self._repo_id(api)
        if private is None:
            private = trainer.args.hub_private_repo
        # A repository that is there stays as visible as it is: the Trainer's arguments are of its creation.
        call: dict[str, Any] = {
            "public": True if private is False and Repository(api, repo_id).head() is None else None,
            "adapter": _has_adapter_alone(self.folder),
            "commit_message": commit_message,
            "token": api.token,
            **vars(self._options(license, language)),
        }
        if blocking:
            return publish(self.folder, repo_id, **call)
        return api.run_as_future(publish, self.folder, repo_id, **call)

    def push_save(self, checkpoint_folder: str) -> None:
        """Send a checkpoint's model in the background, unless the last one is still on its way."""
        trainer, args, checkpoint = self.trainer, self.trainer.args, Path(checkpoint_folder)
        if not trainer.is_world_process_zero() or args.hub_strategy == HubStrategy.END:
            return
        # As `Trainer._push_from_checkpoint` does it, in whose place this is.
        under_way: Any = trainer.push_in_progress
        if under_way is not None and under_way.is_done():
            under_way = None
        if under_way is not None and not args.hub_always_push:
            return
        trainer.callback_handler.on_push_begin(args, trainer.state, trainer.control)
        place = Path(tempfile.mkdtemp(prefix="hf-sentiment-push-"))
        try:
            bundle = self._bundle_of(checkpoint, place)
        except BaseException as error:
            shutil.rmtree(place)
            if not isinstance(error, SentimentError):
                raise
            logger.warning("%s is not pushed: %s", checkpoint.name, error)
            return
        message = f"Training in progress, step {trainer.state.global_step}"
        _say_on_card(place / "README.md", f"{message}: nothing here has been checked.")
        if args.hub_strategy in _CHECKPOINTS:
            name = "last-checkpoint" if args.hub_strategy == HubStrategy.CHECKPOINT else checkpoint.name
            # After the bundle was looked through: these files are no text.
            shutil.copytree(checkpoint, place / name, ignore=shutil.ignore_patterns("training_args.bin"))
        job = self.api.run_as_future(self._send, bundle, message)
        jobs: Any = [job] if under_way is None else [*under_way.jobs, job]
        trainer.push_in_progress = PushInProgress(jobs)  # type: ignore[assignment]

    def _bundle_of(self, checkpoint: Path, place: Path) -> Bundle:
        """What may be published of a checkpoint and of the run's records, in an empty folder."""
        with _seen_as_run(checkpoint, self.folder) as run:
            self._put_config(run)
            adapter = _has_adapter_alone(run)
            secrets = [self.api.token] if isinstance(self.api.token, str) else []
            repo_id = self._repo_id(self.api)
            return build_bundle(run, place, repo_id=repo_id, adapter=adapter, secrets=secrets, options=self.options)

    def _send(self, bundle: Bundle, message: str) -> None:
        """One commit on what is there now; nothing is removed, which is for the push at the end."""
        repository = Repository(self.api, self._repo_id(self.api))
        try:
            head = repository.head()
            if head is None:
                raise HubError(f"{repository.repo_id} has gone")
            keep_what_people_wrote(repository, head, bundle)
            changes = changes_to(head, bundle)
            if changes.added:
                kept = Changes(changes.added, [], changes.unchanged)
                repository.commit(bundle, kept, head.commit, message=message)
        # In a thread of the client: what is raised here, nobody would see.
        except SentimentError as error:
            logger.warning("%s was not pushed: %s", message, error)
        finally:
            shutil.rmtree(bundle.folder, ignore_errors=True)

    def _options(self, license: str | None, language: str | None) -> CardOptions:
        """The options of the card, of which what `push_to_hub` is told wins."""
        return dataclasses.replace(
            self.options, license=license or self.options.license, language=language or self.options.language
        )

    def _put_config(self, folder: Path) -> None:
        """Beside an adapter, the config of the model that it belongs to, which names the labels."""
        if _has_adapter_alone(folder) and not (folder / "config.json").exists():
            self.trainer.accelerator.unwrap_model(self.trainer.model).config.save_pretrained(folder)

    def _repo_id(self, api: HfApi) -> str:
        """`OWNER/NAME`; the Trainer takes a name alone for one of the token's user."""
        name = str(self.trainer.hub_model_id or self.trainer.args.hub_model_id or self.folder.resolve().name)
        if "/" in name:
            return name
        with Repository(api, name).doing("ask the Hub whose token this is"):
            return f"{api.whoami()['name']}/{name}"


def _has_adapter_alone(folder: Path) -> bool:
    return (folder / ADAPTER_FILES[0]).is_file() and not any(folder.glob("model*.safetensors*"))


def _say_on_card(path: Path, line: str) -> None:
    """Above everything else; the card of the end, which does not have it, is another in any case, and so is checked."""
    card = ModelCard(path.read_text(encoding="utf-8"))
    card.text = f"\n> {line}\n{card.text}"
    card.save(path)


@contextmanager
def _seen_as_run(checkpoint: Path, run: Path) -> Iterator[Path]:
    """A folder of links that has a checkpoint's files, and the records and the card of its run."""
    with tempfile.TemporaryDirectory(prefix="hf-sentiment-push-") as name:
        folder = Path(name)
        files = [path for path in checkpoint.iterdir() if path.is_file()]
        # Links, as a checkpoint may hold gigabytes; only what is allowed is read through them.
        for path in [*files, run / "records", run / "README.md"]:
            if path.exists():
                (folder / path.name).symlink_to(path.resolve())
        yield folder
