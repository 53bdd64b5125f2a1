"""Pictures without a course: figures of several models with their intervals, shares of labels, and reliability."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_sentiment.callbacks.learning_curve.drawing import INK, TRAIN, house_style, new_figure
from hf_sentiment.callbacks.shared import less_is_better
from hf_sentiment.records.schema import Bin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Characters in a line of the picture.
_WIDEST = 105


def draw_dots(models: Sequence[tuple[str, Mapping[str, Any]]], metrics: Sequence[str], title: str, note: str) -> Figure:
    """Draw metrics of models as dots with their intervals, a panel a metric.

    Args:
        models: Names and, for each metric that they have, `value` and perhaps `low` and `high`; the first is the one in
            question.
        metrics: What is drawn.
        title: Above the panels.
        note: Below them.
    """
    with house_style():
        figure = _titled(1.3 + 0.35 * len(models), title, note)
        grid = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(grid, metrics, strict=True):
            _dots(axes, models, metric)
        grid[0].set_yticks(range(len(models)), [name for name, _ in models])
        grid[0].set_ylim(len(models) - 0.5, -0.5)
        return figure


def draw_reliability(bins: Sequence[Bin]) -> Figure:
    """Draw how often texts of each bin are labelled rightly over how sure the model is of them, and how many they are.

    Args:
        bins: Those that have texts.
    """
    with house_style():
        figure = new_figure(4.9, 4.6)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=INK, linestyle=":", lw=1.0, label="as sure as right")
        x = [each.confidence for each in bins]
        upper.vlines(
            x, [each.accuracy.low for each in bins], [each.accuracy.high for each in bins], color=TRAIN, lw=1.5
        )
        upper.plot(x, [each.accuracy.value for each in bins], "o", color=TRAIN, label="texts of a bin, 95 % interval")
        upper.set_ylabel("share that is right")
        upper.set_ylim(-0.03, 1.03)
        upper.legend(loc="upper left")
        widths = [each.high - each.low for each in bins]
        bars = lower.bar([each.low for each in bins], [each.texts for each in bins], widths, align="edge", color=TRAIN)
        lower.bar_label(bars, [f"{each.texts:,}" for each in bins], size=8)
        lower.margins(y=0.3)
        lower.set_ylabel("texts")
        lower.locator_params(axis="y", nbins=3)
        lower.set_xlabel("probability of the label that it gives")
        lower.set_xlim(min([0.5, *(each.low for each in bins)]), 1.0)
        figure.align_ylabels([upper, lower])
        return figure


def draw_parallel(
    columns: Mapping[str, Sequence[Any]], losses: Sequence[float], logs: Collection[str], marks: Mapping[str, int]
) -> Figure:
    """Draw settings as lines over parallel axes, one an argument and the last of the loss, which colors them.

    Args:
        columns: The values of each argument, one a setting: numbers, or words.
        losses: One a setting.
        logs: Arguments whose axis is logarithmic.
        marks: Settings with a name in the legend, by their place; a later one is drawn over it.
    """
    from matplotlib import colormaps

    with house_style():
        figure = _titled(3.6, f"{len(losses)} settings; lower log loss is better", "")
        axes = figure.subplots()
        heights = [_axis(axes, place, name, of, name in logs) for place, (name, of) in enumerate(columns.items())]
        heights.append(_axis(axes, len(heights), "log loss", losses, False))
        colors = colormaps["viridis"]
        for row in np.argsort(losses)[::-1]:  # the best on top
            axes.plot([of[row] for of in heights], color=colors(heights[-1][row]), lw=1.2, alpha=0.8)
        for (words, row), style in zip(marks.items(), ("--", "-"), strict=False):
            axes.plot([of[row] for of in heights], style, color=INK, lw=2.2, label=words)
        axes.set_xticks(range(len(heights)), [name.replace("_", "\n") for name in (*columns, "log loss")], size=7.5)
        axes.set_yticks([])
        axes.set_xlim(-0.4, len(heights) - 0.6)
        axes.set_ylim(-0.1, 1.1)
        axes.grid(axis="y", visible=False)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2)
        return figure


def _axis(axes: Axes, place: int, name: str, values: Sequence[Any], log: bool) -> list[float]:
    """Write what the ends of an axis are, and return how high on it each value lies, from 0 to 1."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        at = np.log(values) if log else np.asarray(values, dtype=float)
        ends: dict[float, Any] = {at.min(): min(values), at.max(): max(values)}
    else:
        words = sorted({str(value) for value in values})
        at = np.array([words.index(str(value)) for value in values], dtype=float)
        ends = {float(index): word for index, word in enumerate(words)}
    low, width = at.min(), max(np.ptp(at), 1e-12)
    for end, value in ends.items():
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        # The lowest below the lines, the others above.
        beside = (0, -10 if end == low else 4)
        axes.annotate(text, (place, (end - low) / width), beside, textcoords="offset points", size=7.5, ha="center")
    return [float(height) for height in (at - low) / width]


def draw_shares(shares: Mapping[str, float], title: str, note: str) -> Figure:
    """Draw shares as bars; where there are none, the note stands alone.

    Args:
        shares: By their names, each at most 1.
        title: Above the bars.
        note: Below them.
    """
    with house_style():
        figure = _titled(1.0 + 0.3 * len(shares), title, note) if shares else new_figure(0.6)
        if not shares:
            figure.text(0.015, 0.5, textwrap.fill(note, _WIDEST), va="center", fontsize=8.5)
        else:
            axes = figure.subplots()
            bars = axes.barh(list(shares), list(shares.values()), color=TRAIN, height=0.6)
            axes.bar_label(bars, [f"{share:.0%}" for share in shares.values()], padding=4)
            axes.set_xlim(0, 1)
            axes.set_axisbelow(True)
            axes.grid(axis="y", visible=False)
            axes.invert_yaxis()
            axes.set_xlabel("share of the texts")
        return figure


def _titled(height: float, title: str, note: str) -> Figure:
    figure = new_figure(height)
    figure.suptitle(textwrap.fill(title, _WIDEST), x=0.015, ha="left", fontsize=10)
    figure.supxlabel(textwrap.fill(note, _WIDEST), x=0.015, ha="left", fontsize=8.5)
    return figure


def _dots(axes: Axes, models: Sequence[tuple[str, Mapping[str, Any]]], metric: str) -> None:
    for place, (_, figures) in enumerate(models):
        entry = figures.get(metric)
        if entry is None:
            continue
        color = TRAIN if place == 0 else INK
        axes.hlines(place, entry.get("low", entry["value"]), entry.get("high", entry["value"]), color=color, lw=1.5)
        axes.plot(entry["value"], place, "o" if place == 0 else "s", color=color, ms=6.0 if place == 0 else 4.5)
        axes.annotate(
            f"{entry['value']:.3f}", (entry["value"], place), (0, 6), textcoords="offset points", ha="center", size=8
        )
    direction = "lower" if less_is_better(metric) else "higher"
    axes.set_xlabel(f"{metric.replace('_', ' ')} ({direction} is better)")
    axes.margins(x=0.1)
    axes.grid(axis="y", visible=False)
    axes.locator_params(axis="x", nbins=5)
