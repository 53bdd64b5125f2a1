"""The rows of a source as an audit sees them: all splits in one table, bad rows and all."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from datasets import Dataset

from hf_sentiment.data.audit.findings import Example
from hf_sentiment.data.labels import LabelRule, examine_rows
from hf_sentiment.data.sources import RawData
from hf_sentiment.data.splits import duplicate_groups, duplicate_key


@dataclass(frozen=True)
class AuditRows:
    """The rows of all splits in one table, however bad.

    Attributes:
        split: the split of each row, "train" before "validation" before "test".
        row: its number in its source.
        texts: its text, "" where there is none.
        codes: its class index, or `checks.DROPPED` or `checks.BAD`.
        faults: what is wrong with a bad row, "" for the others.
        sources: split → path or name, for messages.
        rule: how raw labels became class indices.
    """

    split: np.ndarray
    row: np.ndarray
    texts: np.ndarray
    codes: np.ndarray
    faults: np.ndarray
    sources: Mapping[str, str]
    rule: LabelRule

    @classmethod
    def of_raw(cls, raw: RawData, rule: LabelRule) -> AuditRows:
        """The rows of a source, which need not be good ones."""
        examined = {name: examine_rows(raw, name, rule) for name in raw.splits}
        codes = {name: codes for name, (codes, _) in examined.items()}
        return cls._of(raw.splits, codes, {name: faults for name, (_, faults) in examined.items()}, raw.sources, rule)

    @classmethod
    def of_splits(cls, splits: Mapping[str, Dataset], rule: LabelRule) -> AuditRows:
        """The rows of labelled, checked splits."""
        codes = {name: np.asarray(split["label"][:], dtype=np.int64) for name, split in splits.items()}
        faults = {name: np.full(len(split), "", dtype=object) for name, split in splits.items()}
        return cls._of(splits, codes, faults, {name: name for name in splits}, rule)

    @classmethod
    def _of(
        cls,
        splits: Mapping[str, Dataset],
        codes: Mapping[str, np.ndarray],
        faults: Mapping[str, np.ndarray],
        sources: Mapping[str, str],
        rule: LabelRule,
    ) -> AuditRows:
        names = [name for name in ("train", "validation", "test") if name in splits]
        texts = [text or "" for name in names for text in splits[name]["text"]]
        return cls(
            split=np.concatenate([np.full(len(splits[name]), name, dtype=object) for name in names]),
            row=np.concatenate([np.asarray(splits[name]["row"][:], dtype=np.int64) for name in names]),
            texts=np.array(texts, dtype=object),
            codes=np.concatenate([codes[name] for name in names]),
            faults=np.concatenate([faults[name] for name in names]),
            sources=sources,
            rule=rule,
        )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def names(self) -> list[str]:
        """The splits that there are."""
        return list(dict.fromkeys(self.split.tolist()))

    @cached_property
    def usable(self) -> AuditRows:
        """The rows that training uses."""
        kept = self.codes >= 0
        columns = {name: getattr(self, name)[kept] for name in ("split", "row", "texts", "codes", "faults")}
        return dataclasses.replace(self, **columns)

    @cached_property
    def keys(self) -> np.ndarray:
        """For each row the number of its `duplicate_key`."""
        # Objects: a plain array of strings gives every one the room of the longest.
        return np.unique(np.array([duplicate_key(text) for text in self.texts], dtype=object), return_inverse=True)[1]

    @cached_property
    def groups(self) -> np.ndarray:
        """For each row its group of near-duplicates."""
        return duplicate_groups(self.texts.tolist())

    def label(self, i: int) -> str | None:
        """The name of a row's label."""
        return self.rule.labels[self.codes[i]] if self.codes[i] >= 0 else None

    def place(self, i: int) -> str:
        """`file, row N`."""
        return f"{self.sources[self.split[i]]}, row {self.row[i]}"

    def example(self, i: int, says: str = "", **facts: Any) -> Example:
        """A row for a finding."""
        return Example(self.sources[self.split[i]], int(self.row[i]), self.texts[i], self.label(i), says, facts)

    def pair(self, i: int, other: int, says: str) -> Example:
        """A row for a finding, and the row that it collides with."""
        label = f" ({self.label(other)})" if self.label(other) else ""
        facts = {"source": self.sources[self.split[other]], "row": int(self.row[other]), "label": self.label(other)}
        return self.example(i, f"{says} {self.place(other)}{label}", other=facts)
