"""`sweep`: try settings around the plan, repeat the best, and train the one that is chosen."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict
from filelock import FileLock, Timeout

from hf_sentiment.commands.parts import Part, fold_parts, named, part_arguments
from hf_sentiment.commands.sweep.choice import candidates_of, choose, leave, lines_of, shown, table_of
from hf_sentiment.commands.sweep.space import extent, own_values, planned_space, read_space, with_own
from hf_sentiment.commands.sweep.trials import Job, open_study, stale_trials, work, work_in_processes
from hf_sentiment.commands.train import RunResult, call_record, run_training
from hf_sentiment.compute import processes
from hf_sentiment.data.splits import FOLDS
from hf_sentiment.data.texts import numbers
from hf_sentiment.errors import CallError, SentimentError, missing_extra
from hf_sentiment.records.folder import SWEEP, SWEEP_CALL, RunFolder
from hf_sentiment.records.schema import SweepSummary
from hf_sentiment.records.serialization import read_record, write_record
from hf_sentiment.table import table_lines
from hf_sentiment.training.arguments import split_arguments
from hf_sentiment.training.assemble import prepare_plan

logger = logging.getLogger(__name__)

# Seeds of each of the best, where `--seeds` does not say it.
_SEEDS = 3


@dataclass(frozen=True)
class SweepResult:
    """What `sweep` made.

    Attributes:
        run: The run of the setting that was chosen.
        summary: How it was chosen.
        table: A row for each trial, as `records/sweep.json` has them.
    """

    run: RunResult
    summary: SweepSummary
    table: list[dict[str, Any]]


def sweep(
    dataset: Any = None,
    *,
    trials: int = 20,
    jobs: int = 1,
    space: str | None = None,
    repeat: int = 3,
    backend: str = "local",
    **arguments: Any,
) -> SweepResult | None:
    """Try settings, the plan first, repeat the best with other seeds, and train the chosen one in `output_dir`.

    Trials are judged by the log loss of the validation texts or, where the plan holds none out, of out-of-fold
    predictions. They never see the test split, on which the chosen one is measured, once.

    Args:
        dataset: As in `train`.
        trials: How many settings.
        jobs: Processes at the same time.
        space: A YAML file of what is varied; by default what the plan leaves open.
        repeat: How many of the best are repeated; the plan is one more, if it is not among them.
        backend: "local", or "ray" for a cluster.
        **arguments: As in `train`; none that is said is varied. `folds` judges by so many folds in any case, and
            `seeds` says with how many seeds the best are compared.

    Returns:
        The result, or `None` where the folder held the finished sweep already.

    Raises:
        CallError: An argument that is wrong, nothing to vary, or no optuna.
        SentimentError: As `train`; or no setting could be judged.

    Examples:
        >>> sweep(train_file="reviews.csv", output_dir="runs/sweep", trials=8, jobs=2)  # doctest: +SKIP
    """
    _check_call({"trials": trials, "jobs": jobs, "repeat": repeat}, backend, arguments)
    folder = Path(arguments["output_dir"])
    call = {**call_record(*split_arguments(arguments), dataset), "repeat": repeat}
    if not (folder / SWEEP_CALL).is_file():
        RunFolder.open(folder, call)  # refuses what is there
    elif RunFolder(folder).finished:
        _check_same(folder, call, trials)
        logger.warning("%s is finished already, and nothing was changed: name another --output_dir", folder)
        return None
    with _alone(folder):
        job, values = _prepare(dataset, arguments, folder, trials, jobs, space)
        call |= {"space": {name: extent(one) for name, one in job.space.items()}}
        _check_same(folder, call)
        write_record(folder / SWEEP_CALL, call)
        return _sweep(job, values, dataset, arguments, repeat, backend == "ray")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder for this process; a call that was wrong leaves nothing in it."""
    made = [path for path in (folder / "trials", folder, *folder.parents) if not path.exists()]
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "trials" / ".sweep.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CallError(f"another process sweeps in {folder}: wait for it, or name another --output_dir") from error
    try:
        yield
    except KeyboardInterrupt as error:
        raise SentimentError("stopped: run the same command again to go on") from error
    finally:
        if not (folder / SWEEP_CALL).is_file():
            Path(lock.lock_file).unlink(missing_ok=True)
            with suppress(OSError):  # not empty
                for path in made:
                    path.rmdir()
        lock.release()


def _check_call(counts: Mapping[str, int], backend: str, arguments: Mapping[str, Any]) -> None:
    if processes.started() > 1:
        raise CallError("a sweep starts its processes itself: start one, with --jobs N")
    for name, value in counts.items():
        if value < 1:
            raise CallError(f"--{name} must be at least 1, got {value}")
    if backend not in ("local", "ray"):
        raise CallError(f"--backend must be one of local, ray, got {backend!r}")
    if not arguments.get("output_dir"):
        raise CallError("no folder to write to: --output_dir runs/my-first-sweep")
    for name, extra in {"optuna": "sweep", **({"ray": "sweep,ray"} if backend == "ray" else {})}.items():
        if importlib.util.find_spec(name) is None:
            raise missing_extra(extra, f"a sweep needs {name}")


def _check_same(folder: Path, call: dict[str, Any], trials: int | None = None) -> None:
    """See that what is asked for is what was asked for before: of a finished sweep so many trials, too."""
    before = dict(read_record(folder / SWEEP_CALL, dict[str, Any]) or call)
    if trials is not None:
        done = read_record(folder / "records" / f"{SWEEP}.json", dict[str, Any])
        before["trials"], call = done and len(done["trials"]), call | {"trials": trials, "space": before.get("space")}
    different = [name for name in before.keys() | call.keys() if before.get(name) != call.get(name)]
    if different:
        raise CallError(
            f"{folder} holds a sweep with other arguments (another {min(different)}): run the same command again to go "
            "on with it, or name another --output_dir"
        )


def _prepare(
    dataset: Any, arguments: Mapping[str, Any], folder: Path, trials: int, jobs: int, space: str | None
) -> tuple[Job, dict[str, Any]]:
    """What all trials have in common, and the values of the plan."""
    said = _of_one_run(arguments)
    ours, training = split_arguments(said)
    planned = prepare_plan(ours, training, dataset)
    plan, data, given = planned.plan, planned.data, {name for name, value in said.items() if value is not None}
    if not plan.fine_tunes:
        reason = "the plan solves for the head alone, in one go"
        raise CallError(f"nothing to vary, as {reason}: `hf-sentiment train` it, or say --num_train_epochs 4")
    own = own_values(plan, ours, training)
    varied, values = with_own(planned_space(plan, given) if space is None else read_space(space, own, given), own)
    if not varied:
        raise CallError("nothing to vary: all that the plan leaves open is said: leave some of it out")
    watched, judged = "validation" in data.splits, data.splits.get("validation", data.splits["train"])
    parts = [] if watched else list(fold_parts(data, arguments.get("folds") or FOLDS, planned.call.data_seed))
    if watched:
        texts = DatasetDict({name: named(data.splits[name], data) for name in ("train", "validation")})
        parts = [Part(texts, judged, np.arange(len(judged)))]
    # Only where there are validation texts the chosen one will have a temperature.
    calibrate = watched and ours.calibrate
    part = part_arguments(said, plan, data.rule.labels) | {"calibrate": calibrate, "disable_tqdm": True}
    metric = ("eval_calibrated_loss" if calibrate else "eval_loss") if watched else None
    alarm = _alarm(said) if watched else {}
    references, seed, keep = numbers(judged, "label"), planned.call.seed, ours.keep_checkpoints
    job = Job(folder, parts, references, part | alarm, varied, metric, seed, trials, jobs, keep)
    logger.info("%d settings, judged by the log loss of %s. What is varied:", trials, job.judges)
    rows = [[name, shown(values[name]), extent(one)] for name, one in varied.items()]
    for line in table_lines([["", "plan", "space"], *rows], indent="  "):
        logger.info(line)
    return job, values


def _of_one_run(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without what is the sweep's; with folds there is no validation split."""
    rest = {name: value for name, value in arguments.items() if name not in ("folds", "seeds")}
    return rest | ({"validation_share": 0.0} if arguments.get("folds") else {})


def _alarm(said: Mapping[str, Any]) -> dict[str, str]:
    """A run that overfits is not gone on with, unless the user says what the alarm does."""
    return {"alarm": said.get("alarm") or "stop"}


def _sweep(
    job: Job, values: Mapping[str, Any], dataset: Any, arguments: Mapping[str, Any], repeat: int, on_ray: bool
) -> SweepResult | None:
    study = open_study(job.folder)
    if not study.trials:
        study.enqueue_trial(dict(values))  # the plan itself is the first
    unfinished = len(study.trials) < job.trials or not all(trial.state.is_finished() for trial in study.trials)
    if on_ray:
        from hf_sentiment.commands.sweep.with_ray import repeat_with_ray, work_with_ray

        work_with_ray(job, study)
    elif unfinished:
        work_in_processes(job, None)
        work(job, None)  # what a process that died has left
    if stale_trials(study):
        raise SentimentError(f"{job.folder}: a process of before is still at a trial: run the same command again")
    candidates = candidates_of(study, repeat)
    seeds = [job.seed + more for more in range(arguments.get("seeds") or _SEEDS)]
    tasks = [(number, of, seed) for number, of in candidates.items() for seed in seeds[1:]]
    tasks = [task for task in tasks if not job.is_judged(task[0], task[2])]
    if on_ray:
        repeat_with_ray(job, tasks)
    else:
        work_in_processes(job, tasks)
    summary, table = choose(job, study, candidates, seeds), table_of(study)
    leave(job, study, summary, table)
    for line in lines_of(table, summary):
        logger.info(line)
    said = _of_one_run(arguments)
    winner = {**said, **(_alarm(said) if job.watched else {}), "bf16": job.arguments["bf16"], **summary.values}
    result = run_training(dataset, winner, sweep=summary)
    return None if result is None else SweepResult(result, summary, table)
