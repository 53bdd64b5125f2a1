"""A script for two processes: each trains with the suite and writes down what it decided. Launched by a test.

Each also trains one encoder after the other without the suite, and saves their weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from families import family_config
from safetensors.torch import save_file
from transformers import Trainer, TrainingArguments

from hf_sentiment import EncoderForSentimentAnalysis, EncoderSentimentConfig
from hf_sentiment.callbacks.early_stopping import EarlyStoppingCallback
from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

CASES = ("full", "lora", "split")
FAMILIES_IN_TWO = ("roberta", "deberta-v2", "modernbert")


def rows(length: int, seed: int) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(5, 30, (length, 7), generator=generator)
    return Dataset.from_dict({"input_ids": ids.tolist(), "labels": (ids[:, 1] > 15).long().tolist()})


def make_model() -> BertForSentimentAnalysis:
    """A tiny model without dropout that soon overfits."""
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 32, "intermediate_size": 24}
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    config = BertSentimentConfig(vocab_size=36, max_position_embeddings=48, pooling="mean", **sizes, **dropout)
    return BertForSentimentAnalysis(config)


def train_family(family: str, folder: Path, batch_size: int) -> torch.nn.Module:
    """A tiny encoder of this family after three steps without dropout."""
    off = (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "attention_dropout",
        "embedding_dropout",
        "mlp_dropout",
    )
    config = family_config(family, **dict.fromkeys((*off, "classifier_dropout"), 0.0))
    torch.manual_seed(0)
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=config, classifier_dropout=0.0))
    arguments = TrainingArguments(
        str(folder / family),
        max_steps=3,
        per_device_train_batch_size=batch_size,
        optim="sgd",  # Adam makes whole steps of the noise in gradients that are 0
        learning_rate=0.1,
        save_strategy="no",
        use_cpu=True,
        ddp_backend="gloo" if "RANK" in os.environ else None,  # of the two
        disable_tqdm=True,
    )
    Trainer(model=model, args=arguments, train_dataset=rows(48, 0)).train()
    return model


class Doubling(Trainer):
    """Reports twice the loss, as the Trainer does on two processes for models whose loss it thinks is summed."""

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        output = super().evaluation_loop(*args, **kwargs)
        output.metrics["eval_loss"] *= 2
        return output


def main() -> None:
    folder, rank = Path(sys.argv[1]), os.environ["RANK"]
    for family in FAMILIES_IN_TWO:
        save_file(train_family(family, folder, 4).state_dict(), folder / f"{family}-{rank}.safetensors")
    found = {case: train_with_suite(folder / case, case) for case in CASES}
    end_together(folder, int(rank), json.dumps(found))


def train_with_suite(folder: Path, case: str) -> dict[str, Any]:
    """What was decided in a case."""
    arguments = TrainingArguments(
        str(folder),
        num_train_epochs=8,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=8,
        learning_rate=2e-2 if case == "lora" else 3e-3,
        lr_scheduler_type="constant",
        eval_strategy="epoch",
        save_strategy="no",
        use_cpu=True,
        ddp_backend="gloo",
        disable_tqdm=True,
    )
    stop = EarlyStoppingCallback(9, min_delta="0.1se") if case != "split" else EarlyStoppingCallback(2, monitor="lucky")
    alarm = OverfittingGapCallback("warn" if case == "split" else "rollback")
    suite: list[Any] = [stop, LearningCurveCallback(), alarm, *([LoraCallback()] if case == "lora" else [])]
    # What one process sees gets better at every evaluation, what the other sees worse: they must not part.
    luck = iter(range(20) if arguments.process_index == 1 else range(20, 0, -1))
    trainer = (Doubling if case == "split" else Trainer)(
        model=make_model(),
        args=arguments,
        train_dataset=rows(48, 0),
        eval_dataset=rows(61, 1),  # not a multiple of what two processes take at once
        compute_metrics=lambda prediction: {"lucky": float(next(luck))},
        callbacks=suite,
    )
    trainer.train()
    weights = b"".join(tensor.numpy().tobytes() for tensor in trainer.model.state_dict().values())
    return {
        "world": arguments.world_size,
        "weights": hashlib.sha256(weights).hexdigest(),
        "step": trainer.state.global_step,
        "stop": {name: value for name, value in stop.state()["attributes"].items() if name != "reference_values"},
        "alarms": alarm.alarms,
        "rollbacks": alarm.rollbacks,
        "texts": [
            (entry["gap/validation_loss"], entry["gap/train_loss"])
            for entry in trainer.state.log_history
            if "gap/gap" in entry
        ],
        "kind": type(trainer.model).__name__,
    }


def end_together(folder: Path, rank: int, found: str) -> None:
    """Leave once both have written, without torch's destructors: gloo's threads abort a process now and then."""
    written = folder / f"rank-{rank}.writing"
    written.write_text(found)
    written.rename(folder / f"rank-{rank}.json")
    while not (folder / f"rank-{1 - rank}.json").exists():
        time.sleep(0.01)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
