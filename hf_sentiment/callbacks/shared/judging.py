"""What the callbacks share that judge evaluations: losses text by text, and stopping a run so that it stays stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.callbacks.shared.base import SuiteCallback
from hf_sentiment.callbacks.shared.evaluations import Evaluations
from hf_sentiment.callbacks.shared.per_text import EvaluationRecorder
from hf_sentiment.callbacks.shared.weights import KeptWeights, can_be_resumed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """What a run ends with, to be marked in its picture.

    Attributes:
        step: The step whose weights are kept; `None` where they are those of no step.
        words: What the legend says of it: "kept" or, of no step, how they came about.
    """

    step: int | None
    words: str = "kept"

    @classmethod
    def best(cls, step: int | None, metric: str) -> Kept:
        """The step at which a metric was best."""
        bare = metric.removeprefix("eval_").replace("_", " ")
        return cls(step, "kept" if bare == "loss" else f"kept, best {bare}")


class RecordingCallback(SuiteCallback):
    """Records the losses of the run's evaluations, text by text.

    Args:
        strict: As in `EvaluationRecorder`.
    """

    def __init__(self, strict: bool = True) -> None:
        self._recorder = EvaluationRecorder(strict=strict)
        super().__init__()

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Take the losses of the batch that the Trainer has evaluated."""
        if self._training:
            self._recorder.add_batch()

    def on_predict(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Predictions are no evaluations."""
        self._recorder.clear()


class JudgingCallback(RecordingCallback):
    """Judges the evaluations of the run: may stop it, keep its best weights, and keep a resumed run stopped.

    Attributes:
        stopped_step: Where it stopped the run; `None` if it did not.
        reason: Why, in one line.
        best_step: The best evaluation so far.
        last_step: The last evaluation that was judged.
        restored: What it has put back at the end of the run; `None` if nothing.
    """

    _FRESH: ClassVar[dict[str, Any]] = {"stopped_step": None, "reason": None, "best_step": None, "last_step": None}

    stopped_step: int | None
    reason: str | None
    best_step: int | None
    last_step: int | None

    def __init__(self) -> None:
        self.restored: Kept | None = None
        self._evaluations: Evaluations | None = None
        self._kept: KeptWeights | None = None
        super().__init__()

    @property
    def keeps_best(self) -> bool:
        """Whether it ends the run with the best weights."""
        return False

    @property
    def kept_files(self) -> list[Path]:
        """The weights that a checkpoint of this moment names."""
        return [] if self._kept is None or self.best_step is None else self._kept.files(self.best_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Now that a checkpoint names the best weights, those before them are not needed any more."""
        if self._training and self._kept is not None:
            self._kept.named_by_checkpoint(self.best_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Clear up; a run that can be resumed keeps its copy of the best weights."""
        if not self._training:
            return
        self._end(state)
        self._recorder.detach()
        if self._kept is not None and not can_be_resumed(args, self._folder):
            self._kept.forget()

    def on_pre_optimizer_step(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Keep the one step that the Trainer takes even in a run that is to stop at once from changing weights."""
        # The Trainer looks at `should_training_stop` only after a step. The rate is lowered after the schedule has set
        # it, and weight decay is multiplied by it as well; a rate that is a tensor (compiled optimizers) stays one.
        if self.stopped_step is not None:
            for group in optimizer.param_groups:
                group["lr"] = 0.0 * group["lr"]

    def _stop(self, reason: str, state: TrainerState, control: TrainerControl, advice: str = "") -> None:
        """Stop after this step; the reason goes into the log and into the history of `trainer_state.json`."""
        control.should_training_stop = True
        self.stopped_step = state.global_step
        self.reason = reason
        entry: dict[str, Any] = {"stopped": reason, "epoch": state.epoch or 0.0, "step": state.global_step}
        state.log_history.append(entry)
        if state.is_world_process_zero:
            logger.warning("Stopped at step %d: %s%s", state.global_step, reason, advice)

    def _stay_stopped(self, state: TrainerState, control: TrainerControl) -> None:
        """To be called when a run is taken up: if it had stopped, it ends at once."""
        if self.stopped_step is None:
            return
        control.should_training_stop = True
        if state.is_world_process_zero:
            logger.warning("The run had stopped at step %d and stays stopped: %s", self.stopped_step, self.reason)


def counted(evaluations: int) -> str:
    """The number with its noun."""
    return f"{evaluations} evaluation{'' if evaluations == 1 else 's'}"
