"""The rows of a source: "row N of file F is …", in the same words where they are read, checked, audited and split."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from datasets import Dataset, Value

from hf_sentiment.data.labels import BAD, DROPPED, LabelRule, examine_rows
from hf_sentiment.data.sources import RawData
from hf_sentiment.data.splits import SPLITS, Duplicates
from hf_sentiment.data.texts import Texts, numbers
from hf_sentiment.errors import CallError, DataError

logger = logging.getLogger(__name__)

# Bad rows that the error names, and characters of a text in a line and in JSON.
_NAMED = 3
_TEXT_WIDTH = 60
_JSON_WIDTH = 200

# Of `Rows`, those that are arrays, or are read as such.
_COLUMNS = ("given", "split", "row", "texts", "codes", "number")


@dataclass(frozen=True)
class Row:
    """A row, and what is the matter with it.

    Attributes:
        source: Its file or data set.
        row: Its number there, as `RawData` counts.
        text: Its text.
        label: The name of its label, or `None`.
        says: What is the matter with it, in some words.
        facts: The same for machines: the other row of a pair, or the suggested label and its probability.
    """

    source: str
    row: int
    text: str
    label: str | None = None
    says: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """`file, row N (label): "text": what is the matter`."""
        label = f" ({self.label})" if self.label else ""
        text = f': "{shortened(self.text, _TEXT_WIDTH)}"' if self.text else ""
        return f"{self.source}, row {self.row}{label}{text}" + (f": {self.says}" if self.says else "")

    def to_dict(self, *, text: bool = True) -> dict[str, Any]:
        """The row as plain JSON; without its text on request."""
        plain: dict[str, Any] = {"source": self.source, "row": self.row}
        plain |= {"text": shortened(self.text, _JSON_WIDTH)} if text else {}
        return plain | {"label": self.label} | ({"says": self.says} if self.says else {}) | self.facts


def shortened(text: str, width: int) -> str:
    """A text in one line of at most `width` characters."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3].rstrip() + "..."


def leaves_out_bad_rows(on_bad_rows: str) -> bool:
    """Whether `--on_bad_rows` leaves bad rows out; otherwise they are an error.

    Raises:
        CallError: It is neither.
    """
    if on_bad_rows not in ("error", "drop"):
        raise CallError(f"--on_bad_rows {on_bad_rows}: use error or drop")
    return on_bad_rows == "drop"


@dataclass(frozen=True)
class Rows:
    """The rows of all splits in one table, however bad; every column has the shape (rows,).

    There may be millions, so columns are of small numbers.

    Attributes:
        given: The split that each row was read in, by its place in `SPLITS`, in that order.
        split: The split that it is used in: at first the same; -1 if it is used in none. `within` asks by name.
        row: Its number in its source.
        texts: Its text, "" where there is none.
        codes: Its class index, or `DROPPED` or `BAD`.
        faults: Position of a bad row → what is wrong with it.
        number: Its position among the texts of `duplicates`, -1 of a row that is not there, as it is not used.
        duplicates: What repeats what: searched for once, whatever part of the rows asks.
        sources: Split as given → path or name, for messages.
        rule: How raw labels became class indices.
    """

    given: np.ndarray
    split: np.ndarray
    row: np.ndarray
    texts: Texts
    codes: np.ndarray
    faults: Mapping[int, str]
    number: np.ndarray
    duplicates: Duplicates
    sources: Mapping[str, str]
    rule: LabelRule

    @classmethod
    def read(cls, raw: RawData, rule: LabelRule) -> Rows:
        """The rows of a source, each examined by the rule for its labels."""
        names = [name for name in SPLITS if name in raw.splits]
        examined = [examine_rows(raw, name, rule) for name in names]
        texts = Texts([raw.splits[name] for name in names])
        codes = np.concatenate([codes for codes, _ in examined])
        sizes = [len(raw.splits[name]) for name in names]
        starts = np.cumsum([0, *sizes]).tolist()
        # One array for both columns: the splits are reassigned in a copy.
        given = np.repeat(np.array([SPLITS.index(name) for name in names], dtype=np.int8), sizes)
        return cls(
            given=given,
            split=given,
            row=np.concatenate([numbers(raw.splits[name], "row") for name in names], dtype=np.int32),
            texts=texts,
            codes=codes,
            faults={
                start + row: fault
                for start, (_, faults) in zip(starts, examined, strict=False)
                for row, fault in faults.items()
            },
            # Only usable texts are searched for repeats: what is not used leaks nowhere.
            number=np.where(codes >= 0, np.cumsum(codes >= 0, dtype=np.int32) - 1, -1),
            duplicates=Duplicates(texts[codes >= 0]),
            sources=raw.sources,
            rule=rule,
        )

    @classmethod
    def none(cls, rule: LabelRule) -> Rows:
        """No row at all."""
        none = np.empty(0, dtype=np.int32)
        return cls(none, none, none, Texts([]), none, {}, none, Duplicates([]), {}, rule)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def names(self) -> list[str]:
        """The splits that there are."""
        return [name for name in SPLITS if self.within(name).any()]

    def within(self, split: str) -> np.ndarray:
        """Whether each row is used in a split; shape (rows,)."""
        return self.split == SPLITS.index(split)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """What became of the rows of each split as given: used, dropped by the rule, or bad; as plain JSON."""
        counts = {}
        for place in np.unique(self.given).tolist():
            codes = self.codes[self.given == place]
            sums = {"kept": codes >= 0, "dropped_by_rule": codes == DROPPED, "bad": codes == BAD}
            counts[SPLITS[place]] = {what: int(which.sum()) for what, which in sums.items()}
        return counts

    def check(self, on_bad_rows: str) -> None:
        """See that they can be used, and say how many are not.

        Raises:
            CallError: `on_bad_rows` is something else.
            DataError: There are bad rows and `on_bad_rows` is "error", or a split has no usable row.
        """
        # Bad rows come first: what the rule drops is nobody's mistake.
        bad = np.flatnonzero(self.codes == BAD)
        if len(bad) and not leaves_out_bad_rows(on_bad_rows):
            more = f"; and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
            listed = "; ".join(f"{self.place(i)}: {self.faults[i]}" for i in bad[:_NAMED]) + more
            noun = "row" if len(bad) == 1 else "rows"
            raise DataError(f"{len(bad)} bad {noun}: {listed}: correct them, or leave them out with --on_bad_rows drop")
        for name, count in self.counts.items():
            why = f"{count['dropped_by_rule']} dropped by the label rule, {count['bad']} bad"
            if count["bad"] or count["dropped_by_rule"]:
                logger.info("%s: %d rows kept, %s", name, count["kept"], why)
            if not count["kept"]:
                raise DataError(f"{self.sources[name]}: no row is left ({why}); the rule is: {self.rule.description}")

    def labeled(self, raw: RawData) -> dict[str, Dataset]:
        """The usable rows as data sets, by split as given.

        Returns:
            Columns `text`, `label` (int64 index into `rule.labels`), `row`, and `group` and `ratings` where the source
            has them.
        """
        return {name: _labeled(of, self.codes[self.given == SPLITS.index(name)]) for name, of in raw.splits.items()}

    @cached_property
    def is_usable(self) -> np.ndarray:
        """Whether training uses each row; shape (rows,)."""
        return (self.codes >= 0) & (self.split >= 0)

    @cached_property
    def usable(self) -> Rows:
        """The rows that training uses."""
        columns = {name: getattr(self, name)[self.is_usable] for name in _COLUMNS}
        return dataclasses.replace(self, **columns, faults={})

    def assigned(self, split: str, parts: Mapping[str, np.ndarray]) -> Rows:
        """The same rows, those of one split used in others, or in none.

        Args:
            split: Whose usable rows are assigned anew.
            parts: Split → positions among these.
        """
        # Parts count among the usable rows of the split, as its data set does; the table has the bad ones in between.
        positions = np.flatnonzero(self.is_usable & self.within(split))
        assigned = self.split.copy()
        assigned[positions] = -1
        for name, part in parts.items():
            assigned[positions[part]] = SPLITS.index(name)
        return dataclasses.replace(self, split=assigned)

    def hashes(self, split: str) -> np.ndarray:
        """Of the usable texts of a split, as `text_hashes`."""
        return self.duplicates.hashes[self.usable.number[self.usable.within(split)]]

    @property
    def keys(self) -> np.ndarray:
        """For each usable row the number of its `duplicate_key`."""
        return self.duplicates.keys[self.number]

    @cached_property
    def groups(self) -> np.ndarray:
        """For each usable row its group of near-duplicates."""
        return self.duplicates.groups(self.number)

    def label(self, i: int) -> str | None:
        """The name of a row's label."""
        return self.rule.labels[self.codes[i]] if self.codes[i] >= 0 else None

    def place(self, i: int) -> str:
        """`file, row N`."""
        return f"{self.source(i)}, row {self.row[i]}"

    def source(self, i: int) -> str:
        """Its file or data set."""
        return self.sources[SPLITS[self.given[i]]]

    def example(self, i: int, says: str = "", **facts: Any) -> Row:
        """A row for a finding."""
        return Row(self.source(i), int(self.row[i]), self.texts[i], self.label(i), says, facts)

    def pair(self, i: int, other: int, says: str) -> Row:
        """A row for a finding, and the row that it collides with."""
        label = f" ({self.label(other)})" if self.label(other) else ""
        facts = {"source": self.source(other), "row": int(self.row[other]), "label": self.label(other)}
        return self.example(i, f"{says} {self.place(other)}{label}", other=facts)


def _labeled(dataset: Dataset, codes: np.ndarray) -> Dataset:
    """The usable rows, with class indices for labels."""
    usable = np.flatnonzero(codes >= 0)
    chosen = dataset if len(usable) == len(dataset) else dataset.select(usable)
    others = [column for column in dataset.column_names if column not in ("text", "label", "fault")]
    labels = codes[usable].astype(np.int64)
    labeled = chosen.remove_columns("label").add_column("label", labels, feature=Value("int64"))
    return labeled.select_columns(["text", "label", *others])
