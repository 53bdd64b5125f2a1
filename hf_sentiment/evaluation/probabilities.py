"""Probabilities of any system out of a file: as `predict` writes them, as `scores` in JSON, or a column a label."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset

from hf_sentiment.data.labels import POLARITY_ORDER, as_number, canonical, fold
from hf_sentiment.data.sources import FileTable, RawData, read_file, table_rows
from hf_sentiment.errors import CallError, DataError

logger = logging.getLogger(__name__)

# How far the sum of a row's probabilities may be from 1.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class ProbabilityFile:
    """A file of probabilities.

    Attributes:
        table: The file as it was read.
        rows: The number and the values of each row.
        names: Label, as `label_key` has it → what its probability is called: in `scores`, with `p_` in front, or as a
            column is.
        labels: Of the first two; `None` where any column may be a label's.
        nested: Whether they are in `scores`.
    """

    table: FileTable
    rows: list[tuple[int, dict[str, Any]]]
    names: dict[str, str]
    labels: list[str] | None
    nested: bool

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
        # A row without a text has no scores.
        scores = next((of for _, values in rows if isinstance(of := values.get("scores"), dict)), None)
        if scores is not None:
            nested = ((number, values, values.get("scores")) for number, values in rows)
            rows = [(number, values | of if isinstance(of, dict) else values) for number, values, of in nested]
            labels = {name: name for name in scores}
        else:
            labels = {name[2:]: name for name in table.columns if name.startswith("p_")}
        bare = {} if scores is not None else {label_key(name): name for name in table.columns}
        names = bare | {label_key(label): name for label, name in labels.items()}
        return cls(table, rows, names, list(labels) or None, scores is not None)

    def labels_in(self, raw: RawData) -> list[str] | None:
        """The labels, polarities in their order, without columns of the user's own that begin with `p_`.

        They are those that the data have or, where the probabilities sum to 1 only so, more; `None` where the data have
        to say them.

        Args:
            raw: The labelled texts as they were read.
        """
        if self.labels is None:
            return None
        given = {label_key(str(value)) for value in raw.splits["test"]["label"] if value is not None}
        kinds = [[label for label in self.labels if label_key(label) in of] for of in (given, POLARITY_ORDER)]
        choices = [self.labels] if self.nested else [of for of in (*kinds, self.labels) if len(of) > 1]
        if not choices:
            return None
        labels = next(filter(self._are_probabilities, choices), choices[0])
        if others := [f"p_{label}" for label in self.labels if label not in labels]:
            logger.warning("%s: %s is not the probability of a label", self.table.source, ", ".join(others))
        if {label_key(label) for label in labels} <= set(POLARITY_ORDER):
            return sorted(labels, key=lambda label: POLARITY_ORDER.index(label_key(label)))
        return labels

    def _are_probabilities(self, labels: Sequence[str]) -> bool:
        """Whether these columns sum to 1 in most rows; the others will be named."""
        columns = [self.names[label_key(label)] for label in labels]
        cells = np.array([[as_number(values.get(name)) for name in columns] for _, values in self.rows], dtype=float)
        return bool(np.median(np.abs(np.nan_to_num(cells).sum(axis=1) - 1)) <= _ROUNDING)

    def of(self, raw: RawData, test: Dataset, labels: Sequence[str]) -> np.ndarray:
        """The probabilities of texts, `[texts, labels]`.

        A row is found by its number where the texts are of the same file; else by its place, where the texts are the
        same in the same order or the file has no column of that name; else by its text.

        Args:
            raw: The labelled texts as they were read.
            test: Those that are evaluated.
            labels: Names, in index order.

        Raises:
            CallError: It has other labels.
            DataError: A row is not there, or has no probabilities.
        """
        source, keys = self.table.source, [label_key(label) for label in labels]
        if missing := [label for label, key in zip(labels, keys, strict=True) if key not in self.names]:
            there = ", ".join(self.labels or self.table.columns)[:200]
            raise CallError(
                f"{source} has columns for {there}, and the labels are {', '.join(labels)}: name them alike, and add a "
                f"column for {', '.join(missing)} if there is none"
            )
        probabilities = np.empty((len(test), len(keys)))
        for text, (number, values) in enumerate(self._rows_of(raw, test, keys)):
            for index, name in enumerate(self.names[key] for key in keys):
                value = as_number(values.get(name))
                if value is None or not 0 <= value <= 1:
                    said = f"{values.get(name)!r:.40}"
                    raise DataError(f"{source}, row {number}: {name} is {said}: write a probability between 0 and 1")
                probabilities[text, index] = value
            total = probabilities[text].sum()
            if abs(total - 1) > _ROUNDING:
                said = f"{total:.4g} ({', '.join(labels)})"
                raise DataError(f"{source}, row {number}: its probabilities sum to {said}: they must sum to 1")
        # What rounding left: scikit-learn takes sums of 1 alone.
        return probabilities / probabilities.sum(axis=1, keepdims=True)

    def _rows_of(self, raw: RawData, test: Dataset, keys: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The row of each evaluated text."""
        file, place, source = raw.files.get("test"), raw.sources["test"], self.table.source
        has_texts = raw.text_column in self.table.columns
        numbers, texts = (raw.splits["test"][name][:] for name in ("row", "text"))
        theirs = [_text_key(values.get(raw.text_column)) for _, values in self.rows]
        if file is not None and file.path == self.table.path:
            by_number = dict(self.rows)
            yield from ((number, by_number[number]) for number in test["row"])
        elif has_texts and theirs != list(map(_text_key, texts)):
            by_text: dict[str, list[tuple[int, dict[str, Any]]]] = {}
            for key, row in zip(theirs, self.rows, strict=True):
                by_text.setdefault(key, []).append(row)
            for number, text in zip(test["row"], test["text"], strict=True):
                first, *others = by_text.get(_text_key(text)) or [(0, {})]
                if not first[0]:
                    raise DataError(f"{place}, row {number}: its text is not in {source}: add its row there")
                for other, values in others:
                    if any(values.get(self.names[key]) != first[1].get(self.names[key]) for key in keys):
                        raise DataError(
                            f"{source}, row {other}: the text is that of row {first[0]}, its probabilities are not: "
                            f"leave the column {raw.text_column} out, or give the rows of {place} in their order"
                        )
                yield first
        else:
            if len(numbers) != len(self.rows):
                raise DataError(
                    f"{source} has {len(self.rows):,} rows, and {place} {len(numbers):,}: give as many, in the same "
                    f"order, or the texts too, in a column {raw.text_column}"
                )
            if not has_texts:
                logger.info('%s has no column "%s": its rows are taken in their order', source, raw.text_column)
            by_place = dict(zip(numbers, self.rows, strict=True))
            yield from (by_place[number] for number in test["row"])


def label_key(label: str) -> str:
    """A label's name in the form in which names are compared: in any case, polarity words spelt out."""
    return fold(canonical(label))


def _text_key(text: object) -> str:
    # `predict` writes a ' in front of what a spreadsheet would run.
    return " ".join(str(text or "").split()).lstrip("'")
