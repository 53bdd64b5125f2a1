"""Probabilities of any system out of a file: as `predict` writes them, as `scores` in JSON, or a column a label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from hf_sentiment.data.labels import POLARITY_ORDER, as_number, canonical, fold
from hf_sentiment.data.sources import FileTable, RawData, read_file, table_rows
from hf_sentiment.errors import CallError, DataError

# How far the sum of a row's probabilities may be from 1.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class ProbabilityFile:
    """A file of probabilities.

    Attributes:
        table: The file as it was read.
        rows: The number and the values of each row.
        names: Label, as `label_key` has it → what its probability is called; those in `scores`, those with `p_` in
            front or, where there are neither, all columns.
        labels: Of the first two, polarities in their order; `None` where any column may be a label's.
    """

    table: FileTable
    rows: list[tuple[int, dict[str, Any]]]
    names: dict[str, str]
    labels: list[str] | None

    @classmethod
    def read(cls, file: str, encoding: str | None = None) -> ProbabilityFile:
        """Read a file of any kind that `train` reads.

        Args:
            file: A path or URL.
            encoding: Of a text file, where its content does not tell it.

        Raises:
            CallError: A path, type or encoding that can't be.
            DataError: Content that can't be read.
        """
        table = read_file(file, encoding=encoding)
        rows = list(table_rows(table))
        if isinstance(rows[0][1].get("scores"), dict):
            rows = [(number, {**values, **(values.get("scores") or {})}) for number, values in rows]
            labels = {name: name for name in rows[0][1]["scores"]}
        else:
            labels = {name[2:]: name for name in table.columns if name.startswith("p_")}
        names = {label_key(label): name for label, name in (labels or {name: name for name in table.columns}).items()}
        ordered = list(labels)
        if {label_key(label) for label in labels} <= set(POLARITY_ORDER):
            ordered.sort(key=lambda label: POLARITY_ORDER.index(label_key(label)))
        return cls(table, rows, names, ordered or None)

    def of(self, raw: RawData, test: Dataset, labels: Sequence[str]) -> np.ndarray:
        """The probabilities of texts, `[texts, labels]`.

        A row is found by its number where the texts are of the same file; else by its text, where the file has a column
        of the same name; else by its place, among as many rows.

        Args:
            raw: The labelled texts as they were read.
            test: Those that are evaluated.
            labels: Names, in index order.

        Raises:
            CallError: It has other labels.
            DataError: A row is not there, or has no probabilities.
        """
        source, keys = self.table.source, [label_key(label) for label in labels]
        if not set(keys) <= set(self.names) or (self.labels is not None and len(self.labels) != len(keys)):
            there = ", ".join(self.labels or self.table.columns)[:200]
            raise CallError(
                f"{source} has columns for {there}, and the labels are {', '.join(labels)}: name them alike"
            )
        probabilities = np.empty((len(test), len(keys)))
        for text, (number, values) in enumerate(self._rows_of(raw, test)):
            for index, name in enumerate(self.names[key] for key in keys):
                value = as_number(values.get(name))
                if value is None or not 0 <= value <= 1:
                    said = f"{values.get(name)!r:.40}"
                    raise DataError(f"{source}, row {number}: {name} is {said}: write a probability between 0 and 1")
                probabilities[text, index] = value
            total = probabilities[text].sum()
            if abs(total - 1) > _ROUNDING:
                raise DataError(f"{source}, row {number}: its probabilities sum to {total:.4g}: they must sum to 1")
        return probabilities

    def _rows_of(self, raw: RawData, test: Dataset) -> Iterator[tuple[int, dict[str, Any]]]:
        """The row of each evaluated text."""
        file, place = raw.files.get("test"), raw.sources["test"]
        if file is not None and file.path == self.table.path:
            by_number = dict(self.rows)
            yield from ((number, by_number[number]) for number in test["row"])
        elif raw.text_column in self.table.columns:
            # Of equal texts the first is the first's, and so on; the last is all others'.
            by_text: dict[str, list[tuple[int, dict[str, Any]]]] = {}
            for row in self.rows:
                by_text.setdefault(_text_key(row[1].get(raw.text_column)), []).append(row)
            for number, text in zip(test["row"], test["text"], strict=True):
                found = by_text.get(_text_key(text))
                if not found:
                    raise DataError(f"{place}, row {number}: its text is not in {self.table.source}: add its row there")
                yield found.pop(0) if len(found) > 1 else found[0]
        else:
            numbers = raw.splits["test"]["row"][:]
            if len(numbers) != len(self.rows):
                raise DataError(
                    f"{self.table.source} has {len(self.rows):,} rows, and {place} {len(numbers):,}: give as many, in "
                    f"the same order, or the texts too, in a column {raw.text_column}"
                )
            by_place = dict(zip(numbers, self.rows, strict=True))
            yield from (by_place[number] for number in test["row"])


def label_key(label: str) -> str:
    """A label's name in the form in which names are compared: in any case, polarity words spelt out."""
    return fold(canonical(label))


def _text_key(text: object) -> str:
    # `predict` writes a ' in front of what a spreadsheet would run.
    return " ".join(str(text).split()).lstrip("'")
