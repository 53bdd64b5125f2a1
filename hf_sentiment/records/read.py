"""What is known of a run: the files of its folder, read once; what is not there is `None`, never made up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hf_sentiment.errors import CallError, first_line
from hf_sentiment.model.kinds import KINDS, Kind
from hf_sentiment.records.folder import existing_folder
from hf_sentiment.records.schema import AuditRecord, CallRecord, EvaluationRecord, ExportRecord, Measurement, PlanRecord
from hf_sentiment.records.serialization import read_json, read_object, read_record

# As PEFT calls them.
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
# What a stock class would not know what to do with; the other fields of ours are for the record.
OURS_ALONE = ("auto_map", "pooling", "normalize", "class_weights", "label_smoothing")


@dataclass(frozen=True)
class RunRecords:
    """The files of a run folder, or of any folder with a trained classifier.

    Attributes:
        folder: Where they are.
        config: The model's `config.json`; of an adapter that was trained elsewhere, perhaps `None`.
        adapter: The `adapter_config.json` of a LoRA run.
        adapter_folder: Where the adapter is: `adapter/` of a run, or the folder itself.
        arguments: Of `records/arguments.json`: what was asked for.
        plan: `records/plan.json`.
        audit: `records/audit.json`.
        evaluation: `records/evaluation.json`.
        exported: `records/export.json`, of a folder that `export` wrote.
        curves: The pictures of the learning curves, by their path in the folder.
        modules: Of a folder of sentence-transformers, which has no head of transformers: their options by their names.
    """

    folder: Path
    config: dict[str, Any] | None
    adapter: dict[str, Any] | None
    adapter_folder: Path | None
    arguments: CallRecord | None
    plan: PlanRecord | None
    audit: AuditRecord | None
    evaluation: EvaluationRecord | None
    exported: ExportRecord | None
    curves: tuple[str, ...]
    modules: dict[str, Any]

    @classmethod
    def read(cls, folder: str | Path, evaluation: EvaluationRecord | None = None) -> RunRecords:
        """Read what is there.

        Args:
            folder: A run's folder.
            evaluation: In place of the record, which a run writes last.

        Raises:
            CallError: There is no such folder, or a file is not what it should be.
        """
        folder = existing_folder(folder)
        records = folder / "records"
        # A run keeps the adapter beside its merged model; PEFT's own `save_pretrained` writes it on top.
        places = (folder / "adapter", folder)
        adapter_folder = next((place for place in places if (place / ADAPTER_FILES[0]).is_file()), None)
        config = read_object(folder / "config.json")
        return cls(
            folder=folder,
            config=config,
            adapter=None if adapter_folder is None else read_object(adapter_folder / ADAPTER_FILES[0]),
            adapter_folder=adapter_folder,
            arguments=read_record(records / "arguments.json", CallRecord),
            plan=read_record(records / "plan.json", PlanRecord),
            audit=read_record(records / "audit.json", AuditRecord),
            evaluation=read_evaluation(records / "evaluation.json") if evaluation is None else evaluation,
            exported=read_record(records / "export.json", ExportRecord),
            curves=tuple(name for name in ("records/curves.png", "records/curves.svg") if (folder / name).is_file()),
            modules=_modules(folder, config),
        )

    @property
    def measured(self) -> Measurement | None:
        """The evaluation, if there were texts to measure on."""
        return self.evaluation if isinstance(self.evaluation, Measurement) else None

    @property
    def tested(self) -> Measurement | None:
        """The evaluation, if it is of a test split and not of folds."""
        return self.measured if self.measured is not None and self.measured.split == "test" else None

    @property
    def labels(self) -> list[str] | None:
        """Label names in index order, where the config has them."""
        names = self._of_config("id2label")
        try:  # JSON has strings for keys, and "10" sorts before "2"
            return None if not names else [names[key] for key in sorted(names, key=int)]
        except (TypeError, ValueError) as error:
            raise CallError(f"{self.folder / 'config.json'}: id2label must number names, got {names!r:.80}") from error

    @property
    def kind(self) -> Kind | None:
        """Which of our models it is, whose source files travel with it; of another one `None`."""
        return KINDS.get(str(self._of_config("model_type")))

    @property
    def is_ours(self) -> bool:
        """Whether it is one of our models."""
        return self.kind is not None

    @property
    def pooling(self) -> str:
        """How a model of ours pools; where the config does not say it, as stock BERT does or by the first token."""
        return str(self._of_config("pooling") or ("pooler" if self._has_stock_class else "cls"))

    @property
    def text_prefix(self) -> str:
        """What the tokenizer puts before every text; the config has it under a stock name too."""
        return str(self._of_config("text_prefix") or "")

    @property
    def stock_loads(self) -> bool:
        """Whether a stock class of transformers loads the model, with the same logits."""
        return self._has_stock_class and self.pooling == "pooler" and not self._of_config("normalize")

    def as_stock(self) -> RunRecords:
        """The same model under the name of the stock class, with the same weights; a class of transformers as it is."""
        if self.kind is None:
            return self
        config = {name: value for name, value in (self.config or {}).items() if name not in OURS_ALONE}
        return replace(self, config=config | {"model_type": "bert", "architectures": [self.kind.stock_class]})

    @property
    def _has_stock_class(self) -> bool:
        return self.kind is not None and self.kind.stock_class is not None

    @property
    def reads(self) -> int | None:
        """Tokens that the model reads, as the tokenizer beside it says since training."""
        said = read_object(self.folder / "tokenizer_config.json") or {}
        tokens: int | None = said.get("model_max_length", self._of_config("max_position_embeddings"))
        return tokens

    @property
    def rank(self) -> int | None:
        """Of the adapter."""
        return None if self.adapter is None else self.adapter.get("r")

    @property
    def adapter_base(self) -> str | None:
        """What the adapter was trained on: a name of the Hub, or a folder."""
        return None if self.adapter is None else self.adapter.get("base_model_name_or_path")

    def _of_config(self, name: str) -> Any:
        return None if self.config is None else self.config.get(name)

    def count_parameters(self, adapter: bool) -> int | None:
        """The number of weights in the safetensors files of the model, or of the adapter."""
        # One file, or the parts of a large model.
        files = sorted(self.folder.glob("model*.safetensors"))
        if adapter:
            files = [] if self.adapter_folder is None else [self.adapter_folder / ADAPTER_FILES[1]]
        # By the headers alone, so that a model of gigabytes is not loaded to be counted.
        return sum(_elements(file) for file in files if file.is_file()) or None


def _modules(folder: Path, config: dict[str, Any] | None) -> dict[str, Any]:
    if not any(str(name).endswith("Model") for name in (config or {}).get("architectures") or []):
        return {}
    named = {str(one["type"]).rpartition(".")[2]: one["path"] for one in read_json(folder / "modules.json") or []}
    return {kind: read_json(folder / path / "config.json") or {} for kind, path in named.items()}


def read_evaluation(path: Path) -> EvaluationRecord | None:
    """The record of an evaluation: a `Measurement`, where something was measured; `None` where there is no such file.

    Raises:
        CallError: It is not what it should be.
    """
    content = read_json(path)
    # Its metrics tell a measurement from the bare end of a run.
    measured = isinstance(content, dict) and "model" in content
    return read_record(path, Measurement if measured else EvaluationRecord)


@contextmanager
def open_weights(path: Path) -> Iterator[Any]:
    """A safetensors file whose names, shapes and metadata can be asked for; no weights are read.

    Raises:
        CallError: It is none, or cut short.
    """
    # Opening checks that the header is whole, and that the file is as long as it says.
    try:
        with safe_open(path, framework="numpy") as weights:
            yield weights
    except SafetensorError as error:
        raise CallError(f"{path} is no whole safetensors file ({first_line(error)}): save the model again") from error


def check_weights(path: Path) -> None:
    """Refuse a file that is no whole safetensors file.

    Raises:
        CallError: As `open_weights`.
    """
    with open_weights(path):
        pass


def _elements(path: Path) -> int:
    """The number of weights in a file."""
    with open_weights(path) as weights:
        return sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
