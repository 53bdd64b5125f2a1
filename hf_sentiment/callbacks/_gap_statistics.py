"""The test behind the overfitting alarm: has the mean of one fixed sample of texts risen above an earlier evaluation?

`RiseTest` is fed one row of per-text values (losses, or 0/1 errors) at each evaluation; `gap_test` explains what it
tests and why. Everything here is numpy and scipy, deterministic, and free of global state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]

REPLICATES = 4000  # null runs that are simulated; a p-value is known to about ±0.003 at 0.05
SKEWNESS_CLIP = 2.5  # standard deviations at which a text's share in the skewness is bounded, at 50 texts
NEAR_BEST = 3.0  # standard errors above the best within which an evaluation still serves as a reference
ERROR_FLOOR = 0.1  # smallest standard error, as a share of the largest among the contrasts of an evaluation
FEWEST_TEXTS = 20  # below this no normal approximation is worth an alarm
_TINY = 1e-9  # stands in for a standard error of zero


@dataclass(frozen=True)
class RiseResult:
    """What one evaluation showed.

    `rise` is its mean minus the lowest earlier mean, `interval` its interval, `p_value` at most `alpha` exactly if
    `significant`, and `reference` the index of the evaluation with the lowest earlier mean.
    """

    rise: float
    interval: tuple[float, float]
    p_value: float
    significant: bool
    reference: int


@dataclass
class RiseTest:
    """Sequential test of "the expected value never rose above an earlier evaluation's", with error rate `alpha` a run.

    `tolerance` is the rise of the expected value that still counts as none, in the unit of the values. `crossed` holds
    the indices of the simulated null runs that would have been called significant so far, `spent` the share of `alpha`
    that has been released, `rejected` whether an earlier evaluation was significant.
    """

    alpha: float
    tolerance: float = 0.0
    seed: int = 0
    rows: list[Array] = field(default_factory=list)
    crossed: list[int] = field(default_factory=list)
    spent: float = 0.0
    rejected: bool = False

    def update(self, row: Array, share: float, overrun: bool = False) -> RiseResult:
        """Add the values `row` [texts] of the next evaluation and test it.

        `share` in [0, 1] is the share of `alpha` that may have been spent by now (it never falls back); past the plan
        (`overrun`) nothing new is released, and an evaluation is significant if no simulated null run matches it.
        """
        self.rows.append(row)
        self.spent = max(self.spent, min(share, 1.0))
        now = len(self.rows) - 1
        if now == 0:
            return RiseResult(0.0, (0.0, 0.0), 1.0, False, 0)
        values = np.stack(self.rows)
        means = values.mean(axis=1)
        centred = values - means[:, None]
        covariance = centred @ centred.T / (values.shape[1] - 1) / values.shape[1]
        noise = null_means(centred, self.seed)
        best = int(np.argmin(means[:now]))
        contrasts = self._contrasts(means, covariance, now, best)
        errors = _standard_errors(contrasts, covariance)
        scale = np.sqrt(errors**2 + (ERROR_FLOOR * errors.max()) ** 2)
        observed = _normal_scores((contrasts @ means - self.tolerance) / scale, contrasts @ centred)
        simulated = (noise @ (contrasts / scale[:, None]).T).max(axis=1)
        p_value, significant = self._decide(float(observed.max()), simulated, overrun)
        if values.shape[1] < FEWEST_TEXTS:
            p_value, significant = 1.0, False
        self.rejected |= significant
        rise = float(means[now] - means[best])
        return RiseResult(rise, self._interval(rise, means, covariance, noise), p_value, significant, best)

    def _contrasts(self, means: Array, covariance: Array, now: int, best: int) -> Array:
        """Weights [contrasts, evaluations] of now, and of the mean of the last two, minus each earlier evaluation.

        Earlier evaluations whose mean lies more than `NEAR_BEST` standard errors above the lowest are left out: they
        cannot carry evidence of a rise, and would only raise the critical value.
        """
        variance = np.diag(covariance)
        error = np.sqrt(np.maximum(variance[:now] + variance[best] - 2 * covariance[:now, best], 0.0))
        near = np.flatnonzero(means[:now] - means[best] <= NEAR_BEST * error)
        rows = []
        for width in (1, 2):
            for reference in near[near <= now - width]:
                weights = np.zeros(now + 1)
                weights[now - width + 1 :] = 1.0 / width
                weights[reference] -= 1.0
                rows.append(weights)
        return np.stack(rows)

    def _decide(self, observed: float, simulated: Array, overrun: bool) -> tuple[float, bool]:
        """The p-value of the statistic `observed`, and whether it is significant.

        Before the first significant evaluation: the share of simulated null runs that were called significant by now
        or match the statistic, over the share of `alpha` released. After it the null is rejected and no error is left
        to be spent; the p-value is then that of this evaluation alone.
        """
        total = len(simulated)
        if self.rejected:
            p_value = float((simulated >= observed).sum() + 1) / (total + 1)
            return p_value, observed > 0.0 and p_value <= self.alpha
        alive = np.ones(total, dtype=bool)
        alive[self.crossed] = False
        allowed = int(np.floor(self.alpha * self.spent * total + 1e-9)) - len(self.crossed)
        allowed = max(allowed, 1 if overrun else 0)
        matching = int((simulated[alive] >= observed).sum())
        significant = observed > 0.0 and matching < allowed
        released = max(self.spent, 1.0 / total)
        p_value = min(1.0, (len(self.crossed) + matching + 1) / (total * released))
        p_value = min(p_value, self.alpha) if significant else p_value
        if allowed > 0 and alive.any():
            left = np.flatnonzero(alive)
            order = left[np.argsort(-simulated[left], kind="stable")[:allowed]]
            self.crossed.extend(int(index) for index in order if simulated[index] > 0.0)
        return p_value, significant

    def _interval(self, rise: float, means: Array, covariance: Array, noise: Array) -> tuple[float, float]:
        """Interval of level 1 − alpha of the expected rise over the evaluation picked as best, at this one alone.

        In the simulated null runs the best is picked anew, so that the optimism of the pick is part of the quantiles.
        """
        now = len(means) - 1
        variance = np.diag(covariance)
        error = np.sqrt(np.maximum(variance[now] + variance[:now] - 2 * covariance[now, :now], _TINY**2))
        best = int(np.argmin(means[:now]))
        near = np.sqrt(np.maximum(variance[:now] + variance[best] - 2 * covariance[:now, best], 0.0))
        behind = means[:now] - means[best]
        picked = np.argmin(noise[:, :now] + np.where(behind > NEAR_BEST * near, behind, 0.0), axis=1)
        scores = (noise[:, now] - noise[np.arange(len(noise)), picked]) / error[picked]
        low, high = np.quantile(scores, [self.alpha / 2, 1 - self.alpha / 2])
        return float(rise - high * error[best]), float(rise - low * error[best])


def null_means(centred: Array, seed: int) -> Array:
    """Simulated means [REPLICATES, evaluations] of runs whose expected values are all equal.

    They are normal with the estimated covariance of the means of `centred` [evaluations, texts] (values minus their
    mean): the Gaussian multiplier bootstrap over texts, which keeps the correlation of the evaluations (Chernozhukov,
    Chetverikov & Kato 2013), drawn through the QR factors of the values, whose leading block is that of the
    evaluations before. Evaluation j uses a random stream of its own, so that no state has to be kept.
    """
    texts = centred.shape[1]
    factor = np.linalg.qr(centred.T, mode="r") / np.sqrt(texts * (texts - 1.0))
    half = np.stack([np.random.default_rng([seed, j]).standard_normal(REPLICATES // 2) for j in range(len(factor))], 1)
    return np.concatenate([half, -half]) @ factor


def _standard_errors(contrasts: Array, covariance: Array) -> Array:
    """Standard errors [contrasts], from the covariance [evaluations, evaluations] of the means."""
    return np.sqrt(np.maximum(((contrasts @ covariance) * contrasts).sum(axis=1), _TINY**2))


def _normal_scores(statistics: Array, differences: Array) -> Array:
    """Turn t-statistics [contrasts] into standard normal scores, correcting for the skewness of the paired differences.

    `differences` [contrasts, texts] are the centred paired differences. With skewness g and a = g/√n the transformed
    statistic is t + a t²/3 + a² t³/27 + a/6 (Hall 1992, J. R. Statist. Soc. B 54, 221–228), which removes the skewness
    term of its distribution; then Student's t with n − 1 degrees of freedom is mapped to the normal. Each text's share
    in g is bounded at `SKEWNESS_CLIP` · (n/50)^¼, as the third moment of heavy-tailed losses is too noisy to be taken
    as it is; the bound widens with n, so that the correction becomes exact. Statistics that
    are not positive are left alone: they are never significant.
    """
    texts = differences.shape[1]
    scores = statistics.copy()
    positive = statistics > 0
    if positive.any():
        chosen = differences[positive]
        spread = np.maximum(chosen.std(axis=1, ddof=1, keepdims=True), _TINY)
        bound = SKEWNESS_CLIP * (texts / 50) ** 0.25
        a = (np.clip(chosen / spread, -bound, bound) ** 3).mean(axis=1) / np.sqrt(texts)
        t = scores[positive]
        t = t + a * t**2 / 3 + a**2 * t**3 / 27 + a / 6
        scores[positive] = stats.norm.isf(np.maximum(stats.t.sf(t, texts - 1), 1e-300))
    return scores


def gap_interval(validation: Array, probe: Array, level: float) -> tuple[float, float, float]:
    """Mean of `validation` minus mean of `probe` (two independent samples), with its interval of two-sided `level`.

    Welch's standard error √(s²_validation/n + s²_probe/m), with the degrees of freedom of the smaller sample.
    """
    gap = float(validation.mean() - probe.mean())
    error = float(np.sqrt(validation.var(ddof=1) / len(validation) + probe.var(ddof=1) / len(probe)))
    reach = error * float(stats.t.isf((1 - level) / 2, min(len(validation), len(probe)) - 1))
    return gap, gap - reach, gap + reach


def has_fallen(before: Array, after: Array, alpha: float) -> bool:
    """Whether the mean has fallen from `before` to `after`, per-text values of the same texts: paired t, one-sided."""
    difference = before - after
    error = max(float(difference.std(ddof=1)) / np.sqrt(len(difference)), _TINY)
    return bool(difference.mean() / error > stats.t.isf(alpha, len(difference) - 1))
