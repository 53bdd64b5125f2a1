# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-sentiment"]
#
# [tool.uv.sources]
# hf-sentiment = { path = ".." }
# ///
"""The four callbacks on a model that is not ours: any `transformers.Trainer` takes them.

    python recipes/callbacks_with_your_own_model.py distilbert/distilbert-base-uncased reviews.csv runs/mine

The CSV file has the columns `text` and `label`. `accelerate launch` runs it on several devices.
"""

import logging
import sys

from datasets import load_dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments

from hf_sentiment import EarlyStoppingCallback, LearningCurveCallback, LoraCallback, OverfittingGapCallback


def main() -> None:
    # 1. Your model and your data, as you are used to
    if len(sys.argv) != 4:
        sys.exit("usage: python recipes/callbacks_with_your_own_model.py CHECKPOINT FILE.csv FOLDER")
    checkpoint, file, folder = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = load_dataset("csv", data_files=file, split="train").class_encode_column("label")
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    rows = rows.map(lambda batch: tokenizer(batch["text"], truncation=True), batched=True)
    splits = rows.train_test_split(0.2, stratify_by_column="label", seed=42)
    names = splits["train"].features["label"].names
    model = AutoModelForSequenceClassification.from_pretrained(
        checkpoint, id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)}
    )

    # 2. The Trainer, with the callbacks that you want, in any order
    trainer = Trainer(
        model=model,
        args=TrainingArguments(folder, num_train_epochs=10, learning_rate=5e-4, eval_strategy="epoch"),
        train_dataset=splits["train"],
        eval_dataset=splits["test"],
        processing_class=tokenizer,
        callbacks=[
            LoraCallback(),  # trains adapters and the head, and merges them at the end
            EarlyStoppingCallback(2),  # ends with the best weights, regardless of what is saved, or when
            OverfittingGapCallback("warn"),  # at most 5 % false alarms a run; "stop" and "rollback" act
            LearningCurveCallback(),  # records/history.jsonl, curves.svg and curves.png in the folder
        ],
    )
    trainer.train()

    # 3. A plain model of your class, with its best weights
    trainer.save_model()


if __name__ == "__main__":
    main()
