"""Which setting a sweep ends with, and what it says, writes and draws of all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_sentiment.callbacks.learning_curve import draw_parallel, draw_shares, save_figure
from hf_sentiment.commands.sweep.space import values_of
from hf_sentiment.commands.sweep.trials import Job, perform
from hf_sentiment.errors import SentimentError
from hf_sentiment.evaluation.metrics import intervals
from hf_sentiment.records.folder import SWEEP
from hf_sentiment.records.schema import Estimate, SweepSummary
from hf_sentiment.records.serialization import to_json, write_record
from hf_sentiment.table import table_lines

if TYPE_CHECKING:
    from optuna import Study

# The fewest judged trials of which anything can be said on what mattered.
_FOR_IMPORTANCES = 5


def candidates_of(study: Study, repeat: int) -> dict[int, dict[str, Any]]:
    """The values of the best settings, and of the plan, by their numbers.

    Raises:
        SentimentError: None could be judged.
    """
    judged = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    ranked = sorted(judged, key=lambda trial: (trial.value, trial.number))
    if not ranked:
        raise SentimentError(f"no setting could be judged: {study.trials[0].user_attrs.get('failed', 'all stopped')}")
    chosen = ranked[:repeat] + [trial for trial in ranked[repeat:] if trial.number == 0]
    return {trial.number: values_of(trial) for trial in chosen}


def choose(job: Job, study: Study, candidates: Mapping[int, Mapping[str, Any]], seeds: Sequence[int]) -> SweepSummary:
    """The plan, unless another is better by more than a standard error: then that, or what is as good and quicker.

    Breiman et al. 1984, section 3.4.3, on the differences text by text. The error has the part of the texts, and that
    of the seeds.

    Args:
        job: Of the sweep.
        study: With all trials.
        candidates: Of `candidates_of`, trained with every seed.
        seeds: Of the repetitions.
    """
    logits = {number: [perform(job, number, {}, seed)[0] for seed in seeds] for number in candidates}
    losses = {number: np.array([job.losses(np.asarray(one)) for one in of]) for number, of in logits.items()}
    best = min(losses, key=lambda number: float(losses[number].mean()))

    def told(number: int) -> bool:
        worse = losses[number] - losses[best]  # [seeds, texts]
        parts = [worse.mean(axis=axis) for axis in (0, 1)]
        variance = sum(part.var(ddof=1) / len(part) for part in parts if len(part) > 1)
        return bool(worse.mean() > np.sqrt(variance))

    near = [number for number in losses if not told(number)]
    seconds = {number: study.trials[number].user_attrs["seconds"] for number in near}
    chosen = 0 if 0 in near else min(near, key=lambda number: (seconds[number], number))
    reason = "it has the lowest log loss" if chosen == best else f"setting {best} is not better by a standard error"
    states = Counter(trial.state.name for trial in study.trials)
    return SweepSummary(
        trials=states.total(),
        complete=states["COMPLETE"],
        pruned=states["PRUNED"],
        failed=states["FAIL"],
        judged_on=job.judges,
        candidates=len(candidates),
        seeds=len(seeds),
        trial=chosen,
        values={} if chosen == 0 else dict(candidates[chosen]),
        log_loss=_estimate(losses[chosen]),
        plan_log_loss=_estimate(losses[0]) if 0 in losses else None,
        reason=reason,
    )


def _estimate(losses: np.ndarray) -> Estimate:
    """The mean of losses `[seeds, texts]`, and where it lies for 95 % of resampled texts."""
    means = losses.mean(axis=0)
    ((low, high),) = intervals(lambda rows: {"mean": means[rows].mean(axis=1)}, len(means)).values()
    return Estimate(float(means.mean()), low, high)


def table_of(study: Study) -> list[dict[str, Any]]:
    """A row for each trial, as `records/sweep.json` has it."""
    rows = []
    for one in study.trials:
        state = one.state.name.lower()
        # The value of one that was stopped is its last evaluation's, which is no other trial's.
        row = {"trial": one.number, "state": state, "log_loss": one.value if state == "complete" else None}
        rows.append(row | one.user_attrs | {"values": values_of(one)})
    return rows


def shown(value: Any) -> str:
    """A value in a table."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def lines_of(table: Sequence[Mapping[str, Any]], summary: SweepSummary) -> list[str]:
    """The table of trials, and the choice, as lines."""
    names = list(table[0]["values"])
    cells = [["trial", *names, "log loss", "accuracy", "seconds", "state"]]
    for row in table:
        done = row["log_loss"] is not None
        figures = [str(Estimate(row["log_loss"], row["low"], row["high"])), f"{row['accuracy']:.3f}"] if done else []
        values = [shown(row["values"].get(name, "")) for name in names]
        seconds = f"{row['seconds']:.0f}" if "seconds" in row else ""
        cells.append([str(row["trial"]), *values, *(figures or ["", ""]), seconds, row["state"]])
    plan = f"; the plan: {summary.plan_log_loss}" if summary.trial and summary.plan_log_loss else ""
    chosen = f"setting {summary.trial}" if summary.trial else "the plan"
    on = f"Log loss over {summary.seeds} seed{'s' if summary.seeds > 1 else ''} on {summary.judged_on}"
    return [*table_lines(cells, indent="  "), f"Chosen: {chosen}, as {summary.reason}. {on}: {summary.log_loss}{plan}"]


def leave(job: Job, study: Study, summary: SweepSummary, table: Sequence[Mapping[str, Any]]) -> None:
    """Write the table, and draw the settings, and what of them mattered.

    Args:
        job: Of the sweep.
        study: With all trials.
        summary: Of `choose`.
        table: Of `table_of`.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    records = job.folder / "records"
    write_record(records / f"{SWEEP}.json", {"summary": to_json(summary), "trials": table})
    done = [row for row in table if row["log_loss"] is not None]
    places = {row["trial"]: place for place, row in enumerate(done)}
    numbers = {"the plan": 0, "chosen": summary.trial}
    marks = {words: places[number] for words, number in numbers.items() if number in places}
    logs = {name for name, one in job.space.items() if getattr(one, "log", False)}
    columns = {name: [row["values"][name] for row in done] for name in job.space}
    save_figure(draw_parallel(columns, [row["log_loss"] for row in done], logs, marks), records / f"{SWEEP}-settings")
    if len(done) >= _FOR_IMPORTANCES:
        shares = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())  # the largest first
        note = "Share of each in what the better trials have in common (PED-ANOVA, Watanabe et al. 2023): a hint."
        title = f"What mattered in {len(done)} trials"
        save_figure(draw_shares(shares, title, note), records / f"{SWEEP}-importances")
