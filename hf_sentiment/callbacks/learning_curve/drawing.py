"""The picture of a run: losses with intervals, what is kept, alarms, a metric. Drawn from the lines of a history."""

from __future__ import annotations

import contextlib
import io
import math
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_sentiment.callbacks.gap_test import ALARMS
from hf_sentiment.callbacks.learning_curve.history import (
    OWN,
    CurveNames,
    Row,
    as_measured,
    best_row,
    counts_epochs,
    curve_names,
    place_of,
)
from hf_sentiment.callbacks.shared import Kept, less_is_better, more_is_better
from hf_sentiment.records.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart with any colour vision; markers differ too, for prints in grey.
TRAIN, _VALIDATION, _METRIC, INK, _FAINT = "#0072B2", "#D55E00", "#009E73", "#000000", "#767676"
_FILLS = {1: "white", 2: INK}  # of the triangle of an alarm
_WIDTH = 7.0  # inches; beside text of 9 points that is the width of a model card
_LEGEND = 48  # characters of a legend's entry
_MOST_MARKERS = 16
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.edgecolor": "#555555",
    "legend.frameon": False,
    # Names of parts of the SVG come from this and not from chance: the same history gives the same bytes.
    "svg.hashsalt": "hf-sentiment",
}


def draw_curves(
    rows: list[Row], stem: Path, monitor: str = "accuracy", loss: str = "log loss", kept: Kept | None = None
) -> None:
    """Draw the losses and one metric over epochs (or steps, where epochs are divided), as `stem.svg` and `stem.png`.

    The same rows give the same bytes. Losses are those of the overfitting alarm's probe, with their intervals, where
    the rows have them, and means over the texts, where the Trainer reports others. The learning rate is drawn where it
    is neither constant nor falls in a straight line.

    Args:
        rows: Lines of a history; nothing is drawn without any.
        stem: Path without ending.
        monitor: The metric of the second panel, with or without `eval_`, which is left out where no line has it. With
            several evaluation sets it names the set; the first by default.
        loss: What the loss is.
        kept: What the run ends with; `None` while it goes on.
    """
    if not rows:
        return
    with house_style():
        names = curve_names(rows, monitor)
        differs = any(f"{OWN}{names.loss}" in row for row in rows)
        save_figure(_figure(_Canvas(as_measured(rows), names, differs), loss, kept), stem)


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """What is drawn and saved within looks like all pictures of this package, whatever the user's own settings."""
    from matplotlib import style  # matplotlib is slow to import

    with style.context(["default", STYLE], after_reset=True):
        yield


def save_figure(figure: Figure, stem: Path) -> None:
    """Write `stem.png` and `stem.svg`, each whole or not there, and the same bytes for the same figure."""
    for ending in ("png", "svg"):
        write_atomically(stem.with_name(f"{stem.name}.{ending}"), figure_bytes(figure, ending))


def figure_bytes(figure: Figure, ending: str, title: str = "Learning curves") -> bytes:
    """A figure as a file: "png" or "svg", the same bytes for the same figure."""
    metadata = {"Software": None} if ending == "png" else {"Date": None, "Title": title}
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format=ending, dpi=200, metadata=metadata)
    figure.set_layout_engine("none")  # laid out once is enough, and a third of the time
    return buffer.getvalue()


def new_figure(height: float, width: float = _WIDTH) -> Figure:
    """A white card with a frame, to be read on a white page and on a dark one; sizes in inches."""
    # The object interface: pyplot keeps figures in a global list and looks for a display.
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.08)
    return Figure((width, height), layout=layout, edgecolor="#C8C8C8", linewidth=1.5)


def _figure(canvas: _Canvas, loss: str, kept: Kept | None) -> Figure:
    rows, names = canvas.rows, canvas.names
    panels: list[tuple[float, Callable[[Axes], None]]] = [(2.9, lambda axes: _losses(canvas, axes, loss, kept))]
    if any(names.metric in row for row in rows):
        panels.append((1.25, lambda axes: _metric(canvas, axes, names.metric)))
    if _bends([row["learning_rate"] for row in rows if "learning_rate" in row]):
        panels.append((0.8, lambda axes: _learning_rate(canvas, axes)))
    heights = [height for height, _ in panels]
    figure = new_figure(sum(heights) + 0.9)  # inches; the legend and the axis take the rest
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (_, draw) in zip(grid, panels, strict=True):
        draw(axes)
    mark = _marked(canvas, kept)
    if mark is not None and len(rows) > 1:
        for axes in grid:
            axes.axvline(canvas.x[rows.index(mark)], color=INK, linestyle=":", linewidth=1.0, alpha=0.6, zorder=1)
    _horizontal_axis(canvas, grid[-1])
    figure.align_ylabels(list(grid))
    # Outside the panels a legend covers no data.
    handles, labels = zip(*canvas.legend, strict=True) if canvas.legend else ((), ())
    figure.legend(handles, labels, loc="outside upper left", ncols=2, fontsize=8.5, columnspacing=2.0)
    return figure


class _Canvas:
    """The rows, where they stand on the horizontal axis, and the legend that the panels fill."""

    def __init__(self, rows: list[Row], names: CurveNames, differs: bool) -> None:
        self.rows = rows
        self.names = names
        self.differs = differs  # the loss is not what the Trainer reports
        self.by_epoch = counts_epochs(rows)
        self.x = [float(row["epoch"] if self.by_epoch else row["step"]) for row in rows]
        self.legend: list[tuple[Any, str]] = []

    @property
    def validation(self) -> str:
        """What the validation loss is called."""
        name = "validation" if self.names.evaluation_set is None else f"validation ({self.names.evaluation_set})"
        return f"{name}, mean over the texts (the Trainer reports another)" if self.differs else name

    def values(self, name: str) -> tuple[list[float], list[float]]:
        """The places and values of the rows that have `name`."""
        # A single evaluation has room beside it: intervals that overlap stand side by side.
        shift = -0.02 if len(self.rows) == 1 and name.startswith(("train_loss", "gap/train_loss")) else 0.0
        points = [(x + shift, row[name]) for x, row in zip(self.x, self.rows, strict=True) if name in row]
        return [x for x, _ in points], [value for _, value in points]

    def line(self, axes: Axes, name: str, color: str, marker: str, **style: Any) -> Artist | None:
        """A line through `name` with at most so many markers that they can be told apart."""
        # Rows without the name leave no gap: of two callbacks one may evaluate less often.
        x, y = self.values(name)
        if not x:
            return None
        options: dict[str, Any] = {"linestyle": "-", "linewidth": 1.8, "markersize": 4.5, "markeredgecolor": "white"}
        options |= {"markeredgewidth": 0.6, "markevery": math.ceil(len(x) / _MOST_MARKERS), "zorder": 3}
        (artist,) = axes.plot(x, y, color=color, marker=marker, **(options | style))
        return artist

    def band(self, axes: Axes, name: str, color: str) -> Artist | None:
        """The interval from `name`_low to `name`_high; a bar where there is a single one."""
        x, low = self.values(f"{name}_low")
        _, high = self.values(f"{name}_high")
        if not x or len(low) != len(high):
            return None
        if len(x) == 1:
            axes.vlines(x, low, high, color=color, alpha=0.35, linewidth=7, zorder=1)
        return axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0, zorder=1)

    def label(self, text: str, *artists: Artist | None) -> None:
        """An entry of the legend for those of the artists that were drawn; as wide as half of the picture."""
        group = tuple(artist for artist in artists if artist is not None)
        if group:
            lines = (textwrap.fill(line, _LEGEND) for line in text.splitlines())
            self.legend.append((group, "\n".join(lines)))


def _losses(canvas: _Canvas, axes: Axes, loss: str, kept: Kept | None) -> None:
    """The losses with their bands, what is kept, the lowest validation loss, the alarms."""
    rows, names = canvas.rows, canvas.names
    probe = canvas.line(axes, "gap/train_loss", TRAIN, "s")
    canvas.label("training (probe, dropout off), 95 % interval", canvas.band(axes, "gap/train_loss", TRAIN), probe)
    if any("gap/train_loss" not in row and "train_loss" in row for row in rows):
        thin = {"linewidth": 1.0, "linestyle": "--", "markersize": 4.0}
        reported = "as the Trainer reports it" if canvas.differs else "running mean, dropout on"
        canvas.label(f"training ({reported})", canvas.line(axes, "train_loss", TRAIN, "s", **thin))
    band = canvas.band(axes, "gap/validation_loss", _VALIDATION)
    validation = canvas.line(axes, names.loss, _VALIDATION, "o")
    if band is not None and validation is not None and not _same(rows, names.loss, "gap/validation_loss"):
        # The alarm watches some of the texts only: the interval is not that of the line.
        canvas.label(canvas.validation, validation)
        center = canvas.line(axes, "gap/validation_loss", _VALIDATION, "None", linewidth=0.8, zorder=2)
        canvas.label("validation texts that the alarm watches, 95 % interval", band, center)
    else:
        canvas.label(canvas.validation + (", 95 % interval" if band is not None else ""), band, validation)
    calibrated = canvas.line(axes, names.calibrated, _VALIDATION, "o", linestyle="--", linewidth=1.2, mfc="white")
    if calibrated is not None:
        calibrated.set(markeredgecolor=_VALIDATION, markeredgewidth=0.9)
        canvas.label("validation, calibrated", calibrated)
    _vertical_axis(axes, [row[name] for row in rows for name in (names.loss, "train_loss") if name in row])
    log = ", log scale" if axes.get_yscale() == "log" else ""
    axes.set_ylabel(f"{loss}{log}\n(lower is better)")
    _tested(canvas, axes)
    _points(canvas, axes, kept)
    _symbols(canvas, axes)


def _tested(canvas: _Canvas, axes: Axes) -> None:
    """What was measured after training, of a run in which nothing was evaluated."""
    row = canvas.rows[-1]
    for name, words in (("test_loss", "test texts"), ("folds_loss", "texts in cross-validation")):
        if name in row:
            band = canvas.band(axes, name, _VALIDATION)
            point = canvas.line(axes, name, _VALIDATION, "D", markersize=6.0)
            accuracy = row[name.replace("loss", "accuracy")]
            figures = f"log loss {row[name]:.3f} with its 95 % interval, accuracy {accuracy:.3f}"
            canvas.label(f"what is kept, on {row['texts']:,} {words}: {figures}", band, point)


def _marked(canvas: _Canvas, kept: Kept | None) -> Row | None:
    """The row to mark: of what is kept or, while the run goes on, of the lowest validation loss."""
    if kept is None:
        return best_row(canvas.rows, canvas.names.loss)
    return next((row for row in canvas.rows if row["step"] == kept.step), None)


def _points(canvas: _Canvas, axes: Axes, kept: Kept | None) -> None:
    """A ring around what is kept, and a cross on the lowest validation loss, where that is another."""
    rows, loss = canvas.rows, canvas.names.loss
    best, mark = best_row(rows, loss), _marked(canvas, kept)
    lowest = "" if best is None else f"lowest validation loss: {best[loss]:.4g} at {place_of(rows, best)}"
    if mark is not None and loss in mark:
        ring: dict[str, Any] = {"ms": 9.5, "mfc": "none", "mec": INK, "mew": 1.4, "zorder": 5}
        (artist,) = axes.plot(canvas.x[rows.index(mark)], mark[loss], "o", **ring)
        if kept is None:
            canvas.label(f"{lowest} so far", artist)
        elif mark is best:
            both = f"{kept.words}: {lowest}"
            canvas.label(both if len(both) <= _LEGEND else f"{kept.words}:\n{lowest}", artist)
        else:
            canvas.label(f"{kept.words}: {place_of(rows, mark)}, loss {mark[loss]:.4g}", artist)
    elif kept is not None:
        where = "" if mark is None else f": {place_of(rows, mark)}"
        (nothing,) = axes.plot([], [], linestyle="none")
        canvas.label(f"{kept.words}{where}", nothing)
    if kept is not None and best is not None and mark is not best:
        (cross,) = axes.plot(canvas.x[rows.index(best)], best[loss], "x", ms=7.0, mec=INK, mew=1.4, zorder=5)
        canvas.label(lowest, cross)


def _symbols(canvas: _Canvas, axes: Axes) -> None:
    """Alarms, and losses that are not numbers, in a strip above the data that is kept free for them."""
    rows, loss = canvas.rows, canvas.names.loss
    marks: list[tuple[list[int], str, str, str]] = []
    for level, name in ALARMS.items():
        places = [i for i, row in enumerate(rows) if row.get("gap/alarm") == level]
        marks.append((places, f"alarm: {name}", "^", _FILLS[level]))
    evaluated = [i for i, row in enumerate(rows) if any(name.startswith("eval_") for name in row)]
    marks.append(([i for i in evaluated if loss not in rows[i]], "validation loss not finite", "X", _VALIDATION))
    if not any(places for places, *_ in marks):
        return
    # A tenth more room at the top, which on a logarithmic scale is a factor.
    low, high = axes.get_ylim()
    logarithmic = axes.get_yscale() == "log"
    axes.set_ylim(low, high * (high / low) ** 0.12 if logarithmic else high + 0.12 * (high - low))
    line: dict[str, Any] = {"color": INK, "lw": 1.2, "ms": 7.0, "mec": INK, "mew": 1.0, "zorder": 6, "clip_on": False}
    for places, text, marker, fill in marks:
        handle = None
        # A symbol where it begins, a line while it lasts.
        for first, last in _streaks(places):
            x = [canvas.x[first], canvas.x[last]]
            strip = axes.get_xaxis_transform()
            (handle,) = axes.plot(x, [0.95, 0.95], transform=strip, marker=marker, markevery=[0], mfc=fill, **line)
        if places:
            canvas.label(f"{text}, from {place_of(rows, rows[places[0]])}", handle)


def _streaks(places: list[int]) -> list[tuple[int, int]]:
    """First and last of each streak of consecutive numbers."""
    # 3 4 5 8 gives (3, 5) and (8, 8).
    firsts = [place for place in places if place - 1 not in places]
    lasts = [place for place in places if place + 1 not in places]
    return list(zip(firsts, lasts, strict=True))


def _metric(canvas: _Canvas, axes: Axes, name: str) -> None:
    canvas.line(axes, name, _METRIC, "D", markersize=4.0)
    direction = "\n(lower is better)" if less_is_better(name) else "\n(higher is better)" * more_is_better(name)
    axes.set_ylabel(name.removeprefix("eval_").replace("_", " ") + direction)
    # Changes too small to matter are not blown up to the height of the panel.
    _, values = canvas.values(name)
    low, high = axes.get_ylim()
    if max(map(abs, values)) <= 1.0 and high - low < 0.04:
        middle = (high + low) / 2
        axes.set_ylim(middle - 0.02, middle + 0.02)
    axes.locator_params(axis="y", nbins=4)


def _learning_rate(canvas: _Canvas, axes: Axes) -> None:
    canvas.line(axes, "learning_rate", _FAINT, "None", linewidth=1.2)
    axes.set_ylabel("learning\nrate", color=_FAINT)
    axes.set_ylim(bottom=0.0)
    axes.tick_params(axis="y", colors=_FAINT)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.locator_params(axis="y", nbins=2)


def _vertical_axis(axes: Axes, losses: list[float]) -> None:
    """From zero where the losses come near it; logarithmic where one is far above the others."""
    positive = sorted(loss for loss in losses if loss > 0)
    # The largest against the median: one explosion, of which a straight scale would leave a flat line and a spike.
    if positive and positive[-1] > 12 * positive[len(positive) // 2]:
        axes.set_yscale("log")
    elif positive and positive[0] < 0.3 * positive[-1] and min(losses) >= 0:
        axes.set_ylim(bottom=0.0)
    else:
        axes.margins(y=0.12)


def _horizontal_axis(canvas: _Canvas, axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=13, integer=True, min_n_ticks=1))
    first, last = min(canvas.x), max(canvas.x)
    spare = 0.5 if first == last else 0.03 * (last - first)
    axes.set_xlim(first - spare, last + spare)
    row = canvas.rows[-1]
    steps = f" ({row['step'] / row['epoch']:.0f} steps are an epoch)" if row["epoch"] else ""
    axes.set_xlabel("epoch" if canvas.by_epoch else f"training step{steps}")


def _bends(rates: list[float]) -> bool:
    """Whether a learning rate says more than that it is constant or falls in a straight line."""
    if len(rates) < 3:
        return False
    # Furthest from the straight line between the ends, as a share of the largest rate.
    first, slope = rates[0], (rates[-1] - rates[0]) / (len(rates) - 1)
    return max(abs(rate - first - slope * i) for i, rate in enumerate(rates)) > 0.05 * max(rates)


def _same(rows: list[Row], one: str, other: str) -> bool:
    """Whether two losses are the same curve up to rounding."""
    pairs = [(row[one], row[other]) for row in rows if one in row and other in row]
    return all(math.isclose(a, b, rel_tol=1e-2, abs_tol=1e-3) for a, b in pairs)
