"""`train`: from arguments to a finished run folder. It assembles a stock `transformers.Trainer`."""

from __future__ import annotations

import dataclasses
import logging
import platform
import resource
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from datasets.fingerprint import Hasher
from transformers import (
    AutoTokenizer,
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.data.prepare import PreparedData, prepare_data
from hf_sentiment.data.starter import STARTER, starter_model
from hf_sentiment.data.tokenisation import tokenise
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.evaluation.calibration import fold_temperature
from hf_sentiment.evaluation.metrics import (
    LESS_IS_BETTER,
    TRAINER_METRICS,
    compute_metrics,
    fit_temperature,
    softmax,
)
from hf_sentiment.evaluation.report import evaluate_baselines, evaluate_probabilities, report_lines
from hf_sentiment.files import write_atomically, write_json
from hf_sentiment.hub.card import render_card
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.folder import RunFolder
from hf_sentiment.training.interruption import CheckpointOnInterrupt
from hf_sentiment.training.optimisation import fit_head_first
from hf_sentiment.training.plan import Decision, Facts, make_plan, plan_lines, plan_record, token_percentile

logger = logging.getLogger(__name__)

# Texts whose lengths decide where all are cut: a percentile of 99 is known to a fraction of a percent by then.
_LENGTH_SAMPLE = 4000
_VERSIONS = ("hf-sentiment", "torch", "transformers", "datasets", "huggingface-hub", "scikit-learn", "numpy")


class Interrupted(SentimentError):
    """Training was stopped by a signal and can be taken up again; exit code 1."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A stock Trainer with everything that it was assembled from.

    Attributes:
        trainer: `transformers.Trainer` with the model, the tokenised splits and the callbacks.
        model: The model that it trains.
        tokenizer: Of the model.
        data: Labelled texts.
        splits: Tokenised texts, by split.
        plan: Every planned argument's decision.
        facts: What the plan is based on.
        curve: The callback that writes the history.
    """

    trainer: Trainer
    model: BertForSentimentAnalysis
    tokenizer: PreTrainedTokenizerBase
    data: PreparedData
    splits: dict[str, Dataset]
    plan: dict[str, Decision]
    facts: Facts
    curve: LearningCurveCallback

    def fit(self, checkpoint: Path | None = None) -> None:
        """Train from the start, head first where it is planned, or go on from a checkpoint.

        Raises:
            Interrupted: A signal came; the state is saved.
        """
        if checkpoint is None and self.plan["head_first"].value:
            fit_head_first(self.model, self.tokenizer, self.splits["train"], self.trainer.args.seed)
        self.trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        callbacks, state = self.trainer.callback_handler.callbacks, self.trainer.state
        signalled = any(isinstance(item, CheckpointOnInterrupt) and item.interrupted for item in callbacks)
        if signalled and state.global_step < state.max_steps:
            raise Interrupted(
                f"stopped at step {state.global_step} of {state.max_steps}, which is saved: say the same command again "
                "to go on"
            )

    def calibrate(self) -> float:
        """Fit a temperature on the validation split, fold it into the head, and return it."""
        output = self.trainer.predict(self.splits["validation"])
        temperature = fit_temperature(np.asarray(output.predictions), np.asarray(output.label_ids))
        fold_temperature(self.model.classifier, temperature)
        return temperature


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What `train` made.

    Attributes:
        folder: The run folder.
        evaluation: The content of `records/evaluation.json`.
    """

    folder: Path
    evaluation: dict[str, Any]


def train(arguments: SentimentArguments, dataset: Any = None, **training: Any) -> RunResult | None:
    """Fine-tune, evaluate and write a run folder; go on with an unfinished one; leave a finished one alone.

    Args:
        arguments: Model and data.
        dataset: A `Dataset`, `DatasetDict` or data frame, in place of the data that `arguments` names.
        **training: Arguments of `TrainingArguments`, of which `output_dir` must be given. What is left out is planned.

    Returns:
        The result, or `None` where the folder held the finished run already.

    Raises:
        CallError: An argument that is wrong or contradicts the run in `output_dir`.
        DataError: Data that cannot be used.
        Interrupted: Ctrl-C or SIGTERM; the message says how to go on.
    """
    if not training.get("output_dir"):
        raise CallError("no folder to write to: --output_dir runs/my-first-model")
    began = time.monotonic()
    call = _call_record(arguments, dataset, training)
    folder = RunFolder.open(training["output_dir"], call)
    if folder.finished:
        logger.warning("%s is finished already, and nothing was changed: name another --output_dir", folder.path)
        return None
    run = assemble(arguments, training, dataset)
    folder.begin(call)  # only now: a call that was wrong leaves nothing that a right one would contradict
    for line in plan_lines(run.plan):
        logger.info(line)
    write_json(folder.records / "plan.json", plan_record(run.facts, run.plan))
    write_json(folder.records / "audit.json", run.data.audit())
    run.curve.began = began
    checkpoint = folder.last_checkpoint()
    if checkpoint is not None:
        logger.warning("Going on with the unfinished run, from %s", checkpoint.name)
    run.fit(checkpoint)
    temperature = run.calibrate() if arguments.calibrate else None
    folder.save_model(run.model, run.tokenizer)
    evaluation = _evaluate(folder, run.data)
    evaluation["temperature"] = temperature
    evaluation["training"] = _training_record(run.trainer, time.monotonic() - began)
    write_atomically(folder.path / "README.md", render_card(folder.path, arguments, run.data, evaluation))
    write_json(folder.records / "evaluation.json", evaluation)
    for line in report_lines(evaluation, binary=len(run.data.rule.labels) == 2):
        logger.info(line)
    return RunResult(folder.path, evaluation)


def _call_record(arguments: SentimentArguments, dataset: Any, training: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, for `records/arguments.json`: no home folder, no token."""
    record = dataclasses.asdict(arguments) | dict(training)
    record.pop("hub_token", None)
    if dataset is not None:
        record["dataset_name"] = f"{type(dataset).__name__} {Hasher.hash(dataset)}"
    record.pop("output_dir", None)  # the folder may be moved
    home = str(Path.home())
    return {
        name: value.replace(home, "~", 1) if isinstance(value, str) and value.startswith(home) else value
        for name, value in sorted(record.items())
    }


def assemble(arguments: SentimentArguments, training: Mapping[str, Any], dataset: Any = None) -> Run:
    """Data, model, plan and Trainer of a call; nothing is trained.

    Args:
        arguments: Model and data.
        training: Arguments of `TrainingArguments` that are not to be planned.
        dataset: In place of the data that `arguments` names.

    Raises:
        CallError: An argument that is wrong.
        DataError: Data that cannot be used.
    """
    seed = int(training.get("seed", 42))
    set_seed(seed)
    data = load_splits(arguments, seed, dataset)
    model, tokenizer = load_model(arguments, data)
    splits, plan, facts = _plan(arguments, training, data, model, tokenizer)
    curve = LearningCurveCallback()
    trainer = _trainer(model, tokenizer, splits, _training_arguments(plan, training), curve)
    return Run(trainer, model, tokenizer, data, splits, plan, facts, curve)


def load_splits(arguments: SentimentArguments, seed: int, dataset: Any = None) -> PreparedData:
    """The data that the arguments name, or `dataset`, labelled, checked and split."""
    return prepare_data(
        arguments.dataset_name if dataset is None else dataset,
        dataset_config_name=arguments.dataset_config_name,
        dataset_revision=arguments.dataset_revision,
        train_file=arguments.train_file,
        validation_file=arguments.validation_file,
        test_file=arguments.test_file,
        text_column=arguments.text_column,
        label_column=arguments.label_column,
        labels=arguments.labels,
        num_labels=arguments.num_labels,
        on_bad_rows=arguments.on_bad_rows,  # type: ignore[arg-type]
        validation_share=arguments.validation_share,
        test_share=arguments.test_share,
        max_train_samples=arguments.max_train_samples,
        seed=seed,
    )


def load_model(
    arguments: SentimentArguments, data: PreparedData
) -> tuple[BertForSentimentAnalysis, PreTrainedTokenizerBase]:
    """The named checkpoint with a head for the data's labels, in float32, and its tokenizer."""
    name = arguments.model_name_or_path
    path = str(starter_model()) if name == STARTER else name
    options = {} if arguments.pooling is None else {"pooling": arguments.pooling}
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=arguments.model_revision)
        model = BertForSentimentAnalysis.from_pretrained(
            path,
            labels=list(data.rule.labels),
            revision=arguments.model_revision,
            classifier_dropout=arguments.classifier_dropout,
            label_rule=data.rule.to_dict(),
            # Half-precision weights would be trained as stored; mixed precision is --bf16 or --fp16.
            dtype=torch.float32,
            **options,
        )
    except (OSError, ValueError) as error:
        raise CallError(f"--model_name_or_path {name}: {str(error).strip().splitlines()[0]}") from error
    return model, tokenizer


def _plan(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    data: PreparedData,
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[dict[str, Dataset], dict[str, Decision], Facts]:
    """Tokenised splits, the plan, and the facts it is based on."""
    limit = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    if arguments.max_length is not None and arguments.max_length > limit:
        raise CallError(f"--max_length {arguments.max_length}: {arguments.model_name_or_path} reads {limit} tokens")
    facts = Facts(
        num_train=len(data.splits["train"]),
        tokens=token_percentile(_sampled_lengths(data.splits["train"], tokenizer, limit)),
        max_position=limit,
        hidden_size=model.config.hidden_size,
        pooling=model.config.pooling,
        calibrate=arguments.calibrate,
    )
    if training.get("metric_for_best_model") is not None:
        _metric_name(training["metric_for_best_model"])
    said = dict(training) | {"max_length": arguments.max_length, "head_first": arguments.head_first}
    plan = make_plan(facts, said)
    max_length = plan["max_length"].value
    tokenizer.model_max_length = limit
    return {name: tokenise(split, tokenizer, max_length) for name, split in data.splits.items()}, plan, facts


def _sampled_lengths(split: Dataset, tokenizer: PreTrainedTokenizerBase, limit: int) -> list[int]:
    """Lengths in tokens of some texts, so that all of them need be tokenised only once."""
    texts = split.shuffle(seed=0).select(range(min(len(split), _LENGTH_SAMPLE)))["text"][:]
    return [len(ids) for ids in tokenizer(texts, truncation=True, max_length=limit)["input_ids"]]


def _training_arguments(plan: Mapping[str, Decision], training: Mapping[str, Any]) -> TrainingArguments:
    """The plan and what the user said, as `TrainingArguments`."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    values = {name: decision.value for name, decision in plan.items() if name in names} | dict(training)
    if values.get("eval_strategy") == "no":  # nothing is evaluated, so there is no best to keep
        values["load_best_model_at_end"] = training.get("load_best_model_at_end", False)
    if values.get("load_best_model_at_end") and "save_strategy" not in training:
        values["save_strategy"] = values["eval_strategy"]
        values.setdefault("save_steps", values.get("eval_steps", 500))
    if values.get("metric_for_best_model") is not None:
        values.setdefault("greater_is_better", _metric_name(values["metric_for_best_model"]) not in LESS_IS_BETTER)
    values.setdefault("dataloader_pin_memory", torch.accelerator.is_available())  # on a CPU it only warns
    try:
        return TrainingArguments(**values)
    except (ValueError, TypeError) as error:
        raise CallError(f"training arguments: {str(error).strip().splitlines()[0]}") from error


def _metric_name(said: str) -> str:
    """A metric's name without `eval_`; a wrong one is an error now, not at the first evaluation.

    Raises:
        CallError: There is no such metric.
    """
    name = said.removeprefix("eval_")
    known = ("loss", *TRAINER_METRICS)
    if name not in known:
        raise CallError(f"--metric_for_best_model {said}: the metrics of an evaluation are {', '.join(known)}")
    return name


def _trainer(
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
    splits: Mapping[str, Dataset],
    training_arguments: TrainingArguments,
    curve: LearningCurveCallback,
) -> Trainer:
    # One smoothing, ours: it acts on the training loss only, so that validation losses stay comparable.
    model.config.label_smoothing = training_arguments.label_smoothing_factor
    training_arguments.label_smoothing_factor = 0.0
    return Trainer(
        model=model,
        args=training_arguments,
        train_dataset=splits["train"],
        eval_dataset=splits["validation"],
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
        callbacks=[curve, CheckpointOnInterrupt()],
    )


def _evaluate(folder: RunFolder, data: PreparedData) -> dict[str, Any]:
    """Evaluate what was saved, loaded as a user loads it, on the test split."""
    test = data.splits["test"]
    classifier = SentimentClassifier.from_pretrained(folder.path)
    probabilities = softmax(classifier.logits(test["text"][:]))
    evaluation = evaluate_probabilities(probabilities, np.asarray(test["label"]), data.rule.labels)
    evaluation["split"] = "test"
    evaluation["baselines"] = evaluate_baselines(data.splits["train"], test, len(data.rule.labels))
    return evaluation


def _training_record(trainer: Trainer, seconds: float) -> dict[str, Any]:
    """What the run took and with what it ran."""
    best = trainer.state.best_global_step
    rows = [row for row in trainer.state.log_history if row.get("step") == best and "eval_loss" in row]
    return {
        "seconds": round(seconds, 1),
        "peak_memory_bytes": _peak_memory(),
        "steps": trainer.state.global_step,
        "epochs": round(trainer.state.epoch or 0.0, 3),
        "best_epoch": rows[-1]["epoch"] if rows else None,
        "device": trainer.args.device.type,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _VERSIONS},
    }


def _version(name: str) -> str:
    if name == "hf-sentiment":
        from hf_sentiment import __version__

        return __version__
    return version(name)


def _peak_memory() -> int:
    """Peak resident memory of this process in bytes; getrusage counts kibibytes, on macOS bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
