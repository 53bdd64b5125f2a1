"""Divergence and its one owner: a run whose loss is not finite any more stops, and is told what to change."""

from __future__ import annotations

import logging
import math
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.callbacks.shared.base import in_every_process, run_callbacks
from hf_sentiment.callbacks.shared.judging import JudgingCallback

logger = logging.getLogger(__name__)

# Rates at which pre-trained encoders are fine-tuned (Devlin et al. 2019, appendix A.3), and adapters with them.
_USUAL_RATE = 5e-5
_USUAL_RATE_LORA = 5e-4


class StopAtDivergence(JudgingCallback):
    """Stops a run whose loss or weights are not finite any more.

    `EarlyStoppingCallback` is one that goes back to the best weights; this class is for runs without evaluations.

    Attributes:
        advice: What to change; `None` unless the run diverged.
    """

    _FRESH: ClassVar[dict[str, Any]] = JudgingCallback._FRESH | {"advice": None}

    advice: str | None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep a resumed run stopped."""
        self._begin(args, state)
        self._stay_stopped(state, control)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """Stop where a training loss is logged and it, or a weight, is not finite; also look at the end of the run."""
        if not self._training or not logs or model is None or self.stopped_step is not None:
            return
        if "loss" not in logs and "train_runtime" not in logs:
            return
        # The Trainer leaves losses that are not finite out of the mean that it logs (`logging_nan_inf_filter`); but
        # after a step on one no weight is finite. Steps that mixed precision skips leave the weights as they were.
        loss = logs.get("loss", 0.0)
        if not in_every_process(math.isfinite(loss) and weights_are_finite(model)):
            what = "the weights are not finite" if math.isfinite(loss) else f"the training loss is {loss}"
            self._diverge(what, args, state, control, model)
            control.should_evaluate = False  # it would come next, and metrics of NaN may be errors

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave out the evaluation that the Trainer makes even of a run that has stopped."""
        if self.advice is not None:
            control.should_evaluate = False

    def _diverge(
        self, what: str, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: nn.Module | None
    ) -> None:
        self.advice = what_to_change(args, model)
        self._stop(f"training diverged, {what}", state, control, f": {self.advice}")

    @property
    def divergence(self) -> str:
        """What happened, and where."""
        return f"{self.reason} at step {self.stopped_step}"


def warn_if_nobody_stops(callback: str, args: TrainingArguments, state: TrainerState, model: nn.Module) -> None:
    """Say that losses are not finite, where no callback of the run acts on that.

    Args:
        callback: Who says so.
        args: Of the run.
        state: Of the run.
        model: What is trained.
    """
    if state.is_world_process_zero and not run_callbacks(StopAtDivergence):
        what = f"losses at step {state.global_step} are not finite, training diverged: {what_to_change(args, model)}"
        logger.warning("%s: %s. EarlyStoppingCallback() stops such a run at its best weights", callback, what)


def weights_are_finite(model: nn.Module) -> bool:
    """Whether every parameter is finite, of those (or their parts) that this process holds."""
    # A sharded parameter (DTensor) gives its part by `to_local`.
    local = (getattr(parameter, "to_local", parameter.detach)() for parameter in model.parameters())
    return all(bool(torch.isfinite(tensor).all()) for tensor in local)


def what_to_change(args: TrainingArguments, model: nn.Module | None) -> str:
    """What to set so that training does not diverge again, by the names of `TrainingArguments`.

    Args:
        args: Of the run that diverged.
        model: What was trained.
    """
    usual = _USUAL_RATE_LORA if hasattr(model, "peft_config") else _USUAL_RATE
    changes = [f"learning_rate={min(args.learning_rate / 10, usual):g} (it is {args.learning_rate:g})"]
    if args.fp16:
        changes.append("bf16=True in place of fp16=True")
    if not args.max_grad_norm:
        changes.append("max_grad_norm=1.0")
    return f"set {', '.join(changes)}; if that does not help, look for NaN among labels and inputs"
