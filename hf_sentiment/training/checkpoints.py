"""Checkpoints that can be checked before they are used, of which the latest are kept."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints

from hf_sentiment.callbacks.shared import JudgingCallback, run_callbacks, run_folder
from hf_sentiment.records.checksums import write_checksums


class CheckedCheckpoints(TrainerCallback):
    """Writes SHA-256 beside the files of a checkpoint, and then removes the oldest ones.

    The Trainer's own limit is to be off: it goes by the time of the files, so that after the clock was put back it
    removes the newest, and it removes the one before while the new one cannot be checked yet.

    Args:
        limit: How many are kept; `None` keeps all.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """After all other callbacks, which may complete the checkpoint."""
        if not state.is_world_process_zero:
            return
        folder = run_folder(args)
        checkpoint = folder / f"checkpoint-{state.global_step}"
        files = [path for path in checkpoint.rglob("*") if path.is_file()]
        for judge in run_callbacks(JudgingCallback):
            files += judge.kept_files
        write_checksums(checkpoint, files)
        rotate_checkpoints(str(folder), self.limit, state.best_model_checkpoint)
