"""Scoring one shard: its rows are read, predicted and written as those of any file are."""

from __future__ import annotations

import errno
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
from hf_sentiment.errors import CallError, NoRows, SentimentError, first_line
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.outputs import open_output
from hf_sentiment.inference.rows import InputRows, read_rows
from hf_sentiment.inference.scoring.shards import OutputFolder, Shard, fetched, open_place
from hf_sentiment.inference.scoring.writing import chosen_columns, write_rows
from hf_sentiment.records.checksums import sha256_of


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
            The record: what became of its rows; or why it cannot be used, as `error`; or what of an `OSError` ends all
            work, as `failed`.
        """
        # Who was killed between a shard and the news of it has it done already.
        if done := self.output.finished([shard], self.system):
            return done[shard.name]
        with _scratch() as place:
            try:
                record, written = self._score(shard, place)
            except (SentimentError, OSError) as error:
                if full := _full(error):
                    return {"failed": [full.errno, full.strerror or first_line(full), tempfile.gettempdir()]}
                return {"error": _said(error, shard, place)}
            try:
                self.output.finish(shard, written, record)
            except OSError as error:  # nor would another shard find room there
                return {"failed": [error.errno, error.strerror or first_line(error), self.call.output]}
        return record

    def check(self, shards: Sequence[Shard]) -> None:
        """See that the call is right of a file; an argument that is wrong of all is no fault of the files.

        Args:
            shards: Files are looked at until one will do.

        Raises:
            CallError: Of no file it is, and what is wrong of the first.
        """
        call = self.call
        if call.columns is call.text_column is call.encoding is None:
            return
        wrong = []
        for shard in shards:
            with _scratch() as place:
                try:
                    self._read(shard, place)
                    return
                except NoRows:
                    continue
                except CallError as error:
                    wrong.append(_said(error, shard, place))
                except (SentimentError, OSError):
                    continue  # whoever scores it says that it is broken
        if wrong:
            raise CallError(wrong[0])

    def _read(self, shard: Shard, place: Path) -> tuple[Path, InputRows, list[str]]:
        path = fetched(self.system, shard, place)
        rows = read_rows(str(path), self.call.text_column, self.call.encoding)
        return path, rows, chosen_columns(rows.columns, self.call.columns, rows.name)

    def _score(self, shard: Shard, place: Path) -> tuple[dict[str, Any], Path | None]:
        """The record of a shard, and the file; of an input without a row there is none."""
        try:
            path, rows, kept = self._read(shard, place)
        except NoRows:
            return {"rows": 0, "unlabeled": {}, "noted": {}}, None
        record: dict[str, Any] = {"digest": sha256_of(path)}
        written = place / "out" / Path(shard.name).name
        types = rows.types() if written.suffix.lower() == ".parquet" else None
        with open_output(written, kept, self.classifier.labels, types) as output:
            done = write_rows(rows, self.classifier, output, progress=False)
        record |= {"rows": done.rows, "unlabeled": done.unlabeled, "noted": done.noted, "renamed": done.renamed}
        return record, written


def _said(error: Exception, shard: Shard, place: Path) -> str:
    """An error that names the file as it is below the folder that is read."""
    if not isinstance(error, SentimentError):
        return f"{shard.source}: {first_line(error)}"
    copy = str(place / Path(shard.path).name)
    return str(error).replace(copy, shard.source).replace(shard.path, shard.source)


def _full(error: BaseException) -> OSError | None:
    """A full disk, of which a reader's error may have been made."""
    waiting: list[BaseException | None] = [error]
    seen: list[BaseException] = []
    while waiting:
        it = waiting.pop()
        if isinstance(it, OSError) and it.errno in (errno.ENOSPC, errno.EDQUOT):
            return it
        if it is not None and it not in seen:  # such a chain may be a circle
            seen.append(it)
            waiting += [it.__cause__, it.__context__]
    return None


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
