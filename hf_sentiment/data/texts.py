"""Columns that stay where Arrow has them, as a rule in a mapped file, and are read some thousand rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from datasets import Dataset

_BATCH = 10_000


def numbers(dataset: Dataset, column: str) -> np.ndarray:
    """A column of whole numbers, `[rows]`; at once, `datasets` would take 600 bytes for each row of a selection."""
    blocks = dataset.select_columns(column).with_format("arrow").iter(_BATCH)
    return np.concatenate([np.empty(0, dtype=np.int64), *(block.column(0).to_numpy() for block in blocks)])


class Texts:
    """A column of texts; a missing one is "".

    Args:
        parts: Data sets with a column `text`, one after the other.
        places: Which of their rows; by default all.
    """

    def __init__(self, parts: Sequence[Dataset], places: np.ndarray | None = None) -> None:
        self._parts = [part.select_columns("text").with_format("arrow") for part in parts]
        self._starts = np.cumsum([0, *map(len, parts)])  # of each part, and the end
        self._places = np.arange(self._starts[-1], dtype=np.int32) if places is None else places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, key: int | np.integer) -> str: ...
    @overload
    def __getitem__(self, key: np.ndarray | slice) -> Texts: ...
    def __getitem__(self, key: int | np.integer | np.ndarray | slice) -> str | Texts:
        """A text; or those of a mask, of row numbers or of a slice."""
        if isinstance(key, np.ndarray | slice):
            return Texts(self._parts, self._places[key])
        place = int(self._places[key])
        part = int(np.searchsorted(self._starts, place, "right")) - 1
        return self._parts[part][place - int(self._starts[part])].column("text")[0].as_py() or ""

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BATCH):
            places = self._places[start : start + _BATCH]
            texts = np.full(len(places), None, dtype=object)
            for part, first, end in zip(self._parts, self._starts[:-1], self._starts[1:], strict=True):
                of_part = (places >= first) & (places < end)
                if of_part.any():
                    rows = places[of_part] - first
                    # `datasets` reads a slice as it lies, and single rows one by one.
                    slices = (np.diff(rows) == 1).all()
                    key = slice(int(rows[0]), int(rows[-1]) + 1) if slices else rows.tolist()
                    texts[of_part] = part[key].column("text").to_pylist()
            yield from (text or "" for text in texts)

    def tolist(self) -> list[str]:
        """All of them in memory."""
        return list(self)
