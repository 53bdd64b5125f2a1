"""`audit`: from the arguments of `train` to findings, and to cleaned copies of the files."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from hf_sentiment.commands.copies import call_on_copies
from hf_sentiment.data.audit import (
    DEFAULT_TEXTS,
    SEVERITIES,
    CleanedFile,
    Finding,
    audit_rows,
    check_free,
    counted,
    finding_lines,
    worst,
    write_cleaned,
)
from hf_sentiment.data.labels import BINARY, DROPPED, LabelRule
from hf_sentiment.data.prepare import load_training_rows
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.errors import CallError
from hf_sentiment.head.features import frozen_features
from hf_sentiment.training.arguments import SentimentArguments, split_arguments
from hf_sentiment.training.load import checkpoint_of, load_model
from hf_sentiment.training.plan import holdout_shares

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
        source: The data in one line.
        label_rule: How raw labels became class indices, in one line.
        sizes: Rows of each split, bad ones included.
        dropped: Good rows that the label rule drops.
        findings: In the order of the report.
        written: The cleaned copies, where `fix` was given.
        command: What trains on the copies.
        obstacle: Why that command would stop all the same, in a line; `None` where it would not.
        hint: What keeps the dropped rows, where something does.
    """

    source: str
    label_rule: str
    sizes: dict[str, int]
    dropped: int
    findings: list[Finding]
    written: list[CleanedFile]
    command: str | None = None
    obstacle: str | None = None
    hint: str = ""

    @property
    def severity(self) -> str:
        """The highest severity among the findings."""
        return worst(self.findings)

    def __str__(self) -> str:
        """What the command prints."""
        return "\n".join(self.lines(120))

    def to_dict(self) -> dict[str, Any]:
        """The result as plain JSON."""
        return {
            "source": self.source,
            "label_rule": self.label_rule,
            "rows": self.sizes,
            "dropped_by_rule": self.dropped,
            "severity": self.severity,
            "findings": [finding.to_dict() for finding in self.findings],
            "written": [asdict(copy) for copy in self.written],
            "command": self.command,
            "obstacle": self.obstacle,
        }

    def lines(self, width: int) -> list[str]:
        """The report for people.

        Args:
            width: Of a line, in characters.
        """
        sizes = ", ".join(f"{name} {size:,}" for name, size in self.sizes.items())
        dropped = f", of which the label rule drops {self.dropped:,}{self.hint}" if self.dropped else ""
        lines = [
            self.source,
            f"Rows: {sizes}{dropped}. Labels: {self.label_rule}",
            "",
            *finding_lines(self.findings, width),
            "",
        ]
        fixable = sum(finding.fixable for finding in self.findings)
        if self.written:
            lines += map(str, self.written)
            if self.obstacle is not None:
                lines.append(f"The copies cannot be trained on yet: {self.obstacle}")
            lines.append(f"Train on the copies: {self.command}")
        elif fixable:
            lines.append(f"--fix DIR writes copies without {counted(fixable, 'row')}; the originals stay as they are.")
        counts = Counter(finding.severity for finding in self.findings)
        return [*lines, ", ".join(counted(counts[name], name) for name in reversed(SEVERITIES[1:]))]


def audit(
    dataset: Any = None,
    *,
    label_errors: bool | None = None,
    fix: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    **arguments: Any,
) -> AuditResult:
    """Audit the data that the arguments name, for the model that they name.

    Args:
        dataset: A `Dataset`, `DatasetDict` or data frame, in place of the data that `arguments` names.
        label_errors: Look for probable label errors: a forward pass over all texts. Default: where they are few.
        fix: Folder for cleaned copies of the files (see `hf_sentiment.data.audit.fix`).
        overwrite: Replace the copies that are there.
        **arguments: As in `train`: those of `SentimentArguments`, and of `TrainingArguments`, of which `seed` is that
            of samples and folds; with `fix` all of them are said again in the command that trains on the copies.

    Raises:
        CallError: A wrong argument, path or column, or something in `fix`.
        DataError: A file that cannot be read at all; no label occurs twice.

    Examples:
        >>> for line in audit(train_file="reviews.csv").lines(width=100):  # doctest: +SKIP
        ...     print(line)
    """
    ours, training = split_arguments(arguments)
    _check_call(ours, fix, overwrite)
    raw, rows = load_training_rows(
        ours.dataset_name if dataset is None else dataset,
        labels=ours.labels,
        num_labels=ours.num_labels,
        keep_broken=True,
        **ours.source(),
    )
    rule = rows.rule
    model, tokenizer = load_model(ours, rows)
    max_length = ours.max_length or tokenizer.model_max_length
    features, usable = None, len(rows.usable)
    if usable and (label_errors or (label_errors is None and usable <= DEFAULT_TEXTS)):
        features = _features(rows, model, tokenizer, max_length)
    findings = audit_rows(
        rows,
        dataset_name=ours.dataset_name if dataset is None else None,
        model_name=ours.model_name_or_path,
        shares=_shares(ours, rows, model.config.sentence_encoder),
        drop_bad_rows=ours.on_bad_rows == "drop",
        tokenizer=tokenizer,
        max_length=max_length,
        features=features,
        seed=int(training.get("seed", 42)),
    )
    sizes = {name: int(rows.within(name).sum()) for name in rows.names}
    dropped = int(np.sum(rows.codes == DROPPED))
    result = AuditResult(raw.description, rule.description, sizes, dropped, findings, [], hint=_hint(ours, rule))
    if fix is None:
        return result
    written = write_cleaned(rows, raw, fix, overwrite)
    call = call_on_copies(ours, training, written, raw, rule)
    return replace(result, written=written, command=call.command, obstacle=call.obstacle(rule))


def _check_call(arguments: SentimentArguments, fix: str | os.PathLike[str] | None, overwrite: bool) -> None:
    """A wrong call is said before files of any size are read."""
    if fix is not None:
        named = (arguments.train_file, arguments.validation_file, arguments.test_file)
        check_free(fix, overwrite, [file for file in named if file is not None])
    if arguments.unlabeled_file is not None:
        raise CallError(f"--unlabeled_file {arguments.unlabeled_file}: an audit needs labels, --train_file FILE")
    checkpoint_of(arguments)


def _features(rows: Rows, model: Any, tokenizer: PreTrainedTokenizerBase, max_length: int) -> np.ndarray:
    """What the encoder makes of the usable texts, `[texts, hidden size]`."""
    logger.info("Looking for label errors: a forward pass over %d texts", len(rows.usable))
    texts = Dataset.from_dict({"text": rows.usable.texts.tolist()})
    return frozen_features(model, tokenizer, tokenize(texts, tokenizer, max_length))


def _shares(arguments: SentimentArguments, rows: Rows, sentence_encoder: bool) -> dict[str, float]:
    """What `train` would hold out of the rows, by the name of the split."""
    usual = holdout_shares(int(rows.usable.within("train").sum()), sentence_encoder)
    said = {"validation": arguments.validation_share, "test": arguments.test_share}
    shares = usual._asdict() | {name: share for name, share in said.items() if share is not None}
    return {name: share for name, share in shares.items() if share}


def _hint(arguments: SentimentArguments, rule: LabelRule) -> str:
    """What keeps rows that the rule drops: they lie between two classes, and nobody said that there are to be two."""
    if rule.labels != BINARY or arguments.num_labels is not None or arguments.labels is not None:
        return ""
    return " (--num_labels 3 keeps them as neutral)"
