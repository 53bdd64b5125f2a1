"""Predicting the rows of an input into an output, from where it ends, and counting what became of them."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from tqdm.auto import tqdm

from hf_sentiment.errors import CallError
from hf_sentiment.inference.classifier import Prediction, SentimentClassifier
from hf_sentiment.inference.outputs import Output
from hf_sentiment.inference.rows import InputRow, InputRows
from hf_sentiment.parser import nearest

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
        output: The file, the folder or its URL, or `None` for standard output.
    """

    rows: int = 0
    unlabeled: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    renamed: dict[str, str] = field(default_factory=dict)
    output: Path | str | None = None

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


def chosen_columns(there: Sequence[str], wanted: str | Sequence[str] | None, name: str) -> list[str]:
    """The columns to keep.

    Args:
        there: The input's.
        wanted: Those that were asked for, with commas between in a string; `None` for all.
        name: Of the input, for messages.

    Raises:
        CallError: There is no such column.
    """
    if wanted is None:
        return list(there)
    if isinstance(wanted, str):  # as CSV has it: a name with a comma in it is quoted
        wanted = [column.strip() for column in next(csv.reader([wanted], skipinitialspace=True), [])]
    wanted = [str(column) for column in wanted]  # a frame's may be a number
    for column in wanted:
        if column not in there:
            raise CallError(f'--columns: {name} has no column "{column}"{nearest(column, there)}')
    return list(dict.fromkeys(wanted))


def write_rows(
    rows: InputRows, classifier: SentimentClassifier, output: Output, progress: bool = True
) -> PredictedRows:
    """Predict and write all rows, from where the output ends.

    Args:
        rows: Read from where the output ends.
        classifier: The model.
        output: What is written.
        progress: Whether to show a bar on stderr.
    """
    done = PredictedRows(renamed=output.renamed)
    if output.part is not None and output.part.progress:
        before = output.part.progress
        done.rows, done.unlabeled, done.noted = before["rows"], Counter(before["unlabeled"]), Counter(before["noted"])
        logger.info("%s rows are there already", f"{done.rows:,}")
    reading = rows.read(done.rows)
    disable = not progress or rows.total is None
    with tqdm(total=rows.total, initial=done.rows, disable=disable, unit=" texts", desc="Predicting") as bar:
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
