"""Claim: the overfitting alarm finds overfitting, and cries wolf in at most 5 % of the runs in which there is none.

    python benchmarks/alarm.py --plateau_runs 2000                      # nulls that need no data
    python benchmarks/alarm.py --histories histories.npz                # and recorded trainings with known truth
    python benchmarks/alarm.py --finetunings finetunings.npz            # and real fine-tunings, from finetunings.py

Recorded trainings: per-text losses of a probe and of a validation set at each evaluation, and the risk on a large
reserve. With the excess e_t = risk_t − min(risk_0..t) a run is positive if max e > 0.02 nats, null if max e < 0.005; an
alarm is right if e > 0.005 when it sounds. Precision: right alarms over alarms. Recall: positive runs with an alarm.
"None due": runs with an alarm that was not right, over all runs. Delay: evaluations from the first e > 0.02 to the
alarm. Only the first alarm of a run counts.

Nulls: the expected validation loss of no evaluation is above an earlier one, so that every alarm is false.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from hf_sentiment.callbacks.gap_test import OverfittingGapTest

RESULTS = Path(__file__).parent / "results" / "alarm.json"
Array = np.ndarray[Any, Any]
Rule = Callable[[Array, Array, "Array | None"], "int | None"]  # probe and validation losses, correct -> first alarm


def first(where: Array) -> int | None:
    """Index of the first true value."""
    hits = np.flatnonzero(where)
    return int(hits[0]) if len(hits) else None


def ours(train: Array, validation: Array, correct: Array | None) -> int | None:
    """`OverfittingGapTest` at its defaults, planned for the evaluations after training began."""
    test = OverfittingGapTest(alpha=0.05, planned_evaluations=len(validation) - 1)
    for step in range(len(validation)):
        verdict = test.update(
            step=step,
            train_losses=train[step],
            validation_losses=validation[step],
            validation_correct=None if correct is None else correct[step],
        )
        if verdict.level.is_alarm:
            return step
    return None


def sagemaker_overfit(train: Array, validation: Array, correct: Array | None) -> int | None:
    """Debugger's Overfit at its defaults: (V − L)/L > 0.1 once."""
    low, high = train.mean(axis=1), validation.mean(axis=1)
    return first((high - low) / low > 0.1)


def sagemaker_overtraining(train: Array, validation: Array, correct: Array | None) -> int | None:
    """Debugger's Overtraining at its defaults: no optimum new by 0.1 for 5 (probe) or 10 (validation) evaluations."""
    found = [patience(rows.mean(axis=1), wait, 0.1) for rows, wait in ((train, 5), (validation, 10))]
    return min((one for one in found if one is not None), default=None)


def patience(losses: Array, wait: int, delta: float = 0.0) -> int | None:
    """First evaluation at which `losses` have not fallen below the best by more than `delta` for `wait` evaluations."""
    best, waited = np.inf, 0
    for index, loss in enumerate(losses):
        best, waited = (loss, 0) if loss < best - delta else (best, waited + 1)
        if waited >= wait:
            return index
    return None


def waiting(wait: int) -> Rule:
    """Early stopping with this patience, as Keras, Lightning and transformers count it (Keras' 0 acts like 1)."""
    return lambda train, validation, correct: patience(validation.mean(axis=1), wait)


def prechelt_gl(threshold: float) -> Rule:
    """Prechelt's generalisation loss: 100·(V_t/min V − 1) > threshold."""

    def rule(train: Array, validation: Array, correct: Array | None) -> int | None:
        losses = validation.mean(axis=1)
        return first(100 * (losses / np.minimum.accumulate(losses) - 1) > threshold)

    return rule


def prechelt_pq(threshold: float, strip: int = 5) -> Rule:
    """Prechelt's quotient: generalisation loss over progress P = 1000·(mean/min of the probe's strip − 1)."""

    def rule(train: Array, validation: Array, correct: Array | None) -> int | None:
        probe, losses = train.mean(axis=1), validation.mean(axis=1)
        loss = 100 * (losses / np.minimum.accumulate(losses) - 1)
        for end in range(strip, len(losses), strip):
            part = probe[end - strip + 1 : end + 1]
            if loss[end] > threshold * max(1000 * (part.mean() / part.min() - 1), 1e-9):
                return end
        return None

    return rule


def prechelt_up(times: int, strip: int = 5) -> Rule:
    """Prechelt's UP: the validation loss rose from strip end to strip end this many times in a row."""

    def rule(train: Array, validation: Array, correct: Array | None) -> int | None:
        ends = validation.mean(axis=1)[::strip]
        risen = 0
        for index in range(1, len(ends)):
            risen = risen + 1 if ends[index] > ends[index - 1] else 0
            if risen >= times:
                return index * strip
        return None

    return rule


def paired_t(train: Array, validation: Array, correct: Array | None) -> int | None:
    """Paired t-test against the best evaluation so far, one-sided 5 %, Bonferroni over the evaluations."""
    means, texts = validation.mean(axis=1), validation.shape[1]
    for index in range(1, len(means)):
        best = int(np.argmin(means[: index + 1]))
        difference = validation[index] - validation[best]
        spread = difference.std(ddof=1)
        if spread > 0 and stats.t.sf(difference.mean() / spread * np.sqrt(texts), texts - 1) < 0.05 / (len(means) - 1):
            return index
    return None


RULES: dict[str, Rule] = {
    "OverfittingGapTest": ours,
    "SageMaker Overfit, ratio 0.1": sagemaker_overfit,
    "SageMaker Overtraining": sagemaker_overtraining,
    "Keras default (patience 0)": waiting(1),
    "patience 2": waiting(2),
    "Lightning default (patience 3)": waiting(3),
    "Prechelt GL 5": prechelt_gl(5),
    "Prechelt PQ 1": prechelt_pq(1),
    "Prechelt UP 2": prechelt_up(2),
    "paired t, Bonferroni": paired_t,
}


def on_histories(path: Path) -> dict[str, dict[str, float]]:
    """Precision, recall, wrong alarms and delay of each rule on the recorded trainings in `path`."""
    data = np.load(path)
    runs = []
    for index in range(len(json.loads(str(data["meta"])))):
        risk = data[f"{index}_risk"]
        losses = [data[f"{index}_{name}"].astype(float) for name in ("train", "val")]
        runs.append((*losses, data[f"{index}_correct"], risk - np.minimum.accumulate(risk)))
    return {name: score(rule, runs) for name, rule in RULES.items()}


def score(rule: Rule, runs: list[tuple[Array, Array, Array, Array]]) -> dict[str, float]:
    """The figures of one rule; `runs` hold probe losses, validation losses, correct, excess risk."""
    alarms = [rule(train, validation, correct) for train, validation, correct, _ in runs]
    excess = [run[3] for run in runs]
    right = [alarm is not None and bool(e[alarm] > 0.005) for alarm, e in zip(alarms, excess, strict=True)]
    sounded = [alarm is not None for alarm in alarms]
    positive = [bool(e.max() > 0.02) for e in excess]
    delays = [
        alarm - int(np.argmax(e > 0.02))
        for alarm, e, good, due in zip(alarms, excess, right, positive, strict=True)
        if alarm is not None and good and due
    ]
    found = sum(s and p for s, p in zip(sounded, positive, strict=True))
    return {
        "precision": sum(right) / max(1, sum(sounded)),
        "recall": found / max(1, sum(positive)),
        "none_due": (sum(sounded) - sum(right)) / len(runs),
        "median_delay": float(np.median(delays)) if delays else float("nan"),
    }


def martingale(generator: np.random.Generator, texts: int, evaluations: int, sigma: float, heavy: bool) -> Array:
    """Losses [evaluations + 1, texts] that are positive martingales in each text: base · exp(Σ σz − σ²/2)."""
    base = np.exp(generator.normal(size=texts)) if heavy else 0.5 * generator.exponential(size=texts)
    steps = sigma * generator.normal(size=(evaluations, texts)) - sigma**2 / 2
    return base * np.exp(np.vstack([np.zeros(texts), np.cumsum(steps, axis=0)]))


def falling_then_flat(generator: np.random.Generator, texts: int, evaluations: int, jitter: float) -> Array:
    """Losses that fall and then stay in expectation, while each text drifts on its way: few get worse, many better.

    A quarter of the texts is misread: their losses grow as the rest shrinks, balanced in expectation.
    """
    misread = generator.random(texts) < 0.25
    size = generator.gamma(2.0, 0.5, size=texts)
    drift = np.where(misread, 3.0 * size, -size)[None] * 0.3 * np.linspace(0, 1, evaluations + 1)[:, None]
    fall = 0.4 * np.exp(-np.arange(evaluations + 1) / (0.15 * evaluations + 0.5))
    noise = jitter * generator.normal(size=(evaluations + 1, texts))
    return 1.5 + size * (1 + misread) + fall[:, None] + drift + noise


def stationary(generator: np.random.Generator, texts: int, evaluations: int, correlation: float) -> Array:
    """Losses that are exponential in each evaluation, correlated between evaluations, with equal expectation."""
    shared, own = generator.normal(size=texts), generator.normal(size=(evaluations + 1, texts))
    score = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
    return 0.5 * stats.expon.isf(stats.norm.sf(score))


NULLS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "martingale, 10 evaluations": lambda g, n: martingale(g, n, 10, 0.14, False),
    "martingale, 3 evaluations": lambda g, n: martingale(g, n, 3, 0.25, False),
    "martingale, 30 evaluations": lambda g, n: martingale(g, n, 30, 0.1, False),
    "martingale, lognormal base, 20 evaluations": lambda g, n: martingale(g, n, 20, 0.1, True),
    "falls, then flat, smooth, 20 evaluations": lambda g, n: falling_then_flat(g, n, 20, 0.0),
    "falls, then flat, jitter, 10 evaluations": lambda g, n: falling_then_flat(g, n, 10, 0.1),
    "exponential, correlation 0.9, 10 evaluations": lambda g, n: stationary(g, n, 10, 0.9),
}


def on_nulls(runs: int, names: list[str], sizes: list[int]) -> list[dict[str, Any]]:
    """Share of runs with an alarm, and its upper 95 % bound (Clopper & Pearson, one-sided), by null, size and rule.

    The probe's loss falls all the while: to a twentieth of its first value, the case in which the test spends freely.
    """
    table = []
    for name in names:
        for size in sizes:
            generator = np.random.default_rng([size, len(name)])
            counts = dict.fromkeys(RULES, 0)
            for _ in range(runs):
                validation = NULLS[name](generator, size)
                probe = generator.exponential(size=64) * np.geomspace(0.5, 0.025, len(validation))[:, None]
                for rule in RULES:
                    counts[rule] += RULES[rule](probe, validation, None) is not None
            rates = {
                rule: [count / runs, float(stats.beta.ppf(0.95, count + 1, runs - count)) if count < runs else 1.0]
                for rule, count in counts.items()
            }
            table.append({"null": name, "texts": size, "runs": runs, "rates": rates})
            print(f"{name}, n = {size}: {rates['OverfittingGapTest']}", file=sys.stderr, flush=True)
    return table


def seconds_per_update(texts: int = 800, evaluations: int = 30) -> float:
    """Median seconds of the last update of a run of this size."""
    times = []
    for seed in range(5):
        losses = martingale(np.random.default_rng(seed), texts, evaluations, 0.1, False)
        test = OverfittingGapTest(planned_evaluations=evaluations)
        for step, row in enumerate(losses):
            begin = time.perf_counter()
            test.update(step=step, train_losses=row, validation_losses=row, validation_correct=row < 0.7)
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def print_tables(result: dict[str, Any]) -> None:
    """The results as tables for a reader."""
    for title in ("histories", "finetunings"):
        if title not in result:
            continue
        print(f"\n{title:32s} precision  recall  none due  median delay")
        for name, row in result[title].items():
            print(
                f"{name:32s} {row['precision']:9.3f} {row['recall']:7.3f} "
                f"{row['none_due']:9.4f} {row['median_delay']:13.1f}"
            )
    for row in result.get("nulls", []):
        print(f"\n{row['null']}, {row['texts']} texts, {row['runs']} runs: alarms (upper 95 % bound)")
        for name, (rate, bound) in row["rates"].items():
            print(f"  {name:32s} {rate:.3f} ({bound:.3f})")
    print(f"\none update at 800 texts and 30 evaluations: {1000 * result['seconds_per_update']:.1f} ms")


def main() -> None:
    """Run the parts that were asked for, print the tables, keep the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--histories", type=Path, help="recorded trainings (.npz); left out without it")
    parser.add_argument("--finetunings", type=Path, help="what finetunings.py made (.npz); left out without it")
    parser.add_argument("--plateau_runs", type=int, default=1000, help="simulated runs of each null; 0 for none")
    parser.add_argument("--nulls", nargs="+", choices=list(NULLS), default=list(NULLS), metavar="NULL")
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 800], help="validation texts")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    result: dict[str, Any] = json.loads(options.output.read_text()) if options.output.is_file() else {}
    result["seconds_per_update"] = seconds_per_update()
    for title in ("histories", "finetunings"):
        if getattr(options, title):
            result[title] = on_histories(getattr(options, title))
    if options.plateau_runs:
        new = on_nulls(options.plateau_runs, options.nulls, options.sizes)
        done = {(row["null"], row["texts"]) for row in new}
        result["nulls"] = [row for row in result.get("nulls", []) if (row["null"], row["texts"]) not in done] + new
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    print_tables(result)


if __name__ == "__main__":
    main()
