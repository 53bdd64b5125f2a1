"""Our arguments, and how YAML files and flags become them and `TrainingArguments`.

There is one configuration system: `HfArgumentParser`. A YAML recipe is a list of the same flags, said before those of
the command line, so that a flag overrides the file.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from transformers import HfArgumentParser, TrainingArguments
from transformers.trainer_utils import IntervalStrategy

from hf_sentiment.data.augmentation import KINDS, parse_kinds
from hf_sentiment.errors import CallError


@dataclass
class SentimentArguments:
    """What to fine-tune and on what: the arguments of this package, beside `transformers.TrainingArguments`.

    `None` means: decided by the plan, by the checkpoint or by the data, and printed. The help of `hf-sentiment train
    --help` shows one line each.
    """

    model_name_or_path: str = field(
        default="starter", metadata={"help": "BERT checkpoint: a Hub id, a folder, or 'starter' (all-MiniLM-L6-v2)."}
    )
    model_revision: str | None = field(
        default=None, metadata={"help": "Branch, tag or commit of the checkpoint on the Hub."}
    )
    pooling: str | None = field(
        default=None,
        metadata={"help": "pooler, cls, mean or max. Default: what the checkpoint was made for, else pooler."},
    )
    classifier_dropout: float = field(default=0.3, metadata={"help": "Dropout before the linear head."})
    dataset_name: str | None = field(
        default=None,
        metadata={"help": "Data set: a Hub id, 'starter' (movie snippets) or 'starter:amazon'. Default: starter."},
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "Configuration of the Hub data set."})
    dataset_revision: str | None = field(
        default=None, metadata={"help": "Branch, tag or commit of the data set on the Hub."}
    )
    train_file: str | None = field(
        default=None, metadata={"help": "CSV, TSV, JSONL, Parquet or Excel file to train on, instead of a data set."}
    )
    validation_file: str | None = field(
        default=None, metadata={"help": "Labelled file to validate on. Default: a share of the training data."}
    )
    test_file: str | None = field(
        default=None, metadata={"help": "Labelled file to test on. Default: a share of the training data."}
    )
    text_column: str | None = field(
        default=None, metadata={"help": "Column of the texts. Default: guessed, if only one column can be it."}
    )
    label_column: str | None = field(
        default=None, metadata={"help": "Column of the labels. Default: guessed, if only one column can be it."}
    )
    encoding: str | None = field(
        default=None,
        metadata={"help": "Encoding of text files, such as windows-1252. Default: UTF-8, or what is certain."},
    )
    labels: list[str] | None = field(
        default=None, metadata={"help": "Label names in index order: negative,positive. Default: from the data."}
    )
    num_labels: int | None = field(
        default=None, metadata={"help": "Number of labels to make of ratings or scores: 2, 3 or (stars) 5."}
    )
    on_bad_rows: str = field(
        default="error",
        metadata={"help": "Rows without text or known label: 'error' stops with their numbers, 'drop' goes on."},
    )
    validation_share: float | None = field(
        default=None,
        metadata={"help": "Share of the data for validation, where none is given. Default: by the plan; 0: none."},
    )
    test_share: float | None = field(
        default=None,
        metadata={"help": "Share of the data for testing, where none is given. Default: by the plan; 0: none."},
    )
    unlabeled_file: str | None = field(
        default=None,
        metadata={
            "help": "Texts without labels, instead of labelled ones: the head is made of the lexicon and of them."
        },
    )
    max_train_samples: int | None = field(
        default=None, metadata={"help": "Train on that many texts only, drawn at random; 0: on the lexicon alone."}
    )
    max_length: int | None = field(
        default=None, metadata={"help": "Tokens after which a text is cut. Default: by the plan."}
    )
    head_first: bool | None = field(
        default=None,
        metadata={"help": "Fit the head by logistic regression on frozen features first. Default: by the plan."},
    )
    lexicon: bool | None = field(
        default=None,
        metadata={"help": "Teach the encoder a sentiment lexicon (English) first. Default: by the plan."},
    )
    imbalance: str | None = field(
        default=None,
        metadata={"help": "none, class_weights (in the loss) or logit_adjustment (at the end). Default: by the plan."},
    )
    layerwise_lr_decay: float | None = field(
        default=None, metadata={"help": "Each layer's learning rate, of the next higher one's. Default: by the plan."}
    )
    fine_tuned_share: float | None = field(
        default=None,
        metadata={
            "help": "Share of the fine-tuned weights in the final ones; the rest is of the head-first model. Default: "
            "by the plan."
        },
    )
    early_stopping_patience: int | None = field(
        default=None,
        metadata={
            "help": "Evaluations without improvement after which training stops; 0: never. Default: by the plan."
        },
    )
    augment: str | None = field(
        default=None,
        metadata={
            "help": f"Edit training texts anew in every epoch, so that their label stays: none, or some of "
            f"{','.join(KINDS)}. Default: by the plan."
        },
    )
    alarm: str = field(
        default="warn",
        metadata={"help": "What the overfitting alarm does: warn, stop, rollback, or off."},
    )
    lora: bool | None = field(
        default=None,
        metadata={
            "help": "Train low-rank adapters and the head instead of all weights; merged at the end. Default: by the "
            "plan."
        },
    )
    lora_rank: int = field(default=8, metadata={"help": "Rank of the adapters."})
    calibrate: bool = field(
        default=True, metadata={"help": "Fold a temperature fitted on the validation split into the head."}
    )

    keep_checkpoints: bool = field(
        default=False, metadata={"help": "Keep the checkpoints, which go when the run is finished."}
    )

    def __post_init__(self) -> None:
        choices = {
            "on_bad_rows": ("error", "drop"),
            "pooling": (None, "pooler", "cls", "mean", "max"),
            "alarm": ("warn", "stop", "rollback", "off"),
            "imbalance": (None, "none", "class_weights", "logit_adjustment"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                names = ", ".join(str(choice) for choice in allowed if choice is not None)
                raise CallError(f"--{name} must be one of {names}, got {getattr(self, name)!r}")
        for name in ("validation_share", "test_share"):
            if getattr(self, name) is not None and not 0 <= getattr(self, name) < 0.5:
                raise CallError(f"--{name} must be at least 0 and less than 0.5, got {getattr(self, name)}")
        if not 0 <= self.classifier_dropout < 1:
            raise CallError(f"--classifier_dropout must be at least 0 and less than 1, got {self.classifier_dropout}")
        # A text has two special tokens, and at least a word.
        least_values = {"max_train_samples": 0, "max_length": 4, "num_labels": 2, "early_stopping_patience": 0}
        for name, least in (least_values | {"lora_rank": 1}).items():
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise CallError(f"--{name} must be at least {least}, got {getattr(self, name)}")
        if self.train_file is not None and self.dataset_name is not None:
            raise CallError(
                f"--train_file {self.train_file} and --dataset_name {self.dataset_name} are two sources: name one"
            )
        if self.labels is not None and len(self.labels) == 1:
            self.labels = self.labels[0].split(",")
        if self.augment is not None:
            parse_kinds(self.augment)
        if self.layerwise_lr_decay is not None and not 0 < self.layerwise_lr_decay <= 1:
            raise CallError(f"--layerwise_lr_decay must be more than 0 and at most 1, got {self.layerwise_lr_decay}")
        if self.fine_tuned_share is not None and not 0 < self.fine_tuned_share <= 1:
            raise CallError(f"--fine_tuned_share must be more than 0 and at most 1, got {self.fine_tuned_share}")
        if self.unlabeled_file is not None:
            self._check_unlabelled()
            return
        given = self.validation_file or self.test_file
        if given and self.train_file is None and self.dataset_name is None:
            raise CallError(f"{given} is nothing to train on: name it with --train_file FILE or --dataset_name NAME")
        if self.dataset_name is None and self.train_file is None:
            self.dataset_name = "starter"

    def source(self) -> dict[str, Any]:
        """What names the data, beside `dataset_name`, by the names that `load_data` has for it."""
        names = ("dataset_config_name", "dataset_revision", "train_file", "validation_file", "test_file")
        return {name: getattr(self, name) for name in (*names, "text_column", "label_column", "encoding")}

    def _check_unlabelled(self) -> None:
        """Texts without labels stand alone: beside labels they gained nothing (benchmarks/README.md)."""
        for name in ("train_file", "dataset_name", "validation_file", "max_train_samples"):
            if getattr(self, name) is not None:
                raise CallError(
                    f"--unlabeled_file {self.unlabeled_file} and --{name}: beside labelled texts, unlabelled ones gain "
                    "nothing: leave it out"
                )
        if self.num_labels is not None:
            raise CallError(
                f"--num_labels {self.num_labels}: texts without labels do not say what the labels are; name them "
                "instead, --labels negative,neutral,positive"
            )
        for name in ("validation_share", "test_share"):
            if getattr(self, name) is not None:
                raise CallError(f"--{name}: nothing is split off texts without labels: leave it out")


def refuse(arguments: SentimentArguments, *names: str) -> None:
    """For scripts: an argument that they would ignore is an error.

    Raises:
        CallError: One of `names` was said.
    """
    for name in names:
        if getattr(arguments, name) is not None:
            raise CallError(f"--{name} is not for this script: leave it out, or use `hf-sentiment train`")


class RecipeParser(HfArgumentParser):
    """An `HfArgumentParser` that answers a wrong call with one line and a guess, instead of a page of usage."""

    def __init__(self, dataclass_types: Iterable[Any]) -> None:
        super().__init__(list(dataclass_types), add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise `CallError` with argparse's message."""
        # argparse names both spellings: "argument --learning_rate/--learning-rate: …"
        raise CallError(re.sub(r"^argument (--\w+)(/\S+)?:", r"\1:", message))

    def explicit(self, tokens: Sequence[str]) -> dict[str, Any]:
        """The arguments that `tokens` name, by name, parsed; nothing that is a default.

        Raises:
            CallError: An unknown flag (with the nearest known one) or a value of the wrong type.
        """
        for action in self._actions:
            action.default = dataclasses.MISSING  # unlike SUPPRESS, seen by actions that share a destination
        namespace, unknown = self.parse_known_args(list(tokens))
        if unknown:
            raise CallError(self._unknown(unknown[0]))
        return {name: value for name, value in vars(namespace).items() if value is not dataclasses.MISSING}

    def help_of(self, command: str, more: str) -> str:
        """The help of a command that takes these arguments: one spelling each, and no default that says nothing.

        Args:
            command: The command and its words: "hf-sentiment audit [RECIPE.yaml]".
            more: What is to be said below the list.
        """
        self.usage, self.epilog = f"{command} [--name value ...]", more
        for action in self._actions:
            action.option_strings = [option for option in action.option_strings if "-" not in option[2:]]
            if action.default is None:
                action.default = argparse.SUPPRESS
            if isinstance(action, argparse._StoreFalseAction):
                action.help, action.default = f"Do not: the opposite of --{action.dest}.", argparse.SUPPRESS
        return self.format_help()

    def _unknown(self, token: str) -> str:
        known = [option for option in self._option_string_actions if "-" not in option[2:]]
        near = difflib.get_close_matches(token.split("=")[0], known, n=1)
        hint = f", did you mean {near[0]}?" if near else ": `hf-sentiment train --help` lists the arguments"
        return f"unknown argument {token}{hint}"


def recipe_tokens(path: str | Path) -> list[str]:
    """The flags that a YAML recipe stands for, in its order: `learning_rate: 2e-5` is `--learning_rate 2e-5`.

    Lists become several values, mappings JSON, and `null` leaves the default.

    Raises:
        CallError: No such file, or no YAML mapping of names to values; with the line where YAML says it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CallError(f"{path}: {error.strerror}: name a YAML recipe, such as recipes/starter.yaml") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise CallError(f"{where}: not YAML ({getattr(error, 'problem', error)})") from error
    if not isinstance(content, dict):
        raise CallError(f"{path}: a recipe is a list of `name: value` lines, such as `learning_rate: 2e-5`")
    tokens: list[str] = []
    for name, value in content.items():
        if value is None:
            continue
        values = value if isinstance(value, list) else [value]
        tokens += [f"--{name}", *(json.dumps(item) if isinstance(item, dict) else str(item) for item in values)]
    return tokens


def split_call(arguments: Sequence[str]) -> list[str]:
    """The flags of a command line whose first word may be a YAML recipe, the recipe's first.

    Raises:
        CallError: A first word that is neither a flag nor a YAML file, or an unreadable recipe.
    """
    if arguments and not arguments[0].startswith("-"):
        if not arguments[0].endswith((".yaml", ".yml")):
            raise CallError(f"{arguments[0]}: expected a recipe that ends with .yaml, or --name value")
        return [*recipe_tokens(arguments[0]), *arguments[1:]]
    return list(arguments)


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[SentimentArguments, TrainingArguments]:
    """`[RECIPE.yaml] --flag value …` as both argument classes, for scripts; nothing is planned.

    Args:
        arguments: The words of the command line; by default `sys.argv[1:]`.

    Raises:
        CallError: See `RecipeParser` and `split_call`; or something would be ignored: other processes, early stopping.
    """
    sentiment, training = parse_call(sys.argv[1:] if arguments is None else arguments)
    training.setdefault("dataloader_pin_memory", torch.accelerator.is_available())  # on a CPU it only warns
    ours, theirs = SentimentArguments(**sentiment), TrainingArguments(**training)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and theirs.world_size == 1:
        raise CallError("several processes were started, and each would train alone: on CPUs add --use_cpu true")
    for name, watches in (
        ("early_stopping_patience", bool(ours.early_stopping_patience)),
        ("alarm", ours.alarm in ("stop", "rollback")),
    ):
        if watches and theirs.eval_strategy == IntervalStrategy.NO:
            raise CallError(f"--{name} {getattr(ours, name)} needs evaluations: add --eval_strategy epoch")
    return ours, theirs


def parse_call(arguments: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """As `parse_arguments`, but only what was said, as keyword arguments of the two classes."""
    said = RecipeParser((SentimentArguments, TrainingArguments)).explicit(split_call(arguments))
    ours = {item.name for item in dataclasses.fields(SentimentArguments)}
    return (
        {name: value for name, value in said.items() if name in ours},
        {name: value for name, value in said.items() if name not in ours},
    )
