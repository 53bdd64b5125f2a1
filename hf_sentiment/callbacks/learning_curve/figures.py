"""Pictures without a course: figures of several models with their intervals, and shares of labels."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_sentiment.callbacks.learning_curve.drawing import INK, STYLE, TRAIN, new_figure, save_figure
from hf_sentiment.callbacks.shared import less_is_better

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Characters in a line of the picture.
_WIDEST = 105


def draw_dots(
    models: Sequence[tuple[str, Mapping[str, Any]]], metrics: Sequence[str], title: str, note: str, stem: Path
) -> None:
    """Draw metrics of models as dots with their intervals, a panel a metric, as `stem.svg` and `stem.png`.

    Args:
        models: Names and, by metric, `value` and perhaps `low` and `high`; the first is the one in question.
        metrics: What is drawn.
        title: Above the panels.
        note: Below them.
        stem: Path without ending.
    """
    from matplotlib import style  # matplotlib is slow to import

    with style.context(["default", STYLE], after_reset=True):
        figure = _titled(1.3 + 0.35 * len(models), title, note)
        grid = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric in zip(grid, metrics, strict=True):
            _dots(axes, models, metric)
        grid[0].set_yticks(range(len(models)), [name for name, _ in models])
        grid[0].set_ylim(len(models) - 0.5, -0.5)
        save_figure(figure, stem)


def draw_shares(shares: Mapping[str, float], title: str, note: str, stem: Path) -> None:
    """Draw shares as bars, as `stem.svg` and `stem.png`; where there are none, the note stands alone.

    Args:
        shares: By their names, each at most 1.
        title: Above the bars.
        note: Below them.
        stem: Path without ending.
    """
    from matplotlib import style

    with style.context(["default", STYLE], after_reset=True):
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
        save_figure(figure, stem)


def _titled(height: float, title: str, note: str) -> Figure:
    figure = new_figure(height)
    figure.suptitle(textwrap.fill(title, _WIDEST), x=0.015, ha="left", fontsize=10)
    figure.supxlabel(textwrap.fill(note, _WIDEST), x=0.015, ha="left", fontsize=8.5)
    return figure


def _dots(axes: Axes, models: Sequence[tuple[str, Mapping[str, Any]]], metric: str) -> None:
    for place, (_, figures) in enumerate(models):
        entry = figures[metric]
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
