"""The test behind the overfitting alarm: has the mean of one fixed sample of texts risen above an earlier evaluation?

`RiseTest` is fed one row of per-text values (losses, or 0/1 errors) at each evaluation; `gap_test` explains what it
tests and why. Everything here is numpy and scipy, deterministic, and free of global state.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import special, stats
from scipy.stats import qmc

from hf_sentiment.callbacks.gap_test.arrays import Array

REPLICATES = 8192  # null runs that are simulated, a power of two; a critical value is known to about ±0.01
SKEWNESS_CLIP = 3.0  # standard deviations at which a text's share in the skewness is bounded, at 50 texts
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
        noise = null_means(centred, self.seed)
        best = int(np.argmin(means[:now]))
        near = np.flatnonzero(means[:now] - means[best] <= NEAR_BEST * _standard_errors(centred[:now] - centred[best]))
        errors = _standard_errors(centred[now] - centred[near])
        scale = np.sqrt(errors**2 + (ERROR_FLOOR * errors.max()) ** 2)
        statistic = float(((means[now] - means[near] - self.tolerance) / scale).max())
        simulated = ((noise[:, [now]] - noise[:, near]) / scale).max(axis=1)
        if statistic > 0.0:
            statistic = _normal_score(statistic, pooled_skewness(centred, near), values.shape[1])
        p_value, significant = self._decide(statistic, simulated, overrun)
        if values.shape[1] < FEWEST_TEXTS:
            p_value, significant = 1.0, False
        self.rejected |= significant
        rise = float(means[now] - means[best])
        return RiseResult(rise, self._interval(rise, means, centred, noise), p_value, significant, best)

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

    def _interval(self, rise: float, means: Array, centred: Array, noise: Array) -> tuple[float, float]:
        """Interval of level 1 − alpha of the expected rise over the evaluation picked as best, at this one alone.

        In the simulated null runs the best is picked anew, so that the optimism of the pick is part of the quantiles.
        """
        now = len(means) - 1
        best = int(np.argmin(means[:now]))
        error = _standard_errors(centred[now] - centred[:now])
        behind = means[:now] - means[best]
        far = behind > NEAR_BEST * _standard_errors(centred[:now] - centred[best])
        picked = np.argmin(noise[:, :now] + np.where(far, behind, 0.0), axis=1)
        scores = (noise[:, now] - noise[np.arange(len(noise)), picked]) / error[picked]
        low, high = np.quantile(scores, [self.alpha / 2, 1 - self.alpha / 2])
        return float(rise - high * error[best]), float(rise - low * error[best])


def null_means(centred: Array, seed: int) -> Array:
    """Simulated means [REPLICATES, evaluations] of runs whose expected values are all equal.

    They are normal with the estimated covariance of the means of `centred` [evaluations, texts] (values minus their
    mean): the Gaussian multiplier bootstrap over texts, which keeps the correlation of the evaluations (Chernozhukov,
    Chetverikov & Kato 2013), drawn through the QR factors of the values, whose leading block is that of the
    evaluations before. A run keeps its simulated past, so that no state has to be kept.
    """
    texts = centred.shape[1]
    factor = np.linalg.qr(centred.T, mode="r") / np.sqrt(texts * (texts - 1.0))
    columns = len(factor)
    return _normals(seed, 1 << (columns - 1).bit_length())[:, :columns] @ factor


@lru_cache(maxsize=4)
def _normals(seed: int, columns: int) -> Array:
    """Standard normals [REPLICATES, columns]; a column does not depend on how many there are.

    They come from Sobol points, shifted at random modulo 1 in each column (Cranley & Patterson 1976, SIAM J. Numer.
    Anal. 13, 904–914): the critical value varies by the seed about a third as much as with independent numbers.
    """
    points = qmc.Sobol(columns, scramble=False).random(REPLICATES)
    shift = np.array([np.random.default_rng([seed, column]).random() for column in range(columns)])
    normals: Array = special.ndtri(np.clip((points + shift) % 1.0, _TINY, 1 - _TINY))
    normals.setflags(write=False)
    return normals


def _standard_errors(differences: Array) -> Array:
    """Standard errors [contrasts] of the means of paired `differences` [contrasts, texts], never quite zero."""
    return np.maximum(differences.std(axis=1, ddof=1) / np.sqrt(differences.shape[1]), _TINY)


def pooled_skewness(centred: Array, near: npt.NDArray[np.intp]) -> float:
    """Skewness of the paired differences of a later and an earlier evaluation, for all pairs at once.

    `centred` [evaluations, texts]; `near` are the earlier evaluations that count, each with all that came after it.
    The median over the pairs is taken, since the skewness of the very contrast that is largest is biased: an extreme
    text makes both large. Each text's share in a third moment is bounded at `SKEWNESS_CLIP` · (n/50)^¼ standard
    deviations, as the third moment of heavy-tailed losses is too noisy to be taken as it is; the bound widens with n.
    """
    later = np.arange(len(centred))
    earlier, after = np.nonzero(near[:, None] < later[None])
    differences = centred[later[after]] - centred[near[earlier]]
    spread = np.maximum(differences.std(axis=1, ddof=1, keepdims=True), _TINY)
    bound = SKEWNESS_CLIP * (centred.shape[1] / 50) ** 0.25
    shares = np.clip(differences / spread, -bound, bound)
    return float(np.median((shares * shares * shares).mean(axis=1)))


def _normal_score(statistic: float, skewness: float, texts: int) -> float:
    """Turn a positive t-statistic into a standard normal score, correcting for the skewness g of the differences.

    With a = g/√n the transformed statistic is t + a t²/3 + a² t³/27 + a/6 (Hall 1992, J. R. Statist. Soc. B 54,
    221–228), which removes the skewness term of its distribution; it grows with t, so that the largest contrast stays
    the largest. Then Student's t with n − 1 degrees of freedom is mapped to the normal.
    """
    a = skewness / np.sqrt(texts)
    t = statistic + a * statistic**2 / 3 + a**2 * statistic**3 / 27 + a / 6
    return float(stats.norm.isf(max(float(stats.t.sf(t, texts - 1)), 1e-300)))


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
