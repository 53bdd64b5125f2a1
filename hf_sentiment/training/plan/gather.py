"""Finding the facts: from the data, the model, the machine and what was said."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from hf_sentiment.compute.hardware import memory_bytes, native_bfloat16
from hf_sentiment.compute.processes import neighbours, started
from hf_sentiment.data.language import main_language
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.data.texts import numbers
from hf_sentiment.head.lexicon import is_taught, lexicons_for, polarity, readable, rules_right
from hf_sentiment.model import SentimentModel
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.training.call import Call
from hf_sentiment.training.plan.decisions import Plan
from hf_sentiment.training.plan.facts import Facts
from hf_sentiment.training.plan.rules import LONGEST_DEFAULT
from hf_sentiment.training.plan.steps import computes_in_bfloat16, time_steps
from hf_sentiment.training.words import only_occurring

# Texts that are looked at for lengths and language: a percentile of 99 of so many lengths is known to a fraction of a
# percent.
_SAMPLE = 4000
LENGTH_PERCENTILE = 99
# The Trainer's own.
_OPTIMIZER = "adamw_torch_fused"
# Texts of the step that tells the time of a head alone.
_FOR_A_HEAD = 4


@dataclass(frozen=True)
class TextSample:
    """Some texts that tell of all: the training texts, or without any the unlabelled or held-out ones.

    Attributes:
        texts: As they are; none where there is no text at all.
        lengths: In tokens, cut at what the model reads, `[texts]`.
        unknown: Share of the tokens, beside the special ones, that the tokenizer does not know.
        words: Ids of the tokens that occur, and of the special ones, each once, `[occurring]`.
    """

    texts: list[str]
    lengths: np.ndarray
    unknown: float
    words: torch.Tensor

    @classmethod
    def draw(cls, data: PreparedData, tokenizer: PreTrainedTokenizerBase) -> TextSample:
        """Draw at most 4,000 texts and tokenise them.

        Args:
            data: Labelled or unlabelled texts.
            tokenizer: Whose `model_max_length` is what the model reads.
        """
        split = data.learned()
        if not len(split):
            split = next((one for one in data.splits.values() if len(one)), split)
        if not len(split):
            return cls([], np.array([LONGEST_DEFAULT]), 0.0, torch.tensor(tokenizer.all_special_ids))
        # A seed of its own, so that the plan of a file is the same whatever the run's seed is.
        texts = list(split.shuffle(seed=0).select(range(min(len(split), _SAMPLE)))["text"][:])
        ids = tokenizer(texts, truncation=True, max_length=tokenizer.model_max_length)["input_ids"]
        # Cut at what the model reads and not at --max_length, which is yet to be planned from these lengths.
        lengths = np.array([len(sequence) for sequence in ids])
        tokens = int(lengths.sum()) - len(ids) * tokenizer.num_special_tokens_to_add()
        unknown = sum(sequence.count(tokenizer.unk_token_id) for sequence in ids)
        words = sorted(set(tokenizer.all_special_ids).union(*ids))
        return cls(texts, lengths, unknown / max(1, tokens), torch.tensor(words))


def gather_facts(
    call: Call,
    data: PreparedData,
    sample: TextSample,
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
) -> Facts:
    """What the rules may look at, but for how long a step takes.

    Args:
        call: What was said.
        data: Labelled texts.
        sample: Of them.
        model: To be trained.
        tokenizer: Of the model.
    """
    counts, device = label_counts(data), _device(call)
    metric = call.training.get("metric_for_best_model")
    facts = Facts(
        num_train=len(data.splits["train"]),
        tokens=token_percentile(sample.lengths),
        max_position=tokenizer.model_max_length,
        hidden_size=model.config.hidden_size,
        layers=model.config.num_hidden_layers,
        pooling=model.config.pooling,
        sentence_encoder=model.config.sentence_encoder,
        calibrate=call.arguments.calibrate,
        lora=call.arguments.lora,
        num_validation=len(data.splits.get("validation", ())),
        imbalance=float(counts.max() / max(1, counts.min())),
        polarity=polarity(data.rule.labels) is not None,
        # Without a text, only a lexicon can be learned from.
        language=main_language(sample.texts) if sample.texts else "en",
        unknown=sample.unknown,
        metric=None if metric is None else str(metric).removeprefix("eval_"),
        parameters=model.num_parameters(),
        memory=memory_bytes(device) // (neighbours() if device.type == "cpu" else 1),
        device=device.type,
        processes=started(),
        bfloat16=native_bfloat16(device) and computes_in_bfloat16(model),
        fp16=bool(call.training.get("fp16")),
    )
    unlabeled = (
        readable(tokenizer, data.unlabeled["text"][:]) if data.unlabeled is not None and facts.num_train else None
    )
    facts = replace(facts, unlabeled=None if unlabeled is None else len(unlabeled))
    # Asked for only where it is of use: it may have to be fetched.
    wanted = call.arguments.lexicon
    useful = facts.polarity and facts.sentence_encoder if wanted is None else wanted
    if not useful:
        return facts
    facts = replace(facts, lexicons=lexicons_for(facts.language, tokenizer))
    if not unlabeled or "en" not in facts.lexicons or main_language(unlabeled) != "en":
        return facts
    train = data.splits["train"].shuffle(seed=0).select(range(min(facts.num_train, _SAMPLE)))
    right = rules_right(train["text"][:], numbers(train, "label"), data.rule.labels)
    return replace(facts, rules_right=right)


def timed_facts(
    plan: Plan,
    call: Call,
    sample: TextSample,
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    steps: StepTimes | None = None,
    exchange: float = 0.0,
) -> Facts:
    """The facts with how long a step takes on a CPU, and whether the lexicon is there already.

    Args:
        plan: What the facts led to without that.
        call: What was said.
        sample: Of the texts to train on.
        model: Stays as it is.
        tokenizer: Of the model.
        steps: What was measured before, if it was.
        exchange: Seconds in which the processes add up one number of their gradients.
    """
    lora = plan.lora.value
    words = sample.words if only_occurring(call.training.get("optim", _OPTIMIZER), plan.augment.value, lora) else None
    absent = 0 if words is None else (len(tokenizer) - len(words)) * model.config.hidden_size
    gradients = 0 if lora else plan.facts.parameters - absent
    taught = plan.lexicon.value and is_taught(model, tokenizer, plan.lexicons)
    facts = replace(plan.facts, steps=steps, exchange=exchange * gradients, taught=taught)
    if steps is not None or facts.device != "cpu" or not sample.texts:
        return facts
    trains = replace(plan, facts=facts).trains
    limit = plan.max_length.value
    lengths = np.minimum(sample.lengths, limit)  # as they are once texts are cut there
    # Batches are of about equal length: one near the mean takes the mean time.
    usual = np.argsort(np.abs(lengths - lengths.mean()), kind="stable")
    texts = [sample.texts[row] for row in usual[: plan.per_device_train_batch_size.value if trains else _FOR_A_HEAD]]
    batch = tokenizer(texts, truncation=True, max_length=limit, padding=True, return_tensors="pt")
    # Both formats only where the choice is open: each costs four steps.
    bf16 = call.training.get("bf16")
    undecided = bf16 is None and trains and facts.bfloat16 and not facts.fp16
    formats = (False, True) if undecided else (bool(bf16),)
    # Without training the time of a step only tells how long forward passes take.
    rounds = {} if trains else {"rounds": 1}
    return replace(facts, steps=time_steps(model, dict(batch), formats, adapters=lora, words=words, **rounds))


def _device(call: Call) -> torch.device:
    """The device that the Trainer will train on."""
    # As accelerate chooses, but before `TrainingArguments` are made, which want the plan.
    use_cpu = call.training.get("use_cpu")
    accelerator = None if use_cpu else torch.accelerator.current_accelerator(check_available=True)
    return torch.device("cpu") if accelerator is None else accelerator


def token_percentile(lengths: np.ndarray) -> int:
    """The length in tokens that 99 % of the texts do not exceed."""
    return int(np.percentile(lengths, LENGTH_PERCENTILE, method="higher"))


def label_counts(data: PreparedData) -> np.ndarray:
    """Training texts of each label, `[labels]`."""
    return np.bincount(numbers(data.splits["train"], "label"), minlength=len(data.rule.labels))
