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

# Null runs that are simulated, a power of two as Sobol points need; a critical value is known to about ±0.01.
REPLICATES = 8192
# Standard deviations at which a text's share in the skewness is bounded, at 50 texts.
SKEWNESS_CLIP = 3.0
# Standard errors above the best within which an evaluation still serves as a reference.
NEAR_BEST = 3.0
# Smallest standard error, as a share of the largest among the contrasts of an evaluation.
ERROR_FLOOR = 0.1
# Below this no normal approximation is worth an alarm.
FEWEST_TEXTS = 20
# Stands in for a standard error of zero.
_TINY = 1e-9


@dataclass(frozen=True)
class RiseResult:
    """What one evaluation showed.

    Attributes:
        rise: Its mean minus the lowest earlier mean.
        interval: Of the rise, at level 1 − alpha.
        p_value: At most `alpha` exactly if the rise is significant.
        significant: Whether chance explains the rise too seldom.
        reference: Index of the evaluation with the lowest earlier mean.
    """

    rise: float
    interval: tuple[float, float]
    p_value: float
    significant: bool
    reference: int


@dataclass
class RiseTest:
    """Sequential test of "the expected value never rose above an earlier evaluation's", with error rate `alpha` a run.

    Attributes:
        alpha: Probability of any significant evaluation in a run without a rise.
        tolerance: The rise of the expected value that still counts as none, in the unit of the values.
        seed: Of the simulated null runs.
        rows: The values of the evaluations so far, each `[texts]`.
        crossed: Indices of the simulated null runs that would have been called significant so far.
        spent: The share of `alpha` that has been released.
        rejected: Whether an earlier evaluation was significant.
    """

    alpha: float
    tolerance: float = 0.0
    seed: int = 0
    rows: list[Array] = field(default_factory=list)
    crossed: list[int] = field(default_factory=list)
    spent: float = 0.0
    rejected: bool = False

    def update(self, row: Array, share: float, overrun: bool = False) -> RiseResult:
        """Add the next evaluation and test it.

        Args:
            row: Its values, `[texts]`.
            share: The share of `alpha`, in [0, 1], that may have been spent by now; it never falls back.
            overrun: Whether it lies past the plan: nothing new is released, and it is significant if no simulated null
                run matches it.
        """
        self.rows.append(row)
        self.spent = max(self.spent, min(share, 1.0))
        now = len(self.rows) - 1
        if now == 0:
            return RiseResult(0.0, (0.0, 0.0), 1.0, False, 0)
        values = np.stack(self.rows)  # [evaluations, texts]
        means = values.mean(axis=1)
        centered = values - means[:, None]
        noise = null_means(centered, self.seed)  # [REPLICATES, evaluations]
        best = int(np.argmin(means[:now]))
        # The references are the earlier evaluations that chance can have kept from being the best. One that is clearly
        # worse hides a rise behind it, and would cost power in the maximum.
        near = np.flatnonzero(
            means[:now] - means[best] <= NEAR_BEST * _standard_errors(centered[:now] - centered[best])
        )
        errors = _standard_errors(centered[now] - centered[near])  # [references], paired text by text
        # Neighbours differ by little: with their own tiny errors, jitter between them would be the largest contrast.
        scale = np.sqrt(errors**2 + (ERROR_FLOOR * errors.max()) ** 2)
        statistic = float(((means[now] - means[near] - self.tolerance) / scale).max())
        # The same maximum over the same references in every null run, so that the choice among them is corrected for.
        simulated = ((noise[:, [now]] - noise[:, near]) / scale).max(axis=1)
        if statistic > 0.0:
            statistic = _normal_score(statistic, pooled_skewness(centered, near), values.shape[1])
        p_value, significant = self._decide(statistic, simulated, overrun)
        if values.shape[1] < FEWEST_TEXTS:
            p_value, significant = 1.0, False
        self.rejected |= significant
        rise = float(means[now] - means[best])
        return RiseResult(rise, self._interval(rise, means, centered, noise), p_value, significant, best)

    def _decide(self, observed: float, simulated: Array, overrun: bool) -> tuple[float, bool]:
        """The p-value of a statistic, and whether it is significant; spends what is released of the error rate.

        Args:
            observed: The run's largest contrast.
            simulated: Those of the null runs, `[REPLICATES]`.
            overrun: As in `update`.
        """
        total = len(simulated)
        if self.rejected:
            # No error is left to be made about the run: each later evaluation is judged by itself, at level alpha.
            p_value = float((simulated >= observed).sum() + 1) / (total + 1)
            return p_value, observed > 0.0 and p_value <= self.alpha
        # A null run that was called at an earlier evaluation has had its false alarm: the others can still have one.
        alive = np.ones(total, dtype=bool)
        alive[self.crossed] = False
        # Of all null runs this share may have been called by now, so this many of the living at this evaluation. The
        # 1e-9 keeps a product that is whole but for rounding from losing a run.
        allowed = int(np.floor(self.alpha * self.spent * total + 1e-9)) - len(self.crossed)
        allowed = max(allowed, 1 if overrun else 0)
        # Significant: more extreme than the critical value, which is the statistic of the last null run to be called.
        matching = int((simulated[alive] >= observed).sum())
        significant = observed > 0.0 and matching < allowed
        # Over the run so far: the null runs called up to here or as extreme here, the run itself among them (+ 1), as a
        # share of those that the released part of alpha is a share of.
        released = max(self.spent, 1.0 / total)
        p_value = min(1.0, (len(self.crossed) + matching + 1) / (total * released))
        p_value = min(p_value, self.alpha) if significant else p_value
        # The most extreme null runs are called, whatever the run itself showed, or the critical values would depend on
        # it. A null run that has not risen at all is not called, and its share is left for later.
        if allowed > 0 and alive.any():
            left = np.flatnonzero(alive)
            order = left[np.argsort(-simulated[left], kind="stable")[:allowed]]
            self.crossed.extend(int(index) for index in order if simulated[index] > 0.0)
        return p_value, significant

    def _interval(self, rise: float, means: Array, centered: Array, noise: Array) -> tuple[float, float]:
        """Interval of level 1 − alpha of the expected rise over the evaluation picked as best, at this one alone."""
        now = len(means) - 1
        best = int(np.argmin(means[:now]))
        error = _standard_errors(centered[now] - centered[:now])
        behind = means[:now] - means[best]
        far = behind > NEAR_BEST * _standard_errors(centered[:now] - centered[best])
        # Every null run picks its own best, so that the optimism of the pick is part of the quantiles: [REPLICATES].
        # Evaluations that are clearly worse keep their distance, or they would be picked as often as the near ones.
        picked = np.argmin(noise[:, :now] + np.where(far, behind, 0.0), axis=1)
        scores = (noise[:, now] - noise[np.arange(len(noise)), picked]) / error[picked]
        # A high score of the noise stands for a rise that was overestimated: its quantile gives the lower end.
        low, high = np.quantile(scores, [self.alpha / 2, 1 - self.alpha / 2])
        return float(rise - high * error[best]), float(rise - low * error[best])


def null_means(centered: Array, seed: int) -> Array:
    """Simulated means [REPLICATES, evaluations] of runs whose expected values are all equal.

    They are normal with the estimated covariance of the means of `centred` [evaluations, texts] (values minus their
    mean): the Gaussian multiplier bootstrap over texts, which keeps the correlation of the evaluations (Chernozhukov,
    Chetverikov & Kato 2013), drawn through the QR factors of the values, whose leading block is that of the
    evaluations before. A run keeps its simulated past, so that no state has to be kept.
    """
    texts = centered.shape[1]
    # centred.T = QR, so R'R is the scatter matrix of the evaluations, and this factor squared the covariance of means:
    # [min(texts, evaluations), evaluations], upper triangular.
    factor = np.linalg.qr(centered.T, mode="r") / np.sqrt(texts * (texts - 1.0))
    columns = len(factor)
    # The cache has columns by powers of two: a run of 30 evaluations draws five times.
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


def pooled_skewness(centered: Array, near: npt.NDArray[np.intp]) -> float:
    """Skewness of the paired differences of a later and an earlier evaluation, for all pairs at once.

    `centred` [evaluations, texts]; `near` are the earlier evaluations that count, each with all that came after it.
    The median over the pairs is taken, since the skewness of the very contrast that is largest is biased: an extreme
    text makes both large. Each text's share in a third moment is bounded at `SKEWNESS_CLIP` · (n/50)^¼ standard
    deviations, as the third moment of heavy-tailed losses is too noisy to be taken as it is; the bound widens with n.
    """
    later = np.arange(len(centered))
    earlier, after = np.nonzero(near[:, None] < later[None])
    differences = centered[later[after]] - centered[near[earlier]]  # [pairs, texts]
    spread = np.maximum(differences.std(axis=1, ddof=1, keepdims=True), _TINY)
    bound = SKEWNESS_CLIP * (centered.shape[1] / 50) ** 0.25
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
