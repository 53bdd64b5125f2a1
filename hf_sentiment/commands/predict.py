"""Predicting a file: its rows with all their columns, in its order, to a file of any kind or as JSON lines."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_sentiment.inference.classifier import Prediction, SentimentClassifier
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.inference.outputs import JsonLines, Output, check_excel_rows, check_output, open_output
from hf_sentiment.inference.rows import InputRow, InputRows, read_rows


@dataclass
class PredictedRows:
    """What became of the rows of a file.

    Attributes:
        rows: How many there were, each of which is in the output.
        notes: What was noted, and of how many rows.
        renamed: Columns of the file that are called something else in the output, and what.
        output: The file, or `None` for standard output.
    """

    rows: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, str] = field(default_factory=dict)
    output: Path | None = None

    def __str__(self) -> str:
        """The lines for people."""
        where = f" in {self.output}" if self.output is not None else ""
        lines = [f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}{where}"]
        noted = self.notes.total()
        if noted:
            most = ", ".join(f"{count:,} {note}" for note, count in self.notes.most_common(3))
            more = ", …" if len(self.notes) > 3 else ""
            lines[0] += f", {noted:,} of them with a note: {most}{more}"
        renamed = [f"the file's own column {column} is {name} here" for column, name in self.renamed.items()]
        return "\n".join([*renamed, *lines])


def predict(
    model: str,
    file: str,
    *,
    text_column: str | None = None,
    output: str | os.PathLike[str] | None = None,
    encoding: str | None = None,
    revision: str | None = None,
    num_threads: int | None = None,
) -> PredictedRows:
    """Predict every row of a file, and write it with all its columns (see `hf_sentiment.inference.outputs`).

    A row without a text has no label, and a note; it stops nothing.

    Args:
        model: A folder or Hub id.
        file: A path or URL of what `train` reads, or `-` for a text a line on standard input.
        text_column: Column of the texts; guessed if only one can be it.
        output: A file that is not there yet: `.csv`, `.tsv`, `.xlsx` or `.jsonl`; by default standard output, as JSON
            lines.
        encoding: Of a text file, where its content does not tell it.
        revision: Branch, tag or commit of a Hub repository.
        num_threads: CPU threads.

    Raises:
        CallError: An unknown file, column, format or model.
        DataError: A file that cannot be read at all, or an output that has no room for it.

    Examples:
        >>> print(predict("runs/reviews", "new.csv", output="labelled.csv"))  # doctest: +SKIP
    """
    if output is not None:
        check_output(output)
    find_checkpoint(model, revision)  # a wrong name is said before a file of any size is read
    rows = read_rows(file, text_column, encoding)
    # A sheet has 1,048,576 rows: said before the work, not after it.
    if output is not None and Path(output).suffix.lower() == ".xlsx":
        check_excel_rows(rows.total or 0)
    classifier = SentimentClassifier.from_pretrained(model, revision=revision, num_threads=num_threads)
    if output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # as JSON is, whatever the locale
        return _write(rows, classifier, JsonLines(rows.columns, classifier.labels, sys.stdout))
    with open_output(output, rows.columns, classifier.labels) as written:
        done = _write(rows, classifier, written)
    done.output = Path(output)
    return done


def _write(rows: InputRows, classifier: SentimentClassifier, output: Output) -> PredictedRows:
    done = PredictedRows(renamed=output.renamed)
    for row, prediction in _predicted(rows, classifier):
        output.write(row, prediction)
        done.rows += 1
        if "note" in prediction:
            done.notes[prediction["note"].partition(" (")[0]] += 1
    return done


def _predicted(rows: InputRows, classifier: SentimentClassifier) -> Iterator[tuple[InputRow, Prediction]]:
    """Each row with its prediction; as many wait as the classifier reads at once."""
    # The classifier takes some thousand texts at a time, and answers in their order.
    waiting: deque[InputRow] = deque()

    def texts() -> Iterator[Any]:
        for row in rows.rows:
            waiting.append(row)
            yield row.text

    for prediction in classifier.predict_iter(texts(), rows.total):
        row = waiting.popleft()
        # A row that cannot be read goes through as one without a text, so that rows and predictions stay in step.
        if row.fault:
            prediction["note"] = f"unreadable row ({row.fault})"
        elif "note" not in prediction and "\N{REPLACEMENT CHARACTER}" in row.text:
            prediction["note"] = "broken encoding"
        yield row, prediction
