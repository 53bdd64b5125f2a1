"""Predicting: the rows of files with all their columns, in their order, to a file of any kind; or a table in memory."""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from tqdm.auto import tqdm

from hf_sentiment.data.tables import WantedColumns, choose_columns
from hf_sentiment.errors import CallError
from hf_sentiment.inference.classifier import Prediction, SentimentClassifier
from hf_sentiment.inference.locating import digest_of, find_checkpoint
from hf_sentiment.inference.outputs import InMemory, JsonLines, Output, check_excel_size, check_output, open_output
from hf_sentiment.inference.rows import InputRow, InputRows, MemoryRows, read_rows
from hf_sentiment.parser import nearest

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    Table = TypeVar("Table", Dataset, pd.DataFrame)

logger = logging.getLogger(__name__)

# Texts that are sorted together, and kept together after a kill. Where they are
# 1,024, batches hold more padding and take 5 % more time than where they are 4,096; where they are 512, 10 %.
_TOGETHER = 2048


@dataclass
class PredictedRows:
    """What became of the rows of a file.

    Attributes:
        rows: How many there were, each of which is in the output.
        unlabeled: What was noted of rows without a label, and of how many.
        noted: What was noted of rows with one.
        renamed: Columns of the file that are called something else in the output, and what.
        output: The file, or `None` for standard output.
    """

    rows: int = 0
    unlabeled: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, str] = field(default_factory=dict)
    output: Path | None = None

    def add(self, prediction: Prediction) -> None:
        """Count a row."""
        self.rows += 1
        if "note" in prediction:
            counter = self.unlabeled if prediction["label"] is None else self.noted
            counter[prediction["note"].partition(" (")[0]] += 1

    def __str__(self) -> str:
        """The lines for people."""
        where = f" in {self.output}" if self.output is not None else ""
        line = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}{where}: "
        line += f"{self.rows - self.unlabeled.total():,} labelled{_listed(self.noted)}"
        if self.unlabeled:
            line += f", {self.unlabeled.total():,} without a label{_listed(self.unlabeled)}"
        renamed = [f"the file's own column {column} is {name} here" for column, name in self.renamed.items()]
        return "\n".join([*renamed, line])


def _listed(notes: Counter[str]) -> str:
    most = ", ".join(f"{count:,} {note}" for note, count in notes.most_common(5))
    return f" ({most}{', …' if len(notes) > 5 else ''})" if notes else ""


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
) -> Any:
    """Predict every row, with all its columns (see `hf_sentiment.inference.outputs`).

    A row without a text has no label, and a note; it stops nothing. What a kill leaves of a file, the same call goes on
    with.

    Args:
        model: A folder or Hub id.
        data: A path or URL of what `train` reads, a `.txt` with a text a line, a folder of such files, or `-` for a
            text a line on standard input; or a `Dataset` or pandas frame.
        text_column: Column of the texts; guessed if only one can be it.
        output: A file that is not there yet: `.csv`, `.tsv`, `.xlsx`, `.parquet` or `.jsonl`; by default standard
            output, as JSON lines. Of a file only.
        columns: Those to keep, in this order, by default all; a string has commas between, an empty one keeps none.
        encoding: Of a text file, where its content does not tell it.
        revision: Branch, tag or commit of a Hub repository.
        long_texts: As in `SentimentClassifier`.
        num_threads: CPU threads.
        backend: As in `SentimentClassifier.from_pretrained`.

    Returns:
        What became of the rows; of a table in memory that table, with the columns added.

    Raises:
        CallError: An unknown file, column, format or model, or an output that another call has begun.
        DataError: A file that cannot be read at all, or an output that has no room for it.

    Examples:
        >>> print(predict("runs/reviews", "new.csv", output="labelled.csv"))  # doctest: +SKIP
        >>> frame = predict("runs/reviews", frame)  # doctest: +SKIP
    """
    if output is not None:
        check_output(output)
    name = find_checkpoint(model, revision)  # a wrong name is said before a file of any size is read
    load = partial(SentimentClassifier.from_pretrained, model, backend, num_threads, revision, long_texts)
    if not isinstance(data, str | os.PathLike):
        return _with_columns(data, output, text_column, columns, load)
    _check_outside(data, output)
    rows = read_rows(os.fspath(data), text_column, encoding)
    kept = _chosen(rows.columns, columns, rows.name)
    if output is None:
        return _print(rows, kept, load())
    # What a part must have been begun with, so that the rest goes with it.
    call = {"input": rows.digest(), "model": digest_of(name, revision), "text_column": text_column, "columns": kept}
    call |= {"encoding": encoding, "long_texts": long_texts, "backend": backend}
    return _save(rows, kept, load, Path(output), call)


def _print(rows: InputRows, kept: Sequence[str], classifier: SentimentClassifier) -> PredictedRows:
    if sys.stdout is None:
        raise CallError("standard output is closed: name a file, --output labelled.csv")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # as JSON is, whatever the locale
    return _write(rows, classifier, JsonLines(kept, classifier.labels, sys.stdout))


def _save(
    rows: InputRows, kept: Sequence[str], load: Callable[[], SentimentClassifier], output: Path, call: dict[str, Any]
) -> PredictedRows:
    classifier = load()
    # What a sheet has no room for is said before the work, not after it.
    if output.suffix.lower() == ".xlsx":
        check_excel_size(rows.total or 0, len(Output(kept, classifier.labels).header))
    types = rows.types() if output.suffix.lower() == ".parquet" else None
    # A stream that was read is gone: nothing goes on with it.
    with open_output(output, kept, classifier.labels, types, call if call["input"] else None) as written:
        done = _write(rows, classifier, written)
    done.output = output
    return done


def _check_outside(data: str | os.PathLike[str], output: str | os.PathLike[str] | None) -> None:
    """Of a folder that is read the next call would read the output too."""
    folder = Path(data).expanduser()
    if output is not None and folder.is_dir() and folder.resolve() in Path(output).expanduser().resolve().parents:
        raise CallError(f"--output {output} is in the folder that is read, {data}: name a file outside of it")


def _chosen(there: Sequence[str], wanted: str | Sequence[str] | None, name: str) -> list[str]:
    """The columns to keep."""
    if wanted is None:
        return list(there)
    if isinstance(wanted, str):  # as CSV has it: a name with a comma in it is quoted
        wanted = [column.strip() for column in next(csv.reader([wanted], skipinitialspace=True), [])]
    wanted = [str(column) for column in wanted]  # a frame's may be a number
    for column in wanted:
        if column not in there:
            raise CallError(f'--columns: {name} has no column "{column}"{nearest(column, there)}')
    return list(dict.fromkeys(wanted))


def _write(rows: InputRows, classifier: SentimentClassifier, output: Output) -> PredictedRows:
    """Predict and write all rows, from where the output ends."""
    done = PredictedRows(renamed=output.renamed)
    if output.part is not None and output.part.progress:
        before = output.part.progress
        done.rows, done.unlabeled, done.noted = before["rows"], Counter(before["unlabeled"]), Counter(before["noted"])
        logger.info("%s rows are there already", f"{done.rows:,}")
    reading = rows.read(done.rows)
    with tqdm(total=rows.total, initial=done.rows, disable=rows.total is None, unit=" texts", desc="Predicting") as bar:
        while together := list(islice(reading, _TOGETHER)):
            for row, prediction in _predicted(together, classifier):
                output.write(row, prediction)
                done.add(prediction)
            bar.update(len(together))
            output.flush()
            if output.part is not None:
                output.part.commit({"rows": done.rows, "unlabeled": done.unlabeled, "noted": done.noted})
    return done


def _predicted(rows: Sequence[InputRow], classifier: SentimentClassifier) -> Iterator[tuple[InputRow, Prediction]]:
    """Each row with its prediction."""
    for row, prediction in zip(rows, classifier.predict_iter(row.text for row in rows), strict=True):
        # A row that cannot be read goes through as one without a text, so that rows and predictions stay in step.
        if row.fault:
            prediction["note"] = f"unreadable row ({row.fault})"
        elif "note" not in prediction and "\N{REPLACEMENT CHARACTER}" in row.text:
            prediction["note"] = "broken encoding"
        yield row, prediction


def _with_columns(
    table: Any,
    output: object,
    text_column: str | None,
    columns: str | Sequence[str] | None,
    load: Callable[[], SentimentClassifier],
) -> Any:
    """A `Dataset` or frame with what is predicted of its rows."""
    import pandas as pd
    from datasets import Dataset, Features, Value, concatenate_datasets

    if output is not None:
        raise CallError("output is for files: a table in memory comes back with the columns added")
    if not isinstance(table, Dataset | pd.DataFrame):
        raise CallError(
            f"data is a {type(table).__name__}: give a file, a folder, a Dataset or a data frame of pandas; "
            "SentimentClassifier.from_pretrained(MODEL).predict(TEXTS) takes a list"
        )
    is_frame = isinstance(table, pd.DataFrame)
    name = "the data frame" if is_frame else "the data set"
    columns_there = {str(column): column for column in (table.columns if is_frame else table.column_names)}
    if is_frame and len(columns_there) < len(table.columns):  # 1 and "1" are the same name here
        raise CallError("the data frame: two columns have the same name: give each a name of its own")
    wanted = None if text_column is None else str(text_column)  # a frame's may be a number
    text, _ = choose_columns(list(columns_there), WantedColumns(wanted, None, True), name)
    kept = _chosen(list(columns_there), columns, name)
    texts = table[columns_there[text]].tolist() if is_frame else table.with_format(None)[text]
    classifier = load()
    added = InMemory(kept, classifier.labels)
    rows = MemoryRows(name, texts)
    logger.info("%s", _write(rows, classifier, added))
    if is_frame:
        frame = table[[columns_there[column] for column in kept]].rename(columns=added.renamed)
        return pd.concat([frame, pd.DataFrame(added.added, index=table.index)], axis=1)
    kinds = {column: Value("string" if column in ("label", "note") else "float64") for column in added.added}
    kept_columns = table.select_columns(kept).rename_columns(added.renamed)
    if not texts:  # `datasets` would leave out tables without rows
        return Dataset.from_dict({name: [] for name in added.header}, Features(kept_columns.features | kinds))
    return concatenate_datasets([kept_columns, Dataset.from_dict(added.added, Features(kinds))], axis=1)
