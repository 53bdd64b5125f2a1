"""Scoring one shard: its rows are read, predicted and written as those of any file are."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_sentiment.compute.quiet import at_level
from hf_sentiment.errors import NoRows, SentimentError, first_line
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.outputs import open_output
from hf_sentiment.inference.rows import read_rows
from hf_sentiment.inference.scoring.shards import OutputFolder, Shard, fetched, open_place
from hf_sentiment.inference.scoring.writing import chosen_columns, write_rows


@dataclass(frozen=True)
class ScoringCall:
    """What was asked for; as in `predict`.

    Attributes:
        model: A folder or Hub id.
        folder: A path or URL, read.
        output: A path or URL, written.
        text_column: Of every file.
        columns: Those of a file to keep.
        encoding: Of text files.
        revision: Of a Hub repository.
        long_texts: How they are read.
        num_threads: Of a classifier.
        backend: Its engine.
    """

    model: str
    folder: str
    output: str
    text_column: str | None = None
    columns: str | Sequence[str] | None = None
    encoding: str | None = None
    revision: str | None = None
    long_texts: str | None = None
    num_threads: int | None = None
    backend: str = "torch"


class ShardScorer:
    """A classifier with its input and output: what an actor of Ray holds.

    Args:
        call: What was asked for.
    """

    def __init__(self, call: ScoringCall) -> None:
        self.call = call
        self.classifier = SentimentClassifier.from_pretrained(
            call.model, call.backend, call.num_threads, call.revision, call.long_texts
        )
        self.system, _ = open_place(call.folder)
        self.output = OutputFolder(call.output)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[str]]:
        """For `map_batches`: a record, as JSON, of each shard."""
        return {"record": [json.dumps(self.score(Shard(**json.loads(item)))) for item in batch["shard"]]}

    def score(self, shard: Shard) -> dict[str, Any]:
        """Read, predict and write a shard.

        Returns:
            The record: what became of its rows; or why it cannot be used, as `error`.
        """
        # Who was killed between a shard and the news of it has it done already.
        if done := self.output.finished([shard]):
            return done[shard.name]
        with _scratch() as place:
            try:
                path = fetched(self.system, shard, place)
                try:
                    return self._score(shard, path, place)
                except NoRows:
                    record = {"rows": 0, "unlabeled": {}, "noted": {}}
                    self.output.finish(shard, None, record)
                    return record
                except SentimentError as error:
                    return {"error": str(error).replace(str(path), shard.source)}
            except OSError as error:
                return {"error": f"{shard.source}: {first_line(error)}"}

    def _score(self, shard: Shard, path: Path, place: Path) -> dict[str, Any]:
        rows = read_rows(str(path), self.call.text_column, self.call.encoding)
        kept = chosen_columns(rows.columns, self.call.columns, rows.name)
        written = place / "out" / Path(shard.name).name
        types = rows.types() if written.suffix.lower() == ".parquet" else None
        with open_output(written, kept, self.classifier.labels, types) as output:
            done = write_rows(rows, self.classifier, output, progress=False)
        record = {"rows": done.rows, "unlabeled": done.unlabeled, "noted": done.noted, "renamed": done.renamed}
        self.output.finish(shard, written, record)
        return record


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder for what is read and written on the way, `datasets`' copy of the input too: no disk holds it twice."""
    from datasets import config

    before = config.HF_DATASETS_CACHE
    # What the reader says of every file would drown the rest.
    quiet = at_level(logging.WARNING, "hf_sentiment.data")
    with quiet, tempfile.TemporaryDirectory(prefix="hf-sentiment-") as place:
        config.HF_DATASETS_CACHE = Path(place, "datasets")
        try:
            yield Path(place)
        finally:
            config.HF_DATASETS_CACHE = before
