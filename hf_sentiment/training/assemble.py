"""From a call to a `transformers.Trainer`: data, model, plan and callbacks, ready to train."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sklearn.utils.class_weight import compute_class_weight
from transformers import (
    DataCollatorWithPadding,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_sentiment.callbacks.early_stopping import BY_TEXT, EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.callbacks.shared import StopAtDivergence, less_is_better
from hf_sentiment.compute.processes import exchange_seconds, is_main, main_does, share_weights
from hf_sentiment.data.augmentation import AugmentedDataset, check_language, parse_kinds
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.data.sources import base_of
from hf_sentiment.data.texts import numbers
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.errors import CallError
from hf_sentiment.evaluation.metrics import TRAINER_METRICS, compute_metrics
from hf_sentiment.head.lexicon import polarity
from hf_sentiment.model import SentimentModel
from hf_sentiment.records.schema import PlanRecord
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.call import Call
from hf_sentiment.training.checkpoints import CheckedCheckpoints
from hf_sentiment.training.interruption import CheckpointOnInterrupt, SeedEveryEpoch
from hf_sentiment.training.load import load_model, load_planned_splits
from hf_sentiment.training.optimizer import check_layer_rates
from hf_sentiment.training.plan import (
    TELLING,
    Plan,
    TextSample,
    computes_in_bfloat16,
    gather_facts,
    make_plan,
    plan_warnings,
    timed_facts,
)
from hf_sentiment.training.run import Run
from hf_sentiment.training.sharing import on_disk
from hf_sentiment.training.trainer import ExactTrainer

logger = logging.getLogger(__name__)

# What `train` does by itself, or not at all: said, it would be ignored.
_REFUSED = {
    "push_to_hub": "it is complete only at the end: `hf-sentiment publish` it then, or train with recipes/finetune.py",
    "resume_from_checkpoint": "run the same command again to go on, or train with recipes/finetune.py",
    "do_train": "train always trains: leave it out",
    "do_eval": "evaluations are asked for by --eval_strategy: leave it out",
    "do_predict": "the test split is always predicted at the end: leave it out",
    "prediction_loss_only": "metrics need the predictions: leave it out",
}


@dataclass(frozen=True)
class Planned:
    """A call with its data, its model and its plan."""

    call: Call
    data: PreparedData
    model: SentimentModel
    tokenizer: PreTrainedTokenizerBase
    plan: Plan


def prepare_plan(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    dataset: Any = None,
    before: PlanRecord | None = None,
    exchange: float = 0.0,
) -> Planned:
    """Data, model and plan of a call; nothing is trained.

    Args:
        arguments: As in `assemble`.
        training: As in `assemble`.
        dataset: As in `assemble`.
        before: As in `assemble`.
        exchange: Seconds in which the processes add up one number of their gradients.

    Raises:
        CallError: An argument that is wrong.
        DataError: Data that cannot be used.
    """
    diverged = before is not None and before.diverged
    if diverged:  # the one thing that is not as the user says
        training = {name: value for name, value in training.items() if name not in ("bf16", "fp16")}
    call = Call(arguments, training)
    set_seed(call.seed)  # a new head, or missing weights, are drawn when the model is loaded
    data = load_planned_splits(call, dataset)
    model, tokenizer = load_model(arguments, data)
    _check_call(call, tokenizer)
    if call.training.get("bf16") and not computes_in_bfloat16(model):
        raise CallError("--bf16 true: this encoder cannot compute in bfloat16: leave it out")
    # After the cheap checks: this tokenises up to 4,000 texts.
    sample = TextSample.draw(data, tokenizer)
    facts = gather_facts(call, data, sample, model, tokenizer)
    facts = replace(facts, diverged=diverged, halvings=0 if before is None else before.halvings)
    # Twice: which batch a step is timed on follows from the plan, and the number format of the plan from the time.
    steps = None if before is None else before.steps
    facts = timed_facts(make_plan(facts, call.said), call, sample, model, tokenizer, steps, exchange)
    plan = make_plan(facts, call.said)
    for line in plan_warnings(plan):
        logger.warning(line)
    _check_without_labels(data, plan, call)
    check_language(parse_kinds(plan.augment.value), facts.language)
    return Planned(call, data, model, tokenizer, plan)


def assemble(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    dataset: Any = None,
    before: PlanRecord | None = None,
    place: Path | None = None,
) -> Run:
    """Data, model, plan and Trainer of a call; nothing is trained.

    Args:
        arguments: Model and data.
        training: Arguments of `TrainingArguments` that are not to be planned.
        dataset: In place of the data that `arguments` names.
        before: The plan of a run that is taken up, whose number format stays, or that diverged: then it is float32.
        place: Where several processes share data, as `shared_place` gives it.

    Raises:
        CallError: An argument that is wrong.
        DataError: Data that cannot be used.
    """
    planned, splits = _prepared(arguments, training, dataset, before, place)
    call, data, model, tokenizer, plan = planned.call, planned.data, planned.model, planned.tokenizer, planned.plan
    if plan.imbalance.value == "class_weights":
        # In the config, where the model's own training loss finds them, and evaluation losses do not.
        labels = numbers(data.splits["train"], "label")
        weights = compute_class_weight("balanced", classes=np.arange(len(data.rule.labels)), y=labels)
        model.config.class_weights = weights.tolist()
    augmented = augmentation(plan.augment.value, data, model, tokenizer, plan.max_length.value, call.seed)
    curve, stopping, alarm = LearningCurveCallback(), _early_stopping(plan, call), _overfitting_alarm(plan, arguments)
    # The alarm before the curve, which then has its scalars at once and is drawn once an evaluation.
    suite: list[TrainerCallback | None] = [stopping, alarm, curve, _lora(plan, arguments)]
    suite += [CheckpointOnInterrupt(), SeedEveryEpoch(), None if augmented is None else augmented.callback]
    training_arguments = _training_arguments(plan, call)
    suite.append(CheckedCheckpoints(training_arguments.save_total_limit))
    training_arguments.save_total_limit = None
    smooth_in_the_model(model, training_arguments)
    trainer = ExactTrainer(
        model=model,
        args=training_arguments,
        train_dataset=splits["train"] if augmented is None else augmented,
        eval_dataset=splits.get("validation"),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=compute_metrics,
        callbacks=[callback for callback in suite if callback is not None],
    )
    return Run(trainer, model, tokenizer, data, splits, plan, curve, stopping, alarm)


def _prepared(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    dataset: Any,
    before: PlanRecord | None,
    place: Path | None,
) -> tuple[Planned, dict[str, Dataset]]:
    """As `prepare_plan`, with the tokenised texts; of several processes the main one makes the plan and all data."""
    made: list[Planned] = []
    exchange = exchange_seconds()

    def make() -> tuple[Call, Plan, tuple[PreparedData, dict[str, Dataset]]]:
        planned = prepare_plan(arguments, training, dataset, before, exchange)
        made.append(planned)
        splits = _tokenized(planned.data, planned.tokenizer, planned.plan.max_length.value)
        data = planned.data
        return planned.call, planned.plan, (data, splits) if place is None else on_disk(data, splits, place)

    call, plan, (data, splits) = main_does(make)
    if place is None:
        return made[0], splits
    if is_main():  # which has what an audit needs as well
        model, tokenizer, data = made[0].model, made[0].tokenizer, replace(made[0].data, splits=data.splits)
    else:
        set_seed(call.seed)
        model, tokenizer = load_model(arguments, data)
    share_weights(model)
    return Planned(call, data, model, tokenizer, plan), splits


def _check_call(call: Call, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse what would be ignored, and texts that are longer than the model reads."""
    length, limit = call.arguments.max_length, tokenizer.model_max_length
    if length is not None and length > limit:
        raise CallError(f"--max_length {length}: {call.arguments.model_name_or_path} reads {limit} tokens")
    for name, instead in _REFUSED.items():
        if call.training.get(name):
            raise CallError(f"--{name}: {instead}")


def _check_without_labels(data: PreparedData, plan: Plan, call: Call) -> None:
    """Refuse a head without labels where the lexicon says nothing of the labels, or something is to be trained."""
    if len(data.splits["train"]):
        return
    if not plan.lexicon.value:
        reason = plan.lexicon.reason
        raise CallError(f"no labelled texts, and no lexicon ({reason}): give labelled ones, --train_file FILE")
    if polarity(data.rule.labels) is None:
        raise CallError(
            f"no labelled texts, and {', '.join(data.rule.labels)} are no polarities: give --train_file FILE"
        )
    # What only labels can train or weigh; a plan of its own asks for none of it.
    needing = {"num_train_epochs": plan.fine_tunes, "max_steps": call.steps > 0}
    needing["imbalance"] = plan.imbalance.value != "none"
    for name, needs in needing.items():
        if needs:
            raise CallError(f"--{name} needs labelled texts: leave it out, or give --train_file FILE")


def _tokenized(data: PreparedData, tokenizer: PreTrainedTokenizerBase, max_length: int) -> dict[str, Dataset]:
    """The texts to train on and to validate on, by split; those of the test are predicted as a user has them, as texts.

    An empty training split has no tokens, but is there.
    """
    # What is measured at the end is the saved model, loaded as users load it: it tokenises for itself.
    texts = {name: split for name, split in data.splits.items() if len(split) and name != "test"}
    if data.unlabeled is not None and data.learned() is data.unlabeled:
        texts["unlabeled"] = data.unlabeled
    splits = {name: tokenize(split, tokenizer, max_length) for name, split in texts.items()}
    return {"train": data.splits["train"]} | splits


def smooth_in_the_model(model: SentimentModel, training_arguments: TrainingArguments) -> None:
    """Move `label_smoothing_factor` from the Trainer into the model's config.

    The Trainer's smoothing acts on evaluation losses too; the model's on the training loss only, and it is saved.
    """
    model.config.label_smoothing = training_arguments.label_smoothing_factor
    training_arguments.label_smoothing_factor = 0.0


def _lora(plan: Plan, arguments: SentimentArguments) -> LoraCallback | None:
    """The callback that trains adapters, where they are planned."""
    if not plan.lora.value:
        return None
    check_layer_rates(plan.layerwise_lr_decay.value, lora=True)
    return LoraCallback(
        r=arguments.lora_rank,
        alpha=2 * arguments.lora_rank,  # a scale of 2, whatever the rank, so that one learning rate serves all ranks
        # The starter's cache folder is no name that others could load; its Hub id is.
        base_model=base_of(arguments.model_name_or_path),
    )


def augmentation(
    kinds: str,
    data: PreparedData,
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    seed: int,
) -> AugmentedDataset | None:
    """The training split with the augmentation of `--augment`; `None` where that is `none`.

    Args:
        kinds: As `--augment` names them.
        data: With the texts to train on.
        model: Whose embeddings find neighbours of words.
        tokenizer: Of the model.
        max_length: Tokens after which a text is cut.
        seed: Of the edits.
    """
    named = parse_kinds(kinds)
    return AugmentedDataset(data.splits["train"], tokenizer, max_length, named, seed, model) if named else None


def _early_stopping(plan: Plan, call: Call) -> StopAtDivergence:
    """The callback that stops and keeps the best, as planned; where nothing is evaluated, it stops at divergence."""
    if not plan.evaluates or plan.metric_for_best_model is None:
        return StopAtDivergence()
    name, greater = _metric_name(plan.metric_for_best_model.value), call.training.get("greater_is_better")
    if greater is not None and bool(greater) == less_is_better(name):
        raise CallError(
            f"--greater_is_better {str(greater).lower()}: of {name} {'less' if greater else 'more'} is better, which "
            "is known: leave it out"
        )
    # What the Trainer itself restores is the best, and nothing else; and who says when to stop wants it kept.
    best = call.training.get("load_best_model_at_end") or call.arguments.early_stopping_patience
    by_text = f"eval_{name}" in BY_TEXT and not best
    return EarlyStoppingCallback(
        plan.early_stopping_patience.value or None,  # 0 is never, which the callback calls None
        monitor=name,
        greater_is_better=greater,
        tolerance=f"{TELLING}se" if by_text else None,
        restore_best=plan.keep_best.value,
    )


def _overfitting_alarm(plan: Plan, arguments: SentimentArguments) -> OverfittingGapCallback | None:
    """The overfitting alarm, unless it is off or nothing is evaluated."""
    if not plan.evaluates:
        if arguments.alarm in ("stop", "rollback"):
            raise CallError(f"--alarm {arguments.alarm} needs evaluations, and --eval_strategy is no: give epoch")
        return None
    return None if arguments.alarm == "off" else OverfittingGapCallback(arguments.alarm)


def _training_arguments(plan: Plan, call: Call) -> TrainingArguments:
    """The plan and what the user said, as `TrainingArguments`."""
    names = {field.name for field in fields(TrainingArguments)}
    planned = {name: decision.value for name, decision in plan.decisions.items() if name in names}
    values = {**call.training, **planned}  # what the user said is in the plan, too
    if plan.save_strategy.by == "plan" and plan.save_strategy.value == "steps":
        values["save_steps"] = values.get("eval_steps") or values.get("logging_steps", 500)  # as the Trainer evaluates
    if plan.metric_for_best_model is not None:
        name = _metric_name(plan.metric_for_best_model.value)
        if _trainer_needs_the_metric(values):
            values.setdefault("greater_is_better", not less_is_better(name))
        else:
            # The callback has it. The Trainer would delete the last checkpoint for the best one, and a run that was
            # interrupted would have to go back there.
            del values["metric_for_best_model"]
            values.pop("greater_is_better", None)
    accelerated = torch.accelerator.is_available()
    values.setdefault("dataloader_pin_memory", accelerated)  # on a CPU it only warns
    values.setdefault("ddp_find_unused_parameters", False)  # no parameter is idle, and to look for one takes time
    if not accelerated:
        values["use_cpu"] = True  # as it would anyway, but transformers takes bf16 only where it is said
    try:
        return TrainingArguments(**values)
    except (ValueError, TypeError) as error:
        raise CallError(f"training arguments: {' '.join(str(error).split())}") from error


def _trainer_needs_the_metric(values: Mapping[str, Any]) -> bool:
    """Whether the Trainer itself keeps the best checkpoint, or a schedule follows the metric."""
    follows = str(values.get("lr_scheduler_type", "")) in ("reduce_lr_on_plateau", "greedy")
    return follows or bool(values.get("load_best_model_at_end")) or str(values["save_strategy"]) == "best"


def _metric_name(said: str) -> str:
    """A metric's name without `eval_`; a wrong one is an error now, not at the first evaluation.

    Raises:
        CallError: There is no such metric.
    """
    name = said.removeprefix("eval_")  # the Trainer takes both
    known = ("loss", *TRAINER_METRICS)
    if name not in known:
        raise CallError(f"--metric_for_best_model {said}: the metrics of an evaluation are {', '.join(known)}")
    return name
