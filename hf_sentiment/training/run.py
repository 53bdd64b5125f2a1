"""A run that is ready to train: the head, then all weights, then what is folded into the head."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, Trainer

from hf_sentiment.callbacks.learning_curve import LearningCurveCallback
from hf_sentiment.callbacks.overfitting_gap import OverfittingGapCallback
from hf_sentiment.callbacks.shared import StopAtDivergence
from hf_sentiment.compute.processes import in_slices
from hf_sentiment.compute.temperature import calibrated_losses, fit_temperature
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.errors import SentimentError
from hf_sentiment.head.first import fit_head_first, fit_zero_shot_head
from hf_sentiment.head.fold_in import adjust_logits, fold_temperature, log_shares
from hf_sentiment.head.lexicon import learn_rules, prepare_encoder, readable
from hf_sentiment.head.long_texts import fit_rule, lengths_rule
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.model import SentimentModel
from hf_sentiment.training.interpolation import copy_weights, interpolate_weights
from hf_sentiment.training.interruption import Interrupted
from hf_sentiment.training.optimizer import layerwise_optimizer
from hf_sentiment.training.plan import TELLING, Plan, label_counts
from hf_sentiment.training.words import occurring_ids, only_occurring, only_occurring_words

logger = logging.getLogger(__name__)


class Diverged(SentimentError):
    """Training diverged and left nothing to keep; exit code 1."""


@dataclasses.dataclass
class Run:
    """A Trainer with everything that it was assembled from.

    Attributes:
        trainer: `transformers.Trainer` with the model, the tokenised splits and the callbacks.
        model: The model that it trains.
        tokenizer: Of the model.
        data: Labelled texts.
        splits: Tokenised texts of "train" and "validation"; "unlabeled" are texts to make a head of without labels.
        plan: What was decided, and what it is based on.
        curve: The callback that writes the history.
        stopping: The callback that stops the run and, where there are evaluations, keeps the best weights.
        alarm: The overfitting alarm, unless it is off.
        out_of_fold: Logits `[texts, labels]` of the training texts, each by a head that was solved for without it,
            where the head is all that was trained and there are folds. What is folded into the head is in them too.
        unlabeled_texts: How many texts without labels the head rests on.
        kept_head: Whether the head alone was better than what it was fine-tuned to, and is kept.
    """

    trainer: Trainer
    model: SentimentModel
    tokenizer: PreTrainedTokenizerBase
    data: PreparedData
    splits: dict[str, Dataset]
    plan: Plan
    curve: LearningCurveCallback
    stopping: StopAtDivergence
    alarm: OverfittingGapCallback | None
    out_of_fold: np.ndarray | None = None
    unlabeled_texts: int = 0
    kept_head: bool = False

    @property
    def head_alone(self) -> bool:
        """Whether the head is all that is trained."""
        arguments = self.trainer.args
        return arguments.num_train_epochs == 0 and arguments.max_steps <= 0

    @property
    def low_precision(self) -> bool:
        """Whether it trains in bfloat16 or float16, where float32 may still do."""
        return bool(self.trainer.args.bf16 or self.trainer.args.fp16)

    def fit(self, checkpoint: Path | None = None) -> None:
        """Train from the start, lexicon and head first where they are planned, or go on from a checkpoint.

        Raises:
            Interrupted: A signal came; the state is saved.
            Diverged: The loss is not finite any more; in float32 only where no weights from before are kept.
        """
        share = self.plan.fine_tuned_share.value
        # A checkpoint has its head. But where the end is to be mixed with the start, that start is made again: it
        # follows from the seed and the texts, and was never saved.
        if checkpoint is None or share < 1:
            self._fit_head()
        if self.head_alone:
            return
        with only_occurring_words(self.model, self._occurring_ids()):
            start = copy_weights(self.model) if share < 1 else None
            self._fine_tune(checkpoint)
            self._check_finite()
            if start is not None:
                interpolate_weights(self.model, start, share)
                metric = self.plan.metric_for_best_model
                if self.plan.keep_best.value and metric is not None and metric.by == "plan":
                    self._compare_with(start)

    def _occurring_ids(self) -> torch.Tensor | None:
        """The words whose vectors are trained; `None` is all of them, or where adapters are trained no matter which."""
        if not only_occurring(self.trainer.args.optim, self.plan.augment.value, self.plan.lora.value):
            return None
        return occurring_ids(self.splits["train"], self.tokenizer)

    def _fine_tune(self, checkpoint: Path | None) -> None:
        """Train all weights, or adapters."""
        # Over the parameters as they are now; `None` leaves it to the Trainer.
        decay, lora = self.plan.layerwise_lr_decay.value, self.plan.lora.value
        self.trainer.optimizer = layerwise_optimizer(self.model, self.trainer.args, decay, lora)
        try:
            self.trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except Interrupted as stop:
            # The callback speaks to scripts, of `resume_from_checkpoint`; here the same command does it.
            done = f"stopped at step {stop.step} of {self.trainer.state.max_steps}, which is saved"
            raise Interrupted(f"{done}: run the same command again to go on", stop.step, stop.checkpoint) from None

    def _compare_with(self, start: Mapping[str, torch.Tensor]) -> None:
        """Go back to the weights at the start, where the validation texts tell that they are better than these."""
        end = copy_weights(self.model)
        losses = {}
        # The end last, which is what stays otherwise.
        for name, weights in (("start", start), ("end", end)):
            interpolate_weights(self.model, weights, 0.0)
            losses[name] = calibrated_losses(*self._predicted("validation"))  # [texts]
        worse = losses["end"] - losses["start"]
        self.kept_head = bool(worse.mean() > TELLING * worse.std(ddof=1) / np.sqrt(len(worse)))
        if self.kept_head:
            interpolate_weights(self.model, start, 0.0)
            logger.warning(
                "The head alone is kept: by the validation texts fine-tuning is worse (loss %.3g, and %.3g before it)",
                losses["end"].mean(),
                losses["start"].mean(),
            )

    def _predicted(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Logits `[texts, labels]` and labels `[texts]` of a split."""
        output = self.trainer.predict(self.splits[split])
        return np.asarray(output.predictions), np.asarray(output.label_ids)

    def _check_finite(self) -> None:
        """Refuse to go on with weights that are not finite, and in low precision with those from before, too."""
        stopping = self.stopping
        if stopping.advice is None:
            return
        if self.low_precision:
            raise Diverged(stopping.divergence)
        if stopping.restored is None and self.trainer.state.best_model_checkpoint is None:
            raise Diverged(f"{stopping.divergence}, before which no weights were kept: {stopping.advice}")

    def _fit_head(self) -> None:
        arguments = self.trainer.args
        prior = None
        if self.plan.lexicon.value:
            options = {"bfloat16": arguments.bf16, "progress": not arguments.disable_tqdm}
            prior = prepare_encoder(self.model, self.tokenizer, self.plan.lexicons, **options)
            if self.plan.scored_texts and self.data.unlabeled is not None:
                texts = readable(self.tokenizer, self.data.unlabeled["text"][:])
                prior = learn_rules(self.model, self.tokenizer, prior, texts, **options)
        if prior is not None and not len(self.splits["train"]):
            # No label at all: what the labels' names mean has to do.
            self.unlabeled_texts = fit_zero_shot_head(self.model, self.tokenizer, prior, self.splits.get("unlabeled"))
        elif self.plan.head_first.value:
            self.out_of_fold = fit_head_first(
                self.model,
                self.tokenizer,
                self.splits["train"],
                self.trainer.args.seed,
                prior,
                balanced=self.plan.imbalance.value == "class_weights",
                folds=self.head_alone,
            )

    def calibrate(self) -> float | None:
        """Fit a temperature on the validation split, or else the folds, fold it into the head, and return it.

        `None`, and no change, where there is neither, or no label to train on.
        """
        if not len(self.splits["train"]):
            return None
        # Never on texts that were trained on: there the model is right too often, and would be left overconfident.
        if "validation" in self.splits:
            logits, labels = self._predicted("validation")
        elif self.out_of_fold is not None:
            logits, labels = self.out_of_fold, np.asarray(self.splits["train"]["labels"][:])
        else:
            return None
        temperature = fit_temperature(logits, labels)
        fold_temperature(self.model.classifier, temperature)
        # The folds' logits are what is evaluated: they are to be those of the head that is saved.
        if self.out_of_fold is not None:
            self.out_of_fold = self.out_of_fold / temperature
        return temperature

    def adjust(self) -> None:
        """Make rare labels count as much as frequent ones, where that is planned."""
        if self.plan.imbalance.value == "logit_adjustment":
            counts = label_counts(self.data)  # [labels]
            adjust_logits(self.model.classifier, counts)
            if self.out_of_fold is not None:
                self.out_of_fold = self.out_of_fold - log_shares(counts)

    def fit_long_texts(self) -> None:
        """Write into the model's config by which rule it reads texts that are longer than those it learned from."""
        rule = None
        if self.plan.long_texts.value == "pieces":
            texts = self.data.learned()
            tokens = self.splits["unlabeled" if texts is self.data.unlabeled else "train"]
            lengths = tokens["length"] if len(texts) else []
            rule = lengths_rule(texts["text"], lengths, self.plan.max_length.value, len(self.data.rule.labels))
            if "validation" in self.splits:
                held_out = self.data.splits["validation"]
                logits_of = partial(in_slices, SentimentClassifier(self.model, self.tokenizer, "cut").logits)
                rule = fit_rule(logits_of, held_out["text"][:], held_out["label"][:], rule)
        self.model.config.long_texts = rule
