"""The rows of a file that was read, in order and some thousand at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from hf_sentiment.data.sources.files import FileTable
from hf_sentiment.data.sources.json_files import parse_line

_BATCH = 1000


def table_rows(table: FileTable, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every row with its number and all its columns, in order.

    Args:
        table: A file that was read.
        start: How many rows are passed over.

    The values are strings, of JSON what `parse_line` makes of it, of Parquet what it holds. A row that can't be read
    (see `faults`) has empty strings, in JSON nothing. Some thousand rows are in memory at a time.
    """
    for columns in _batches(table, start):
        cells = list(zip(*columns, strict=True))
        numbers = table.rows[start : start + len(cells)].tolist()
        start += len(cells)
        for number, values in zip(numbers, cells, strict=True):
            if table.kind in ("jsonl", "array"):
                parsed = parse_line(values[0])
                yield number, {} if isinstance(parsed, str) else parsed
            else:
                yield number, dict(zip(table.columns, values, strict=True))


def _batches(table: FileTable, start: int) -> Iterator[list[list[Any]]]:
    """The values of each column as Arrow has them (`datasets` would decode pictures), some thousand rows at a time."""
    if not table.cached:
        rest = table.dataset.with_format("arrow").select(range(start, len(table.dataset)))
        yield from ([column.to_pylist() for column in batch.columns] for batch in rest.iter(_BATCH))
    first = 0  # of the batch in the file
    for name in table.cached:
        with pa.OSFile(name) as file, pa.ipc.open_stream(file) as batches:
            for batch in batches:
                last = first + batch.num_rows
                if table.places is None:
                    chosen = batch.slice(max(0, start - first))
                else:
                    begin, end = np.searchsorted(table.places, (first, last))
                    chosen = batch.take(pa.array(table.places[max(begin, start) : end] - first))
                if chosen.num_rows:
                    yield [chosen.column(cell).to_pylist() for cell in table.cells]
                first = last


def unmapped(table: FileTable) -> FileTable:
    """The table to be read once, by `table_rows` alone: of a mapped file, what was read counts as memory in use."""
    cached = tuple(entry["filename"] for entry in table.dataset.cache_files)
    if not cached:
        return table
    cells = table.cells or tuple(table.dataset.column_names)
    return replace(table, dataset=Dataset(table.dataset.data.schema.empty_table()), cells=cells, cached=cached)
