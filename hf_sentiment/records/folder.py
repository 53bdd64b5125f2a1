"""The run folder: what is in it, whether it is new, unfinished or finished, and how it is completed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from hf_sentiment.errors import CallError, DataError, first_line
from hf_sentiment.records.atomic import current_umask
from hf_sentiment.records.checksums import damaged_file
from hf_sentiment.records.schema import AuditRecord, EvaluationRecord, PlanRecord
from hf_sentiment.records.serialization import read_record, write_record

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

# What the names of kept weights begin with. The Trainer's uploads leave out names that begin with an underscore.
KEPT = "_best-"
# As the Trainer calls them.
_CHECKPOINT = "checkpoint-"
_CONFIG = "config.json"
# What the name of a damaged checkpoint begins with, which the Trainer then neither counts nor removes.
_DAMAGED = "damaged-"
_LOCK = ".lock"
# The folders of runs that a run is made of: other seeds, folds, and the trials of a sweep.
PARTS = ("seeds", "folds", "trials")
# What a sweep was asked for.
SWEEP_CALL = Path("trials", "call.json")
# What may be said otherwise where a run goes on: other processes take other parts of a step, whose size is checked.
_SHARED_OUT = {"per_device_train_batch_size"}
# What the records of a sweep begin with; they are there before its winner begins.
SWEEP = "sweep"
# What the folder begins with that a model is saved into before it is moved to its place.
_BESIDE = ".model-"
# What the place begins with in which processes share data.
_SHARED = ".shared-"
# What `write_record` writes `arguments.json` into, until it is whole.
_FIRST_RECORD = ".arguments.json."


@dataclass(frozen=True)
class RunFolder:
    """A run's folder: the model on top, `records/` below and, until it is finished, `checkpoint-N/`.

    Examples:
        >>> RunFolder.open("runs/demo", {"seed": 42}).finished
        False
    """

    path: Path

    @classmethod
    def open(cls, output_dir: str | os.PathLike[str], call: dict[str, Any], of_sweep: bool = False) -> RunFolder:
        """The folder of a new run, or of the one that is there and was called in the same way.

        Args:
            output_dir: The folder.
            call: What is asked for, as plain JSON.
            of_sweep: Whether it is the run of what a sweep there has chosen.

        Raises:
            CallError: The folder holds something else, an unfinished sweep, or a run of other arguments.
        """
        folder = cls(Path(output_dir))
        record = folder.records / "arguments.json"
        for leftover in folder.path.glob(f"{_SHARED}*"):  # of a kill
            shutil.rmtree(leftover)
        if (folder.path / SWEEP_CALL).is_file() and not (of_sweep or folder.finished):
            raise CallError(
                f"{output_dir} holds a sweep: say its command again to go on with it, or name another --output_dir"
            )
        # `arguments.json` is written first of all: without it this is no run, or one that was killed before it began.
        if not record.is_file():
            if folder.path.is_file() or folder._holds_something():
                raise CallError(f"{output_dir} exists and is no run of this command: name another --output_dir")
            return folder
        before = read_record(record, dict[str, Any])
        assert before is not None
        for leftover in folder.path.glob(f"{_BESIDE}*"):  # of a kill while the model was saved
            shutil.rmtree(leftover)
        if not folder.finished and not any((path / "trainer_state.json").is_file() for path in folder._checkpoints()):
            return folder  # nothing was learned yet that another call would mix with
        # What is not said and what is said to be `None` are the same.
        names = (before.keys() | call.keys()) - (set() if folder.finished else _SHARED_OUT)
        different = sorted(name for name in names if before.get(name) != call.get(name))
        if different:
            name = different[0]
            raise CallError(
                f"{output_dir} holds a run with other arguments ({name} was {before.get(name)!r}, now "
                f"{call.get(name)!r}): run the same command again to go on with it, or name another --output_dir"
            )
        return folder

    def _holds_something(self) -> bool:
        """Whether there is anything but parts, and what a kill leaves while the first record is written."""
        names = {path.name for path in self.path.iterdir()} if self.path.is_dir() else set()
        records = self.records.iterdir() if self.records.is_dir() else ()
        before = (SWEEP, f".{SWEEP}", _FIRST_RECORD)
        return bool(names - {"records", _LOCK, *PARTS}) or any(not path.name.startswith(before) for path in records)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The folder for this process alone; what a call that was wrong has made of it is removed again.

        Raises:
            CallError: Another process has it.
        """
        made = [path for path in (self.path, *self.path.parents) if not path.exists()]
        # No folder, which `open` says; and of several processes the main one has the lock.
        if (self.path.exists() and not self.path.is_dir()) or os.environ.get("RANK", "0") != "0":
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / _LOCK, timeout=0):
                try:
                    yield
                finally:
                    if self.finished or not (self.records / "arguments.json").is_file():
                        (self.path / _LOCK).unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # not empty
                        for path in made:
                            path.rmdir()
        except Timeout as error:
            raise CallError(
                f"{self.path}: another process trains there: wait for it, or name another --output_dir"
            ) from error
        except Exception as error:
            if isinstance(error, OSError) and error.filename is None:
                error.filename = str(self.path)  # of a full disk the system says no name
            # What safetensors and torch say of it.
            elif "(os error" in str(error) or "inline_container" in str(error):
                raise DataError(
                    f"{self.path}: a file cannot be written whole ({first_line(error)}): make room there, and run the "
                    "same command again"
                ) from error
            raise

    def begin(self, call: dict[str, Any]) -> None:
        """Write down what was asked for, and remove what a kill left beside the files that it was writing."""
        for leftover in (*self.records.glob(".*"), *self.path.glob(".README.md.*")):
            leftover.unlink()
        write_record(self.records / "arguments.json", call)

    def check_same_data(self, audit: AuditRecord) -> None:
        """Refuse to go on with other data than the run began with: texts would move between the splits.

        Raises:
            CallError: The data have changed.
        """
        before = read_record(self.records / "audit.json", AuditRecord)
        if before is not None and before.content != audit.content:
            raise CallError(
                f"the data have changed since the run in {self.path} began: put them back, or name another --output_dir"
            )

    def plan(self) -> PlanRecord | None:
        """The plan of the run that is there: what decided on its number format when it began does so to its end."""
        return read_record(self.records / "plan.json", PlanRecord)

    @contextlib.contextmanager
    def shared_place(self) -> Iterator[Path]:
        """A folder in this one for what several processes read, gone in the end; this one too, if nothing is in it."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=self.path, prefix=_SHARED, ignore_cleanup_errors=True) as place:
                yield Path(place)
        finally:
            if not any(self.path.iterdir()):  # a call that was wrong leaves nothing
                self.path.rmdir()

    @property
    def records(self) -> Path:
        """Where the JSON records and the curves are."""
        return self.path / "records"

    @property
    def finished(self) -> bool:
        """Whether the run is complete; its evaluation is written last."""
        return (self.records / "evaluation.json").is_file()

    def last_checkpoint(self, clear: bool = True) -> Path | None:
        """The latest whole checkpoint; those that a kill cut short are removed, and damaged ones set aside.

        The Trainer writes `trainer_state.json` last, and then its files' SHA-256 are written beside it: a checkpoint
        without them whose state can be read was killed in between, and is whole.

        Args:
            clear: Whether to remove those that a kill cut short, and to set damaged ones aside.
        """
        # By number and not by time: copies and file systems change times.
        for path in sorted(self._checkpoints(), key=lambda path: -int(path.name[len(_CHECKPOINT) :])):
            damaged = damaged_file(path)
            if damaged is not None:
                if not clear:
                    continue
                aside = path.with_name(f"{_DAMAGED}{path.name}")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
                logger.warning("%s is damaged or gone: %s is set aside as %s", path / damaged, path.name, aside.name)
                continue
            try:
                json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                if clear:
                    shutil.rmtree(path)
                continue
            return path
        return None

    def save_model(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Put the complete model folder on top: written beside, then moved in, `config.json` last."""
        with tempfile.TemporaryDirectory(dir=self.path, prefix=_BESIDE) as beside:
            model.save_pretrained(beside)
            tokenizer.save_pretrained(beside)
            # Whoever loads a folder looks for `config.json`: until it is there, the folder is no model.
            files = sorted(Path(beside).iterdir(), key=lambda path: path.name == "config.json")
            for file in files:
                file.chmod(0o666 & ~current_umask())  # safetensors writes files that only their owner can read
                os.replace(file, self.path / file.name)

    def finish(self, evaluation: EvaluationRecord, keep_checkpoints: bool) -> None:
        """Write the evaluation, the last file of a run, and clear up what a resume might have needed until then.

        Args:
            evaluation: The record.
            keep_checkpoints: Whether checkpoints stay, with the optimizer's state, and the weights that callbacks kept.
        """
        # Before anything is removed: a kill in between leaves a finished run with leftovers, and never less.
        write_record(self.records / "evaluation.json", evaluation)
        if not keep_checkpoints:
            self.clear_up()

    def discard_failed(self, step: int) -> None:
        """Clear up after a run that failed for good at `step`, unless it has a checkpoint from before.

        Args:
            step: From where on its weights are of no use.
        """
        if all(int(path.name[len(_CHECKPOINT) :]) >= step for path in self._checkpoints()):
            self.clear_up()

    def clear_up(self) -> None:
        """Remove what only an unfinished run needs."""
        for leftover in (*self._checkpoints(), *self.path.glob(f"{KEPT}*"), *self.path.glob(f"{_DAMAGED}*")):
            shutil.rmtree(leftover)

    def _checkpoints(self) -> list[Path]:
        return [path for path in self.path.glob(f"{_CHECKPOINT}*") if path.name[len(_CHECKPOINT) :].isdigit()]


def existing_folder(name: str | os.PathLike[str]) -> Path:
    """The folder of a name that can be no Hub id.

    Args:
        name: A path.

    Raises:
        CallError: There is no such folder; with what there is instead, or what to name.
    """
    path = Path(name).expanduser()
    if not path.is_dir():
        raise CallError(no_such_folder(path))
    return path


def no_such_folder(path: Path) -> str:
    """The message of a folder that is not there."""
    there = nearest_folder(path)
    return f"{path}: no such folder{there}" + ("" if there.endswith("?") else ": name a run's --output_dir or a Hub id")


def nearest_folder(path: Path) -> str:
    """What there is instead of a folder that is not there, or ""."""
    parent = path.parent
    if not parent.is_dir():
        return f" (there is no folder {parent})"
    folders = sorted(entry.name for entry in parent.iterdir() if entry.is_dir() and (entry / _CONFIG).is_file())
    near = get_close_matches(path.name, folders, n=1)
    if near:
        return f", did you mean {path.with_name(near[0])}?"
    known = ", ".join(str(path.with_name(name)) for name in folders[:3])
    return f" (there are: {known}{', …' if len(folders) > 3 else ''})" if known else ""
