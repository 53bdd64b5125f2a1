"""The trials of a sweep: each a run, or the runs of its folds, judged on texts that are not the test split's."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from transformers import IntervalStrategy, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.commands.command import quieten_libraries
from hf_sentiment.commands.parts import HELD, Part, run_part
from hf_sentiment.commands.sweep.space import values_of
from hf_sentiment.commands.train import run_training
from hf_sentiment.compute.threads import threads_of_torch
from hf_sentiment.errors import CallError, DataError, SentimentError, first_line
from hf_sentiment.evaluation.metrics import bootstrap_intervals, softmax
from hf_sentiment.records.read import read_evaluation
from hf_sentiment.training.interruption import Interrupted

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

logger = logging.getLogger(__name__)

# Trials before the median rule stops one, and evaluations of a trial before.
BEFORE = (4, 1)
# Is told the number of an evaluation and its loss, and answers whether that is the end of the trial.
Report = Callable[[int, float], bool]
# Logits `[texts, labels]`, `None` of a trial that was stopped, and the seconds that it took.
Outcome = tuple[np.ndarray | None, float]
# A repetition: the number of a trial, its values, and a seed.
Task = tuple[int, Mapping[str, Any], int]


@dataclass(frozen=True)
class Job:
    """What all trials have in common; it travels to other processes.

    Attributes:
        folder: Of the sweep.
        parts: The texts: those to train on and to watch, or the folds.
        references: Label indices of the texts that trials are judged on, `[texts]`, in the order of the parts' rows.
        arguments: Of a run on a part.
        space: What is varied.
        watched: The metric of an evaluation that is reported; `None` where folds are.
        seed: Of the first run of each setting.
        trials: How many settings to try.
        jobs: Processes, which share the threads.
        keep: Whether weights are kept.
        threads: Of the machine.
    """

    folder: Path
    parts: Sequence[Part]
    references: np.ndarray
    arguments: dict[str, Any]
    space: dict[str, BaseDistribution]
    watched: str | None
    seed: int
    trials: int
    jobs: int
    keep: bool
    threads: int = field(default_factory=torch.get_num_threads)

    @property
    def judges(self) -> str:
        """The texts that trials are judged on, in words."""
        of = "validation texts" if self.watched else f"training texts, out of fold ({len(self.parts)} folds)"
        return f"{len(self.references):,} {of}"

    def run_folder(self, number: int, seed: int) -> Path:
        """The folder of the run of a setting with a seed."""
        again = "" if seed == self.seed else f"-seed-{seed}"
        return self.folder / "trials" / f"trial-{number:04d}{again}"

    def is_judged(self, number: int, seed: int) -> bool:
        """Whether that run, or all of its folds, are done."""
        return len(list(self.run_folder(number, seed).rglob(HELD))) == len(self.parts)

    def losses(self, logits: np.ndarray) -> np.ndarray:
        """The log loss of each text, `[texts]`, of logits `[texts, labels]`; NaN where they are."""
        losses: np.ndarray = -np.log(softmax(logits)[np.arange(len(self.references)), self.references])
        return losses


class _Watch(TrainerCallback):
    """Reports the evaluations of a run, and ends it in order where that says so."""

    def __init__(self, metric: str | None, report: Report) -> None:
        self.metric, self.report, self.pruned = metric, report, False

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Any = None, **kwargs: Any
    ) -> None:
        loss = (metrics or {}).get(self.metric)
        by_steps = args.eval_strategy == IntervalStrategy.STEPS
        number = state.global_step // int(state.eval_steps) if by_steps else round(state.epoch or 0)
        if loss is not None and np.isfinite(loss) and self.report(number, float(loss)):
            self.pruned = control.should_training_stop = True


def perform(job: Job, number: int, values: Mapping[str, Any], seed: int, report: Report | None = None) -> Outcome:
    """Train and judge a setting, go on with it where that was begun, or read it where it was done.

    Args:
        job: Of the sweep.
        number: Of the trial.
        values: What it has in place of the plan's.
        seed: Of the training.
        report: Is told of evaluations, or of folds.
    """
    folder, arguments = job.run_folder(number, seed), {**job.arguments, **values, "seed": seed}
    logits, seconds = np.full((len(job.references), len(job.arguments["labels"])), np.nan), 0.0
    watch = _Watch(job.watched, report or (lambda step, loss: False))
    for count, part in enumerate(job.parts, start=1):
        path = folder if job.watched else folder / f"fold-{count}"
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):  # the Trainer prints its logs
            logits[part.held] = run_part(run_training, part, arguments, path, job.keep, watching=[watch])
        ended = read_evaluation(path / "records" / "evaluation.json")
        seconds += ended.training.seconds if ended is not None and ended.training is not None else 0.0
        if not job.watched and count < len(job.parts):
            watch.pruned = watch.report(count, float(np.nanmean(job.losses(logits))))
        if watch.pruned:
            return None, seconds
    return logits, seconds


def open_study(folder: Path) -> Study:
    """The study of a sweep, in SQLite: a kill leaves it as it was after the last transaction."""
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Other processes write now and then, and for a moment.
    waits = {"connect_args": {"timeout": 60}}
    file, pruner = folder / "trials" / "study.sqlite", optuna.pruners.MedianPruner(*BEFORE)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{file}", engine_kwargs=waits)
        return optuna.create_study(storage=storage, study_name="sweep", load_if_exists=True, pruner=pruner)
    except SQLAlchemyError as error:
        raise DataError(
            f"{file} cannot be used ({first_line(error)}): restore it, or remove {file.parent} to begin anew"
        ) from error


def stale_trials(study: Study) -> list[Trial]:
    """Trials that are running by the records, of a process that lives or of a dead one."""
    from optuna.trial import Trial, TrialState

    return [Trial(study, one._trial_id) for one in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))]


def ask(job: Job, study: Study, worker: int = 0) -> Trial | None:
    """The next setting to try; `None` where there are enough."""
    import optuna

    known = study.get_trials(deepcopy=False)
    if sum(trial.state != optuna.trial.TrialState.WAITING for trial in known) >= job.trials:
        return None
    # A seed of its own a trial, so that no two processes, and none that begins anew, draw the same.
    study.sampler = optuna.samplers.TPESampler(seed=job.seed + 1000 * worker + len(known))
    return study.ask(job.space)


def tell(job: Job, study: Study, trial: Trial, outcome: Outcome | SentimentError) -> None:
    """Write down what became of a trial, or why nothing, and say it.

    Args:
        job: Of the sweep.
        study: Of the trial.
        trial: That has ended.
        outcome: Of `perform`.
    """
    from optuna.trial import TrialState

    if isinstance(outcome, SentimentError):
        trial.set_user_attr("failed", str(outcome))
        study.tell(trial, state=TrialState.FAIL)
        logger.warning("Trial %d failed: %s", trial.number, outcome)
        return
    logits, seconds = outcome
    trial.set_user_attr("seconds", seconds)
    if logits is None:
        study.tell(trial, state=TrialState.PRUNED)
        logger.info("Trial %d: stopped by the median rule after %.0f s", trial.number, seconds)
        return
    low, high = bootstrap_intervals(softmax(logits), job.references)["log_loss"]
    loss, accuracy = float(job.losses(logits).mean()), float((logits.argmax(axis=1) == job.references).mean())
    for name, value in {"low": low, "high": high, "accuracy": accuracy}.items():
        trial.set_user_attr(name, value)
    study.tell(trial, loss)
    logger.info("Trial %d: log loss %.3f, accuracy %.3f, %.0f s", trial.number, loss, accuracy, seconds)


def work(job: Job, tasks: Sequence[Task] | None, worker: int = 0) -> None:
    """Do trials until there are enough, or, where there are tasks, every `jobs`-th of them."""
    with threads_of_torch(max(1, job.threads // job.jobs)):
        for number, values, seed in (tasks or ())[worker :: job.jobs]:
            perform(job, number, values, seed)
            logger.info("Trial %d is repeated with seed %d", number, seed)
        study = None if tasks is not None else open_study(job.folder)
        while study is not None and (taken := _take(job, study, worker)) is not None:
            with taken[1]:
                _try(job, study, taken[0])


def _take(job: Job, study: Study, worker: int) -> tuple[Trial, Any] | None:
    """The trial of a dead process, whose lock is free, or else a new one; with its lock, which is given back once."""
    folder = job.folder / "trials"
    with FileLock(folder / ".lock"):
        for trial in stale_trials(study):
            with contextlib.suppress(Timeout):
                return trial, FileLock(folder / f".trial-{trial.number}.lock").acquire(timeout=0)
        new = ask(job, study, worker)
        return None if new is None else (new, FileLock(folder / f".trial-{new.number}.lock").acquire(timeout=0))


def _try(job: Job, study: Study, trial: Trial) -> None:
    def report(step: int, loss: float) -> bool:
        trial.report(loss, step)
        return trial.should_prune()

    try:
        outcome: Outcome | SentimentError = perform(job, trial.number, values_of(trial), job.seed, report)
    except (Interrupted, CallError):
        raise  # it is nothing that the setting did
    except SentimentError as error:
        outcome = error
    tell(job, study, trial, outcome)


def work_in_processes(job: Job, tasks: Sequence[Task] | None) -> None:
    """`work` in as many processes as there are jobs; where one dies, the others go on with its trial.

    Raises:
        SentimentError: None is left, or a repetition is missing.
    """
    if job.jobs == 1 or tasks == []:
        work(job, tasks)
        return
    # A server that has imported everything, and computed nothing, is forked: quick, and no thread's lock is copied.
    server = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if server else "spawn")
    if server:
        context.set_forkserver_preload([__name__])
    processes = [context.Process(target=_process, args=(job, tasks, worker)) for worker in range(job.jobs)]
    for process in processes:
        process.start()
    try:
        for process in processes:
            process.join()
    except KeyboardInterrupt:  # they were told as well, and write their checkpoints
        for process in processes:
            process.join()
        raise
    died = [process.exitcode for process in processes if process.exitcode]
    if died and (tasks is not None or len(died) == job.jobs):
        raise SentimentError(f"processes of the sweep ended early (exit codes {died}): run the same command again")


def _process(job: Job, tasks: Sequence[Task] | None, worker: int) -> None:
    """A process of the sweep: it says what the command's own says, and ends with that."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("hf_sentiment").setLevel(logging.INFO)
    quieten_libraries()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work(job, tasks, worker)
    except (SentimentError, KeyboardInterrupt) as error:
        logger.error("A process of the sweep: %s", error or "stopped")
        raise SystemExit(1) from None


def _end_with_parent() -> None:
    parent: Any = multiprocessing.parent_process()
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)  # in training that writes a checkpoint
