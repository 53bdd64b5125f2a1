"""Metrics of a probabilistic classifier, with bootstrap intervals.

All take `probabilities` `[texts, labels]` (rows sum to 1) and `references` `[texts]` (label indices).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datasets
import evaluate
import numpy as np
from scipy import special
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from hf_sentiment.compute.temperature import calibrated_losses
from hf_sentiment.records.schema import Bin, Estimate

CONFIDENCE = 0.95
_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
RESAMPLES = 1000
_DRAWN_AT_ONCE = 1_000_000  # texts
CALIBRATION_BINS = 10
# What `compute_metrics` gives the Trainer, beside the loss.
TRAINER_METRICS = ("accuracy", "macro_f1", "mcc", "auroc", "brier", "ece", "calibrated_loss")
# Probabilities are clipped before the logarithm, at float32's resolution, so that one certain error is not infinite.
_TINY = float(np.finfo(np.float32).eps)


def classification_metrics(probabilities: np.ndarray, references: np.ndarray) -> dict[str, float]:
    """Every metric of the report, by name.

    `accuracy`; `macro_f1` (mean of the labels' F1, 0 where undefined); `mcc` (Matthews, for any number of labels:
    Gorodkin 2004); `log_loss` (nats a text); `brier` (mean squared distance to the one-hot label, summed over labels:
    Brier 1950); `ece` (expected calibration error of the top label, 10 bins of equal width: Guo et al. 2017); `auroc`
    (one against the rest, macro mean; left out where the references lack a label).
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    references = np.asarray(references, dtype=np.int64)
    # Labels are by the highest probability, and a tie is the first label's.
    figures = _figures(probabilities, references)(np.arange(len(references))[None])
    result = {name: float(value) for name, (value,) in figures.items()}
    result["ece"] = expected_calibration_error(probabilities, references)
    if len(np.unique(references)) == probabilities.shape[1]:
        # scikit-learn wants one column of two labels, and all of more.
        scores = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities
        result["auroc"] = float(roc_auc_score(references, scores, multi_class="ovr"))
    return result


def _per_text(probabilities: np.ndarray, references: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics that are means over texts, as their terms, `[texts]`."""
    rows = np.arange(len(references))
    one_hot = np.zeros_like(probabilities)
    one_hot[rows, references] = 1.0
    return {
        "log_loss": -np.log(np.clip(probabilities[rows, references], _TINY, 1.0)),
        "brier": ((probabilities - one_hot) ** 2).sum(axis=1),
    }


def _from_counts(confusion: np.ndarray) -> dict[str, np.ndarray]:
    """Accuracy, macro-F1 and Matthews' coefficient, `[draws]`, of matrices `[draws, reference, prediction]`."""
    total = confusion.sum(axis=(1, 2))
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    per_reference, per_prediction = confusion.sum(axis=2), confusion.sum(axis=1)
    sizes = per_reference + per_prediction
    # 2 hits / (2 hits + false positives + false negatives), whose denominator is the sum of both margins.
    f1 = np.divide(2.0 * hits, sizes, out=np.zeros(sizes.shape), where=sizes > 0)
    # Gorodkin's coefficient: the covariance of one-hot references and predictions over both spreads, all times total².
    covariance = hits.sum(axis=1) * total - (per_reference * per_prediction).sum(axis=1)
    spreads = [(total**2 - (margin**2).sum(axis=1)).astype(float) for margin in (per_prediction, per_reference)]
    spread = np.sqrt(spreads[0] * spreads[1])
    mcc = np.divide(covariance, spread, out=np.zeros(len(spread)), where=spread > 0)
    return {"accuracy": hits.sum(axis=1) / total, "macro_f1": f1.mean(axis=1), "mcc": mcc}


def expected_calibration_error(probabilities: np.ndarray, references: np.ndarray) -> float:
    """Mean distance between confidence and accuracy over bins of the top label's probability, in [0, 1]."""
    _, right, confidence = _bins(probabilities, references)
    return float(np.abs(right - confidence).sum() / len(references))


def reliability(probabilities: np.ndarray, references: np.ndarray) -> tuple[Bin, ...]:
    """How sure and how often right the top label is, in those of 10 bins of its probability that have texts."""
    bins = []
    for place, (texts, right, confidence) in enumerate(np.stack(_bins(probabilities, references), axis=1).tolist()):
        if texts:
            interval = binomtest(int(right), int(texts)).proportion_ci(CONFIDENCE, "exact")
            accuracy = Estimate(right / texts, float(interval.low), float(interval.high))
            low, high = place / CALIBRATION_BINS, (place + 1) / CALIBRATION_BINS
            bins.append(Bin(low, high, int(texts), confidence / texts, accuracy))
    return tuple(bins)


def _bins(probabilities: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each bin of the top label's probability its texts, those that are right, and the sum of it, `[bins]` each."""
    confidence = probabilities.max(axis=1)
    hits = probabilities.argmax(axis=1) == references
    # Bins are closed below; a confidence of 1 belongs to the last one.
    places = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    texts, right, total = (np.bincount(places, of, CALIBRATION_BINS) for of in (None, hits, confidence))
    return texts, right, total


def bootstrap_intervals(
    probabilities: np.ndarray, references: np.ndarray, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap intervals over texts (1,000 resamples), of `classification_metrics` without `auroc`.

    Where all texts are right, or none, accuracy has the exact binomial interval (Clopper & Pearson 1934).

    Args:
        probabilities: `[texts, labels]`.
        references: Label indices, `[texts]`.
        seed: Of the resamples.
    """
    # `ece` has no interval: resampling biases it upwards (its floor by chance is not zero), so one would mislead.
    found = intervals(_figures(probabilities, references), len(references), seed)
    right = int(np.sum(np.asarray(probabilities).argmax(axis=1) == references))
    if right in (0, len(references)):  # every resample says the same
        exact = binomtest(right, len(references)).proportion_ci(CONFIDENCE, "exact")
        found["accuracy"] = float(exact.low), float(exact.high)
    return found


def paired_differences(
    probabilities: np.ndarray, others: np.ndarray, references: np.ndarray, seed: int = 0
) -> dict[str, dict[str, float]]:
    """The metrics of one classifier less those of another on the same texts: value, low and high.

    Intervals as in `bootstrap_intervals`, both classifiers on the same resamples: texts that are hard for both cancel.

    Args:
        probabilities: Of the one, `[texts, labels]`.
        others: Of the other.
        references: Label indices, `[texts]`.
        seed: Of the resamples.
    """
    ours, theirs = _figures(probabilities, references), _figures(others, references)

    # Texts are drawn once for both: that is what pairs them.
    def difference(rows: np.ndarray) -> dict[str, np.ndarray]:
        of_others = theirs(rows)
        return {name: values - of_others[name] for name, values in ours(rows).items()}

    found = difference(np.arange(len(references))[None])
    drawn = intervals(difference, len(references), seed)
    ends = {name: {"low": low, "high": high} for name, (low, high) in drawn.items()}
    return {name: {"value": float(value), **ends[name]} for name, (value,) in found.items()}


def _figures(probabilities: np.ndarray, references: np.ndarray) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The metrics that have an interval, `[draws]`, as a function of the rows that they are of, `[draws, texts]`."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    references = np.asarray(references, dtype=np.int64)
    labels, terms = probabilities.shape[1], _per_text(probabilities, references)
    # Each pair of reference and prediction is one number: one pass counts them all.
    pairs = references * labels + probabilities.argmax(axis=1)

    def of(rows: np.ndarray) -> dict[str, np.ndarray]:
        counts = np.stack([np.bincount(draw, minlength=labels**2) for draw in pairs[rows]])
        means = {name: term[rows].mean(axis=1) for name, term in terms.items()}
        return _from_counts(counts.reshape(-1, labels, labels)) | means

    return of


def intervals(
    figures: Callable[[np.ndarray], dict[str, np.ndarray]], texts: int, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95 % percentile bootstrap interval of each metric, over as many texts as there are (1,000 resamples).

    Args:
        figures: The metrics, `[draws]`, of rows `[draws, texts]`.
        texts: How many there are.
        seed: Of the resamples.
    """
    generator = np.random.default_rng(seed)
    at_once = max(1, _DRAWN_AT_ONCE // texts)
    sizes = [min(at_once, RESAMPLES - first) for first in range(0, RESAMPLES, at_once)]
    draws = [figures(generator.integers(texts, size=(size, texts))) for size in sizes]
    ends = {name: np.quantile(np.concatenate([part[name] for part in draws]), _TAILS) for name in draws[0]}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}


class SentimentMetrics(evaluate.Metric):
    """`classification_metrics` as an `evaluate.Metric`: what the Trainer is given, and `evaluate.combine` takes.

    `add_batch` collects what is too much for one call. Nothing is fetched, and nothing is written.

    Args:
        **kwargs: As of `evaluate.Metric`.

    Examples:
        >>> SentimentMetrics().compute(predictions=[[0.9, 0.1]], references=[0])["accuracy"]
        1.0
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(keep_in_memory=True, **kwargs)

    def _build_data_dir(self) -> str:
        return ""  # or an empty folder is made in the user's cache

    def _info(self) -> evaluate.MetricInfo:
        probabilities, label = datasets.List(datasets.Value("float64")), datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Accuracy, macro-F1, MCC, AUROC, log loss, Brier score and calibration error.",
            citation="",
            inputs_description="predictions: probabilities [texts, labels]; references: label indices [texts].",
            features=datasets.Features({"predictions": probabilities, "references": label}),
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        return classification_metrics(np.asarray(predictions), np.asarray(references))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities `[texts, labels]` of logits of the same shape, in float64."""
    probabilities: np.ndarray = special.softmax(np.asarray(logits, dtype=np.float64), axis=1)
    return probabilities


def compute_metrics(prediction: Any) -> dict[str, float]:
    """`Trainer(compute_metrics=…)` for a single-label model: the metrics of its logits, `TRAINER_METRICS`.

    `calibrated_loss` is the log loss at the temperature that is fitted on the evaluated texts. Overconfidence, which a
    temperature mends after training, does not count in it, so it is the loss by which to keep the best evaluation of
    a run whose head is calibrated. Of logits that are not finite every metric is NaN.
    """
    logits, references = prediction.predictions, prediction.label_ids
    if not np.isfinite(logits).all():
        return dict.fromkeys(TRAINER_METRICS, float("nan"))  # the run's early stopping ends it
    metrics: dict[str, float] = SentimentMetrics().compute(predictions=softmax(logits), references=references)
    del metrics["log_loss"]  # the Trainer reports it as eval_loss
    metrics["calibrated_loss"] = float(calibrated_losses(logits, np.asarray(references)).mean())
    return metrics
