"""Applying a label rule: raw labels become class indices, and every row that can't be used is named."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import numpy as np
import pyarrow as pa

from hf_sentiment.data.labels.infer import rule_for_split
from hf_sentiment.data.labels.rule import LabelRule, UnknownLabel
from hf_sentiment.data.labels.values import canonical, is_several
from hf_sentiment.data.sources import RawData
from hf_sentiment.data.tables import LABEL_NAMES, TEXT_NAMES
from hf_sentiment.errors import CallError

# White space of all kinds, and what takes no room: zero-width characters, joiners, byte-order marks.
_INVISIBLE = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u200c\u200d\u2060\ufeff"

# In place of a class index: a good row that the rule drops.
DROPPED = -1

# In place of a class index: a row that can't be used.
BAD = -2

_BATCH = 10_000  # texts that are looked at together
_UNKNOWN = -2
_MISSING = -3
_ALIKE = 0.85  # of difflib's ratio: "posiitve" and "positive" are, "negative" and "positive" are not
_HEADER = "the header of a table again"

# How the reasons begin for which a row can't be used.
NO_TEXT, EMPTY_TEXT, BROKEN, NO_LABEL, UNKNOWN_LABEL = FAULTS = (
    "no text",
    "empty text",
    "broken encoding",
    "no label",
    "unknown label",
)


def labels_of(raw: RawData, split: str, keep_bad: bool) -> list[Any]:
    """The raw labels of a split, without those of a header that stands among the rows.

    Args:
        raw: What `load_data` returned, with labels.
        split: One of its splits.
        keep_bad: Rows with several labels are bad rows, which will be named or left out; without it they are an error.

    Raises:
        CallError: A row has several labels, or an object for one.
    """
    dataset = raw.splits[split]
    table = dataset.with_format("arrow")[:]
    labels = _values(table.column("label"))
    for i in _headers(raw, table, labels):
        labels[i] = None
    several = next((i for i, label in enumerate(labels) if is_several(label)), None)
    if several is not None and (not keep_bad or all(label is None or is_several(label) for label in labels)):
        where, label = f"{raw.sources[split]}, row {dataset[several]['row']}", str(labels[several])[:60]
        raise CallError(
            f"{where}: the label {label} is not one label: write one value a row, "
            "or name another column with --label_column NAME"
        )
    return labels


def _values(column: pa.ChunkedArray) -> list[Any]:
    """The values of a column, of which equal ones are one object."""
    same: dict[Any, Any] = {}
    return [same.setdefault(value, value) for chunk in column.chunks for value in chunk.to_pylist()]


def _headers(raw: RawData, table: pa.Table, labels: list[Any]) -> list[int]:
    """The rows that are the names of columns, as where two files were put together."""
    # A header's cell is the name of the label column beside that of the text, or a usual name beside a usual one.
    text, label = canonical(raw.text_column), canonical(raw.label_column)
    keys = {value: canonical(value) for value in set(labels) if isinstance(value, str)}
    names = {value: key for value, key in keys.items() if key == label or key in LABEL_NAMES}
    headers = []
    for i in (i for i, value in enumerate(labels) if isinstance(value, str) and value in names):
        key, beside = names[labels[i]], canonical(table.column("text")[i].as_py())
        own = key == label and (beside == text or label in LABEL_NAMES)
        headers += [i] if own or (key in LABEL_NAMES and beside in TEXT_NAMES) else []
    return headers


def examine_rows(raw: RawData, split: str, rule: LabelRule) -> tuple[np.ndarray, dict[int, str]]:
    """What each row of a raw split is to the rule.

    Returns:
        Class indices (int32), or `DROPPED`, or `BAD`; and of the bad ones what is wrong, by their places: a string that
        begins with one of the `FAULTS`.
    """
    table = raw.splits[split].with_format("arrow")[:]
    texts = (text for batch in table.select(["text"]).to_batches(_BATCH) for text in batch.column(0).to_pylist())
    faults = _text_faults(texts)
    # What the reader could not read it says itself, and better than an empty text does.
    if "fault" in table.column_names:
        faults |= {row: why for row, why in enumerate(table.column("fault").to_pylist()) if why}
    labels = _values(table.column("label"))
    for row in _headers(raw, table, labels):
        faults[row] = f"{UNKNOWN_LABEL} {labels[row]!r}: {_HEADER}"
    # A split may have a scheme of its own; only the labels of good texts tell.
    good = (label for row, label in enumerate(labels) if row not in faults)
    rule = rule_for_split(good, rule, raw.sources[split])
    # Each distinct label is looked up once: `which` is its number for every row, shape (rows,).
    codes, uniques, which = _label_codes(labels, rule)
    for i in np.flatnonzero(codes <= _UNKNOWN).tolist():
        if i not in faults:
            faults[i] = _label_fault(int(codes[i]), uniques[which[i]], rule)
    codes[list(faults)] = BAD
    return codes, faults


def _text_faults(texts: Iterable[str | None]) -> dict[int, str]:
    """What is wrong with those of some texts that cannot be used."""
    faults = {}
    for i, text in enumerate(texts):
        if text is None:
            faults[i] = f"{NO_TEXT} (missing, or not a string)"
        elif not text.strip(_INVISIBLE):
            faults[i] = EMPTY_TEXT
        elif "\N{REPLACEMENT CHARACTER}" in text:
            faults[i] = f"{BROKEN} (not UTF-8)"
    return faults


def _label_codes(values: list[Any], rule: LabelRule) -> tuple[np.ndarray, list[Any], np.ndarray]:
    """Class indices or one of the negative codes; the distinct values; and which of them each row has."""
    positions: dict[Any, int] = {}
    # True == 1 in a dict: keep them apart by type.
    which = np.fromiter(
        (positions.setdefault((type(v), v), len(positions)) for v in values), dtype=np.int32, count=len(values)
    )
    uniques = [value for _, value in positions]
    codes = np.array([_code(value, rule) for value in uniques], dtype=np.int32)
    return codes[which], uniques, which


def _code(value: object, rule: LabelRule) -> int:
    try:
        index = rule(value)
    except UnknownLabel:
        return _MISSING if rule.lacks(value) else _UNKNOWN
    return DROPPED if index is None else index


def _label_fault(code: int, value: object, rule: LabelRule) -> str:
    if code == _MISSING:
        return f"{NO_LABEL} ({value!r})" if isinstance(value, str) and value.strip() else NO_LABEL
    near = misspelt(value, rule.labels)
    why = "several labels, or an object" if is_several(value) else f"{f'{near} ' if near else ''}known: {rule.known}"
    return f"{UNKNOWN_LABEL} {str(value)[:40]!r} ({why})"


def misspelt(value: object, labels: Iterable[str]) -> str:
    """ "misspelt positive?", where a label is written nearly so; else nothing."""
    by_key = {canonical(name): name for name in labels}
    near = get_close_matches(canonical(value), by_key, 1, _ALIKE)
    return f"misspelt {by_key[near[0]]}?" if near else ""
