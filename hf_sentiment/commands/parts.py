"""Runs that a run is made of, each by `train` in a folder of its own: those of folds, and those of other seeds."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, DatasetDict

from hf_sentiment.compute.quiet import at_level
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.data.splits import Duplicates, make_splits
from hf_sentiment.data.texts import numbers
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.evaluation.metrics import classification_metrics, softmax
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.records.atomic import file_atomically
from hf_sentiment.records.read import read_evaluation
from hf_sentiment.records.schema import EvaluationRecord, Measurement, Range, Spread
from hf_sentiment.training.call import OF_EVALUATIONS
from hf_sentiment.training.plan import Plan
from hf_sentiment.training.run import Run

logger = logging.getLogger(__name__)

# What names and divides the data: a part is handed over as it is.
DATA: tuple[str, ...] = (
    *("dataset_name", "dataset_config_name", "dataset_revision", "train_file", "validation_file", "test_file"),
    *("text_column", "label_column", "encoding", "labels", "num_labels", "on_bad_rows", "max_train_samples"),
    *("validation_share", "test_share", "folds", "seeds"),
)
# What the plan would decide otherwise for fewer texts.
_SETTLED = (
    *("max_length", "head_first", "lexicon", "lora", "learning_rate", "layerwise_lr_decay", "fine_tuned_share", "bf16"),
    *("label_smoothing_factor", "num_train_epochs", "per_device_train_batch_size", "weight_decay", "warmup_steps"),
)
# What asks for validation texts, of which a fold has none.
_WATCHING = (
    *(*OF_EVALUATIONS, "eval_strategy", "eval_delay", "greater_is_better"),
    *("early_stopping_patience", "alarm"),
)
# What a part leaves of its texts, in `records/`: logits `[texts, labels]`.
HELD = "held_out.npy"

Runner = Callable[..., Any]


@dataclass(frozen=True)
class Part:
    """Texts to train on and perhaps to watch, and those that the run is judged on: rows `held` of the whole."""

    texts: DatasetDict
    judged: Dataset
    held: np.ndarray


@dataclass(frozen=True)
class Parts:
    """What the runs gave that a run is made of.

    Attributes:
        out_of_fold: Logits `[texts, labels]` of the training texts, each by the run of a fold that had not seen it.
        folds: How far the folds differ.
        others: What the runs with other seeds measured, by seed.
    """

    out_of_fold: np.ndarray | None = None
    folds: Spread | None = None
    others: Mapping[int, Measurement] | None = None

    def spreads(self, evaluation: EvaluationRecord, seed: int) -> tuple[Spread, ...]:
        """How far the runs differ, with the evaluation and the seed of the run itself."""
        spreads = [] if self.folds is None else [self.folds]
        if self.others and isinstance(evaluation, Measurement):
            runs = {seed: evaluation, **self.others}
            figures = [[getattr(of.model, name).value for of in runs.values()] for name in ("accuracy", "log_loss")]
            spreads.append(Spread("seeds", tuple(runs), *map(Range.of, figures)))
        return tuple(spreads)


def run_parts(
    train: Runner, run: Run, dataset: Any, arguments: Mapping[str, Any], folder: Path, parts: Sequence[Part] = ()
) -> Parts | None:
    """Make the runs of `--folds` and `--seeds` that are not there yet; `None` where neither is asked for.

    Args:
        train: `run_training`.
        run: The run that they are of, assembled.
        dataset: As in `train`.
        arguments: As in `train`.
        folder: Of the run.
        parts: The folds.
    """
    folds, seeds, keep = arguments.get("folds"), arguments.get("seeds"), bool(arguments.get("keep_checkpoints"))
    if folds is None and seeds is None:
        return None
    seed, data_seed = run.trainer.args.seed, _data_seed(run)
    out_of_fold, spread, others = None, None, {}
    if folds is not None:
        # The temperature is that of the final run, fitted on the logits of all folds.
        said = part_arguments(arguments, run.plan, run.data.rule.labels) | {"calibrate": False}
        said = {name: value for name, value in said.items() if name not in _WATCHING}
        labels = numbers(run.data.splits["train"], "label")
        out_of_fold = np.empty((len(labels), len(run.data.rule.labels)))
        figures = []
        for number, part in enumerate(parts, start=1):
            logger.info("Fold %d of %d", number, folds)
            logits = run_part(train, part, said, folder / "folds" / f"fold-{number}", keep)
            out_of_fold[part.held] = logits
            figures.append(classification_metrics(softmax(logits), labels[part.held]))
        ranges = (Range.of([figure[name] for figure in figures]) for name in ("accuracy", "log_loss"))
        spread = Spread("folds", tuple(len(part.held) for part in parts), *ranges)
    for other in range(seed + 1, seed + (seeds or 1)):
        path = folder / "seeds" / f"seed-{other}"
        logger.info("Training with seed %d", other)
        with at_level(logging.ERROR, "hf_sentiment"):
            train(dataset, {**arguments, "seeds": None, "seed": other, "data_seed": data_seed, "output_dir": str(path)})
        measured = read_evaluation(path / "records" / "evaluation.json")
        if not isinstance(measured, Measurement):
            raise CallError(f"--seeds {seeds} compares what is measured, and nothing is: give --test_share 0.2")
        others[other] = measured
        strip(path, keep)
    return Parts(out_of_fold, spread, others)


def part_arguments(arguments: Mapping[str, Any], plan: Plan, labels: Sequence[str]) -> dict[str, Any]:
    """The arguments of a run on a part of the texts: as said, and as planned for all of them.

    Label shares are not folded into its head, as they would cost log loss, by which it is judged.
    """
    settled = {name: plan.decisions[name].value for name in _SETTLED}
    said = {name: value for name, value in arguments.items() if name not in DATA and value is not None}
    columns = {"text_column": "text", "label_column": "label", "labels": list(labels)}
    shares = {"validation_share": 0.0, "test_share": 0.0}
    weighted = plan.imbalance.value == "class_weights"
    return {**settled, **said, **columns, **shares, "imbalance": "class_weights" if weighted else "none"}


def folds_of(run: Run, folds: int | None) -> list[Part]:
    """The parts of `--folds`; none where they are not asked for.

    Raises:
        DataError: As `fold_parts`.
    """
    return list(fold_parts(run.data, folds, _data_seed(run))) if folds else []


def _data_seed(run: Run) -> int:
    """The seed of the splits, which is that of the training where it is not said."""
    arguments = run.trainer.args
    return int(arguments.seed if arguments.data_seed is None else arguments.data_seed)


def fold_parts(data: PreparedData, folds: int, seed: int) -> Iterator[Part]:
    """The training texts in so many parts, each judged by a run on the others; no near-duplicate straddles two.

    Raises:
        DataError: A label is too rare to be in every part.
    """
    train = data.splits["train"]
    groups = Duplicates(train["text"][:]).groups(known=train["group"][:] if "group" in train.features else None)
    shares = {f"fold {number}": 1 / folds for number in range(1, folds)}
    try:  # the rest, "train", is the last fold
        made = make_splits(numbers(train, "label"), groups, shares, seed=seed, label_names=data.rule.labels)
    except DataError as error:
        reason = re.split("; |: add", str(error))[0]
        raise DataError(f"--folds {folds} are too many ({reason}): say fewer") from error
    for held in made.values():
        rest = np.setdiff1d(np.arange(len(train)), held)
        yield Part(DatasetDict(train=named(train.select(rest), data)), train.select(held), held)


def named(split: Dataset, data: PreparedData) -> Dataset:
    """Texts and the names of their labels, as somebody hands them to `train`."""
    names = [data.rule.labels[index] for index in split["label"]]
    return Dataset.from_dict({"text": split["text"][:], "label": names})


def run_part(train: Runner, part: Part, arguments: Mapping[str, Any], folder: Path, keep: bool, **more: Any) -> Any:
    """Logits `[texts, labels]` of the texts that a part is judged on; what was done before is not done again.

    Args:
        train: `run_training`.
        part: Of the texts.
        arguments: Of `part_arguments`.
        folder: Of its run, of which the weights are removed once they are judged.
        keep: Leave the weights there.
        **more: As `run_training` takes it.
    """
    held = folder / "records" / HELD
    if not held.is_file():
        with at_level(logging.ERROR, "hf_sentiment"):  # it has a plan and findings of its own
            train(part.texts, {**arguments, "output_dir": str(folder)}, **more)
        logits = SentimentClassifier.from_pretrained(folder).logits(part.judged["text"][:])
        with file_atomically(held) as beside:
            np.save(beside, logits)
    strip(folder, keep)
    return np.load(held)


def strip(folder: Path, keep: bool) -> None:
    """Remove all but the records of a run, unless it is to be kept."""
    for path in () if keep else folder.iterdir():
        if path.name != "records":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
