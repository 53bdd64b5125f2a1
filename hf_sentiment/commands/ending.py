"""The end of a run's records: its history and picture, of what is kept or was measured, and what the training took.

So every run leaves `history.jsonl`, `curves.svg` and `curves.png`, those without a single training step as well.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from hf_sentiment import __version__
from hf_sentiment.callbacks.learning_curve import FINAL, draw_dots, draw_shares, save_figure
from hf_sentiment.callbacks.shared import Kept
from hf_sentiment.compute.hardware import peak_memory_bytes
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.report import compared_models
from hf_sentiment.records.history import Row, write_history
from hf_sentiment.records.schema import Alarm, Estimate, EvaluationRecord, Measurement, TrainingRecord
from hf_sentiment.records.serialization import to_json
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.run import Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Those that a run's figures depend on.
_LIBRARIES = ("torch", "transformers", "datasets", "huggingface-hub", "scikit-learn", "numpy")
_MEASURED = ("log_loss", "accuracy", "macro_f1")


def end_records(
    run: Run, evaluation: EvaluationRecord, records: Path, seconds: float, unlabeled: NDArray[np.float64] | None
) -> None:
    """Write the last line of the history, and the picture of the whole.

    Args:
        run: Trained, and folded into the model that was saved.
        evaluation: What was measured at the end.
        records: The folder `records/` of the run.
        seconds: Since the command began, summed over resumes.
        unlabeled: As `unlabeled_probabilities` gives them.
    """
    share = run.plan.fine_tuned_share.value
    if run.head_alone:
        # The Trainer never ran, and neither did the callback that writes the history.
        write_history(records / "history.jsonl", [_final_row(run, evaluation, seconds)])
        _draw_head(run, evaluation, records / "curves", unlabeled)
    elif share < 1 or not run.curve.evaluates:
        # What the callback drew says that the best or last evaluation is kept: here neither is.
        way = "the weights that are kept are not on this curve: "
        restored = run.stopping.restored
        to = "the last ones" if restored is None else f"those of step {restored.step}"
        way += "those of the head alone" if run.kept_head else f"{share:g} of the way from the head-first model to {to}"
        # Mixed weights lie at no step.
        kept = Kept(None, way) if share < 1 else Kept(run.trainer.state.global_step, "kept, the last")
        run.curve.draw(kept, None if run.curve.evaluates else _final_row(run, evaluation, seconds))


def _final_row(run: Run, evaluation: EvaluationRecord, seconds: float) -> Row:
    """The line of the final evaluation: `test_…` figures, or `folds_…` of a cross-validation, with their intervals."""
    state = run.trainer.state
    row: Row = {"step": state.global_step, "epoch": state.epoch or 0.0, "elapsed_seconds": round(seconds, 3)}
    if not isinstance(evaluation, Measurement):
        return row | {FINAL: "nothing measured"}
    # Names of their own: a `test_loss` among the rows of validation losses would be taken for one.
    row |= {FINAL: evaluation.split, "texts": evaluation.texts}
    prefix = "test" if evaluation.split == "test" else "folds"
    for metric in _MEASURED:
        name = f"{prefix}_{'loss' if metric == 'log_loss' else metric}"
        figure: Estimate = getattr(evaluation.model, metric)
        row |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return row


def _draw_head(run: Run, evaluation: EvaluationRecord, stem: Path, probabilities: NDArray[np.float64] | None) -> None:
    """The picture of a head that was solved for in one go: what was measured, or how it divides unlabelled texts."""
    once = "The head was solved for in one go, and the encoder not trained on labels: there is no course to draw."
    if isinstance(evaluation, Measurement):
        folds = evaluation.split == "cross-validation"
        of = f"{'cross-validation on the' if folds else 'the'} {evaluation.texts:,} "
        title = f"Measured {'in' if folds else 'on'} {of}{'training' if folds else 'test'} texts, 95 % intervals"
        models = [(words, to_json(metrics)) for words, metrics in compared_models(evaluation)]
        save_figure(draw_dots(models, ("accuracy", "log_loss"), title, once), stem)
        return
    # Without labels nothing can be measured; how the labels are shared out at least shows a head that says one thing.
    nothing = (
        "Nothing was measured: there are no labelled texts, and the head is made of the lexicon. "
        "`hf-sentiment evaluate` measures it on labelled ones."
    )
    shares = {} if probabilities is None else _shares(probabilities, run.data.rule.labels)
    texts = 0 if probabilities is None else len(probabilities)
    save_figure(draw_shares(shares, f"How the model labels the {texts:,} unlabelled texts", nothing), stem)


def unlabeled_probabilities(run: Run) -> NDArray[np.float64] | None:
    """What the model says of the unlabelled texts, `[texts, labels]`; every process must call this."""
    if "unlabeled" not in run.splits or "test" in run.data.splits:
        return None  # there are none, or something better is measured
    return softmax(np.asarray(run.trainer.predict(run.splits["unlabeled"]).predictions))


def _shares(probabilities: NDArray[np.float64], labels: list[str] | tuple[str, ...]) -> dict[str, float]:
    """The share of the texts that get each label."""
    predictions = probabilities.argmax(axis=1)  # [texts]
    return {label: float((predictions == index).mean()) for index, label in enumerate(labels)}


def training_record(run: Run, arguments: SentimentArguments, seconds: float) -> TrainingRecord:
    """What the run took and with what it ran, why it stopped, and which alarms sounded.

    Args:
        run: Trained.
        arguments: What was said of it.
        seconds: As in `end_records`.
    """
    state, stopping, alarm = run.trainer.state, run.stopping, run.alarm
    return TrainingRecord(
        date=datetime.now(UTC).date().isoformat(),
        seconds=round(seconds, 1),
        peak_memory_bytes=peak_memory_bytes(),
        steps=state.global_step,
        epochs=round(state.epoch or 0.0, 3),
        best_epoch=_best_epoch(run),
        stopped=next((judge.reason for judge in (stopping, alarm) if judge is not None and judge.reason), None),
        alarms=None if alarm is None else tuple(Alarm(**entry) for entry in alarm.alarms),
        unlabeled_texts=run.unlabeled_texts or run.plan.scored_texts,
        repeated=run.plan.facts.diverged,
        lora=arguments.lora_rank if run.plan.lora.value and not run.head_alone else None,
        device=run.trainer.args.device.type,
        threads=torch.get_num_threads(),
        processes=run.plan.facts.processes,
        python=platform.python_version(),
        # Ours is said by the package itself: a checkout need not be installed.
        versions={"hf-sentiment": __version__, **{name: version(name) for name in _LIBRARIES}},
    )


def _best_epoch(run: Run) -> float | None:
    """The epoch whose weights were kept, where the best ones were."""
    if run.kept_head:
        return 0.0
    if not run.stopping.keeps_best:
        return None
    # A step may be logged twice, by a run that was taken up: the last one counts.
    step = run.stopping.best_step
    epochs = [row["epoch"] for row in run.trainer.state.log_history if row["step"] == step and "eval_loss" in row]
    return epochs[-1] if epochs else None
