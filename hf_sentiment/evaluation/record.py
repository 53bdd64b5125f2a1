"""The record of a Trainer's test split, for recipes: what `train` writes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hf_sentiment.data.splits import write_seen_texts
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.report import evaluate_split
from hf_sentiment.records.serialization import write_record

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from hf_sentiment.data.prepare import PreparedData


def record_test(trainer: Trainer, data: PreparedData, test: Dataset) -> dict[str, float]:
    """Predict the test split, in every process, log its metrics, and write what the card tells of it into `records/`.

    Args:
        trainer: With the trained model.
        data: Labelled texts.
        test: Their tokenised test split.

    Returns:
        The Trainer's metrics of the split, `test_…`.
    """
    output = trainer.predict(test)
    metrics: dict[str, float] = output.metrics or {}
    trainer.log(metrics)
    if trainer.is_world_process_zero():
        probabilities = softmax(np.asarray(output.predictions))
        records = Path(str(trainer.args.output_dir)) / "records"
        write_record(records / "audit.json", data.audit())
        splits = data.splits
        write_seen_texts(records, data.seen)
        evaluation = evaluate_split(probabilities, splits["train"], splits["test"], data.rule.labels)
        write_record(records / "evaluation.json", evaluation)
    return metrics
