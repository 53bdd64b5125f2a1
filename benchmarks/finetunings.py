"""Real fine-tunings of the starter model with known truth, for `alarm.py`, and what the alarm costs in them.

    python benchmarks/finetunings.py --output finetunings.npz       # hours on one core; goes on where it was stopped
    python benchmarks/alarm.py --finetunings finetunings.npz

Twenty runs on movie snippets: 64 to 2,000 training texts, learning rates 1e-5 to 5e-4, label noise 0 and 20 % in the
training labels. Each has `OverfittingGapCallback` at its defaults, 200 validation texts, and 1,200 texts in reserve:
the loss on those is the truth, which no rule sees. Batches of 16, nine evaluations of which one is before training.

The file holds what the callback saw, in the form that `alarm.py` reads. The cost is the CPU time spent in the
callback's events, over the CPU time of the training steps alone, without any evaluation.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from datasets import Dataset, concatenate_datasets
from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

from hf_sentiment.callbacks.gap_test import decode
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.callbacks.shared import FixedTexts
from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.data.sources import starter_model
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

VALIDATION, RESERVE, EVALUATIONS = 200, 1200, 8
EPOCHS = {64: 16, 256: 12, 1000: 6, 2000: 4}
SETTINGS = [
    {"texts": texts, "learning_rate": rate, "noise": noise}
    for rate, noise in ((1e-4, 0.0), (5e-4, 0.2), (1e-5, 0.0), (1e-4, 0.2), (5e-4, 0.0))
    for texts in EPOCHS
]


class TimedAlarm(OverfittingGapCallback):
    """The alarm with a clock on its events."""

    seconds = 0.0


def _timed(name: str) -> Callable[..., Any]:
    def event(self: TimedAlarm, *args: Any, **kwargs: Any) -> Any:
        begin = time.process_time()
        result = getattr(OverfittingGapCallback, name)(self, *args, **kwargs)
        self.seconds += time.process_time() - begin
        return result

    return event


for _name in ("on_train_begin", "on_prediction_step", "on_evaluate"):
    setattr(TimedAlarm, _name, _timed(_name))


class TimedTrainer(Trainer):
    """A Trainer with a clock on its evaluations, and on all that callbacks do in them."""

    evaluation_seconds = 0.0

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As the Trainer's."""
        begin = time.process_time()
        metrics = super().evaluate(*args, **kwargs)
        self.evaluation_seconds += time.process_time() - begin
        return metrics


class Reserve(TrainerCallback):
    """Measures the loss on the texts in reserve at every evaluation."""

    def __init__(self, texts: Dataset, collator: DataCollatorWithPadding) -> None:
        self.texts, self.collator = texts, collator
        self.risk: list[float] = []
        self.accuracy: list[float] = []
        self._fixed: FixedTexts | None = None

    def on_evaluate(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        """Measure."""
        if self._fixed is None:
            loader = torch.utils.data.DataLoader(self.texts, collate_fn=self.collator)
            self._fixed = FixedTexts(loader, args, len(self.texts), 0)
        measured = self._fixed.measure(model)
        self.risk.append(float(measured.losses.mean()))
        self.accuracy.append(float(np.mean(measured.right)))  # type: ignore[arg-type]


def load() -> tuple[Dataset, Any]:
    """All movie snippets tokenised, and the tokenizer."""
    data = prepare_data("starter", seed=0)
    tokenizer = AutoTokenizer.from_pretrained(starter_model())
    return tokenize(concatenate_datasets(list(data.splits.values())), tokenizer, 64), tokenizer


def fine_tune(setting: dict[str, Any], seed: int, texts: Dataset, tokenizer: Any) -> dict[str, Any]:
    """One run: what the alarm saw, the truth, and the cost."""
    generator = np.random.default_rng([seed, setting["texts"]])
    order = generator.permutation(len(texts))
    train = texts.select(order[: setting["texts"]])
    labels = np.asarray(train["labels"][:])
    flipped = generator.random(len(labels)) < setting["noise"]
    train = train.remove_columns("labels").add_column("labels", np.where(flipped, 1 - labels, labels))
    validation = texts.select(order[-VALIDATION:])
    reserve = Reserve(texts.select(order[-VALIDATION - RESERVE : -VALIDATION]), DataCollatorWithPadding(tokenizer))
    torch.manual_seed(seed)
    steps = -(-setting["texts"] // 16) * EPOCHS[setting["texts"]]
    alarm = TimedAlarm()
    with tempfile.TemporaryDirectory() as folder:
        trainer = TimedTrainer(
            model=BertForSentimentAnalysis.from_pretrained(starter_model(), labels=["negative", "positive"]),
            args=TrainingArguments(
                output_dir=folder,
                max_steps=steps,
                learning_rate=setting["learning_rate"],
                per_device_train_batch_size=16,
                per_device_eval_batch_size=32,
                train_sampling_strategy="group_by_length",
                eval_strategy="steps",
                eval_steps=max(1, steps // EVALUATIONS),
                eval_on_start=True,
                save_strategy="no",
                logging_strategy="no",
                use_cpu=True,
                disable_tqdm=True,
                seed=seed,
                report_to=[],
            ),
            train_dataset=train,
            eval_dataset=validation,
            processing_class=tokenizer,
            callbacks=[alarm, reserve],
        )
        begin = time.process_time()
        trainer.train()
    seconds = time.process_time() - begin - trainer.evaluation_seconds
    assert alarm.test is not None
    rows = {name: np.stack([decode(row) for row in part["rows"]]) for name, part in alarm.test["tests"].items()}
    return {
        "train": np.stack([decode(row) for row in alarm.test["probe"]]),
        "val": rows["loss"],
        "correct": rows["error"] == 0,
        "risk": np.array(reserve.risk),
        "accuracy": np.array(reserve.accuracy),
        "meta": {
            **setting,
            "seed": seed,
            "alarms": [(one["level"], one["step"]) for one in alarm.alarms],
            "training_seconds": seconds,
            "alarm_seconds": alarm.seconds,
            "probe": alarm._probe.size if alarm._probe else 0,
        },
    }


def main() -> None:
    """Make what is missing in the file, a run at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=len(SETTINGS))
    options = parser.parse_args()
    done: dict[str, Any] = dict(np.load(options.output)) if options.output.is_file() else {}
    meta = json.loads(str(done.pop("meta"))) if done else []
    texts, tokenizer = load()
    for index in range(len(meta), options.runs):
        run = fine_tune(SETTINGS[index], index, texts, tokenizer)
        meta.append(run.pop("meta"))
        done |= {f"{index}_{name}": values for name, values in run.items()}
        np.savez_compressed(options.output, meta=json.dumps(meta), **done)
        print(json.dumps(meta[-1]), np.round(run["risk"], 3).tolist(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
