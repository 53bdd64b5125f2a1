"""Scoring a folder: on this process, or by Ray Data on as many as there are."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm.auto import tqdm

from hf_sentiment.compute.cluster import ray_cluster
from hf_sentiment.errors import CallError, DataError, missing_extra
from hf_sentiment.inference.locating import digest_of, find_checkpoint
from hf_sentiment.inference.scoring.score import ScoringCall, ShardScorer
from hf_sentiment.inference.scoring.shards import SHARD_ROWS, OutputFolder, Shard, find_shards, open_place
from hf_sentiment.inference.scoring.writing import PredictedRows

logger = logging.getLogger(__name__)

# No word to its makers, and none from its inside: it complains of how Ray Data itself begins its actors.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
ENGINES = ("local", "ray")
# Of a cluster that is begun here: only names and counts go through it.
_OBJECT_STORE = 100 * 2**20


def score_folder(call: ScoringCall, engine: str = "local") -> PredictedRows:
    """Predict the rows of all files of a folder, into a folder of such files, each as it is predicted alone.

    Of a Parquet file there is one for each 65,536 rows. A file is there once it is whole, and made once. The same call
    again, by whatever engine, goes on with those that are not there.

    Args:
        call: What was asked for.
        engine: `"local"` or `"ray"`.

    Raises:
        CallError: A wrong argument, or an output of another call.
        DataError: Files that cannot be read; all others are done.
        OSError: The output, or the disk for what is on the way, cannot be written; nothing else is tried.
    """
    name = find_checkpoint(call.model, call.revision)
    shards = find_shards(call.folder)
    output = OutputFolder(call.output)
    ours = {key: value for key, value in asdict(call).items() if key not in ("folder", "output", "num_threads")}
    ours |= {"model": digest_of(name, call.revision), "shard_rows": SHARD_ROWS}
    ours = json.loads(json.dumps(ours))  # as it is read back
    total, broken = PredictedRows(output=call.output), []
    # What is refused is refused before anything is written.
    there = output.files()
    output.check(ours, there)
    finished = output.finished(shards, open_place(call.folder)[0], there)
    missing = [shard for shard in shards if shard.name not in finished]
    scorer = ShardScorer(call) if missing else None
    records: Iterator[dict[str, Any]] = iter(())
    if scorer is not None:
        if not finished:
            scorer.check(missing)
        records = map(scorer.score, missing) if engine == "local" else _by_ray(missing, call)
    with _locked(output):
        output.begin(ours)
        logger.info("%s: %d shards%s", call.folder, len(shards), _there(len(finished)))
        output.say_what_has_no_input(shards, there)
        for record in finished.values():
            _add(total, record)
        try:
            with tqdm(total=len(shards), initial=len(finished), unit=" shards", desc="Predicting") as bar:
                for record in records:
                    if "failed" in record:
                        raise OSError(*record["failed"])
                    _add(total, record)
                    if "error" in record:
                        broken.append(record["error"])
                    else:
                        bar.update()
        except BaseException:
            logger.warning("What was done is kept in %s: the same command again goes on with it", call.output)
            raise
    if broken:
        first, *others = sorted(broken)
        more = f"; nor can {len(others)} more be used" if others else ""
        raise DataError(
            f"{first}{more}: all others are done, {total.rows:,} rows; mend or remove what is broken, and run the same "
            "command again"
        )
    return total


def _there(count: int) -> str:
    return f", {count} of them finished already" if count else ""


def _add(total: PredictedRows, record: dict[str, Any]) -> None:
    total.rows += record.get("rows", 0)
    total.unlabeled += Counter(record.get("unlabeled", {}))
    total.noted += Counter(record.get("noted", {}))
    total.renamed |= record.get("renamed", {})


@contextmanager
def _locked(output: OutputFolder) -> Iterator[None]:
    if output.lock is not None:
        Path(output.lock).parent.mkdir(parents=True, exist_ok=True)
    try:
        with nullcontext() if output.lock is None else FileLock(output.lock, timeout=0):
            yield
    except Timeout as error:
        raise CallError(f"--output {output.place}: another process is writing it: wait for it") from error


def _by_ray(shards: Sequence[Shard], call: ScoringCall) -> Iterator[dict[str, Any]]:
    """By one classifier an actor; whose process dies is begun again, and does its shard again."""
    for name, value in _ENVIRONMENT.items():  # read when it is imported
        os.environ.setdefault(name, value)
    try:
        import ray.data
    except ImportError as error:
        raise missing_extra("ray", "ray is not installed") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    with ray_cluster(sys.stderr, object_store_memory=_OBJECT_STORE):  # where it says that a process has died
        threads, resources = call.num_threads or 1, ray.cluster_resources()
        gpus = int(resources.get("GPU", 0))
        actors = min(len(shards), gpus or max(1, int(resources["CPU"]) // threads))
        logger.info("ray: %d processes of %d threads%s", actors, threads, " with a GPU each" if gpus else "")
        # Strings, whose types Arrow need not guess.
        named = [{"shard": json.dumps(asdict(shard))} for shard in shards]
        items = ray.data.from_items(named, override_num_blocks=len(named))
        scored = items.map_batches(
            ShardScorer,
            batch_size=1,
            # One at a time: a shard is minutes of work, and none waits for a process while another has nothing to do.
            compute=ray.data.ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=1),
            fn_constructor_args=[replace(call, num_threads=threads)],
            num_cpus=threads,
            num_gpus=1 if gpus else None,
        )
        for row in scored.iter_rows():
            yield json.loads(row["record"])
