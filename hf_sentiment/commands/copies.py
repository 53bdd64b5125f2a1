"""The call of `train` that takes an audit's cleaned copies, and whether it would get as far as training."""

from __future__ import annotations

import logging
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from hf_sentiment.compute.quiet import at_level
from hf_sentiment.data.audit import CleanedFile
from hf_sentiment.data.labels import LabelRule
from hf_sentiment.data.sources import RawData
from hf_sentiment.data.tables import UTF8
from hf_sentiment.errors import SentimentError
from hf_sentiment.parser import flag_words
from hf_sentiment.training.arguments import SentimentArguments, parse_call, split_arguments
from hf_sentiment.training.call import Call
from hf_sentiment.training.load import load_planned_splits

# The copies take the place of what these name.
_SOURCES = ("dataset_name", "dataset_config_name", "dataset_revision", "train_file", "validation_file", "test_file")
_OF_FILES = ("text_column", "label_column")


@dataclass(frozen=True)
class CallOnCopies:
    """A call of `train`.

    Attributes:
        words: After `hf-sentiment train`.
    """

    words: list[str]

    @property
    def command(self) -> str:
        """The call as one types it, quoted for a shell."""
        return shlex.join(["hf-sentiment", "train", *self.words])

    def obstacle(self, rule: LabelRule) -> str | None:
        """Why the call would stop before it trains, or learn other labels than were audited; `None` where it would not.

        Args:
            rule: Of the audited files.
        """
        try:
            with at_level(logging.CRITICAL, "hf_sentiment"):  # an audit has said it already
                data = load_planned_splits(Call(*split_arguments(parse_call(self.words))))
        except SentimentError as error:
            return str(error)
        if data.rule.labels != rule.labels:
            return f"without the removed rows, the labels are read as {', '.join(data.rule.labels)}: correct the rows"
        return None


def call_on_copies(
    arguments: SentimentArguments,
    training: Mapping[str, Any],
    written: Sequence[CleanedFile],
    raw: RawData,
    rule: LabelRule,
) -> CallOnCopies:
    """The call that trains on the copies as the audited call would have trained on the originals.

    Args:
        arguments: Of the audit.
        training: Arguments of training that were said.
        written: The copies.
        raw: What was audited.
        rule: For its labels.
    """
    skipped = {*_SOURCES, *(() if raw.files else _OF_FILES)}
    if any(table.encoding is not None and table.encoding.name != UTF8 for table in raw.files.values()):
        skipped.add("encoding")  # the copies are in UTF-8
    # Files first, then what differs from its default, then what was said of training.
    said: dict[str, Any] = {f"{copy.split}_file": copy.path for copy in written}
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if field.name not in skipped and value != field.default:
            said[field.name] = value
    if raw.label_names is not None and not raw.files and arguments.labels is None and rule.kind == "names":
        said["labels"] = list(rule.labels)  # a data set's own order, which a file does not tell
    said |= training
    name = Path(written[0].path).stem if raw.files else re.sub(r"\W+", "-", arguments.dataset_name or "data")
    said["output_dir"] = _free(Path(str(training.get("output_dir") or f"runs/{name}")))
    return CallOnCopies([word for name, value in said.items() for word in flags(name, value)])


def _free(folder: Path) -> str:
    """The folder, or one beside it that is not there yet."""
    # `train` would go on with a run of other arguments that is there, or refuse it.
    number, free = 1, folder
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return str(free)


def flags(name: str, value: Any) -> list[str]:
    """An argument as the words that `parse_call` reads as it, with the labels in one word; none for `None`.

    Args:
        name: Of the argument.
        value: As it was parsed.
    """
    if name == "labels" and value is not None and not any("," in str(item) for item in value):
        value = ",".join(map(str, value))  # one word is split at its commas, several are taken as they are
    return flag_words(name, value)
