"""`OverfittingGapCallback`: says while a model trains that it overfits, with a stated rate of false alarms."""

from __future__ import annotations

import logging
from typing import Any, ClassVar

import numpy as np
from torch import nn
from transformers import TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.callbacks.gap_test import GapLevel, GapVerdict, OverfittingGapTest
from hf_sentiment.callbacks.overfitting_gap.report import Interval, alarm_message, mean_interval, scalars
from hf_sentiment.callbacks.overfitting_gap.schedule import LARGEST_PROBE, default_probe_size, lower_learning_rate
from hf_sentiment.callbacks.shared import (
    Evaluations,
    FixedTexts,
    JudgingCallback,
    Kept,
    KeptWeights,
    PerText,
    check_whole_weights,
    counted,
    from_main_process,
    log_scalars,
    planned_evaluations,
    run_callbacks,
    send_alert,
    warn_if_nobody_stops,
)
from hf_sentiment.errors import CallError

logger = logging.getLogger(__name__)

# For messages.
_NAME = "OverfittingGapCallback"
# What it can do at an alarm.
ACTIONS = ("warn", "stop", "rollback")


class OverfittingGapCallback(JudgingCallback):
    """An alarm that sounds when the validation loss has risen by more than chance explains, and acts on it.

    At each evaluation the losses of the validation texts are taken as they pass through the Trainer's own evaluation,
    and those of a fixed, stratified part of the training texts (the probe) are measured in evaluation mode, so that
    both are like for like. `gap_test.OverfittingGapTest` judges them: in a run whose expected validation loss never
    rises, the probability of any alarm is at most `alpha`. Two alarms are kept apart: `overconfident` (the loss got
    worse) and `overfitting` (the accuracy got worse too, while the probe goes on improving).

    Works with any Trainer and any model that classifies texts or tokens, or predicts numbers. With the action "warn"
    it changes no weight and no random number of the run.

    Args:
        action: "warn" logs a warning. "stop" ends training as well. "rollback" puts back the weights of the evaluation
            with the lowest validation loss, forgets the optimizer's moments, lowers the learning rate and goes on.
        alpha: Probability of any alarm in a run without overfitting.
        probe_size: Training texts in the probe; by default a tenth of those trained on between two evaluations, from 8
            to 512, which costs less than 5 % of training time.
        monitor: The loss to watch, with or without `eval_`, where the Trainer has several evaluation sets:
            `movies_loss`; by default that of the set that `metric_for_best_model` names.
        act_on: The level at which "stop" and "rollback" act: "alarm" (either) or "overfitting".
        minimum_rise: Smallest rise of the validation loss that is worth an alarm, in nats.
        learning_rate_factor: What a rollback multiplies the learning rate by.
        most_rollbacks: After that many, the alarm only warns.
        seed: Of the probe and of the test.

    Every evaluation logs `gap/…` scalars to all trackers (as `eval/gap/…`), and not to the terminal: `train_loss`,
    `validation_loss`, `gap`, `worsening` (each with `_low` and `_high`, 95 % for the losses), `p_value`, and `alarm`
    (0 none, 1 overconfident, 2 overfitting).
    Alarms are warnings of this module's logger, once per change of level, and alerts of trackio and W&B; TensorBoard
    and MLflow get the text. They stay in `alarms`. The other levels are
    information: `gap`, say, that training and validation loss have parted, while validation has not suffered.

    With `eval_on_start=True` the gap is measured from its value before training, which takes out a difference between
    the two sets of texts. After a rollback the test begins anew: each phase is a run of its own with error rate
    `alpha`, and its first evaluation is its first reference, since the best one was picked for its low loss.
    """

    _FRESH: ClassVar[dict[str, Any]] = JudgingCallback._FRESH | {
        "test": None,
        "digest": None,
        "level": GapLevel.OK.value,
        "alarms": [],
        "rollbacks": 0,
        "rollback_due": False,
        "best_loss": None,
    }

    digest: str | None
    level: str
    #: The alarms that sounded: `step`, `epoch`, `level`, both losses, `message` and `action` (what was done).
    alarms: list[dict[str, Any]]
    rollbacks: int
    rollback_due: bool
    #: Lowest validation loss, at `best_step`, over all phases.
    best_loss: float | None

    def __init__(
        self,
        action: str = "warn",
        alpha: float = 0.05,
        *,
        probe_size: int | None = None,
        monitor: str | None = None,
        act_on: str = "alarm",
        minimum_rise: float = 0.01,
        learning_rate_factor: float = 0.5,
        most_rollbacks: int = 2,
        seed: int = 0,
    ) -> None:
        _check("action", action, action in ACTIONS, f"one of {', '.join(ACTIONS)}")
        _check("act_on", act_on, act_on in ("alarm", "overfitting"), "alarm or overfitting")
        loss = monitor is None or monitor.endswith("loss")
        _check("monitor", monitor, loss, "a loss, with the name of its evaluation set: movies_loss")
        _check("probe_size", probe_size, probe_size is None or probe_size >= 2, "2 texts or more")
        _check("learning_rate_factor", learning_rate_factor, 0 < learning_rate_factor <= 1, "more than 0, at most 1")
        _check("most_rollbacks", most_rollbacks, most_rollbacks >= 1, "1 or more")
        OverfittingGapTest(alpha, minimum_rise=minimum_rise, seed=seed)  # checks the rest
        self.action = action
        self.alpha = alpha
        self.probe_size = probe_size
        self.monitor = monitor
        self.act_on = act_on
        self.minimum_rise = minimum_rise
        self.learning_rate_factor = learning_rate_factor
        self.most_rollbacks = most_rollbacks
        self.seed = seed
        self._probe: FixedTexts | None = None
        self._validation: FixedTexts | None = None
        self._gap_test: OverfittingGapTest | None = None
        self._loss = "eval_loss"
        super().__init__()

    @property
    def test(self) -> dict[str, Any] | None:
        """The test of this phase as plain JSON, encoded only when a state is saved; `None` before an evaluation."""
        return None if self._gap_test is None else self._gap_test.state_dict()

    @test.setter
    def test(self, saved: dict[str, Any] | None) -> None:
        self._gap_test = None if saved is None else OverfittingGapTest.from_state_dict(saved)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        train_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Draw the probe and say what will be done.

        Raises:
            CallError: Nothing is evaluated, `monitor` is the loss of no evaluation set, or the probe cannot be drawn.
        """
        planned = planned_evaluations(args, state)
        if planned == 0:
            raise CallError(
                "OverfittingGapCallback: nothing is evaluated in training; set "
                'TrainingArguments(eval_strategy="epoch") (--eval_strategy epoch)'
            )
        if self.action == "rollback":
            check_whole_weights(model, 'OverfittingGapCallback(action="rollback")', 'use action="stop"')
        self._evaluations = Evaluations.of(args)
        self._loss = self._evaluations.loss(_NAME, self.monitor)
        resumed = self._begin(args, state)
        if self.action == "rollback":
            self._kept = KeptWeights(self._folder, "overfitting-gap", state.is_world_process_zero, self.best_step)
            if not resumed:
                self._kept.forget()  # what another run left in this folder
        self._stay_stopped(state, control)
        # The probe is drawn by its seed, so that a resumed run has the same.
        self._validation, self.restored = None, None
        size = self.probe_size or default_probe_size(args, state, planned)
        self._probe = FixedTexts(train_dataloader, args, size, self.seed)
        self._recorder.attach(model)
        if state.is_world_process_zero:
            logger.info(
                "Overfitting alarm: %s planned, probe of %d training texts, at most %g %% false alarms; action %s",
                counted(planned),
                self._probe.size,
                100 * self.alpha,
                self.action,
            )

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        model: nn.Module | None = None,
        eval_dataloader: Any = None,
        **kwargs: Any,
    ) -> None:
        """Judge the evaluation; those outside training, of other sets, and a second one at a step are left out.

        Raises:
            CallError: The model's outputs tell no losses, or the texts changed.
        """
        recorded = self._recorder.take() if self._training else None
        if not self._training or not metrics or model is None or self._probe is None:
            return
        if self.last_step == state.global_step or self.stopped_step is not None or self._evaluations is None:
            return
        if not self._evaluations.has_loss(_NAME, self._loss, metrics):
            return
        self.last_step = state.global_step
        # What passed through the Trainer's own evaluation costs nothing. The probe is measured by the same weights.
        validation = recorded or self._measure_again(args, model, eval_dataloader)
        probe = self._probe.measure(model)
        if not (np.isfinite(validation.losses).all() and np.isfinite(probe.losses).all()):
            warn_if_nobody_stops(_NAME, args, state, model)  # it cannot be tested
            return
        # Paired differences of other texts would mean nothing; the test is the main process's, and all must stop.
        if from_main_process(self._gap_test is not None and self.digest != validation.digest):
            raise CallError(
                f"OverfittingGapCallback: the validation texts at step {state.global_step} are not those of the "
                "evaluations before: evaluate the same texts each time"
            )
        verdict = from_main_process(self._judge(args, state, probe, validation))
        train, held_out = mean_interval(probe.losses), mean_interval(validation.losses)
        if self.best_loss is None or held_out[0] < self.best_loss:
            self.best_step, self.best_loss = state.global_step, held_out[0]
            if self._kept is not None:
                self._kept.keep(model, state.global_step)
        self._act(args, state, control, model, verdict, train, held_out)
        log_scalars(args, state, control, scalars(verdict, train, held_out))

    def on_step_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        lr_scheduler: Any = None,
        **kwargs: Any,
    ) -> None:
        """Roll back, if that is due: not at the evaluation, so that other callbacks see the weights that it judged."""
        if self.rollback_due and model is not None:
            self._roll_back(model, state)
            lower_learning_rate(optimizer, lr_scheduler, self.learning_rate_factor)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        model: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        """At the last log of the run, roll back after its last evaluation, unless somebody else keeps the best."""
        if self._training and logs and "train_runtime" in logs and self.rollback_due and model is not None:
            # After the last evaluation there is no next step at which to go back.
            best_is_kept = args.load_best_model_at_end or any(one.keeps_best for one in run_callbacks(JudgingCallback))
            if not best_is_kept and self._roll_back(model, state):
                self.restored = Kept(self.best_step, "kept, rolled back to")
            self.rollback_due = False

    def _measure_again(self, args: TrainingArguments, model: nn.Module, eval_dataloader: Any) -> PerText:
        """The losses of a fixed part of the validation set, where labels do not pass through the model."""
        if self._validation is None:
            assert self._probe is not None
            self._validation = FixedTexts(eval_dataloader, args, LARGEST_PROBE, self.seed)
            if args.process_index == 0:
                logger.warning(
                    "OverfittingGapCallback: label_smoothing_factor or compute_loss_func keep the labels from the "
                    "model, so %d validation texts are evaluated a second time each time",
                    self._validation.size,
                )
        return self._validation.measure(model)

    def _judge(
        self, args: TrainingArguments, state: TrainerState, probe: PerText, validation: PerText
    ) -> GapVerdict | None:
        """The verdict, in the main process; the others receive it."""
        if not state.is_world_process_zero:
            return None
        # A phase begins with the first evaluation, or with the first after a rollback: so much is planned from here on.
        if self._gap_test is None:
            left = planned_evaluations(args, state, after=state.global_step - 1)
            chance = validation.chance or None
            self._gap_test = OverfittingGapTest(
                self.alpha, max(1, left), minimum_rise=self.minimum_rise, chance_loss=chance, seed=self.seed
            )
            self.digest = validation.digest
        return self._gap_test.update(
            step=state.global_step,
            train_losses=probe.losses,
            validation_losses=validation.losses,
            validation_correct=validation.right,
        )

    def _act(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module,
        verdict: GapVerdict,
        train: Interval,
        held_out: Interval,
    ) -> None:
        """Say a change of level, and do what is to be done at an alarm."""
        changed = verdict.level.value != self.level
        self.level = verdict.level.value
        due = verdict.level.is_alarm and (self.act_on == "alarm" or verdict.level is GapLevel.OVERFITTING)
        action = self.action if due else "warn"
        # A model that overfits again and again cannot be helped by going back.
        used_up = action == "rollback" and self.rollbacks >= self.most_rollbacks
        if used_up:
            action = "warn"
        # Once due it stays due, until the next step or the end of the run.
        self.rollback_due = self.rollback_due or action == "rollback"
        if not changed and action == "warn":
            return
        lowered = self.learning_rate_factor**self.rollbacks
        message = alarm_message(args, state, model, verdict, train, held_out, lowered)
        if verdict.level.is_alarm:
            alarm = {"step": state.global_step, "epoch": state.epoch or 0.0, "level": self.level}
            losses = {"train_loss": round(train[0], 3), "validation_loss": round(held_out[0], 3)}
            self.alarms.append({**alarm, **losses, "message": message, "action": action})
            send_alert(state, f"{self.level} at step {state.global_step}", message)
        if state.is_world_process_zero:
            serious = verdict.level.is_alarm or verdict.level is GapLevel.LEAKAGE
            back = f" Going back to step {self.best_step}." if action == "rollback" else ""
            back = f" No rollback is left of {self.most_rollbacks}." if used_up else back
            logger.log(logging.WARNING if serious else logging.INFO, "%s%s", message, back)
        if action == "stop":
            self._stop(f"{verdict.level.value}: {verdict.reason}", state, control)

    def _roll_back(self, model: nn.Module, state: TrainerState) -> bool:
        """Put the best weights back, and let the test begin anew; returns whether they were there."""
        self.rollback_due = False
        if self._kept is None or self.best_step is None or not self._kept.has(self.best_step):
            if state.is_world_process_zero:
                logger.warning("No rollback: the weights of step %s are gone from the run's folder", self.best_step)
            return False
        self._kept.put_back(model, self.best_step)
        self.rollbacks += 1
        # Another phase: the weights of the best were picked for their low loss, and this test has spent its error rate.
        self.test = None
        self.level = GapLevel.OK.value
        return True


def _check(name: str, value: Any, right: bool, wanted: str) -> None:
    if not right:
        raise CallError(f"OverfittingGapCallback: {name} is {value!r}; give {wanted}")
