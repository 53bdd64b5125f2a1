"""The figures of an evaluation by the values of columns: on which texts a model is worse, beyond chance."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

from hf_sentiment.data.labels import as_number, plain
from hf_sentiment.data.rows import shortened
from hf_sentiment.evaluation.report import FEWEST, with_intervals
from hf_sentiment.inference.outputs import as_cell
from hf_sentiment.records.schema import Slice

# Values of a column that have a slice of their own; numbers that have one each, of more there are quarters.
_MOST, _MOST_NUMBERS = 20, 10
_LEVEL = 0.05
_CODE = re.compile(r"[+-]?0\d")  # a postcode, an article: no number begins like that
_WIDEST = 60  # characters of a value that are shown


def sliced(
    columns: Mapping[str, Sequence[Any]], probabilities: np.ndarray, references: np.ndarray
) -> tuple[Slice, ...]:
    """The slices of texts that have a value of a column, and whether a model is worse there than on all others.

    The test is Fisher's exact one of accuracy, with Holm's (1979) correction for all slices together.

    Args:
        columns: Values of each column, `[texts]`.
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.

    Returns:
        By column, numbers ascending and words by frequency. A slice of fewer than 30 texts has no figures.
    """
    right = probabilities.argmax(axis=1) == references
    slices: list[tuple[str, str, np.ndarray]] = []  # column, value, which texts
    for column, values in columns.items():
        slices += [(column, value, texts) for value, texts in _groups(values).items()]
    tested = [i for i, (*_, texts) in enumerate(slices) if texts.sum() >= FEWEST and not texts.all()]
    p_values = dict(zip(tested, _holm([_p_value(right, slices[i][2]) for i in tested]), strict=True))
    return tuple(
        _slice(column, shortened(value, _WIDEST), probabilities[texts], references[texts], p_values.get(i))
        for i, (column, value, texts) in enumerate(slices)
    )


def _slice(column: str, value: str, probabilities: np.ndarray, references: np.ndarray, p_value: float | None) -> Slice:
    if len(references) < FEWEST:
        return Slice(column, value, len(references))
    metrics = with_intervals(probabilities, references)
    # Of a label that no text has F1 is 0: the mean over the labels would be of another thing than elsewhere.
    every_label = len(np.unique(references)) == probabilities.shape[1]
    macro_f1 = metrics.macro_f1 if every_label else None
    worse = p_value is not None and p_value < _LEVEL
    return Slice(column, value, len(references), metrics.accuracy, macro_f1, metrics.log_loss, p_value, worse)


def _groups(values: Sequence[Any]) -> dict[str, np.ndarray]:
    """Which texts, `[texts]`, have each value of a column, as it is written; of many numbers their quarters."""
    cells = np.array([_cell(value) for value in values], dtype=object)
    filled = cells != ""
    counts = Counter(cells[filled].tolist())
    numbers = {cell: number for cell in counts if (number := as_number(cell)) is not None and not _CODE.match(cell)}
    groups: dict[str, np.ndarray] = {}
    if not counts or len(numbers) < len(counts):
        common = [cell for cell, _ in counts.most_common()]
        groups |= {cell: cells == cell for cell in common[:_MOST]}
        if len(common) > _MOST:
            others = filled & ~np.isin(cells.astype(str), common[:_MOST])
            groups[_unlike(groups, f"{len(common) - _MOST:,} other values")] = others
    else:
        ascending = sorted(numbers, key=lambda cell: (numbers[cell], cell))
        if len(ascending) <= _MOST_NUMBERS:
            groups |= {cell: cells == cell for cell in ascending}
        else:
            of_cells = np.array([numbers.get(cell, np.nan) for cell in cells])
            places = np.searchsorted(np.quantile(of_cells[filled], [0.25, 0.5, 0.75]), of_cells)  # equal ones together
            for place in np.unique(places[filled]):
                texts = filled & (places == place)
                there = set(cells[texts])
                low, *_, high = [cell for cell in ascending if cell in there] * 2
                groups[low if low == high else f"{low} to {high}"] = texts
    return groups if filled.all() else groups | {_unlike(groups, "(empty)"): ~filled}


def _cell(value: Any) -> str:
    # A file with types has 1.0 where the others have 1.
    is_number = isinstance(value, float) and as_number(value) is not None
    return plain(value) if is_number else " ".join(as_cell(value).split())


def _unlike(groups: Mapping[str, Any], name: str) -> str:
    """A name that no value has."""
    return _unlike(groups, f"({name})") if name in groups else name


def _p_value(right: np.ndarray, texts: np.ndarray) -> float:
    """Of the hypothesis that the model is right on these texts no less often than on the others."""
    table = [[int(np.sum(right & of)), int(np.sum(~right & of))] for of in (texts, ~texts)]
    return float(fisher_exact(table, alternative="less").pvalue)


def _holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p-values: those below 5 % are so by chance in at most 5 % of evaluations, however many there are."""
    order = np.argsort(p_values)
    steps = np.maximum.accumulate(np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1))
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(steps, 1.0)
    return [float(value) for value in corrected]
