"""The Trainer of `train`: on several processes its steps and losses are those of one with the same batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from datasets.arrow_dataset import Column
from torch.utils.data import DataLoader
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput

from hf_sentiment.callbacks.shared import IGNORED_LABEL, per_text_losses
from hf_sentiment.data.texts import numbers


class ExactTrainer(Trainer):
    """A stock Trainer where there is one process.

    Of several, each takes its part of the batch that one would take. Three things of the stock Trainer differ from one
    process, and are made equal: texts are grouped by length for the batch of a process and not of all; what fills up
    an epoch's last batches is trained on twice; and it counts twice in the loss of an evaluation.
    """

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        # Not of the given one, which lacks the column of lengths: each text would be read for its own.
        sampler = super()._get_train_sampler()
        if isinstance(sampler, LengthGroupedSampler):
            sampler.batch_size *= self.args.world_size
            if isinstance(sampler.lengths, Column):
                lengths: Any = numbers(sampler.lengths.source, sampler.lengths.column_name)
                sampler.lengths = lengths
        return sampler

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor | int | None]:
        """The batches of a step and the number of their texts, of those that count."""
        return super().get_batch_samples(map(self._without_repeated, epoch_iterator), num_batches, device)

    def _without_repeated(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch; in the last one of an epoch, texts from its beginning that fill it up have no label."""
        arguments = self.args
        rest = len(self.train_dataset) % (self._train_batch_size * arguments.world_size)  # type: ignore[arg-type]
        repeats = arguments.world_size > 1 and rest and not arguments.dataloader_drop_last
        if repeats and self.accelerator.gradient_state.end_of_dataloader:
            # The processes' batches follow one another; of the last texts there are so many.
            batch["labels"][max(0, rest - arguments.process_index * self._train_batch_size) :] = IGNORED_LABEL
        return batch

    def _save_rng_state(self, output_dir: str) -> None:
        """Each process writes its own: only then does the main one write what makes the checkpoint whole."""
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As the stock one, whose predictions are of every text once, with the loss of these.

        Args:
            dataloader: Texts with labels, or without.
            description: For the log.
            prediction_loss_only: Whether to give no predictions.
            ignore_keys: Outputs of the model to leave out.
            metric_key_prefix: Of the metrics' names.
        """
        output = super().evaluation_loop(dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix)
        name = f"{metric_key_prefix}_loss"
        if self.args.world_size > 1 and output.metrics and name in output.metrics:
            logits, labels = torch.as_tensor(output.predictions), torch.as_tensor(output.label_ids)
            loss = float(per_text_losses(logits, labels)[0].mean())
            if math.isfinite(loss):  # else what the stock one makes of it
                output.metrics[name] = loss
        return output
