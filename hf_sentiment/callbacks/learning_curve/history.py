"""The lines of a history: what is drawn and printed of them, and which one is the best or was kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hf_sentiment.records.history import Row

#: Before the name of a loss: its mean over the texts, where the Trainer reports another one.
OWN = "own/"
#: In the last line of a run in which nothing was evaluated: of which texts its figures are.
FINAL = "final"


def is_json(value: Any) -> bool:
    """Whether every JSON parser reads `value`: NaN and infinity are no JSON."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def as_measured(rows: list[Row]) -> list[Row]:
    """The rows with the mean losses over the texts in place of those that the Trainer reports, where they differ."""
    return [
        row | {name.removeprefix(OWN): value for name, value in row.items() if name.startswith(OWN)} for row in rows
    ]


@dataclass(frozen=True)
class CurveNames:
    """Names, in the lines of a history, of what is drawn: validation loss, calibrated validation loss, metric.

    Attributes:
        loss: Of the validation loss.
        calibrated: Of the calibrated validation loss.
        metric: Of the metric.
        evaluation_set: The set's name, where it is one of several.
    """

    loss: str
    calibrated: str
    metric: str
    evaluation_set: str | None


def curve_names(rows: list[Row], monitor: str) -> CurveNames:
    """What to draw of `rows`.

    Args:
        rows: Lines of a history.
        monitor: The metric, with or without `eval_`. With several evaluation sets it names the set, which is the first
            one otherwise. For a loss, the metric beside it is the accuracy.
    """
    names = dict.fromkeys(name for row in rows for name in row if name.startswith("eval_"))
    stems = [name.removesuffix("loss") for name in names if name == "eval_loss" or name.endswith("_loss")]
    # `eval_movies_calibrated_loss` is a metric of the set `movies`, as `eval_calibrated_loss` is of the only set.
    prefixes = [one for one in stems if not any(one != other and one.startswith(other) for other in stems)]
    wanted = f"eval_{monitor.removeprefix('eval_')}"
    matching = [prefix for prefix in prefixes if wanted.startswith(prefix)]
    prefix = max(matching, key=len, default=(prefixes or ["eval_"])[0])
    metric = wanted if matching else prefix + wanted.removeprefix("eval_")
    if metric.endswith("loss"):
        metric = f"{prefix}accuracy"
    several = prefix.removeprefix("eval_").removesuffix("_") if len(prefixes) > 1 else None
    return CurveNames(f"{prefix}loss", f"{prefix}calibrated_loss", metric, several)


def best_row(rows: list[Row], loss: str) -> Row | None:
    """The line with the lowest `loss`, the first of equals; `None` where no line has one."""
    return min((row for row in rows if loss in row), key=lambda row: row[loss], default=None)


def counts_epochs(rows: list[Row]) -> bool:
    """Whether every line stands at the end of an epoch (or before the first)."""
    return all(abs(row["epoch"] - round(row["epoch"])) < 0.01 for row in rows)


def place_of(rows: list[Row], row: Row) -> str:
    """Where `row` stands, in words: its epoch, or its step where epochs are divided."""
    return f"epoch {row['epoch']:.0f}" if counts_epochs(rows) else f"step {row['step']}"
