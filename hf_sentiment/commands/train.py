"""`train`: from a call to a finished run folder."""

from __future__ import annotations

import dataclasses
import logging
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from datasets.fingerprint import Hasher

from hf_sentiment import __version__
from hf_sentiment.commands.ending import end_records
from hf_sentiment.compute.hardware import peak_memory_bytes
from hf_sentiment.data.splits import joined, read_seen_texts, write_seen_texts
from hf_sentiment.errors import CallError
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.report import evaluate_folds, evaluate_split, report_lines, shortfall
from hf_sentiment.evaluation.seen import seen_record, seen_warning
from hf_sentiment.hub.card import render_card
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.folder import RunFolder
from hf_sentiment.records.schema import Alarm, AuditRecord, EvaluationRecord, FindingRecord, Measurement, TrainingRecord
from hf_sentiment.records.serialization import write_record
from hf_sentiment.report.page import report_html
from hf_sentiment.training.arguments import SentimentArguments, split_arguments
from hf_sentiment.training.assemble import assemble
from hf_sentiment.training.plan import plan_lines, plan_record
from hf_sentiment.training.run import Diverged, Run

logger = logging.getLogger(__name__)

# Those that a run's figures depend on.
_LIBRARIES = ("torch", "transformers", "datasets", "huggingface-hub", "scikit-learn", "numpy")


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

    Args:
        dataset: A `Dataset`, `DatasetDict` or data frame, in place of the data that `arguments` names.
        **arguments: The flags of `hf-sentiment train` by name: those of `SentimentArguments` (`train_file`, …) and of
            `transformers.TrainingArguments` (`learning_rate`, …), of which `output_dir` must be given. What is left out
            is planned.

    Returns:
        The result, or `None` where the folder held the finished run already.

    Raises:
        CallError: An argument that is wrong or contradicts the run in `output_dir`, or several processes.
        DataError: Data that cannot be used.
        Diverged: The loss is not finite any more, and no weights from before are kept.
        Interrupted: Ctrl-C or SIGTERM; the message says how to go on.

    Examples:
        >>> train(train_file="reviews.csv", output_dir="runs/reviews", learning_rate=3e-5)  # doctest: +SKIP
    """
    ours, training = split_arguments(arguments)
    if not training.get("output_dir"):
        raise CallError("no folder to write to: --output_dir runs/my-first-model")
    _refuse_shards(training)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise CallError(
            f"train is for one process: torchrun --nproc_per_node {os.environ['WORLD_SIZE']} recipes/finetune.py takes "
            "the same arguments, but for --imbalance, --fine_tuned_share and --unlabeled_file; on CPUs add --use_cpu "
            "true"
        )
    began = time.monotonic()
    # What was asked for, not what is planned: the same command is the same run, whatever the plan says by then.
    call = _call_record(ours, dataset, training)
    folder = RunFolder.open(training["output_dir"], call)
    if folder.finished:  # said twice, nothing is done twice
        if not ours.keep_checkpoints:
            folder.clear_up()  # only after a kill is there anything left
        logger.warning("%s is finished already, and nothing was changed: name another --output_dir", folder.path)
        return None
    checkpoint = folder.last_checkpoint()
    # A run that is taken up is planned again, from the step times of its beginning: the number format stays.
    run = assemble(ours, training, dataset, folder.plan() if checkpoint else None)
    for line in plan_lines(run.plan):
        logger.info(line)
    source = ours.dataset_name if dataset is None else None
    audit = run.data.audit(source, ours.model_name_or_path)  # reads every text: once
    _warn(audit.findings)
    if checkpoint is not None:
        folder.check_same_data(audit)
        logger.warning("Going on with the unfinished run, from %s", checkpoint.name)
    folder.begin(call)  # only now: a call that was wrong leaves nothing that a right one would contradict
    _write_beginning(run, folder, audit, ours.model_name_or_path)
    if not _fit(run, folder, checkpoint, began):
        plan = plan_record(dataclasses.replace(run.plan, facts=dataclasses.replace(run.plan.facts, diverged=True)))
        del run  # or two models are in memory
        run = assemble(ours, training, dataset, plan)
        write_record(folder.records / "plan.json", plan_record(run.plan))
        _fit(run, folder, None, began)
    return _finish(run, ours, folder, began)


def _refuse_shards(training: Mapping[str, Any]) -> None:
    launched = [os.environ.get(f"ACCELERATE_USE_{kind}", "").lower() == "true" for kind in ("FSDP", "DEEPSPEED")]
    if training.get("fsdp") or training.get("deepspeed") or any(launched):
        raise CallError(
            "train changes whole weights at its end, and FSDP and DeepSpeed shard them: recipes/finetune.py trains by "
            "FSDP2 (docs/several_machines.md), or leave them out"
        )


def _fit(run: Run, folder: RunFolder, checkpoint: Path | None, began: float) -> bool:
    """Train; `False` where that diverged and is to be repeated in float32."""
    run.curve.began = began
    try:
        run.fit(checkpoint)
    except Diverged as error:
        if not run.low_precision:
            folder.discard_failed(run.stopping.stopped_step or 0)
            raise
        logger.warning("In low precision %s: training is repeated in float32", error)
        # Before the plan of the repetition is written: a kill in between leaves a run that begins anew.
        folder.clear_up()
        return False
    return True


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


def _finish(run: Run, arguments: SentimentArguments, folder: RunFolder, began: float) -> RunResult:
    """Calibrate, save, evaluate what was saved, and write the card, the report and, last, the evaluation."""
    # The temperature before the shift by label shares: it is fitted on probabilities that mean shares.
    temperature = run.calibrate() if arguments.calibrate else None
    run.adjust()
    run.fit_long_texts()
    # From here on a kill is gone on from the last checkpoint: only the evaluation, written last, makes a run finished.
    folder.save_model(run.model, run.tokenizer)
    evaluation = _evaluate(folder, run)
    # The time of a run that was taken up is that of all its parts.
    seconds = run.curve.elapsed_before + time.monotonic() - began
    training = _training_record(run, arguments, seconds)
    evaluation = dataclasses.replace(evaluation, temperature=temperature, training=training)
    end_records(run, evaluation, folder.records, seconds)
    write_atomically(folder.path / "README.md", render_card(folder.path, evaluation))
    write_atomically(folder.records / "report.html", report_html(folder.path, evaluation))
    folder.finish(evaluation, arguments.keep_checkpoints)
    if not isinstance(evaluation, Measurement):
        logger.warning("Nothing was measured: hf-sentiment evaluate %s --test_file FILE does, with labels", folder.path)
    else:
        for line in report_lines(evaluation):
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
    return RunResult(folder.path, evaluation)


def _call_record(arguments: SentimentArguments, dataset: Any, training: Mapping[str, Any]) -> dict[str, Any]:
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


def _evaluate(folder: RunFolder, run: Run) -> EvaluationRecord:
    """The record of the test split; without one, of the folds; an empty one where there are no labels either.

    What is measured on the test split is what was saved, loaded as a user loads it.
    """
    train, labels = run.data.splits["train"], run.data.rule.labels
    if "test" in run.data.splits:
        test = run.data.splits["test"]
        classifier = SentimentClassifier.from_pretrained(folder.path)
        probabilities = softmax(classifier.logits(test["text"][:]))
        seen = seen_record(folder.path, test, probabilities)
        return dataclasses.replace(evaluate_split(probabilities, train, test, labels), seen=seen)
    # Without a test split the folds' predictions stand in for it, if a head was judged on folds.
    if run.out_of_fold is None:
        return EvaluationRecord()
    return evaluate_folds(softmax(run.out_of_fold), train, labels, run.trainer.args.seed)


def _training_record(run: Run, arguments: SentimentArguments, seconds: float) -> TrainingRecord:
    """What the run took and with what it ran, why it stopped, and which alarms sounded."""
    state, stopping, alarm = run.trainer.state, run.stopping, run.alarm
    return TrainingRecord(
        date=datetime.now(UTC).date().isoformat(),
        seconds=round(seconds, 1),
        peak_memory_bytes=peak_memory_bytes(),
        steps=state.global_step,
        epochs=round(state.epoch or 0.0, 3),
        best_epoch=_best_epoch(run),
        stopped=next((judge.reason for judge in (stopping, alarm) if judge is not None and judge.reason), None),
        alarms=None if alarm is None else tuple(Alarm(**entry) for entry in alarm.alarms),
        unlabeled_texts=run.unlabeled_texts,
        repeated=run.plan.facts.diverged,
        lora=arguments.lora_rank if run.plan.lora.value and not run.head_alone else None,
        device=run.trainer.args.device.type,
        threads=torch.get_num_threads(),
        python=platform.python_version(),
        # Ours is said by the package itself: a checkout need not be installed.
        versions={"hf-sentiment": __version__, **{name: version(name) for name in _LIBRARIES}},
    )


def _best_epoch(run: Run) -> float | None:
    """The epoch whose weights were kept, where the best ones were."""
    if run.kept_head:
        return 0.0
    if not run.stopping.keeps_best:
        return None
    # A step may be logged twice, by a run that was taken up: the last one counts.
    step = run.stopping.best_step
    epochs = [row["epoch"] for row in run.trainer.state.log_history if row["step"] == step and "eval_loss" in row]
    return epochs[-1] if epochs else None
