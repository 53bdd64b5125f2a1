"""What is known of a run: the files of its folder, read once; what is not there is `None`, never made up."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_sentiment.errors import CallError
from hf_sentiment.records.folder import existing_folder

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


@dataclass(frozen=True)
class RunRecords:
    """The files of a run folder, or of any folder with a trained classifier.

    Attributes:
        folder: Where they are.
        config: The model's `config.json`; of an adapter that was trained elsewhere, perhaps `None`.
        adapter: The `adapter_config.json` of a LoRA run.
        adapter_folder: Where the adapter is: `adapter/` of a run, or the folder itself.
        arguments: `records/arguments.json`: what was asked for.
        plan: The decisions of `records/plan.json`.
        audit: `records/audit.json`.
        evaluation: `records/evaluation.json`.
        curves: The pictures of the learning curves, by their path in the folder.
    """

    folder: Path
    config: dict[str, Any] | None
    adapter: dict[str, Any] | None
    adapter_folder: Path | None
    arguments: dict[str, Any] | None
    plan: dict[str, Any] | None
    audit: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    curves: tuple[str, ...]

    @property
    def measured(self) -> dict[str, Any] | None:
        """The evaluation, if there were texts to measure on."""
        return self.evaluation if self.evaluation is not None and "model" in self.evaluation else None

    @property
    def tested(self) -> dict[str, Any] | None:
        """The evaluation, if it is of a test split and not of folds."""
        return None if self.measured is None or self.measured.get("split", "test") != "test" else self.measured

    @classmethod
    def read(cls, folder: str | Path, evaluation: dict[str, Any] | None = None) -> RunRecords:
        """Read what is there.

        Args:
            folder: A run's folder.
            evaluation: In place of the record, which a run writes last.

        Raises:
            CallError: There is no such folder, or a file is not JSON.
        """
        folder = existing_folder(folder)
        records = folder / "records"
        places = (folder / "adapter", folder)
        adapter_folder = next((place for place in places if (place / ADAPTER_FILES[0]).is_file()), None)
        plan = _read_json(records / "plan.json")
        return cls(
            folder=folder,
            config=_read_json(folder / "config.json"),
            adapter=None if adapter_folder is None else _read_json(adapter_folder / ADAPTER_FILES[0]),
            adapter_folder=adapter_folder,
            arguments=_read_json(records / "arguments.json"),
            plan=None if plan is None else plan["decisions"],
            audit=_read_json(records / "audit.json"),
            evaluation=evaluation if evaluation is not None else _read_json(records / "evaluation.json"),
            curves=tuple(name for name in ("records/curves.png", "records/curves.svg") if (folder / name).is_file()),
        )

    @property
    def labels(self) -> list[str] | None:
        """Label names in index order, where the config has them."""
        names = (self.config or {}).get("id2label")
        return None if not names else [names[key] for key in sorted(names, key=int)]

    @property
    def is_ours(self) -> bool:
        """Whether the model is a `BertForSentimentAnalysis`, whose source files travel with it."""
        return (self.config or {}).get("model_type") == "bert_sentiment"

    def count_parameters(self, adapter: bool) -> int | None:
        """The number of weights in the safetensors files of the model, or of the adapter."""
        files = sorted(self.folder.glob("model*.safetensors"))
        if adapter:
            files = [] if self.adapter_folder is None else [self.adapter_folder / ADAPTER_FILES[1]]
        files = [file for file in files if file.is_file()]
        return sum(_elements(file) for file in files) or None


def safetensors_header(path: Path) -> dict[str, Any]:
    """The JSON header of a safetensors file: an eight-byte length, then names, types, shapes and metadata.

    Raises:
        CallError: It is none, or cut short.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > path.stat().st_size:
                raise ValueError("its header is longer than the file")
            header: dict[str, Any] = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            if 8 + length + max(ends, default=0) != path.stat().st_size:
                raise ValueError("its size is not what its header says")
        return header
    except (ValueError, struct.error, KeyError, TypeError) as error:
        raise CallError(f"{path} is no whole safetensors file ({error}): save the model again") from error


def _elements(path: Path) -> int:
    total = 0
    for name, entry in safetensors_header(path).items():
        if name != "__metadata__":
            count = 1
            for size in entry["shape"]:
                count *= size
            total += count
    return total


def _read_json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CallError(f"{path} is not JSON ({error}): restore it, or train again") from error
