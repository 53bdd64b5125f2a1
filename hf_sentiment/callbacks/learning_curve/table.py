"""The table of a run on a terminal: a line an evaluation, and at the end the course of the validation loss."""

from __future__ import annotations

import math
import statistics
import sys

from tqdm.auto import tqdm

from hf_sentiment.callbacks.gap_test import ALARMS
from hf_sentiment.callbacks.learning_curve.history import CurveNames, Row, best_row, counts_epochs, place_of

# Eight heights.
_SPARKS = "▁▂▃▄▅▆▇█"
# Of a terminal that has ASCII alone.
_WITHOUT_UNICODE = str.maketrans(_SPARKS + "▲–", "_.-:=+*#!-")
# Of a longer run each stands for the mean of several evaluations.
_MOST_SPARKS = 40


class Table:
    """Prints the lines of a history, with titles where the columns change."""

    def __init__(self) -> None:
        self._titles: list[str] = []

    def say(self, rows: list[Row], names: CurveNames) -> None:
        """Print the last of `rows`."""
        cells = _cells(rows, names)
        # A metric, or the alarm, may come in later than the first line.
        titles = [title for title, _ in cells]
        if titles != self._titles:
            self._titles = titles
            _print("".join(f"{title:>{_width(title)}}" for title in titles))
        _print("".join(f"{cell:>{_width(title)}}" for title, cell in cells) + _marks(rows, names.loss))

    def sum_up(self, rows: list[Row], names: CurveNames) -> None:
        """Print the course of the validation loss."""
        _print(_summary(rows, names))


def _print(line: str) -> None:
    """Write a line above the progress bars, in the characters that the terminal has."""
    try:
        line.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        line = line.translate(_WITHOUT_UNICODE).encode("ascii", "replace").decode("ascii")
    tqdm.write(line, file=sys.stderr)


def _cells(rows: list[Row], names: CurveNames) -> list[tuple[str, str]]:
    """Titles and contents of the table for the last of `rows`."""
    row = rows[-1]
    probe = "gap/train_loss" in row
    cells = [
        ("epoch", f"{row['epoch']:.0f}" if counts_epochs(rows) else f"{row['epoch']:.2f}"),
        ("train probe" if probe else "train loss", _number(row.get("gap/train_loss" if probe else "train_loss"))),
        ("validation", _number(row.get(names.loss))),
    ]
    if any(names.metric in one for one in rows):
        cells.append((names.metric.removeprefix("eval_"), _number(row.get(names.metric))))
    if any("gap/gap" in one for one in rows):
        cells.append(("gap", _number(row.get("gap/gap"), "+")))
    return cells


def _width(title: str) -> int:
    return max(len(title) + 2, 7 if title == "epoch" else 10)


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return "–"
    return f"{value:{sign}.4f}" if abs(value) < 1000 else f"{value:{sign}.2e}"


def _marks(rows: list[Row], loss: str) -> str:
    """What is to be said of the last of `rows`: a new best, an alarm."""
    marks = ["best"] if best_row(rows, loss) is rows[-1] else []
    alarm = ALARMS.get(int(rows[-1].get("gap/alarm", 0)))
    return "   " + ", ".join(marks + ([f"▲ {alarm}"] if alarm else [])) if marks or alarm else ""


def _summary(rows: list[Row], names: CurveNames) -> str:
    """The course of the validation loss in one line, and where it is lowest."""
    best = best_row(rows, names.loss)
    if best is None:
        return "validation loss: no finite number"
    losses = [float(row[names.loss]) for row in rows if names.loss in row]
    size = math.ceil(len(losses) / _MOST_SPARKS)
    means = [statistics.fmean(losses[i : i + size]) for i in range(0, len(losses), size)]
    low = min(means)
    span = min(max(means), 4 * statistics.median(means)) - low  # an explosion must not flatten the rest
    levels = [min(int(8 * (mean - low) / span), 7) if span > 0 else 0 for mean in means]
    sparks = "".join(_SPARKS[level] for level in levels)
    return f"validation loss {sparks}  lowest {_number(best[names.loss])} at {place_of(rows, best)}"
