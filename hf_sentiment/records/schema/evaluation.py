"""`evaluation.json` and the report of `evaluate`: what was measured, and how the run ended."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_sentiment.records.schema.audit import FindingRecord, RowCounts
from hf_sentiment.records.schema.figures import Estimate, Spread, SweepSummary, Value


@dataclass(frozen=True)
class Metrics:
    """The metrics of a classifier, as `evaluation.metrics.classification_metrics` defines them.

    `auroc` is left out where the texts lack a label.
    """

    accuracy: Estimate
    macro_f1: Estimate
    mcc: Estimate
    log_loss: Estimate
    brier: Estimate
    # Neither has an interval: resampling biases the one, and the other is undefined in some resamples.
    ece: Value
    auroc: Value | None = None


@dataclass(frozen=True)
class LabelMetrics:
    """The metrics of one label, and the texts that have it."""

    label: str
    precision: float
    recall: float
    f1: float
    texts: int


@dataclass(frozen=True)
class LengthAccuracy:
    """The accuracy on a third of the texts: the "short", "middle" or "long" ones, of so many `words` (fewest, most)."""

    name: str
    words: tuple[int, int]
    texts: int
    accuracy: Estimate


@dataclass(frozen=True)
class Bin:
    """The texts whose label was given with a probability of `low` to `high`, and how often it is right.

    Attributes:
        confidence: The mean probability.
        accuracy: With the exact binomial interval.
    """

    low: float
    high: float
    texts: int
    confidence: float
    accuracy: Estimate


@dataclass(frozen=True)
class Confusion:
    """Counts `[reference, prediction]`, in the order of the labels."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    # In the file, so that nobody has to guess which way round they are.
    rows: str = "reference"


@dataclass(frozen=True)
class Example:
    """A text that was rightly given its label, with this probability."""

    label: str
    text: str
    probability: float


@dataclass(frozen=True)
class Mistake:
    """A text that was given `prediction` with this probability, and has another label."""

    text: str
    label: str
    prediction: str
    probability: float


@dataclass(frozen=True)
class HumanAgreement:
    """How often one rater agrees with the mean of the others; every share is in 0...1.

    Attributes:
        texts: Texts in the binary figures (those whose overall mean is outside the neutral band).
        decided: Binary, only raters who gave a non-zero rating. The upper fair counterpart of a forced choice.
        half: Binary, a zero counted as half right. The lower fair counterpart of a forced choice.
        strict: Binary, a zero counted as wrong.
        ternary: Negative, neutral (a zero) or positive, over all texts.
    """

    texts: int
    decided: float
    half: float
    strict: float
    ternary: float


@dataclass(frozen=True)
class Baselines:
    """What a model is compared with, on the same texts; `None` where there was nothing to make it of.

    `drawn` is how many training texts TF-IDF learned from, where it did not from all.
    """

    majority: Metrics | None = None
    tfidf_logistic_regression: Metrics | None = None
    human: HumanAgreement | None = None
    drawn: int | None = None


@dataclass(frozen=True)
class Difference:
    """The metrics of a model less those of another on the same texts; of `log_loss` and `brier` less is better."""

    accuracy: Estimate
    macro_f1: Estimate
    # A run of before these were recorded has none of them.
    mcc: Estimate | None = None
    log_loss: Estimate | None = None
    brier: Estimate | None = None


@dataclass(frozen=True)
class Comparison:
    """Another model on the same texts, and on how many of them which of the two is right.

    Attributes:
        difference: This model less the other.
        p_value: Of McNemar's exact test that both are right equally often.
    """

    name: str
    model: Metrics
    difference: Difference
    both_right: int
    only_this: int
    only_other: int
    both_wrong: int
    p_value: float


@dataclass(frozen=True)
class Slice:
    """The texts with a value of a column; without figures where they are fewer than 30.

    Attributes:
        macro_f1: `None` also where the texts lack a label.
        p_value: Corrected for all slices, that the model is right no less often here than elsewhere.
        worse: Whether it is below 0.05.
    """

    column: str
    value: str
    texts: int
    accuracy: Estimate | None = None
    macro_f1: Estimate | None = None
    log_loss: Estimate | None = None
    p_value: float | None = None
    worse: bool = False


@dataclass(frozen=True)
class Unseen:
    """The texts that a model has not seen; `model` where they are some of the texts and not all."""

    texts: int
    model: Metrics | None = None


@dataclass(frozen=True)
class Seen:
    """How many of the texts a run has seen.

    Attributes:
        trained_on: Texts that were learned from.
        chosen_on: Others that chose among weights, or fitted the temperature.
        rows: Where the user finds the first 1,000 of both.
        unseen: The others.
    """

    trained_on: int
    chosen_on: int
    rows: tuple[int, ...]
    unseen: Unseen


@dataclass(frozen=True)
class Alarm:
    """An alarm that sounded, the mean losses at that time, and what was done: "warn", "stop" or "rollback"."""

    step: int
    epoch: float
    level: str
    train_loss: float
    validation_loss: float
    message: str
    action: str


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """What a run took and with what it ran, and how it ended.

    Attributes:
        date: Of its end, ISO 8601.
        seconds: Since the command began, summed over resumes.
        peak_memory_bytes: Of the process.
        steps: Of gradient descent on labelled texts.
        epochs: The same in passes over them.
        best_epoch: Whose weights were kept, where the best were.
        stopped: Why it stopped early, if it did.
        alarms: Of overfitting; `None` where there was no alarm to sound.
        unlabeled_texts: How many texts without labels were learned from.
        repeated: Whether training diverged in low precision, and was repeated in float32.
        lora: The rank of the adapters, where they are what was trained.
        device: "cpu", "cuda", …
        threads: Of the processor.
        python: Its version.
        versions: Of the packages, by name.
        processes: That shared the work, each with so many threads.
        spreads: How far runs with other seeds, or of other folds, differ.
        sweep: What the run is the winner of.
    """

    date: str
    seconds: float
    peak_memory_bytes: int
    steps: int
    epochs: float
    best_epoch: float | None
    stopped: str | None
    # `()` where it listened and heard nothing.
    alarms: tuple[Alarm, ...] | None
    unlabeled_texts: int
    repeated: bool
    lora: int | None
    device: str
    threads: int
    python: str
    versions: dict[str, str]
    processes: int = 1
    spreads: tuple[Spread, ...] = ()
    sweep: SweepSummary | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord:
    """How a run ended; where there were labelled texts to measure it on, a `Measurement`.

    Attributes:
        temperature: What was folded into the head, where something was.
        training: Of the run; `None` where it was not `train` that measured.
    """

    temperature: float | None = None
    training: TrainingRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Measurement(EvaluationRecord):
    """What a model is like on labelled texts.

    Attributes:
        split: "test", or "cross-validation" of the training texts.
        texts: How many.
        interval: What the intervals are.
        model: Its metrics.
        per_class: By label, in index order.
        confusion_matrix: What the texts of each label were given.
        by_length: Of the thirds that have enough texts.
        reliability: By the probability of the label that was given: the bins of `ece` that have texts.
        errors: The most confident ones.
        examples: At most one of each label.
        seen: Which of the texts the model has seen; `None` where its run did not keep that.
        baselines: On the same texts.
        differences: From the baselines that were made, by name.
        against: Another model, where `evaluate` was told one.
        slices: By the columns that it was told.
        source: The data in one line, where it was not `train` that measured.
        rows: What became of the rows of its file.
        findings: Of the rows that cannot be used.
    """

    split: str
    texts: int
    interval: str
    model: Metrics
    per_class: tuple[LabelMetrics, ...]
    confusion_matrix: Confusion
    by_length: tuple[LengthAccuracy, ...]
    errors: tuple[Mistake, ...]
    examples: tuple[Example, ...]
    # Always in the file: that a run kept no hashes is an answer too.
    seen: Seen | None
    # A run of before this was recorded has none.
    reliability: tuple[Bin, ...] = ()
    # Of the split of a run; `evaluate` has no training texts to make them of.
    baselines: Baselines = Baselines()
    differences: dict[str, Difference] = field(default_factory=dict)
    # Of `evaluate`; what a run read is in its audit.
    against: Comparison | None = None
    slices: tuple[Slice, ...] | None = None
    source: str | None = None
    rows: dict[str, RowCounts] | None = None
    findings: tuple[FindingRecord, ...] | None = None
