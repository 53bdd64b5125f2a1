"""What the plan is based on: facts about the data, the model and the machine."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from hf_sentiment.data._guard import are_english
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.lexicon import polarity
from hf_sentiment.training.plan import token_percentile
from hf_sentiment.training.rules import LONGEST_DEFAULT, Facts

# Texts that are looked at for lengths and language.
_LENGTH_SAMPLE = 4000
# Texts whose forward pass is timed.
_TIMED = 16


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
    device = torch.accelerator.current_accelerator()
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
        num_labels=len(labels),
        imbalance=float(counts.max() / max(1, counts.min())),
        polarity=polarity(labels) is not None,
        english=are_english(sample),
        metric=None if metric is None else str(metric).removeprefix("eval_"),
        parameters=model.num_parameters(),
        memory=_memory(device),
        device="cpu" if device is None else device.type,
        seconds_a_text=_seconds_a_text(model, tokenizer, sample, limit) if device is None and sample else None,
    )


def _telling(data: PreparedData) -> Dataset:
    """The texts that tell length and language: the training texts, or without any the unlabelled or held-out ones."""
    if data.unlabelled is not None:
        return data.unlabelled
    return next((split for split in data.splits.values() if len(split)), data.splits["train"])


def _sample(split: Dataset) -> list[str]:
    """Some texts, which tell of all: a percentile of 99 of their lengths is known to a fraction of a percent."""
    return list(split.shuffle(seed=0).select(range(min(len(split), _LENGTH_SAMPLE)))["text"][:]) if len(split) else []


def _memory(device: torch.device | None) -> int:
    """Bytes of the accelerator's memory, or of the machine's."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _seconds_a_text(
    model: BertForSentimentAnalysis, tokenizer: PreTrainedTokenizerBase, sample: list[str], limit: int
) -> float:
    """Seconds of a forward pass for a text, over a batch of the first texts; the second of two passes counts."""
    texts = sample[:_TIMED]
    batch = tokenizer(texts, truncation=True, max_length=limit, padding=True, return_tensors="pt")
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        model(**batch)
        began = time.perf_counter()
        model(**batch)
        seconds = time.perf_counter() - began
    model.train(was_training)
    return seconds / len(texts)


def label_counts(data: PreparedData) -> np.ndarray:
    """Training texts of each label, `[labels]`."""
    return np.bincount(np.asarray(data.splits["train"]["label"], dtype=np.int64), minlength=len(data.rule.labels))
