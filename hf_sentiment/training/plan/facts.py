"""What the plan is based on: facts about the data, the model and the machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from hf_sentiment.compute.hardware import memory_bytes, native_bfloat16
from hf_sentiment.data.augmentation import are_english
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.head.lexicon import is_taught, polarity
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.plan.decisions import Decision, token_percentile, trains
from hf_sentiment.training.plan.rules import LONGEST_DEFAULT, Facts
from hf_sentiment.training.plan.steps import time_steps

# Texts that are looked at for lengths and language.
_LENGTH_SAMPLE = 4000
# Texts of the step that tells the time of a head alone.
_FOR_A_HEAD = 4


def gather_facts(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    data: PreparedData,
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
) -> Facts:
    """What the rules may look at."""
    limit, labels, train = tokenizer.model_max_length, data.rule.labels, data.splits["train"]
    sample = _sample(_telling(data))
    encodings = tokenizer(sample, truncation=True, max_length=limit)["input_ids"] if sample else [[0] * LONGEST_DEFAULT]
    counts = label_counts(data)
    device = _device(training)
    metric = training.get("metric_for_best_model")
    return Facts(
        num_train=len(train),
        tokens=token_percentile([len(ids) for ids in encodings]),
        max_position=limit,
        hidden_size=model.config.hidden_size,
        pooling=model.config.pooling,
        calibrate=arguments.calibrate,
        lora=arguments.lora,
        num_validation=len(data.splits.get("validation", ())),
        imbalance=float(counts.max() / max(1, counts.min())),
        polarity=polarity(labels) is not None,
        english=are_english(sample),
        unknown=_unknown_share(encodings, tokenizer),
        metric=None if metric is None else str(metric).removeprefix("eval_"),
        parameters=model.num_parameters(),
        memory=memory_bytes(device),
        device=device.type,
        bfloat16=native_bfloat16(device),
        fp16=bool(training.get("fp16")),
    )


def timed_facts(
    facts: Facts,
    plan: Mapping[str, Decision],
    training: Mapping[str, Any],
    data: PreparedData,
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
    steps: StepTimes | None = None,
) -> Facts:
    """The facts with how long a step takes on a CPU, and whether the lexicon is there already.

    Args:
        facts: Without that.
        plan: What they led to.
        training: What the user says of training.
        data: Labelled texts.
        model: Stays as it is.
        tokenizer: Of the model.
        steps: What was measured before, if it was.
    """
    facts = replace(facts, steps=steps, taught=bool(plan["lexicon"].value) and is_taught(model, tokenizer))
    texts = _sample(_telling(data))
    if steps is not None or facts.device != "cpu" or not texts:
        return facts
    limit = int(plan["max_length"].value)
    lengths = [len(ids) for ids in tokenizer(texts, truncation=True, max_length=limit)["input_ids"]]
    # Batches are of about equal length: one near the mean takes the mean time.
    usual = np.argsort(np.abs(np.asarray(lengths) - np.mean(lengths)), kind="stable")
    trained = trains(facts, plan)
    size = int(plan["per_device_train_batch_size"].value) if trained else _FOR_A_HEAD
    chosen = [texts[row] for row in usual[:size]]
    batch = tokenizer(chosen, truncation=True, max_length=limit, padding=True, return_tensors="pt")
    said = training.get("bf16")
    undecided = said is None and trained and facts.bfloat16 and not facts.fp16
    ways = (False, True) if undecided else (bool(said),)
    rounds = {} if trained else {"rounds": 1}
    steps = time_steps(model, dict(batch), ways, adapters=bool(plan["lora"].value), **rounds)
    return replace(facts, steps=steps)


def _device(training: Mapping[str, Any]) -> torch.device:
    """The device that the Trainer will train on."""
    accelerator = None if training.get("use_cpu") else torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if accelerator is None else accelerator


def _telling(data: PreparedData) -> Dataset:
    """The texts that tell length and language: the training texts, or without any the unlabelled or held-out ones."""
    if data.unlabelled is not None:
        return data.unlabelled
    return next((split for split in data.splits.values() if len(split)), data.splits["train"])


def _sample(split: Dataset) -> list[str]:
    """Some texts, which tell of all: a percentile of 99 of their lengths is known to a fraction of a percent."""
    return list(split.shuffle(seed=0).select(range(min(len(split), _LENGTH_SAMPLE)))["text"][:]) if len(split) else []


def _unknown_share(encodings: Sequence[Sequence[int]], tokenizer: PreTrainedTokenizerBase) -> float:
    """The share of tokens, beside the special ones, that the tokenizer does not know."""
    tokens = sum(len(ids) - tokenizer.num_special_tokens_to_add() for ids in encodings)
    return sum(list(ids).count(tokenizer.unk_token_id) for ids in encodings) / max(1, tokens)


def label_counts(data: PreparedData) -> np.ndarray:
    """Training texts of each label, `[labels]`."""
    return np.bincount(np.asarray(data.splits["train"]["label"], dtype=np.int64), minlength=len(data.rule.labels))
