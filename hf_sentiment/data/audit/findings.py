"""What an audit says: findings with a count, a severity, places and an advice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_sentiment.data.rows import Row
from hf_sentiment.table import table_lines

# From harmless to fatal. An error means: with these data, training stops or its test figures are not to be trusted.
SEVERITIES = ("ok", "note", "warning", "error")
_RANK = SEVERITIES.index

# Rows that a finding lists in JSON, in the record of a run, and for people; all of them are counted.
MAX_EXAMPLES = 1_000
MAX_LISTED = 20
_SHOWN = 3


@dataclass(frozen=True)
class Limits:
    """The measure from which a finding has each severity; None: it never has. A measure of 0 is always ok."""

    note: float | None = None
    warning: float | None = None
    error: float | None = None

    def severity(self, measure: float) -> str:
        """The severity of a measure (of most findings the share, 0...1)."""
        if measure <= 0:
            return "ok"
        limits = [("note", self.note), ("warning", self.warning), ("error", self.error)]
        return max((name for name, limit in limits if limit is not None and measure >= limit), key=_RANK, default="ok")


# What is above chance in a clean corpus is a note, what moves a figure by points a warning. Sources: the figures of the
# starter corpora, and for `small` the width of a binomial interval (see `proportions.half_width`).
# Severities by finding, in the order of the report.
LIMITS = {
    "empty": Limits(error=0),
    "broken": Limits(error=0),
    "unknown_labels": Limits(error=0),
    "leakage": Limits(error=0),
    "contamination": Limits(note=0.5, warning=1),
    "conflicts": Limits(warning=0),
    "label_errors": Limits(note=0),
    "duplicates": Limits(note=0, warning=0.05),
    "near_duplicates": Limits(note=0, warning=0.05),
    "placeholders": Limits(warning=0),
    "imbalance": Limits(note=0.4, warning=0.8),
    "rare_labels": Limits(warning=0),
    "small": Limits(note=0.02, warning=0.05),
    "truncated": Limits(note=0.01, warning=0.1),
    "unknown_tokens": Limits(note=0.005, warning=0.02),
    "languages": Limits(note=0.02, warning=0.1),
}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        name: A key of `LIMITS`.
        title: The finding in some words.
        severity: One of `SEVERITIES`.
        count: Rows (of `unknown_tokens` tokens) that it is about.
        total: Of how many.
        advice: What to do, in one sentence; "" where nothing is to be done.
        fixable: Rows that `--fix` removes on its account.
        examples: Rows it is about, at most `MAX_EXAMPLES`.
        facts: Figures of its own, as plain JSON.
    """

    name: str
    title: str
    severity: str
    count: int
    total: int
    advice: str = ""
    fixable: int = 0
    examples: tuple[Row, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """`count / total`, 0...1."""
        return self.count / self.total if self.total else 0.0

    def to_dict(self, *, texts: bool = True) -> dict[str, Any]:
        """The finding as plain JSON; on request without texts, and with fewer of its rows."""
        examples = self.examples if texts else self.examples[:MAX_LISTED]
        return {
            "name": self.name,
            "title": self.title,
            "severity": self.severity,
            "count": self.count,
            "total": self.total,
            "share": round(self.share, 6),
            "advice": self.advice,
            "fixable": self.fixable,
            **self.facts,
            "examples": [example.to_dict(text=texts) for example in examples],
        }


def graded(name: str, title: str, count: int, total: int, advice: str, **more: Any) -> Finding:
    """A finding whose severity follows from its share by `LIMITS`; the advice is left out where all is well.

    Args:
        name: As in `Finding`; so are the others.
        title: See there.
        count: See there.
        total: See there.
        advice: See there.
        **more: See there.
    """
    severity = LIMITS[name].severity(count / total if total else 0.0)
    return Finding(name, title, severity, count, total, advice if count and severity != "ok" else "", **more)


def worst(findings: Iterable[Finding]) -> str:
    """The highest severity among the findings."""
    return max((finding.severity for finding in findings), key=_RANK, default="ok")


def counted(count: int, noun: str) -> str:
    """ "1 row", "2 rows"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def finding_lines(findings: Sequence[Finding], width: int) -> list[str]:
    """The findings as an aligned table, the most severe first, and below it some rows of each that is not ok."""
    findings = sorted(findings, key=lambda finding: -_RANK(finding.severity))
    rows = [("severity", "finding", "count", "share", "what to do")]
    for finding in findings:
        share = f"{100 * finding.share:.1f} %" if finding.total else ""
        rows.append((finding.severity, finding.title, f"{finding.count:,}", share, finding.advice))
    lines = table_lines(rows, right={2, 3}, width=width)
    for finding in findings:
        if finding.examples and finding.severity != "ok":
            lines += ["", f"{finding.title}:", *(f"  {example}" for example in finding.examples[:_SHOWN])]
            if finding.count > _SHOWN and len(finding.examples) > _SHOWN:
                lines.append(f"  and {finding.count - _SHOWN:,} more (--json or --output FILE lists them)")
    return lines
