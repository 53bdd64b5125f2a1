"""From arguments to a stock `transformers.Trainer`: data, model, plan and callbacks, ready to train.

Scripts use the parts (`load_splits`, `load_model`, …), the command line the whole (`assemble`).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from enum import Enum
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sklearn.utils.class_weight import compute_class_weight
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.callbacks.shared import less_is_better
from hf_sentiment.data.augmentation import AugmentedDataset, parse_kinds
from hf_sentiment.data.prepare import PreparedData, prepare_data, prepare_unlabelled
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.sources import STARTER, STARTER_CHECKPOINT
from hf_sentiment.data.splits import Shares, usual_shares
from hf_sentiment.data.tokenisation import tokenise
from hf_sentiment.errors import CallError, SentimentError, first_line
from hf_sentiment.evaluation.metrics import TRAINER_METRICS, compute_metrics
from hf_sentiment.head.lexicon import polarity
from hf_sentiment.inference.loading import load_tokenizer
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.interruption import CheckpointOnInterrupt, SeedEveryEpoch
from hf_sentiment.training.optimiser import layerwise_optimiser
from hf_sentiment.training.plan import (
    Decision,
    Facts,
    gather_facts,
    holdout_shares,
    is_sentence_encoder,
    make_plan,
    plan_warnings,
    timed_facts,
)
from hf_sentiment.training.run import Run

logger = logging.getLogger(__name__)

# What `train` does by itself, or not at all: said, it would be ignored.
_REFUSED = {
    "push_to_hub": "it is complete only at the end: `hf-sentiment publish` it then, or train with recipes/finetune.py",
    "resume_from_checkpoint": "say the same command again to go on, or train with recipes/finetune.py",
    "do_train": "train always trains: leave it out",
    "do_eval": "evaluations are asked for by --eval_strategy: leave it out",
    "do_predict": "the test split is always predicted at the end: leave it out",
    "prediction_loss_only": "metrics need the predictions: leave it out",
}


# Our own arguments that the plan decides where the user does not.
_PLANNED = (
    "pooling",
    "max_length",
    "lora",
    "head_first",
    "lexicon",
    "augment",
    "imbalance",
    "layerwise_lr_decay",
    "fine_tuned_share",
    "early_stopping_patience",
)


def assemble(
    arguments: SentimentArguments, training: Mapping[str, Any], dataset: Any = None, steps: StepTimes | None = None
) -> Run:
    """Data, model, plan and Trainer of a call; nothing is trained.

    Args:
        arguments: Model and data.
        training: Arguments of `TrainingArguments` that are not to be planned.
        dataset: In place of the data that `arguments` names.
        steps: What was measured when the run began, of one that is taken up: it decides again as it did.

    Raises:
        CallError: An argument that is wrong.
        DataError: Data that cannot be used.
    """
    training = _plain(training)
    seed = int(training.get("seed", 42))
    planned = prepare_plan(arguments, training, dataset, steps)
    arguments, data, model, tokenizer = planned.arguments, planned.data, planned.model, planned.tokenizer
    plan = planned.plan
    max_length = plan["max_length"].value
    splits = {name: tokenise(split, tokenizer, max_length) for name, split in data.splits.items() if len(split)}
    splits.setdefault("train", data.splits["train"])
    if data.unlabelled is not None:
        splits["unlabelled"] = tokenise(data.unlabelled, tokenizer, max_length)
    if plan["imbalance"].value == "class_weights":
        labels = np.asarray(data.splits["train"]["label"])
        weights = compute_class_weight("balanced", classes=np.arange(len(data.rule.labels)), y=labels)
        model.config.class_weights = weights.tolist()
    augmented = augmentation(plan["augment"].value, data, model, tokenizer, max_length, seed)
    curve, stopping, alarm = LearningCurveCallback(), early_stopping(plan, training), overfitting_alarm(arguments, plan)
    # The alarm before the curve, which then has its scalars at once and is drawn once an evaluation.
    suite = [stopping, alarm, curve, lora(arguments), CheckpointOnInterrupt(), SeedEveryEpoch()]
    callbacks: list[TrainerCallback] = [callback for callback in suite if callback is not None]
    made = _training_arguments(plan, training)
    optimiser = layerwise_optimiser(model, made, plan["layerwise_lr_decay"].value, bool(arguments.lora))
    trainer = _trainer(model, tokenizer, splits, made, callbacks, augmented, optimiser)
    return Run(trainer, model, tokenizer, data, splits, plan, planned.facts, curve, stopping, alarm)


@dataclasses.dataclass(frozen=True)
class Planned:
    """A call's data, model and plan; `arguments` have LoRA decided."""

    arguments: SentimentArguments
    data: PreparedData
    model: BertForSentimentAnalysis
    tokenizer: PreTrainedTokenizerBase
    plan: dict[str, Decision]
    facts: Facts


def prepare_plan(
    arguments: SentimentArguments, training: Mapping[str, Any], dataset: Any = None, steps: StepTimes | None = None
) -> Planned:
    """Data, model and plan of a call, as in `assemble`."""
    training = _plain(training)
    seed = int(training.get("seed", 42))
    set_seed(seed)
    data = load_planned_splits(arguments, training, seed, dataset)
    model, tokenizer = load_model(arguments, data)
    plan, facts = _plan(arguments, training, data, model, tokenizer, steps)
    for line in plan_warnings(facts, plan):
        logger.warning(line)
    arguments = dataclasses.replace(arguments, lora=plan["lora"].value)
    _check_without_labels(data, plan, training)
    return Planned(arguments, data, model, tokenizer, plan, facts)


def _plain(training: Mapping[str, Any]) -> dict[str, Any]:
    """Members of transformers' enumerations (`IntervalStrategy.NO`) as the words that they stand for."""
    return {name: value.value if isinstance(value, Enum) else value for name, value in training.items()}


def load_planned_splits(
    arguments: SentimentArguments, training: Mapping[str, Any], seed: int, dataset: Any = None
) -> PreparedData:
    """As `load_splits`, but few labels of a sentence encoder are not split, and there may be none.

    Args:
        arguments: Model and data.
        training: Arguments of `TrainingArguments`, some of which ask for evaluations.
        seed: Of the splits.
        dataset: In place of the data that `arguments` names.

    Raises:
        CallError: As `load_splits`, or there is no such checkpoint.
        DataError: As `load_splits`.
    """
    if arguments.unlabeled_file is not None:
        return prepare_unlabelled(
            arguments.labels,
            arguments.test_file,
            arguments.unlabeled_file,
            text_column=arguments.text_column,
            encoding=arguments.encoding,
            label_column=arguments.label_column,
        )
    sentence_encoder = is_sentence_encoder(_pooling(arguments))
    watched = _asks_for_evaluations(arguments, training)
    shares = partial(holdout_shares, sentence_encoder=sentence_encoder, watched=watched)
    return load_splits(arguments, seed, dataset, shares)


def _asks_for_evaluations(arguments: SentimentArguments, training: Mapping[str, Any]) -> bool:
    """Whether something is said that needs validation texts."""
    if arguments.early_stopping_patience or arguments.alarm in ("stop", "rollback"):
        return True
    if str(training.get("eval_strategy") or "no") != "no":
        return True
    return bool(training.get("load_best_model_at_end") or training.get("metric_for_best_model"))


def _pooling(arguments: SentimentArguments) -> str:
    """The pooling that is said, or that the checkpoint was made for; "" where its config cannot be read."""
    path = checkpoint_of(arguments)
    if arguments.pooling is not None:
        return arguments.pooling
    try:
        config = BertSentimentConfig.from_pretrained(path, revision=arguments.model_revision or "main")
    except (OSError, ValueError):
        return ""
    return str(config.pooling)


def _check_without_labels(data: PreparedData, plan: Mapping[str, Decision], training: Mapping[str, Any]) -> None:
    """Refuse a head without labels where the lexicon says nothing of the labels, or something is to be trained."""
    if len(data.splits["train"]):
        return
    lexicon = plan["lexicon"]
    if not lexicon.value:
        raise CallError(f"no labelled texts, and no lexicon ({lexicon.reason}): give labelled ones, --train_file FILE")
    if polarity(data.rule.labels) is None:
        raise CallError(
            f"no labelled texts, and {', '.join(data.rule.labels)} are no polarities: give --train_file FILE"
        )
    needing = {"num_train_epochs": float(plan["num_train_epochs"].value) > 0}
    needing |= {"max_steps": (training.get("max_steps") or 0) > 0, "imbalance": plan["imbalance"].value != "none"}
    for name, needs in needing.items():
        if needs:
            raise CallError(f"--{name} needs labelled texts: leave it out, or give --train_file FILE")


def load_splits(
    arguments: SentimentArguments, seed: int, dataset: Any = None, holdout: Callable[[int], Shares] = usual_shares
) -> PreparedData:
    """The data that the arguments name, or `dataset`, labelled, checked and split.

    Args:
        arguments: The data.
        seed: Of the splits.
        dataset: In place of the data that `arguments` names.
        holdout: As in `prepare_data`.

    Raises:
        CallError: The arguments name unlabelled texts, or as in `prepare_data`.
        DataError: As in `prepare_data`.
    """
    if arguments.unlabeled_file is not None:
        raise CallError(f"--unlabeled_file {arguments.unlabeled_file}: `hf-sentiment train` takes it, and nothing else")
    return prepare_data(
        arguments.dataset_name if dataset is None else dataset,
        **arguments.source(),
        labels=arguments.labels,
        num_labels=arguments.num_labels,
        on_bad_rows=arguments.on_bad_rows,  # type: ignore[arg-type]
        validation_share=arguments.validation_share,
        test_share=arguments.test_share,
        holdout=holdout,
        max_train_samples=arguments.max_train_samples,
        seed=seed,
    )


def load_model(
    arguments: SentimentArguments, data: PreparedData | Rows
) -> tuple[BertForSentimentAnalysis, PreTrainedTokenizerBase]:
    """The named checkpoint with a head for the data's labels, in float32, and its tokenizer.

    The tokenizer's `model_max_length` is what the model can read.

    Raises:
        CallError: The checkpoint does not exist, is no BERT, or lacks its tokenizer.
    """
    name, path = arguments.model_name_or_path, checkpoint_of(arguments)
    options = {} if arguments.pooling is None else {"pooling": arguments.pooling}
    try:
        tokenizer = load_tokenizer(path, arguments.model_revision)
        loaded: Any = _without_report(
            path,
            labels=list(data.rule.labels),
            revision=arguments.model_revision,
            classifier_dropout=arguments.classifier_dropout,
            label_rule=data.rule.to_dict(),
            # Half-precision weights would be trained as stored; mixed precision is --bf16 or --fp16.
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except SentimentError:
        raise
    except (OSError, ValueError) as error:
        raise CallError(f"--model_name_or_path {name}: {first_line(error)}") from error
    model, info = loaded
    # Of a checkpoint that was fine-tuned before: its weights were for other texts, and it may have had another task.
    model.config.class_weights, model.config.problem_type = None, "single_label_classification"
    lacking = sorted(name for name in info["missing_keys"] if not name.startswith("classifier."))
    if lacking:
        logger.warning("%s lacks weights, which begin at random: %s", name, ", ".join(lacking))
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    return model, tokenizer


def _without_report(path: str, **options: Any) -> Any:
    """`from_pretrained` without transformers' table of missing weights: that the head is new is what we want."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        return BertForSentimentAnalysis.from_pretrained(path, **options)
    finally:
        transformers_logging.set_verbosity(verbosity)


def checkpoint_of(arguments: SentimentArguments) -> str:
    """The folder or Hub id of the checkpoint that the arguments name; the starter is fetched if it has to be.

    Args:
        arguments: The model.

    Raises:
        CallError: It does not exist.
    """
    try:
        return find_checkpoint(arguments.model_name_or_path, arguments.model_revision)
    except CallError as error:
        raise CallError(f"--model_name_or_path {error}") from error


def smooth_in_the_model(model: BertForSentimentAnalysis, training_arguments: TrainingArguments) -> None:
    """Move `label_smoothing_factor` from the Trainer into the model's config.

    The Trainer's smoothing acts on evaluation losses too; the model's on the training loss only, and it is saved.
    """
    model.config.label_smoothing = training_arguments.label_smoothing_factor
    training_arguments.label_smoothing_factor = 0.0


def lora(arguments: SentimentArguments) -> LoraCallback | None:
    """The callback that trains adapters, if the arguments ask for it."""
    if not arguments.lora:
        return None
    starter = arguments.model_name_or_path == STARTER
    return LoraCallback(
        r=arguments.lora_rank,
        alpha=2 * arguments.lora_rank,
        base_model=STARTER_CHECKPOINT if starter else arguments.model_name_or_path,
    )


def augmentation(
    kinds: str,
    data: PreparedData,
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    seed: int,
) -> AugmentedDataset | None:
    """The training split with the augmentation of `--augment`; `None` where that is `none`."""
    named = parse_kinds(kinds)
    return AugmentedDataset(data.splits["train"], tokenizer, max_length, named, seed, model) if named else None


def early_stopping(plan: Mapping[str, Decision], training: Mapping[str, Any]) -> EarlyStoppingCallback | None:
    """The callback that stops and keeps the best, as planned; none where nothing is evaluated."""
    if str(plan["eval_strategy"].value) == "no":
        return None
    name, greater = _metric_name(plan["metric_for_best_model"].value), training.get("greater_is_better")
    if greater is not None and bool(greater) == less_is_better(name):
        raise CallError(
            f"--greater_is_better {str(greater).lower()}: of {name} {'less' if greater else 'more'} is better, which "
            "is known: leave it out"
        )
    return EarlyStoppingCallback(
        plan["early_stopping_patience"].value or None,
        monitor=name,
        greater_is_better=greater,
        restore_best=bool(plan["keep_best"].value),
    )


def overfitting_alarm(arguments: SentimentArguments, plan: Mapping[str, Decision]) -> OverfittingGapCallback | None:
    """The overfitting alarm, unless it is off or nothing is evaluated."""
    if str(plan["eval_strategy"].value) == "no":
        if arguments.alarm in ("stop", "rollback"):
            raise CallError(f"--alarm {arguments.alarm} needs evaluations, and --eval_strategy is no: give epoch")
        return None
    if arguments.alarm == "off":
        return None
    return OverfittingGapCallback(arguments.alarm)


def _plan(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    data: PreparedData,
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
    steps: StepTimes | None,
) -> tuple[dict[str, Decision], Facts]:
    """The plan, and the facts it is based on: first without how long a step takes, which is then timed on its batch."""
    limit = tokenizer.model_max_length
    if arguments.max_length is not None and arguments.max_length > limit:
        raise CallError(f"--max_length {arguments.max_length}: {arguments.model_name_or_path} reads {limit} tokens")
    for name, instead in _REFUSED.items():
        if training.get(name):
            raise CallError(f"--{name}: {instead}")
    facts = gather_facts(arguments, training, data, model, tokenizer)
    said = dict(training) | {name: getattr(arguments, name) for name in _PLANNED}
    said["keep_best"] = training.get("load_best_model_at_end")  # the callback keeps it, not the Trainer
    facts = timed_facts(facts, make_plan(facts, said), training, data, model, tokenizer, steps)
    return make_plan(facts, said), facts


def _training_arguments(plan: Mapping[str, Decision], training: Mapping[str, Any]) -> TrainingArguments:
    """The plan and what the user said, as `TrainingArguments`."""
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    values = dict(training) | {name: decision.value for name, decision in plan.items() if name in names}
    if values.get("metric_for_best_model") is not None:
        name = _metric_name(values["metric_for_best_model"])
        if _trainer_needs_the_metric(values):
            values.setdefault("greater_is_better", not less_is_better(name))
        else:
            # The callback has it. The Trainer would delete the last checkpoint for the best one, and a run that was
            # interrupted would have to go back there.
            del values["metric_for_best_model"]
            values.pop("greater_is_better", None)
    accelerated = torch.accelerator.is_available()
    values.setdefault("dataloader_pin_memory", accelerated)  # on a CPU it only warns
    if not accelerated:
        values["use_cpu"] = True  # as it would anyway, but transformers takes bf16 only where it is said
    try:
        return TrainingArguments(**values)
    except (ValueError, TypeError) as error:
        raise CallError(f"training arguments: {' '.join(str(error).split())}") from error


def _trainer_needs_the_metric(values: Mapping[str, Any]) -> bool:
    """Whether the Trainer itself keeps the best checkpoint, or a schedule follows the metric."""
    schedule = str(values.get("lr_scheduler_type", ""))
    return (
        bool(values.get("load_best_model_at_end"))
        or str(values["save_strategy"]) == "best"
        or (schedule in ("reduce_lr_on_plateau", "greedy"))
    )


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
    callbacks: list[TrainerCallback],
    augmented: AugmentedDataset | None,
    optimiser: torch.optim.Optimizer | None,
) -> Trainer:
    smooth_in_the_model(model, training_arguments)
    return Trainer(
        model=model,
        args=training_arguments,
        train_dataset=splits["train"] if augmented is None else augmented,
        eval_dataset=splits.get("validation"),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
        callbacks=callbacks if augmented is None else [*callbacks, augmented.callback],
        optimizers=(optimiser, None),
    )
