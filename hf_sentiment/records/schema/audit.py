"""`audit.json`: what the data are, how they were divided, and what their check found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Languages:
    """The languages of some of the texts.

    Attributes:
        texts: How many were long enough to tell.
        shares: Language (ISO 639-1) → its share of them, the most common first.
    """

    texts: int
    shares: dict[str, float]


@dataclass(frozen=True)
class LabelRuleRecord:
    """How raw labels became class indices; the fields are those of `hf_sentiment.data.labels.LabelRule`."""

    kind: str
    labels: tuple[str, ...]
    description: str
    mapping: dict[str, int | None]
    cuts: tuple[float, ...]
    classes: tuple[int | None, ...]
    symmetric: bool
    limits: tuple[float, ...]

    @property
    def drops(self) -> bool:
        """Whether there are labels that are left out, as they lie between the others."""
        # Classes are of scores that are cut, the mapping of single values; a rule has one of them.
        return None in (*self.classes, *self.mapping.values())


@dataclass(frozen=True)
class RowCounts:
    """What became of the rows of a split as it was given."""

    kept: int
    dropped_by_rule: int
    bad: int


@dataclass(frozen=True)
class SplitsRecord:
    """How the texts were divided.

    Attributes:
        label_counts: For each split its texts by label: the index, as a string.
        origin: For each split "given", or how it was made.
        seed: Of the made ones; `None` if all were given.
    """

    label_counts: dict[str, dict[str, int]]
    origin: dict[str, str]
    seed: int | None


@dataclass(frozen=True)
class FindingRecord:
    """The result of one check; `hf_sentiment.data.audit.Finding` says what the fields are.

    Attributes:
        facts: Figures of its own, which stand in the file beside the others.
    """

    name: str
    title: str
    severity: str
    count: int
    total: int
    share: float
    advice: str
    fixable: int
    facts: dict[str, Any] = field(default_factory=dict, metadata={"rest": True})


@dataclass(frozen=True)
class AuditRecord:
    """The data of a run.

    Attributes:
        source: In one line.
        languages: Of the texts.
        label_rule: For their labels.
        rows: What became of the rows of each split as given.
        splits: How the texts were divided.
        findings: Of the checks that cost little.
        used: Texts of each split.
        unlabeled: Texts without labels, where there are such.
        content: A short hash of each split.
    """

    source: str
    languages: Languages
    label_rule: LabelRuleRecord
    rows: dict[str, RowCounts]
    splits: SplitsRecord
    findings: tuple[FindingRecord, ...]
    used: dict[str, int]
    unlabeled: int | None
    content: dict[str, str]

    @property
    def label_counts(self) -> dict[str, list[int]]:
        """For each split that has labels its texts of each label, in index order."""
        # JSON has strings for keys; a label that no text has is not among them.
        indices = [str(index) for index in range(len(self.label_rule.labels))]
        return {name: [of.get(index, 0) for index in indices] for name, of in self.splits.label_counts.items()}

    @property
    def shared(self) -> dict[str, int]:
        """For each pair "train/test" the texts of the second that repeat one of the first, exactly or nearly."""
        return {finding.facts["splits"]: finding.count for finding in self._named("leakage")}

    @property
    def repeats(self) -> dict[str, int]:
        """For each split its texts that repeat another one of it, exactly or nearly."""
        # Exact and near ones are one finding's, which says so by split.
        repeats: dict[str, int] = {}
        for finding in self.findings:
            for name, count in finding.facts.get("repeats", {}).items():
                repeats[name] = repeats.get(name, 0) + count
        return repeats

    @property
    def is_known_data(self) -> bool:
        """Whether others have the same sentences in their training data, so that figures mean nothing there."""
        return any(finding.facts["data"] for finding in self._named("contamination"))

    @property
    def is_known_model(self) -> bool:
        """Whether the checkpoint was, by its name, fine-tuned on such sentences."""
        return any(finding.facts["model"] for finding in self._named("contamination"))

    def count(self, name: str) -> int:
        """How many rows a check found."""
        return sum(finding.count for finding in self._named(name))

    def _named(self, name: str) -> Iterator[FindingRecord]:
        return (finding for finding in self.findings if finding.name == name)
