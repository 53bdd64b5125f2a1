"""The run folder: what is in it, whether it is new, unfinished or finished, and how it is completed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_sentiment.errors import CallError
from hf_sentiment.files import write_json

_CHECKPOINT = "checkpoint-"


@dataclass(frozen=True)
class RunFolder:
    """A run's folder: the model on top, `records/` and `checkpoint-N/` below.

    Example:
        >>> RunFolder.open("runs/demo", {"seed": 42}).finished
        False
    """

    path: Path

    @classmethod
    def open(cls, output_dir: str | os.PathLike[str], call: dict[str, Any]) -> RunFolder:
        """The folder of a new run, or of the one that is there and was called in the same way.

        Args:
            output_dir: The folder.
            call: What is asked for, as plain JSON.

        Raises:
            CallError: The folder holds something else, or a run that was called with other arguments.
        """
        folder = cls(Path(output_dir))
        record = folder.records / "arguments.json"
        if not record.is_file():
            if folder.path.exists() and (not folder.path.is_dir() or any(folder.path.iterdir())):
                raise CallError(f"{output_dir} exists and is no run of this command: name another --output_dir")
            return folder
        before = json.loads(record.read_text(encoding="utf-8"))
        different = sorted(name for name in before.keys() | call.keys() if before.get(name) != call.get(name))
        if different:
            name = different[0]
            raise CallError(
                f"{output_dir} holds a run with other arguments ({name} was {before.get(name)!r}, now "
                f"{call.get(name)!r}): say the same command again to go on with it, or name another --output_dir"
            )
        return folder

    def begin(self, call: dict[str, Any]) -> None:
        """Write down what was asked for; a run that is taken up has it already."""
        if not (self.records / "arguments.json").is_file():
            write_json(self.records / "arguments.json", call)

    @property
    def records(self) -> Path:
        """Where the JSON records and the curves are."""
        return self.path / "records"

    @property
    def finished(self) -> bool:
        """Whether the run is complete; its evaluation is written last."""
        return (self.records / "evaluation.json").is_file()

    def last_checkpoint(self) -> Path | None:
        """The latest whole checkpoint; those that a kill cut short are removed.

        The Trainer writes `trainer_state.json` last, so a checkpoint whose state can be read is whole.
        """
        found = [path for path in self.path.glob(f"{_CHECKPOINT}*") if path.name[len(_CHECKPOINT) :].isdigit()]
        for path in sorted(found, key=lambda path: -int(path.name[len(_CHECKPOINT) :])):
            try:
                json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                shutil.rmtree(path)
                continue
            return path
        return None

    def save_model(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        """Put the complete model folder on top: written beside, then moved in, `config.json` last."""
        with tempfile.TemporaryDirectory(dir=self.path, prefix=".model-") as beside:
            model.save_pretrained(beside)
            tokenizer.save_pretrained(beside)
            files = sorted(Path(beside).iterdir(), key=lambda path: path.name == "config.json")
            for file in files:
                os.replace(file, self.path / file.name)
