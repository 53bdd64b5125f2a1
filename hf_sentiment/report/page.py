"""The report of a run or of an evaluation: one HTML file, for people, that needs nothing from elsewhere.

It quotes texts that were evaluated, and is never published.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hf_sentiment import __version__
from hf_sentiment.callbacks.learning_curve import draw_dots, draw_reliability, figure_bytes
from hf_sentiment.data.language import unit_of
from hf_sentiment.evaluation.report import (
    BASELINES,
    agreement_line,
    compared_models,
    report_rows,
    shortfall,
    slice_cells,
)
from hf_sentiment.evaluation.seen import seen_warning
from hf_sentiment.hub.card import data_facts, result_facts, template_folder, training_facts
from hf_sentiment.records.history import read_history
from hf_sentiment.records.read import RunRecords
from hf_sentiment.records.schema import EvaluationRecord, Measurement
from hf_sentiment.records.serialization import to_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METRICS = ("accuracy", "macro_f1", "log_loss")


def report_html(folder: str | Path, evaluation: EvaluationRecord | None = None) -> str:
    """The report of a run, from its records: the content of `records/report.html`.

    Args:
        folder: The run's folder.
        evaluation: In place of its record, which a run writes last.

    Raises:
        CallError: There is no such folder, or a record is not what it should be.

    Examples:
        >>> page = report_html("runs/reviews")  # doctest: +SKIP
    """
    records = RunRecords.read(folder, evaluation)
    training, results = training_facts(records), result_facts(records, quote_texts=False)
    data = data_facts(records, None)
    curves = next((records.folder / name for name in records.curves if name.endswith(".svg")), None)
    rows = read_history(records.folder / "records" / "history.jsonl")
    run = {
        "data": data,
        "audit": records.audit,
        "training": training,
        "temperature": None if records.evaluation is None else records.evaluation.temperature,
        "curves": None if curves is None else _embedded(curves.read_bytes()),
        "evaluated": any(name.startswith("eval_") for row in rows for name in row),
    }
    date = None if training.run is None else training.run.date
    name, unmeasured = records.folder.resolve().name, results.unmeasured
    return _render(name, date, records.measured, data.length_unit, unmeasured=unmeasured, run=run)


def evaluation_html(evaluation: Measurement, name: str) -> str:
    """The report of what `evaluate` measured.

    Args:
        evaluation: What it returned.
        name: Of what was evaluated.
    """
    return _render(name, datetime.now(UTC).date().isoformat(), evaluation, unit_of(None), unmeasured=None, run=None)


def _render(name: str, date: str | None, evaluation: Measurement | None, unit: str, **facts: Any) -> str:
    """The page; `run` is `None` where it is of an evaluation alone."""
    if evaluation is not None:
        facts |= _results(evaluation)
    environment = Environment(
        loader=FileSystemLoader(template_folder()),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,  # texts and names of labels are anybody's
    )
    page = environment.get_template("report.html")
    return page.render(name=name, date=date, evaluation=evaluation, unit=unit, version=__version__, **facts)


def _results(evaluation: Measurement) -> dict[str, Any]:
    """What the page says of figures, and its pictures of them."""
    models = [(title, to_json(metrics)) for title, metrics in compared_models(evaluation)]
    human = evaluation.baselines.human
    if human is not None:
        ceiling = human.decided if len(evaluation.per_class) == 2 else human.ternary
        models.append(("one human rater", {"accuracy": {"value": ceiling}}))
    bins, against = evaluation.reliability, evaluation.against
    differences = [] if against is None else [("the other model", against.difference)]
    differences += [(BASELINES[name], difference) for name, difference in evaluation.differences.items()]
    return {
        "rows": report_rows(evaluation),
        "differences": differences,
        "agreement": agreement_line(against),
        "slices": [(row, slice_cells(row)) for row in evaluation.slices or ()],
        "shortfall": shortfall(evaluation),
        "seen": seen_warning(evaluation.seen, evaluation.texts),
        "comparison": _picture(draw_dots(models, _METRICS, "Figures and their 95 % intervals", ""), "Figures"),
        "reliability": _picture(draw_reliability(bins), "Reliability") if bins else None,
    }


def _picture(figure: Figure, title: str) -> str:
    return _embedded(figure_bytes(figure, "svg", title))


def _embedded(svg: bytes) -> str:
    """A picture as an address that holds it: a part of the page by itself, whose names meet no others."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
