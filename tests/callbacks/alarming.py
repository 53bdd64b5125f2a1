"""A script that trains until the alarm sounds, for the trackers that it is given. Launched by a test."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from transformers import Trainer, TrainingArguments
from two_processes import make_model, rows

from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback


def main() -> None:
    folder, trackers = Path(sys.argv[1]), sys.argv[2:]
    arguments = TrainingArguments(
        str(folder / "run"),
        num_train_epochs=8,
        learning_rate=3e-3,
        lr_scheduler_type="constant",
        eval_strategy="epoch",
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        report_to=trackers,
    )
    alarm = OverfittingGapCallback()
    Trainer(make_model(), arguments, train_dataset=rows(48, 0), eval_dataset=rows(61, 1), callbacks=[alarm]).train()
    (folder / "alarms.json").write_text(json.dumps(alarm.alarms))


if __name__ == "__main__":
    main()
