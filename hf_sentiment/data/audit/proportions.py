"""How many texts there are of each label and in each split, and what that allows."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hf_sentiment.data.audit.findings import LIMITS, MAX_EXAMPLES, Finding, counted, graded
from hf_sentiment.data.labels import misspelt
from hf_sentiment.data.rows import Rows

# A label with fewer texts than this can't be split in three and learned.
RARE = 10

# Where the width of an interval is quoted: a usual accuracy of a sentiment classifier.
TYPICAL_ACCURACY = 0.85


def half_width(texts: int) -> float:
    """Half of the 95 % interval of a usual accuracy that is measured on so many texts: 1.96 · √(p (1 − p) / n)."""
    return min(0.5, 1.96 * math.sqrt(TYPICAL_ACCURACY * (1 - TYPICAL_ACCURACY) / texts))


def imbalance_finding(rows: Rows) -> Finding:
    """How much the rarest label of the training rows lacks of its equal share: nothing, or nearly all of it.

    Labels of fewer than `RARE` texts, which have a finding of their own, are left out where two others remain.
    """
    counts = np.bincount(rows.codes[rows.within("train")], minlength=len(rows.rule.labels))
    # Labels to judge, as a mask over `[labels]`.
    judged = counts >= RARE if (counts >= RARE).sum() > 1 else counts >= 0
    total, rarest = int(counts[judged].sum()), int(counts[judged].min())
    lacking = 1 - rarest * int(judged.sum()) / total if total else 0.0
    severity = LIMITS["imbalance"].severity(lacking)
    shares = ", ".join(f"{name} {n:,}" for name, n in zip(rows.rule.labels, counts.tolist(), strict=True))
    advice = f"{shares}: read macro-F1 beside accuracy, and label more of the rare one" if severity != "ok" else ""
    facts = {"counts": dict(zip(rows.rule.labels, counts.tolist(), strict=True))}
    return Finding("imbalance", "rarest label", severity, rarest, total, advice, facts=facts)


def rare_label_finding(rows: Rows) -> Finding:
    """Training rows of labels that have fewer than `RARE` texts, each with the label it may be a misspelling of."""
    train = rows.within("train")
    counts = np.bincount(rows.codes[train], minlength=len(rows.rule.labels)).tolist()
    names = rows.rule.labels
    rare = sorted((i for i in range(len(names)) if 0 < counts[i] < RARE), key=lambda i: counts[i])
    places = [int(i) for label in rare for i in np.flatnonzero(train & (rows.codes == label))]
    hints = []
    for label in rare:
        commoner = [name for name, count in zip(names, counts, strict=True) if count > counts[label]]
        near = misspelt(names[label], commoner)
        hints.append(f"{names[label]} ({counts[label]}{f', {near}' if near else ''})")
    return graded(
        "rare_labels",
        f"labels with < {RARE} texts",
        len(places),
        int(train.sum()),
        f"{', '.join(hints[:5])}: correct or add texts, or name the labels to keep with --labels",
        examples=tuple(rows.example(i) for i in places[:MAX_EXAMPLES]),
    )


def size_findings(rows: Rows, shares: Mapping[str, float]) -> list[Finding]:
    """For the validation and the test split, what accuracy measured on it is worth; `shares` of the ones to be made."""
    findings = []
    train = int(rows.within("train").sum())
    for name in ("validation", "test"):
        is_given = name in rows.names
        if not is_given and name not in shares:
            continue
        texts = int(rows.within(name).sum()) if is_given else round(shares[name] * train)
        half = half_width(max(1, texts))
        severity = LIMITS["small"].severity(half)
        precision = f"accuracy on {counted(texts, 'text')} is known to ±{100 * half:.1f} points (95 %, near 0.85)"
        precision = precision if texts else "no text to measure accuracy on"
        more = "" if is_given else " if the split is made from the training data"
        enough = math.ceil(1.96**2 * TYPICAL_ACCURACY * (1 - TYPICAL_ACCURACY) / 0.02**2)
        advice = f"{precision}{more}; {enough:,} texts give ±2" if severity != "ok" else ""
        facts = {"split": name, "half_width": round(half, 4), "made": not is_given}
        findings.append(Finding("small", f"{name} texts", severity, texts, 0, advice, facts=facts))
    return findings
