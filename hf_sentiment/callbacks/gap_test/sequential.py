"""A test for overfitting while a model trains, with a stated rate of false alarms. Pure numpy and scipy.

**What is given.** At each evaluation t: the losses of the same n validation texts and of a fixed probe of the training
texts, one number a text, both in eval mode; optionally which validation texts were classified rightly,
or the share of each text's tokens that was.

**Null hypothesis.** The expected validation loss R_t (over texts like the validation texts, with the model of
evaluation t held fixed) never rises in the run: R_t ≤ R_s + tolerance for all s < t. `alpha` bounds the probability of
*any* alarm, `overconfident` or `overfitting`, in such a run, a plateau included. The least favourable case is the
plateau, all R_t equal, and critical values are computed for it. The tolerance is a tenth of `minimum_rise`: a rise that
is real but that small is not worth an alarm; in addition the estimated rise must reach `minimum_rise` (nats).

**Statistic.** The last evaluation is compared with each earlier evaluation s that is not clearly worse than the best,
in paired differences d_i text by text. Each such contrast has expectation ≤ tolerance under the null, whichever s is
taken. Comparing with the best alone wastes evidence: the sampling luck of a validation set (more easy texts than
usual) acts like a slow drift of the whole curve and hides the start of a rise, and the difference to a later
evaluation carries less of it. The statistic of the evaluation is the largest studentised contrast. Its standard error
is kept from being tiny against the others' (`ERROR_FLOOR`), or else the jitter between neighbouring evaluations would
set the critical value.

**Heavy tails.** In overfitting, few texts get much worse and many a little better: d_i is skewed to the right, and a
t-test for a positive mean is then conservative and weak. Hall's transformation removes the skewness term. The skewness
is that of all pairs of evaluations together (`pooled_skewness`): taken from the largest contrast alone it is biased,
since the same extreme text makes both large, and that raised the rate of false alarms above `alpha` at 50 texts.

**Picking the best, and looking many times.** All contrasts of all evaluations share the same texts. Their joint null
distribution is simulated with the covariance estimated from the texts (Gaussian multiplier bootstrap, from quasi-random
numbers): thousands of runs with equal R_t and the run's own noise. In each of them the largest contrast is taken just
as in the real run, so that the maximum over references is corrected for by itself, and strongly correlated evaluations
cost next to nothing.

**Spending the error rate.** By the k-th evaluation of K planned, a share 0.3 u + 0.7 max(u, (1 − L_t/L_best)²) of
`alpha` may have been spent, with u = (k/K)^1.5 and never more than all; L is the probe's mean loss, now and at the best
of the earlier evaluations. u is the power family of Kim & DeMets (1987); the other term releases the rate when the
probe's loss falls far below its value at the best, that is, when memorisation would show. 0.3 of the rate waits for its
time whatever the probe does: a probe that is learnt by heart before the validation loss turns would otherwise leave
nothing for the rise. At each evaluation the critical value is the one at which the simulated runs that were not yet
called raise their number of calls to that share. The share depends on the past of the run and on the probe alone, and
is at most 1, so the probe cannot raise the error rate whatever it does. Past the plan nothing is left: an evaluation
must exceed all simulated runs not yet called, each time at a cost of 1/8192. With fewer evaluations than planned part
of `alpha` is never used. After an alarm the null is rejected; later levels are judged one by one.

**Accuracy.** The same test runs on the errors (0/1, or shares). `overfitting` needs both tests and a probe that has
significantly improved since the best evaluation. It is nested in the loss alarm, so it costs no error rate.

**Where this is only approximate.** Normal theory of means with a skewness correction, and an estimated covariance.
Measured rates of false alarms at `alpha` 0.05 (benchmarks/README.md): 2–4 % on plateaus where heavy-tailed losses
wander, at n = 50, 200 and 800 and with 3, 10 and 30 evaluations; where each evaluation's losses are drawn anew from an
exponential law, 4.3, 4.9 and 3.3 %, so at about `alpha`. Leaving
out references that are clearly worse uses the data twice; the cut at three standard errors is part of what was
measured. Texts must be independent draws (no near-duplicates), and must not be used to train or to tune. A rise that
a small validation set does not show cannot be found. Below 20 texts there is no alarm.

**The gap** is the mean validation loss minus the mean probe loss, each minus its value before training (step 0) where
that was recorded, with Welch's interval at level 1 − alpha/K, so that all K planned intervals hold together.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_sentiment.callbacks.gap_test.arrays import decode, encode
from hf_sentiment.callbacks.gap_test.levels import GapLevel, GapVerdict
from hf_sentiment.callbacks.gap_test.statistics import FEWEST_TEXTS, RiseResult, RiseTest, gap_interval, has_fallen
from hf_sentiment.errors import CallError

# A mean loss above this share of the loss of guessing is near chance.
NEAR_CHANCE = 0.95
# Share of alpha that the probe cannot release before its planned time.
HELD_BACK = 0.3
# Of `state_dict`.
_VERSION = 2


class OverfittingGapTest:
    """Sequential test of overfitting on per-text losses; the module's docstring explains the statistics.

    Args:
        alpha: Probability of any alarm in a run whose expected validation loss never rises.
        planned_evaluations: How many evaluations are planned, one before training (step 0) not counted.
        minimum_rise: Smallest estimated rise of the validation loss that is worth an alarm, in nats.
        chance_loss: Loss of guessing in nats, the entropy of the labels; by default read from the evaluation before
            training, else ln 2.
        seed: Of the simulated null runs.

    Raises:
        CallError: An argument outside its range.
    """

    def __init__(
        self,
        alpha: float = 0.05,
        planned_evaluations: int = 10,
        *,
        minimum_rise: float = 0.01,
        chance_loss: float | None = None,
        seed: int = 0,
    ) -> None:
        if not 0.0005 <= alpha <= 0.5:
            raise CallError(f"OverfittingGapTest: alpha is {alpha}; give a rate of false alarms from 0.0005 to 0.5")
        if planned_evaluations != int(planned_evaluations) or planned_evaluations < 1:
            raise CallError(
                f"OverfittingGapTest: planned_evaluations is {planned_evaluations}; give a count of 1 or more"
            )
        if not (math.isfinite(minimum_rise) and minimum_rise >= 0):
            raise CallError(f"OverfittingGapTest: minimum_rise is {minimum_rise}; give nats, 0 or more (default 0.01)")
        if chance_loss is not None and not (math.isfinite(chance_loss) and chance_loss > 0):
            raise CallError(
                f"OverfittingGapTest: chance_loss is {chance_loss}; give the labels' entropy in nats or None"
            )
        if seed != int(seed) or seed < 0:
            raise CallError(f"OverfittingGapTest: seed is {seed}; give an integer, 0 or more")
        self.alpha = float(alpha)
        self.planned_evaluations = int(planned_evaluations)
        self.minimum_rise = float(minimum_rise)
        self.chance_loss = chance_loss
        self.seed = int(seed)
        self.steps: list[int] = []
        self._probe: list[npt.NDArray[np.float64]] = []
        self._loss_test = RiseTest(self.alpha, self.minimum_rise / 10, self.seed)
        self._error_test = RiseTest(self.alpha, 0.0, self.seed)

    def update(
        self,
        *,
        step: int,
        train_losses: npt.ArrayLike,
        validation_losses: npt.ArrayLike,
        validation_correct: npt.ArrayLike | None = None,
    ) -> GapVerdict:
        """Add an evaluation and judge the run so far; after an error the test is as it was.

        Args:
            step: Training steps before the evaluation.
            train_losses: Of the probe, `[texts]` in nats, in the same order at each evaluation.
            validation_losses: Of the validation texts, likewise.
            validation_correct: Of the validation texts, bool or the share in [0, 1] of a text's tokens that is labelled
                rightly; given always or never.

        Raises:
            CallError: A loss is not finite, texts were added or lost, the step is not after the last one, or
                `validation_correct` comes and goes.
        """
        probe = self._checked(train_losses, "train_losses", step, self._probe)
        losses = self._checked(validation_losses, "validation_losses", step, self._loss_test.rows)
        errors = self._checked_errors(validation_correct, step, len(losses))
        if self.steps and step <= self.steps[-1]:
            raise CallError(
                f"OverfittingGapTest: step {step} comes after step {self.steps[-1]}; "
                "give each evaluation once, in order, or begin a new test for a new run"
            )
        self.steps.append(int(step))
        self._probe.append(probe)
        share, overrun = self._share_to_spend()
        loss_result = self._loss_test.update(losses, share, overrun)
        error_result = None if errors is None else self._error_test.update(errors, share, overrun)
        return self._verdict(loss_result, error_result)

    def state_dict(self) -> dict[str, Any]:
        """All of the test as plain JSON values; `from_state_dict` gives a test with the same future verdicts.

        Losses are kept as 32-bit floats (as models give them), so the size is about 5 bytes a loss.
        """
        names = ("alpha", "planned_evaluations", "minimum_rise", "chance_loss", "seed", "steps")
        tests = {"loss": self._loss_test, "error": self._error_test}
        return {name: getattr(self, name) for name in names} | {
            "version": _VERSION,
            "steps": list(self.steps),
            "probe": [encode(row) for row in self._probe],
            "tests": {
                name: {
                    "rows": [encode(row) for row in test.rows],
                    "crossed": list(test.crossed),
                    "spent": test.spent,
                    "rejected": test.rejected,
                }
                for name, test in tests.items()
            },
        }

    @classmethod
    def from_state_dict(cls, state: dict[str, Any]) -> OverfittingGapTest:
        """The test that gave `state`.

        Raises:
            CallError: Another version of this package wrote it.
        """
        if state.get("version") != _VERSION:
            raise CallError(
                f"OverfittingGapTest: the saved state has version {state.get('version')}, this package reads "
                f"{_VERSION}; resume with the version of hf-sentiment that began the run"
            )
        test = cls(
            state["alpha"],
            state["planned_evaluations"],
            minimum_rise=state["minimum_rise"],
            chance_loss=state["chance_loss"],
            seed=state["seed"],
        )
        test.steps = [int(step) for step in state["steps"]]
        test._probe = [decode(row) for row in state["probe"]]
        for name, part in (("loss", test._loss_test), ("error", test._error_test)):
            saved = state["tests"][name]
            part.rows = [decode(row) for row in saved["rows"]]
            part.crossed = [int(index) for index in saved["crossed"]]
            part.spent = float(saved["spent"])
            part.rejected = bool(saved["rejected"])
        return test

    def _checked(
        self, values: npt.ArrayLike, name: str, step: int, rows: list[npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        """`values` as a row of finite 32-bit losses, of the same length as `rows`, or a `CallError`."""
        row = np.asarray(values, dtype=np.float32).astype(np.float64)
        where = f"OverfittingGapTest: {name} at step {step}"
        if row.ndim != 1 or len(row) < 2:
            raise CallError(f"{where} has shape {row.shape}; give one loss a text, of 2 texts or more")
        if rows and len(rows[0]) != len(row):
            raise CallError(
                f"{where} has {len(row)} texts, earlier evaluations {len(rows[0])}; "
                "evaluate the same texts each time, in the same order"
            )
        lost = int((~np.isfinite(row)).sum())
        if lost:
            raise CallError(
                f"{where} holds {lost} losses that are NaN or infinite; the run has diverged: "
                "lower the learning rate, clip gradients, or compute the loss in float32"
            )
        return row

    def _checked_errors(self, correct: npt.ArrayLike | None, step: int, texts: int) -> npt.NDArray[np.float64] | None:
        """The share of each text that is labelled wrongly; None if accuracy is not followed; or a `CallError`."""
        if bool(self._error_test.rows) != (correct is not None) and self.steps:
            raise CallError(
                f"OverfittingGapTest: validation_correct at step {step} is {'missing' if correct is None else 'new'}; "
                "give it at every evaluation or at none"
            )
        if correct is None:
            return None
        right = np.asarray(correct, dtype=np.float32).astype(np.float64)
        where = f"OverfittingGapTest: validation_correct at step {step}"
        what = f"give true or false, or a share from 0 to 1, for each of the {texts} validation texts"
        if right.shape != (texts,):
            raise CallError(f"{where} has shape {right.shape}; {what}")
        if not ((right >= 0.0) & (right <= 1.0)).all():
            raise CallError(f"{where} holds values outside 0 to 1; {what}")
        return (1.0 - right).astype(np.float32).astype(np.float64)

    def _share_to_spend(self) -> tuple[float, bool]:
        """The share of `alpha` that may have been spent by the last evaluation, and whether it lies past the plan."""
        trained = sum(step > 0 for step in self.steps)
        # By time: the power family of Kim & DeMets (1987).
        planned = min(1.0, trained / self.planned_evaluations) ** 1.5
        means = [float(row.mean()) for row in self._loss_test.rows]
        at_best = float(self._probe[int(np.argmin(means))].mean()) if means else 0.0
        # By the probe: how far its loss has fallen since the best evaluation, which is when memorisation would show.
        learnt = max(0.0, 1.0 - float(self._probe[-1].mean()) / at_best) if at_best > 0 else 0.0
        share = HELD_BACK * planned + (1.0 - HELD_BACK) * max(planned, min(1.0, learnt) ** 2)
        return share, trained > self.planned_evaluations

    def _gap(self) -> tuple[float, float, float]:
        """The gap at the last evaluation with its interval, in nats."""
        losses, probe = self._loss_test.rows[-1], self._probe[-1]  # [validation texts], [probe texts]
        # Less what the two sets differed by before training: one may simply be harder.
        if self.steps[0] == 0 and len(self.steps) > 1:
            losses, probe = losses - self._loss_test.rows[0], probe - self._probe[0]
        return gap_interval(losses, probe, 1 - self.alpha / self.planned_evaluations)

    def _chance(self) -> float:
        """The loss of guessing, in nats; an untrained head's loss is read as that of a uniform guess over k classes."""
        if self.chance_loss is not None:
            return self.chance_loss
        classes = math.floor(math.exp(min(float(self._probe[0].mean()), 20.0)) + 0.05) if self.steps[0] == 0 else 2
        return math.log(max(classes, 2))

    def _verdict(self, loss: RiseResult, error: RiseResult | None) -> GapVerdict:
        """Turn the two tests and the gap into a level with its reason."""
        means = [float(row.mean()) for row in self._loss_test.rows]
        gap, low, high = self._gap()
        alarm = loss.significant and loss.rise >= self.minimum_rise
        # A model that no longer fits its training texts is in another trouble than overfitting.
        improving = has_fallen(self._probe[loss.reference], self._probe[-1], self.alpha)
        if alarm and improving and error is not None and error.significant:
            level = GapLevel.OVERFITTING
        elif alarm:
            level = GapLevel.OVERCONFIDENT
        elif self._underfits(means[-1]):
            level = GapLevel.UNDERFITTING
        elif len(self.steps) > 1 and high < 0:
            level = GapLevel.LEAKAGE
        elif len(self.steps) > 1 and low > 0:
            level = GapLevel.GAP
        else:
            level = GapLevel.OK
        return GapVerdict(
            level=level,
            gap=gap,
            gap_interval=(low, high),
            worsening=loss.rise,
            worsening_interval=loss.interval,
            p_value=loss.p_value,
            best_step=self.steps[int(np.argmin(means))],
            reason=self._reason(level, loss, error, improving, gap),
        )

    def _underfits(self, validation: float) -> bool:
        """Whether both mean losses are still near chance after a third of the plan (two evaluations at least)."""
        trained = sum(step > 0 for step in self.steps)
        near = NEAR_CHANCE * self._chance()
        late = trained >= max(2, math.ceil(self.planned_evaluations / 3))
        return late and validation >= near and float(self._probe[-1].mean()) >= near

    def _reason(self, level: GapLevel, loss: RiseResult, error: RiseResult | None, improving: bool, gap: float) -> str:
        """One sentence that says why the level was chosen."""
        before = self.steps[loss.reference]
        rise = (
            f"validation loss is {loss.rise:+.3f} from its best at step {before} "
            f"({1 - self.alpha:.0%} interval {loss.interval[0]:+.3f} to {loss.interval[1]:+.3f}, "
            f"p = {loss.p_value:.2g})"
        )
        if level is GapLevel.OVERFITTING and error is not None:
            points = f"accuracy {-100 * error.rise:+.1f} points from its best"
            return f"{rise}, {points}, while the training loss goes on falling"
        if level is GapLevel.OVERCONFIDENT:
            side = "is not significantly worse" if error is None or not error.significant else "is worse too"
            accuracy = "accuracy was not given" if error is None else f"accuracy {side}"
            return f"{rise}; {accuracy}" + (
                "" if improving else "; the training loss has not improved since then either"
            )
        if level is GapLevel.UNDERFITTING:
            return f"neither training nor validation loss has left chance ({self._chance():.3f} nats)"
        if level is GapLevel.LEAKAGE:
            return (
                f"validation loss lies {-gap:.3f} below the training loss, more than chance explains: "
                "look for texts in both sets, or labels that are noisier in training"
            )
        if level is GapLevel.GAP:
            return f"validation loss lies {gap:.3f} above the training loss and has not significantly risen"
        if len(self._loss_test.rows[0]) < FEWEST_TEXTS:
            return f"fewer than {FEWEST_TEXTS} validation texts: too few for an alarm"
        return "first evaluation" if len(self.steps) == 1 else "no significant gap and no significant rise"
