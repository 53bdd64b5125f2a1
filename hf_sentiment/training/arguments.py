"""Our arguments, and how recipes, flags and keyword arguments become them and `TrainingArguments`.

There is one configuration system: the flags of `SentimentArguments` and of `transformers.TrainingArguments`. A YAML
recipe is a list of them, said before those of the command line, so that a flag overrides the file. It imports neither
torch nor transformers before it has something to parse, so that a help is quick.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_sentiment.compute import processes
from hf_sentiment.data.augmentation import KINDS, parse_kinds
from hf_sentiment.errors import CallError
from hf_sentiment.parser import FlagParser, Recipe, flag, nearest

if TYPE_CHECKING:
    from transformers import TrainingArguments

# Arguments of transformers that it takes as they come, and fails at in the middle of the work; and the least of each.
_LEAST = {
    "seed": 0,
    "data_seed": 0,
    "learning_rate": 0,
    "num_train_epochs": 0,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
}
# As numpy's generators take them.
_LARGEST_SEED = 2**32 - 1


@dataclass
class SentimentArguments:
    """What to fine-tune and on what: the arguments of this package, beside `transformers.TrainingArguments`.

    `None` means: decided by the plan, by the checkpoint or by the data, and printed. The help of `hf-sentiment train
    --help` shows one line each.
    """

    model_name_or_path: str = flag(
        "starter",
        "Text encoder: a Hub id, a folder, 'starter' (all-MiniLM-L6-v2) or 'starter:multilingual' (e5-small).",
    )
    model_revision: str | None = flag(None, "Branch, tag or commit of the checkpoint on the Hub.")
    pooling: str | None = flag(
        None, "pooler, cls, mean or max. Default: what the checkpoint was made for, else its pooler or cls."
    )
    text_prefix: str | None = flag(
        None,
        'What the encoder wants before every text, such as "query: "; "" for none. Default: as the checkpoint says.',
    )
    classifier_dropout: float = flag(0.3, "Dropout before the linear head.")
    dataset_name: str | None = flag(
        None, "Data set: a Hub id, 'starter' (movie snippets), 'starter:amazon' or 'starter:chinese'. Default: starter."
    )
    dataset_config_name: str | None = flag(None, "Configuration of the Hub data set.")
    dataset_revision: str | None = flag(None, "Branch, tag or commit of the data set on the Hub.")
    train_file: str | None = flag(None, "CSV, TSV, JSONL, Parquet or Excel file to train on, instead of a data set.")
    validation_file: str | None = flag(None, "Labelled file to validate on. Default: a share of the training data.")
    test_file: str | None = flag(None, "Labelled file to test on. Default: a share of the training data.")
    text_column: str | None = flag(None, "Column of the texts. Default: guessed, if only one column can be it.")
    label_column: str | None = flag(None, "Column of the labels. Default: guessed, if only one column can be it.")
    encoding: str | None = flag(
        None, "Encoding of text files, such as windows-1252. Default: UTF-8, or what is certain."
    )
    labels: list[str] | None = flag(None, "Label names in index order: negative,positive. Default: from the data.")
    num_labels: int | None = flag(None, "Number of labels to make of ratings or scores: 2, 3 or (stars) 5.")
    on_bad_rows: str = flag(
        "error", "Rows without text or known label: 'error' stops with their numbers, 'drop' goes on."
    )
    validation_share: float | None = flag(
        None, "Share of the data for validation, where none is given. Default: by the plan; 0: none."
    )
    test_share: float | None = flag(
        None, "Share of the data for testing, where none is given. Default: by the plan; 0: none."
    )
    unlabeled_file: str | None = flag(
        None,
        "Texts without labels. Instead of labelled ones: the head is made of the lexicon and of them. Beside them: the "
        "encoder is taught their VADER scores, where the labels tell that these are right.",
    )
    max_train_samples: int | None = flag(
        None, "Train on that many texts only, drawn at random; 0: on the lexicon alone."
    )
    max_length: int | None = flag(None, "Tokens after which a text is cut. Default: by the plan.")
    long_texts: str | None = flag(
        None,
        "How the model will read texts that are longer than what it learned from: pieces or cut. Default: by the plan.",
    )
    head_first: bool | None = flag(
        None, "Fit the head by logistic regression on frozen features first. Default: by the plan."
    )
    lexicon: bool | None = flag(None, "Teach the encoder sentiment words (en, nl, fr, it) first. Default: by the plan.")
    imbalance: str | None = flag(
        None, "none, class_weights (in the loss) or logit_adjustment (at the end). Default: by the plan."
    )
    layerwise_lr_decay: float | None = flag(
        None, "Each layer's learning rate, as a fraction of the next higher layer's. Default: by the plan."
    )
    fine_tuned_share: float | None = flag(
        None,
        "Share of the fine-tuned weights in the final ones; the rest is of the head-first model. Default: by the plan.",
    )
    early_stopping_patience: int | None = flag(
        None, "Evaluations without improvement after which training stops; 0: never. Default: by the plan."
    )
    augment: str | None = flag(
        None,
        f"Edit training texts anew in every epoch, so that their label stays: none, or some of "
        f"{','.join(KINDS)}. Default: by the plan.",
    )
    alarm: str = flag("warn", "What the overfitting alarm does: warn, stop, rollback, or off.")
    lora: bool | None = flag(
        None, "Train low-rank adapters and the head instead of all weights; merged at the end. Default: by the plan."
    )
    lora_rank: int = flag(8, "Rank of the adapters.")
    calibrate: bool = flag(True, "Fold a temperature fitted on the validation split into the head.")
    folds: int | None = flag(
        None,
        "Measure by so many runs first, each judged on the part of the texts that it has not seen.",
    )
    seeds: int | None = flag(None, "Train with so many seeds on the same splits, and say how far the results differ.")

    keep_checkpoints: bool = flag(False, "Keep the checkpoints, which are otherwise deleted at the end.")

    def __post_init__(self) -> None:
        choices: dict[str, tuple[str, ...]] = {
            "on_bad_rows": ("error", "drop"),
            "alarm": ("warn", "stop", "rollback", "off"),
            "long_texts": ("pieces", "cut"),
            "imbalance": ("none", "class_weights", "logit_adjustment"),
        }
        if self.pooling is not None:
            # Where a pooling is said, a model is loaded next: this import of transformers costs nothing.
            from hf_sentiment.model.configuration_bert_sentiment import POOLINGS

            choices["pooling"] = POOLINGS
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value is not None and value not in allowed:
                raise CallError(f"--{name} must be one of {', '.join(allowed)}, got {value!r}")
        for name in ("validation_share", "test_share"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 0.5:
                raise CallError(f"--{name} must be at least 0 and less than 0.5, got {getattr(self, name)}")
        if not 0 <= self.classifier_dropout < 1:
            raise CallError(f"--classifier_dropout must be at least 0 and less than 1, got {self.classifier_dropout}")
        # A text has two special tokens, and at least a word.
        least_values = {"max_train_samples": 0, "max_length": 4, "num_labels": 2, "early_stopping_patience": 0}
        least_values |= {"folds": 2, "seeds": 1}
        for name, least in (least_values | {"lora_rank": 1}).items():
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise CallError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        if self.train_file is not None and self.dataset_name is not None:
            raise CallError(
                f"--train_file {self.train_file} and --dataset_name {self.dataset_name} are two sources: name one"
            )
        # One word is a list with commas; several words are names, which may hold commas themselves.
        if self.labels is not None and len(self.labels) == 1:
            self.labels = self.labels[0].split(",")
        if self.augment is not None:
            parse_kinds(self.augment)
        if self.layerwise_lr_decay is not None and not 0 < self.layerwise_lr_decay <= 1:
            raise CallError(f"--layerwise_lr_decay must be more than 0 and at most 1, got {self.layerwise_lr_decay}")
        if self.fine_tuned_share is not None and not 0 < self.fine_tuned_share <= 1:
            raise CallError(f"--fine_tuned_share must be more than 0 and at most 1, got {self.fine_tuned_share}")
        if self.unlabeled_file is not None:
            self._check_unlabeled()
        given = self.validation_file or (self.test_file if self.unlabeled_file is None else None)
        if given and self.train_file is None and self.dataset_name is None:
            raise CallError(f"{given} is nothing to train on: name it with --train_file FILE or --dataset_name NAME")
        if self.dataset_name is None and self.train_file is None and self.unlabeled_file is None:
            self.dataset_name = "starter"

    def source(self) -> dict[str, Any]:
        """What names the data, beside `dataset_name`, by the names that `load_data` has for it."""
        names = ("dataset_config_name", "dataset_revision", "train_file", "validation_file", "test_file")
        return {name: getattr(self, name) for name in (*names, "text_column", "label_column", "encoding")}

    def _check_unlabeled(self) -> None:
        """Refuse what needs labelled texts where there are none."""
        if self.train_file is not None or self.dataset_name is not None:
            return
        if self.num_labels is not None:
            raise CallError(
                f"--num_labels {self.num_labels}: texts without labels do not say what the labels are; name them "
                "instead, --labels negative,neutral,positive"
            )
        for name in ("validation_share", "test_share", "max_train_samples", "folds", "seeds"):
            if getattr(self, name) is not None:
                raise CallError(f"--{name}: nothing is split off texts without labels: leave it out")


def parse_call(words: Sequence[str], *more: type[Any], command: str = "hf-sentiment train") -> dict[str, Any]:
    """`[RECIPE.yaml] --flag value …` as keyword arguments of `train`: what was said, and nothing that is a default.

    Args:
        words: Of the command line, without the command.
        *more: Dataclasses whose flags are taken as well.
        command: Whose `--help` lists the flags.

    Raises:
        CallError: See `FlagParser.said`.
    """
    from transformers import HfArgumentParser, TrainingArguments

    kinds: Any = TrainingArguments  # of a type that transformers declares and mypy does not recognise
    theirs = HfArgumentParser(kinds, add_help=False, allow_abbrev=False)
    return FlagParser(command, Recipe, SentimentArguments, *more, parents=[theirs]).said(words)


def split_arguments(said: Mapping[str, Any]) -> tuple[SentimentArguments, dict[str, Any]]:
    """Our arguments, and those for `TrainingArguments`, of keyword arguments named as the flags.

    Args:
        said: By name, as `parse_call` returns them or as they are typed in Python.

    Raises:
        CallError: A name that neither class has (with the nearest that one has), or a wrong value.
    """
    from transformers import TrainingArguments

    ours, theirs = (
        {field.name for field in dataclasses.fields(kind)} for kind in (SentimentArguments, TrainingArguments)
    )
    for name in said:
        if name not in ours | theirs:
            raise CallError(f"unknown argument {name}{nearest(name, ours | theirs) or ': `hf-sentiment train --help`'}")
    sentiment = SentimentArguments(**{name: value for name, value in said.items() if name in ours})
    training = {name: value for name, value in said.items() if name not in ours}
    _check_training(training)
    return sentiment, training


def _check_training(said: Mapping[str, Any]) -> None:
    """Refuse numbers of transformers' arguments with which nothing can be trained."""
    for name in _LEAST.keys() & said.keys():
        value = said[name]
        if value is None:
            continue
        if not (isinstance(value, Real) and _LEAST[name] <= float(value) < math.inf):
            raise CallError(f"--{name} must be a number of at least {_LEAST[name]}, got {value!r}")
        if name.endswith("seed") and float(value) > _LARGEST_SEED:
            raise CallError(f"--{name} must be at most {_LARGEST_SEED}, got {value}")


def _print_script_help(name: str) -> None:
    parser = FlagParser(name, Recipe, SentimentArguments, both=False)
    parser.usage = f"{name} [RECIPE.yaml] [--name value ...]"
    parser.epilog = (
        "Every argument of transformers.TrainingArguments is taken as well: --learning_rate, --output_dir, ..."
    )
    parser.print_help()


def parse_arguments(
    words: Sequence[str] | None = None, refused: Sequence[str] = ()
) -> tuple[SentimentArguments, TrainingArguments]:
    """`[RECIPE.yaml] --flag value …` as both argument classes, for scripts; nothing is planned.

    Args:
        words: Of the command line; by default `sys.argv[1:]`.
        refused: Arguments of ours that the script would ignore: said, they are an error.

    Raises:
        SystemExit: `--help` was asked for, and printed.
        CallError: See `parse_call`; or something would be ignored: `refused`, early stopping.
    """
    import torch
    from transformers import TrainingArguments
    from transformers.trainer_utils import IntervalStrategy

    words = sys.argv[1:] if words is None else words
    if {"-h", "--help"} & set(words):
        _print_script_help(Path(sys.argv[0]).name)
        raise SystemExit(0)
    ours, said = split_arguments(parse_call(words))
    for name in refused:
        if getattr(ours, name) is not None:
            raise CallError(f"--{name} is not for this script: leave it out, or use `hf-sentiment train`")
    accelerated = torch.accelerator.is_available()
    said.setdefault("dataloader_pin_memory", accelerated)  # on a CPU it only warns
    said.setdefault("ddp_find_unused_parameters", False)  # no parameter is idle, and to look for one takes time
    if not processes.sharded():
        said.setdefault("use_cpu", not accelerated)  # or processes do not meet there
        processes.join(said["use_cpu"], said.get("ddp_timeout"))
    theirs = TrainingArguments(**said)
    checkpoint = theirs.resume_from_checkpoint
    if checkpoint is not None and not Path(checkpoint, "trainer_state.json").is_file():
        raise CallError(f"--resume_from_checkpoint {checkpoint}: no checkpoint there: name a folder checkpoint-N")
    steps = said.get("eval_steps")
    for name, value, strategy in (
        ("early_stopping_patience", ours.early_stopping_patience, "epoch"),
        ("alarm", ours.alarm if ours.alarm in ("stop", "rollback") else None, "epoch"),
        ("eval_steps", steps and f"{steps:g}", "steps"),
    ):
        if value and theirs.eval_strategy == IntervalStrategy.NO:
            raise CallError(f"--{name} {value} needs evaluations: add --eval_strategy {strategy}")
    return ours, theirs
