"""Predicting: the rows of files with all their columns, in their order, to a file of any kind; or a table in memory."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from hf_sentiment.data.tables import SAME_NAMES, WantedColumns, choose_columns
from hf_sentiment.errors import CallError
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.locating import digest_of, find_checkpoint
from hf_sentiment.inference.outputs import InMemory, JsonLines, Output, check_excel_size, check_output, open_output
from hf_sentiment.inference.rows import InputRows, MemoryRows, read_rows
from hf_sentiment.inference.scoring import (
    ENGINES,
    PredictedRows,
    ScoringCall,
    chosen_columns,
    is_folder,
    score_folder,
    write_rows,
)
from hf_sentiment.parser import local_file, place_of

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    Table = TypeVar("Table", Dataset, pd.DataFrame)

logger = logging.getLogger(__name__)


@overload
def predict(
    model: str,
    data: str | os.PathLike[str],
    *,
    text_column: str | None = None,
    output: str | os.PathLike[str] | None = None,
    columns: str | Sequence[str] | None = None,
    encoding: str | None = None,
    revision: str | None = None,
    long_texts: str | None = None,
    num_threads: int | None = None,
    backend: str = "torch",
    engine: str = "local",
) -> PredictedRows: ...
@overload
def predict(
    model: str,
    data: Table,
    *,
    text_column: str | None = None,
    output: None = None,
    columns: str | Sequence[str] | None = None,
    encoding: None = None,
    revision: str | None = None,
    long_texts: str | None = None,
    num_threads: int | None = None,
    backend: str = "torch",
) -> Table: ...
def predict(
    model: str,
    data: Any,
    *,
    text_column: str | None = None,
    output: str | os.PathLike[str] | None = None,
    columns: str | Sequence[str] | None = None,
    encoding: str | None = None,
    revision: str | None = None,
    long_texts: str | None = None,
    num_threads: int | None = None,
    backend: str = "torch",
    engine: str = "local",
) -> Any:
    """Predict every row, with all its columns (see `hf_sentiment.inference.outputs`).

    A row without a text has no label, and a note; it stops nothing. The same call goes on with what a kill leaves.

    Args:
        model: A folder or Hub id.
        data: A path or URL of what `train` reads, a `.txt` with a text a line, a folder of such files, or `-` for a
            text a line on standard input; or a `Dataset` or pandas frame.
        text_column: Column of the texts; guessed if only one can be it.
        output: A file that is not there yet: `.csv`, `.tsv`, `.xlsx`, `.parquet` or `.jsonl`; of a folder also a folder
            (see `score_folder`), a name without extension. Of files only; by default standard output, as JSON lines.
        columns: Those to keep, in this order, by default all; a string has commas between, an empty one keeps none.
        encoding: Of a text file, where its content does not tell it.
        revision: Branch, tag or commit of a Hub repository.
        long_texts: As in `SentimentClassifier`.
        num_threads: CPU threads; with Ray those of each process, by default 1.
        backend: As in `SentimentClassifier.from_pretrained`.
        engine: `"local"`; or `"ray"`, of a folder into a folder, on all cores or the cluster that RAY_ADDRESS names.

    Returns:
        What became of the rows; of a table in memory that table, with the columns added.

    Raises:
        CallError: An unknown file, column, format or model, or an output that another call has begun.
        DataError: A file that cannot be read at all, or an output that has no room for it.

    Examples:
        >>> print(predict("runs/reviews", "new.csv", output="labelled.csv"))  # doctest: +SKIP
        >>> frame = predict("runs/reviews", frame)  # doctest: +SKIP
    """
    data, output = (place_of(it) if isinstance(it, str | os.PathLike) else it for it in (data, output))
    if _is_of_folders(data, output, engine):
        how = text_column, columns, encoding, revision, long_texts, num_threads, backend
        return score_folder(ScoringCall(model, data, cast("str", output), *how), engine)
    name = find_checkpoint(model, revision)  # a wrong name is said before a file of any size is read
    load = partial(SentimentClassifier.from_pretrained, model, backend, num_threads, revision, long_texts)
    if not isinstance(data, str):
        return _with_columns(data, {"output": output, "encoding": encoding}, text_column, columns, load)
    rows = read_rows(data, text_column, encoding)
    kept = chosen_columns(rows.columns, columns, rows.name)
    if output is None:
        return _print(rows, kept, load())
    # What a part must have been begun with, so that the rest goes with it; nothing goes on with a stream.
    begun = {"input": rows.digest(), "model": digest_of(name, revision), "text_column": text_column, "columns": kept}
    begun |= {"encoding": encoding, "long_texts": long_texts, "backend": backend}
    return write_file(rows, kept, load(), local_file(output), begun if begun["input"] else None)


def _print(rows: InputRows, kept: Sequence[str], classifier: SentimentClassifier) -> PredictedRows:
    if sys.stdout is None:
        raise CallError("standard output is closed: name a file, --output labelled.csv")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as JSON is, whatever the locale
    return write_rows(rows, classifier, JsonLines(kept, classifier.labels, sys.stdout))


def write_file(
    rows: InputRows,
    kept: Sequence[str],
    classifier: SentimentClassifier,
    output: Path,
    call: dict[str, Any] | None = None,
) -> PredictedRows:
    """Predict rows into a file.

    Args:
        rows: Of a file or a stream.
        kept: Their columns that are kept, in order.
        classifier: The model.
        output: As `check_output` has it.
        call: What was asked for; see `open_output`.
    """
    # What a sheet has no room for is said before the work, not after it.
    if output.suffix.lower() == ".xlsx":
        check_excel_size(rows.total or 0, len(Output(kept, classifier.labels).header))
    types = rows.types() if output.suffix.lower() == ".parquet" else None
    with open_output(output, kept, classifier.labels, types, call) as written:
        done = write_rows(rows, classifier, written)
    done.output = output
    return done


def _is_of_folders(data: Any, output: str | None, engine: str) -> bool:
    """Whether a folder is to become a folder; what is wrong about either is said before any work."""
    if engine not in ENGINES:
        raise CallError(f"--engine must be one of {', '.join(ENGINES)}, got {engine!r}")
    if isinstance(data, str) and output is not None:
        _check_outside(data, output)
        if not PurePath(output).suffix and is_folder(data):
            return True
    if engine != "local":
        raise CallError(f"--engine {engine} reads a folder and writes one: give both, --output without an extension")
    if output is not None:
        check_output(output)
    return False


def _check_outside(data: str, output: str) -> None:
    """Of a folder that is read the next call would read the output too."""
    inside = output.startswith(f"{data.rstrip('/')}/")
    if "://" not in data + output:
        folder = Path(data).expanduser()
        inside = folder.is_dir() and folder.resolve() in Path(output).expanduser().resolve().parents
    if inside:
        raise CallError(f"--output {output} is in the folder that is read, {data}: name a file outside of it")


def _with_columns(
    table: Any,
    of_files: dict[str, Any],
    text_column: str | None,
    columns: str | Sequence[str] | None,
    load: Callable[[], SentimentClassifier],
) -> Any:
    """A `Dataset` or frame with what is predicted of its rows."""
    import pandas as pd
    from datasets import Dataset, Features, Value, concatenate_datasets

    if any(said := [name for name, value in of_files.items() if value is not None]):
        raise CallError(f"{said[0]} is for files: a table in memory comes back with the columns added")
    if not isinstance(table, Dataset | pd.DataFrame):
        raise CallError(
            f"data is a {type(table).__name__}: give a file, a folder, a Dataset or a data frame of pandas; "
            "SentimentClassifier.from_pretrained(MODEL).predict(TEXTS) takes a list"
        )
    is_frame = isinstance(table, pd.DataFrame)
    name = "the data frame" if is_frame else "the data set"
    columns_there = {str(column): column for column in (table.columns if is_frame else table.column_names)}
    if is_frame and len(columns_there) < len(table.columns):
        raise CallError(SAME_NAMES)
    wanted = None if text_column is None else str(text_column)  # a frame's may be a number
    text, _ = choose_columns(list(columns_there), WantedColumns(wanted, None, True), name)
    kept = chosen_columns(list(columns_there), columns, name)
    texts = table[columns_there[text]].tolist() if is_frame else table.with_format(None)[text]
    classifier = load()
    added = InMemory(kept, classifier.labels)
    rows = MemoryRows(name, texts)
    logger.info("%s", write_rows(rows, classifier, added))
    if is_frame:
        frame = table[[columns_there[column] for column in kept]].rename(columns=added.renamed)
        return pd.concat([frame, pd.DataFrame(added.added, index=table.index)], axis=1)
    kinds = {column: Value("string" if column in ("label", "note") else "float64") for column in added.added}
    kept_columns = table.select_columns(kept).rename_columns(added.renamed)
    if not texts:  # `datasets` would leave out tables without rows
        return Dataset.from_dict({name: [] for name in added.header}, Features(kept_columns.features | kinds))
    return concatenate_datasets([kept_columns, Dataset.from_dict(added.added, Features(kinds))], axis=1)
