"""Trials on a Ray cluster, by Ray Tune: the same space and the same study, which the command's own process writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from optuna.trial import TrialState
from ray import tune
from ray.tune.schedulers import MedianStoppingRule
from ray.tune.search import Searcher

from hf_sentiment.commands.parts import strip
from hf_sentiment.commands.sweep.space import values_of
from hf_sentiment.commands.sweep.trials import BEFORE, Job, Task, ask, perform, stale_trials, tell
from hf_sentiment.compute.cluster import ray_cluster
from hf_sentiment.errors import SentimentError

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import Trial

# A worker that dies is replaced, and its trial gone on with from its last checkpoint, so many times.
_RETRIES = 3


class _Asking(Searcher):
    """Gives Ray Tune the study's settings, and the study what became of them."""

    def __init__(self, job: Job, study: Study) -> None:
        super().__init__(metric="log_loss", mode="min")
        self.job, self.study, self.left = job, study, stale_trials(study)
        self.trials: dict[str, Trial] = {}

    def suggest(self, trial_id: str) -> Any:
        trial = self.left.pop() if self.left else ask(self.job, self.study)
        if trial is None:
            return Searcher.FINISHED
        self.trials[trial_id] = trial
        return {"number": trial.number, "values": values_of(trial)}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        trial, result = self.trials.pop(trial_id), result or {}
        broken = SentimentError(f"its worker broke, or died {_RETRIES + 1} times")
        # Without logits it was stopped by the median rule, in the middle of its work.
        outcome = result.get("logits"), result.get("time_total_s", 0.0)
        tell(self.job, self.study, trial, broken if error else outcome)
        folder = self.job.run_folder(trial.number, self.job.seed)
        for path in [folder] if self.job.watched else folder.glob("fold-*"):
            strip(path, self.job.keep)


def _train(config: dict[str, Any], job: Job) -> None:
    """A trial, in a worker."""

    def report(step: int, loss: float) -> bool:
        tune.report({"step": step, "log_loss": loss})
        return False  # it is Ray that stops it

    logits, _ = perform(job, config["number"], config["values"], job.seed, report)
    tune.report({"step": 0, "log_loss": 0.0, "logits": logits})


def _absolute(job: Job) -> Job:
    """The job with the paths that a worker can follow: its folder is another one."""
    arguments, model = dict(job.arguments), job.arguments["model_name_or_path"]
    if Path(model).exists():
        arguments["model_name_or_path"] = str(Path(model).resolve())
    return replace(job, folder=job.folder.resolve(), arguments=arguments)


def work_with_ray(job: Job, study: Study) -> None:
    """Do trials until there are enough; the sweep's folder is one that all machines of the cluster see."""
    left = len(stale_trials(study)) + job.trials - sum(t.state != TrialState.WAITING for t in study.trials)
    if left <= 0:
        return
    job, (trials, evaluations) = _absolute(job), BEFORE
    config = tune.TuneConfig(
        search_alg=_Asking(job, study),
        num_samples=left,
        max_concurrent_trials=job.jobs,
        scheduler=MedianStoppingRule(
            time_attr="step", metric="log_loss", mode="min", grace_period=evaluations, min_samples_required=trials
        ),
    )
    run = tune.RunConfig(
        name="ray",
        storage_path=str(job.folder / "trials"),
        failure_config=tune.FailureConfig(max_failures=_RETRIES),
        verbose=0,
    )
    # Tune prints where its files are.
    with open(os.devnull, "w") as nowhere, ray_cluster(nowhere, num_cpus=job.jobs):
        tune.Tuner(tune.with_parameters(_train, job=job), tune_config=config, run_config=run).fit()


def repeat_with_ray(job: Job, tasks: Sequence[Task]) -> None:
    """Do the repetitions."""
    with ray_cluster(sys.stderr, num_cpus=job.jobs):
        again = ray.remote(max_retries=_RETRIES)(perform)
        ray.get([again.remote(_absolute(job), *task) for task in tasks])
