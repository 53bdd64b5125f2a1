"""`train`: from a call to a finished run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size
from datasets.fingerprint import Hasher
from transformers import TrainerCallback, set_seed

from hf_sentiment.commands.ending import end_records, training_record, unlabeled_probabilities
from hf_sentiment.commands.parts import Parts, folds_of, run_parts
from hf_sentiment.compute import processes
from hf_sentiment.compute.processes import in_slices, main_does
from hf_sentiment.data.splits import joined, read_seen_texts, write_seen_texts
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.report import evaluate_folds, evaluate_split, report_lines, shortfall
from hf_sentiment.evaluation.seen import seen_record, seen_warning
from hf_sentiment.hub.card import render_card
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.folder import RunFolder
from hf_sentiment.records.schema import (
    AuditRecord,
    EvaluationRecord,
    FindingRecord,
    Measurement,
    PlanRecord,
    SweepSummary,
)
from hf_sentiment.records.serialization import write_record
from hf_sentiment.report.page import report_html
from hf_sentiment.training.arguments import SentimentArguments, split_arguments
from hf_sentiment.training.assemble import assemble
from hf_sentiment.training.plan import Facts, Plan, plan_lines, plan_record
from hf_sentiment.training.run import Diverged, Run
from hf_sentiment.training.sharing import shared_place

logger = logging.getLogger(__name__)


class Stopped(SentimentError):
    """A process was stopped, or lost one that it needed; exit code 1."""


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What `train` made.

    Attributes:
        folder: The run folder.
        evaluation: What `records/evaluation.json` holds.
    """

    folder: Path
    evaluation: EvaluationRecord


def train(dataset: Any = None, **arguments: Any) -> RunResult | None:
    """Fine-tune, evaluate and write a run folder; go on with an unfinished one; leave a finished one alone.

    Of several processes that `torchrun` or `accelerate launch` has started, each calls it alike, and they share the
    work: the main one reads and writes.

    Args:
        dataset: A `Dataset`, `DatasetDict` or data frame, in place of the data that `arguments` names.
        **arguments: The flags of `hf-sentiment train` by name: those of `SentimentArguments` (`train_file`, …) and of
            `transformers.TrainingArguments` (`learning_rate`, …), of which `output_dir` must be given. What is left out
            is planned.

    Returns:
        The result, or `None` where the folder held the finished run already.

    Raises:
        CallError: An argument that is wrong or contradicts the run in `output_dir`.
        DataError: Data that cannot be used.
        Diverged: The loss is not finite any more, and no weights from before are kept.
        Interrupted: Ctrl-C or SIGTERM; the message says how to go on.
        Stopped: Of several processes: the same before or after training, or one of them is gone.

    Examples:
        >>> train(train_file="reviews.csv", output_dir="runs/reviews", learning_rate=3e-5)  # doctest: +SKIP
    """
    return run_training(dataset, arguments)


def run_training(
    dataset: Any,
    arguments: Mapping[str, Any],
    watching: Sequence[TrainerCallback] = (),
    sweep: SweepSummary | None = None,
) -> RunResult | None:
    """As `train`, for other commands.

    Args:
        dataset: As in `train`.
        arguments: As in `train`, by name.
        watching: Callbacks that are told of the training too.
        sweep: What the run is the winner of, for its record.
    """
    ours, training = split_arguments(arguments)
    if not training.get("output_dir"):
        raise CallError("no folder to write to: --output_dir runs/my-first-model")
    _refuse_shards(training)
    if (ours.folds or ours.seeds) and processes.started() > 1:
        raise CallError("--folds and --seeds are for one process: leave them out, or start one")
    with RunFolder(Path(training["output_dir"])).locked():
        return _train(ours, training, dataset, arguments, watching, sweep)


def _train(
    ours: SentimentArguments,
    training: dict[str, Any],
    dataset: Any,
    arguments: Mapping[str, Any],
    watching: Sequence[TrainerCallback],
    sweep: SweepSummary | None,
) -> RunResult | None:
    """Train in a folder that no other process trains in."""
    began = time.monotonic()
    processes.join(bool(training.get("use_cpu")), training.get("ddp_timeout"))
    # What was asked for, not what is planned: the same command is the same run, whatever the plan says by then.
    call = call_record(ours, training, dataset)
    folder = main_does(lambda: RunFolder.open(training["output_dir"], call, sweep is not None))
    if main_does(lambda: folder.finished):  # said twice, nothing is done twice
        if not ours.keep_checkpoints:
            main_does(folder.clear_up)  # only after a kill is there anything left
        logger.warning("%s is finished already, and nothing was changed: name another --output_dir", folder.path)
        return None
    with _one_line(folder), shared_place(folder) as place:
        checkpoint = main_does(folder.last_checkpoint)
        # A run that is taken up is planned again, from the step times of its beginning: the number format stays.
        before = main_does(folder.plan) if checkpoint else None
        run = assemble(ours, training, dataset, before, place)
        if sweep is not None:  # by the call, the user has said it
            chosen = {name: run.plan.decisions[name] for name in run.plan.decisions.keys() & sweep.values.keys()}
            told: Any = {name: dataclasses.replace(one, reason="chosen by the sweep") for name, one in chosen.items()}
            run.plan = dataclasses.replace(run.plan, **told)
        folds = folds_of(run, ours.folds)
        main_does(lambda: _begin(run, ours, dataset, folder, call, checkpoint, before))
        parts = run_parts(run_training, run, dataset, arguments, folder.path, folds)
        if parts:
            set_seed(run.trainer.args.seed)  # as if they had not been
        while (facts := _fit(run, folder, checkpoint, began, watching)) is not None:
            plan = plan_record(dataclasses.replace(run.plan, facts=facts))
            del run  # or two models are in memory
            clear_device_cache(garbage_collection=True)
            checkpoint = main_does(folder.last_checkpoint)
            run = assemble(ours, training, dataset, plan, place)
            record = partial(write_record, folder.records / "plan.json", plan_record(run.plan))
            main_does(record)
        return _finish(run, ours, folder, began, parts, sweep)


@contextlib.contextmanager
def _one_line(folder: RunFolder) -> Iterator[None]:
    """Of several processes, what a signal outside of training or the end of another one leaves: how to go on."""
    try:
        yield
    except (KeyboardInterrupt, RuntimeError) as error:
        gone = processes.broke_off(error)
        if processes.started() == 1 or not (gone or isinstance(error, KeyboardInterrupt)):
            raise
        processes.ignore_signals()
        checkpoint = folder.last_checkpoint(clear=False)
        raise Stopped(
            f"{'another process is gone, and so this one ends' if gone else 'stopped'}: run the same command again to "
            f"go on{f' from {checkpoint.name}' if checkpoint else ''}"
        ) from error


def _begin(
    run: Run,
    arguments: SentimentArguments,
    dataset: Any,
    folder: RunFolder,
    call: dict[str, Any],
    checkpoint: Path | None,
    before: PlanRecord | None,
) -> None:
    """Say the plan, audit the data, and write down what is known before training."""
    for line in plan_lines(run.plan):
        logger.info(line)
    source = arguments.dataset_name if dataset is None else None
    audit = run.data.audit(source, arguments.model_name_or_path)  # reads every text: once
    _warn(audit.findings)
    if checkpoint is not None or arguments.folds or arguments.seeds:
        folder.check_same_data(audit)
    if checkpoint is not None:
        if before is not None:
            _check_same_batch(before, run.plan)
        logger.warning("Going on with the unfinished run, from %s", checkpoint.name)
    folder.begin(call)  # only now: a call that was wrong leaves nothing that a right one would contradict
    _write_beginning(run, folder, audit, arguments.model_name_or_path)


def _check_same_batch(before: PlanRecord, plan: Plan) -> None:
    """Refuse to go on with other steps than the run began with, on another number of processes.

    Raises:
        CallError: A step would take another number of texts.
    """
    was, now = before.facts["processes"], plan.facts.processes
    texts, would = _texts_a_step(before), _texts_a_step(plan_record(plan))
    if texts != would:
        each, rest = divmod(texts, now * plan.gradient_accumulation_steps.value)
        other_count = f"start a number of processes that divides {texts}"
        remedy = other_count if rest else f"say --per_device_train_batch_size {each}"
        raise CallError(
            f"the run began on {was} process{'es' * (was > 1)} with {texts} texts a step, and on {now} a step would "
            f"take {would}: {remedy}"
        )


def _texts_a_step(plan: PlanRecord) -> int:
    batches = plan.facts["processes"] * plan.value("gradient_accumulation_steps")
    return int(batches * plan.value("per_device_train_batch_size"))


def _refuse_shards(training: Mapping[str, Any]) -> None:
    if training.get("fsdp") or training.get("deepspeed") or processes.sharded():
        raise CallError(
            "train changes whole weights at its end, and FSDP and DeepSpeed shard them: recipes/finetune.py trains by "
            "FSDP2 (docs/several_machines.md), or leave them out"
        )


def _fit(
    run: Run, folder: RunFolder, checkpoint: Path | None, began: float, watching: Sequence[TrainerCallback]
) -> Facts | None:
    """Train; where that diverged or memory ran out, the facts by which it is to be planned anew and gone on with."""
    facts, batch = run.plan.facts, run.plan.per_device_train_batch_size.value
    run.curve.began = began
    for callback in watching:
        run.trainer.add_callback(callback)
    try:
        run.fit(checkpoint)
    except Diverged as error:
        if not run.low_precision:
            main_does(lambda: folder.discard_failed(run.stopping.stopped_step or 0))
            raise
        logger.warning("In low precision %s: training is repeated in float32", error)
        # Before the plan of the repetition is written: a kill in between leaves a run that begins anew.
        main_does(folder.clear_up)
        return dataclasses.replace(facts, diverged=True)
    except RuntimeError as error:
        if not should_reduce_batch_size(error) or batch == 1 or run.trainer.args.world_size > 1:
            raise
        logger.warning("Memory ran out at %d texts at once: it goes on with half as many, and as many a step", batch)
        return dataclasses.replace(facts, halvings=facts.halvings + 1)
    return None


def _write_beginning(run: Run, folder: RunFolder, audit: AuditRecord, model: str) -> None:
    """Write down what is known before training: the plan, the audit, and what the model has seen and will see."""
    write_record(folder.records / "plan.json", plan_record(run.plan))
    write_record(folder.records / "audit.json", audit)
    before = read_seen_texts(model)  # by the run whose model this one goes on from
    write_seen_texts(folder.records, joined(before, run.data.seen))


def _warn(findings: Sequence[FindingRecord]) -> None:
    """Say in a line what the audit found that is worse than a note."""
    serious = [finding for finding in findings if finding.severity in ("warning", "error")]
    if serious:
        named = ", ".join(f"{finding.title} {finding.count:,}" for finding in serious)
        logger.warning("Audit: %s (`hf-sentiment audit` with the same arguments says what to do)", named)


def _finish(
    run: Run,
    arguments: SentimentArguments,
    folder: RunFolder,
    began: float,
    parts: Parts | None,
    sweep: SweepSummary | None,
) -> RunResult:
    """Calibrate, save, evaluate what was saved, and write the card, the report and, last, the evaluation."""
    if parts is not None and parts.out_of_fold is not None:
        run.out_of_fold = parts.out_of_fold
    # The temperature before the shift by label shares: it is fitted on probabilities that mean shares.
    temperature = run.calibrate() if arguments.calibrate else None
    run.adjust()
    run.fit_long_texts()
    # From here on a kill is gone on from the last checkpoint: only the evaluation, written last, makes a run finished.
    main_does(lambda: folder.save_model(run.model, run.tokenizer))
    probabilities, unlabeled = _test_probabilities(folder, run), unlabeled_probabilities(run)

    def write() -> EvaluationRecord:
        evaluation = _evaluate(folder, run, probabilities)
        # The time of a run that was taken up is that of all its parts.
        seconds = run.curve.elapsed_before + time.monotonic() - began
        spreads = () if parts is None else parts.spreads(evaluation, run.trainer.args.seed)
        training = dataclasses.replace(training_record(run, arguments, seconds), spreads=spreads, sweep=sweep)
        evaluation = dataclasses.replace(evaluation, temperature=temperature, training=training)
        end_records(run, evaluation, folder.records, seconds, unlabeled)
        write_atomically(folder.path / "README.md", render_card(folder.path, evaluation))
        write_atomically(folder.records / "report.html", report_html(folder.path, evaluation))
        folder.finish(evaluation, arguments.keep_checkpoints)
        return evaluation

    evaluation = main_does(write)
    _tell(run, evaluation, folder)
    return RunResult(folder.path, evaluation)


def _tell(run: Run, evaluation: EvaluationRecord, folder: RunFolder) -> None:
    """Say what was measured, and what to make of it."""
    if not isinstance(evaluation, Measurement):
        logger.warning("Nothing was measured: hf-sentiment evaluate %s --test_file FILE does, with labels", folder.path)
    else:
        spreads = () if evaluation.training is None else evaluation.training.spreads
        for line in [*report_lines(evaluation), *(f"  {spread}" for spread in spreads)]:
            logger.info(line)
        short, seen = shortfall(evaluation), seen_warning(evaluation.seen, evaluation.texts)
        if short is not None:
            hint = "`hf-sentiment audit` with the same arguments looks for what is wrong with the data"
            if evaluation.model.accuracy.value == 1:  # nothing is wrong with data that both get right
                hint = "More test texts, or harder ones, would tell them apart"
            logger.warning("%s %s", short, hint)
        if seen is not None:
            logger.warning(seen)
    if run.stopping.advice is not None:
        logger.warning(
            "%s; the model is that of step %d: %s", run.stopping.divergence, run.stopping.best_step, run.stopping.advice
        )


def call_record(arguments: SentimentArguments, training: Mapping[str, Any], dataset: Any) -> dict[str, Any]:
    """What was asked for, for `records/arguments.json`: no home folder, no token."""
    record = dataclasses.asdict(arguments) | dict(training)
    # Plain JSON, which can be compared with what was written before.
    record = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in record.items()}
    record.pop("hub_token", None)
    if dataset is not None:  # the hash of its content: other data are another call
        record["dataset_name"] = f"{type(dataset).__name__} {Hasher.hash(dataset)}"
    record.pop("output_dir", None)  # the folder may be moved
    home = str(Path.home())
    return {
        name: value.replace(home, "~", 1) if isinstance(value, str) and value.startswith(home) else value
        for name, value in sorted(record.items())
    }


def _test_probabilities(folder: RunFolder, run: Run) -> np.ndarray | None:
    """What the saved model, loaded as a user loads it, says of the test split, `[texts, labels]`."""
    if "test" not in run.data.splits:
        return None
    classifier = SentimentClassifier.from_pretrained(folder.path)
    return softmax(in_slices(classifier.logits, run.data.splits["test"]["text"][:]))


def _evaluate(folder: RunFolder, run: Run, probabilities: np.ndarray | None) -> EvaluationRecord:
    """The record of the test split; without one, of the folds; an empty one where there are no labels either."""
    train, labels = run.data.splits["train"], run.data.rule.labels
    if probabilities is not None:
        test = run.data.splits["test"]
        seen = seen_record(folder.path, test, probabilities)
        return dataclasses.replace(evaluate_split(probabilities, train, test, labels), seen=seen)
    # Without a test split the folds' predictions stand in for it, if a head was judged on folds.
    if run.out_of_fold is None:
        return EvaluationRecord()
    return evaluate_folds(softmax(run.out_of_fold), train, labels, run.trainer.args.seed)
