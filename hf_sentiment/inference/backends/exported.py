"""A folder that `export` wrote, run without torch and transformers, whose import takes seconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer

from hf_sentiment.errors import CallError, first_line
from hf_sentiment.inference.backends.protocol import Tokens

# Where the formats have their models in the folder; transformers.js knows those of ONNX by these names.
FILES = {
    "onnx": "onnx/model.onnx",
    "onnx-int8": "onnx/model_quantized.onnx",
    "openvino": "openvino/openvino_model.xml",
    "openvino-bf16": "openvino/openvino_model.xml",
    "openvino-int8": "openvino/openvino_model_int8.xml",
}
# What the backends read of a repository.
READ = ("config.json", "tokenizer.json", "tokenizer_config.json")


class Engine(NamedTuple):
    """A graph, ready to run.

    Attributes:
        inputs: What it takes: `input_ids`, `attention_mask` and, with some models, `token_type_ids`.
        run: From arrays `[texts, longest]` by these names to logits `[texts, labels]`. Several threads may call it.
    """

    inputs: Sequence[str]
    run: Callable[[dict[str, np.ndarray]], np.ndarray]


class ExportedBackend:
    """The model of an exported folder, run by an engine.

    Args:
        folder: With config.json, tokenizer.json and tokenizer_config.json.
        engine: Of its graph.
        alone: Whether each text is a batch of its own. With 8 bits the scale of what is computed is that of a batch, so
            that the other texts of a file would change what is said of one.

    Attributes:
        config: As in `Backend`.
        max_length: As in `Backend`.

    Raises:
        CallError: A file of the folder is missing or damaged.
    """

    def __init__(self, folder: Path, engine: Engine, alone: bool = False) -> None:
        self.engine, self.alone = engine, alone
        try:
            self.config, said = (_read(folder / name) for name in ("config.json", "tokenizer_config.json"))
            self.max_length = int(said["model_max_length"])
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._tokenizer.no_padding()
            self._tokenizer.enable_truncation(self.max_length, direction=said.get("truncation_side", "right"))
            self._pad: int = self._tokenizer.token_to_id(said["pad_token"]) or 0
            self._from_left = said.get("padding_side") == "left"
            self.config["id2label"].items()
        except Exception as error:  # tokenizers' have no class of their own
            raise CallError(
                f"{folder}: config.json, tokenizer.json or tokenizer_config.json is missing or damaged "
                f"({type(error).__name__}: {first_line(error)}): export the model again"
            ) from error

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """As in `Backend`."""
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        columns = {"input_ids": [encoding.ids for encoding in encodings]}
        if "token_type_ids" in self.engine.inputs:
            columns["token_type_ids"] = [encoding.type_ids for encoding in encodings]
        return Tokens(columns, [bool(encoding.overflowing) for encoding in encodings])

    def logits(self, tokens: Tokens, rows: Sequence[int]) -> np.ndarray:
        """As in `Backend`.

        Args:
            tokens: What `tokenize` gave.
            rows: Which of its texts are the batch.
        """
        if self.alone and len(rows) > 1:
            return np.concatenate([self.logits(tokens, [row]) for row in rows])
        return self.engine.run(self.batch(tokens, rows))

    def batch(self, tokens: Tokens, rows: Sequence[int]) -> dict[str, np.ndarray]:
        """What the engine takes of them, padded to the longest, `[rows, longest]`.

        Args:
            tokens: What `tokenize` gave.
            rows: Which of its texts are the batch.
        """
        ids = tokens.columns["input_ids"]
        longest = max(len(ids[row]) for row in rows)
        batch = {name: np.zeros((len(rows), longest), dtype=np.int64) for name in self.engine.inputs}
        batch["input_ids"][:] = self._pad
        for place, row in enumerate(rows):
            length = len(ids[row])
            filled = slice(longest - length, longest) if self._from_left else slice(length)
            batch["attention_mask"][place, filled] = 1
            for name, column in tokens.columns.items():
                batch[name][place, filled] = column[row]
        return batch


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def exported_folder(name: str, kind: str, revision: str | None = None) -> Path:
    """The folder of an exported model, with the files that a backend needs.

    Args:
        name: What `find_checkpoint` gave.
        kind: One of `FILES`.
        revision: Branch, tag or commit of a Hub repository.

    Raises:
        CallError: It has no model of this kind.
    """
    folder, file = Path(name), FILES[kind]
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        wanted = [*READ, file, str(Path(file).with_suffix(".bin"))]
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=wanted))
    if not (folder / file).is_file():
        form, _, precision = kind.partition("-")
        how = f"hf-sentiment export RUN --format {form} {'--int8 ' if precision == 'int8' else ''}--output DIR"
        raise CallError(f"{name} has no {file}: {how} writes a folder that has")
    return folder
