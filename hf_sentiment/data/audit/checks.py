"""The audit: what is wrong with labelled texts, row by row, before anything is trained on them.

`audit` is the whole of it. The record of a training run (`PreparedData.audit`) has the findings of `row_findings`,
which cost as much as making the splits; tokens, languages and probable label errors take more, and a tokenizer or
features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_sentiment.data.audit.contamination import contamination_finding
from hf_sentiment.data.audit.findings import LIMITS, MAX_EXAMPLES, Finding, counted, graded
from hf_sentiment.data.audit.label_errors import label_error_finding, not_searched
from hf_sentiment.data.audit.proportions import imbalance_finding, rare_label_finding, size_findings
from hf_sentiment.data.audit.tokens_and_languages import language_finding, placeholder_finding, token_findings
from hf_sentiment.data.labels import EMPTY_TEXT, NO_LABEL, NO_TEXT, UNKNOWN_LABEL
from hf_sentiment.data.rows import Row, Rows
from hf_sentiment.data.splits import later, numbered

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Why `--fix` removes a row; the names of the findings that it settles.
EMPTY, UNREADABLE, UNKNOWN = "empty", "broken", "unknown_labels"
CONFLICT, LEAK, REPEAT = "conflicts", "leakage", "duplicates"


def audit_rows(
    rows: Rows,
    *,
    dataset_name: str | None = None,
    model_name: str | None = None,
    shares: Mapping[str, float] | None = None,
    drop_bad_rows: bool = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
    max_length: int | None = None,
    features: np.ndarray | None = None,
    seed: int = 42,
) -> list[Finding]:
    """Everything that can be said about labelled texts; see `findings.LIMITS` for the list.

    Args:
        rows: Of all splits.
        dataset_name: As the user named the data set, for known contamination.
        model_name: As the user named the checkpoint, likewise.
        shares: Split → share of the training rows, for the splits that are still to be made.
        drop_bad_rows: Bad rows will be left out, which makes them a warning instead of an error.
        tokenizer: Of the model; without it tokens are not looked at.
        max_length: Tokens after which a text is cut.
        features: `[usable rows, hidden_size]`, the encoder's features of `rows.usable`; without them no probable label
            errors are looked for.
        seed: Of samples and folds.
    """
    usable = rows.usable
    findings = row_findings(rows, shares=shares, drop_bad_rows=drop_bad_rows)
    findings.append(contamination_finding(dataset_name, model_name))
    findings.append(not_searched(len(usable)) if features is None else label_error_finding(usable, features, seed))
    if tokenizer is not None and max_length is not None:
        findings += token_findings(usable, tokenizer, max_length, seed)
    findings.append(language_finding(usable, seed))
    return sorted(findings, key=lambda finding: list(LIMITS).index(finding.name))


def row_findings(
    rows: Rows, *, shares: Mapping[str, float] | None = None, drop_bad_rows: bool = False
) -> list[Finding]:
    """The findings that need nothing but texts and labels; arguments as in `audit`."""
    usable = rows.usable
    reasons = removals(rows)
    return [
        *bad_row_findings(rows, drop_bad_rows),
        _repeats(usable, int((reasons == REPEAT).sum())),
        _near_repeats(usable),
        placeholder_finding(usable),
        *_leaks(usable, reasons[rows.is_usable]),
        _conflicts(usable, int((reasons == CONFLICT).sum())),
        imbalance_finding(usable),
        rare_label_finding(usable),
        *size_findings(usable, shares or {}),
    ]


def removals(rows: Rows) -> np.ndarray:
    """Why `--fix` removes each row, the name of a finding, or "" for one that stays.

    Bad rows go: training would stop at them. Of training rows, so do those that contradict another row with the same
    text, and those that a validation or test row repeats; of validation rows, those that a test row repeats; test rows
    never for either reason. Of rows that are the same in text, label and split, the first stays.
    """
    reasons = np.full(len(rows), "", dtype=object)
    for i, fault in rows.faults.items():
        reasons[i] = _kind_of(fault)
    usable = rows.usable
    of_usable = np.full(len(usable), "", dtype=object)
    # One reason a row, and the later one stands: a contradiction goes before a leak, a leak before a repeat.
    of_usable[later(usable.split, usable.keys, usable.codes)] = REPEAT
    for first, second in combinations(usable.names, 2):
        of_usable[usable.within(first) & np.isin(usable.groups, usable.groups[usable.within(second)])] = LEAK
    of_usable[_conflicting(usable) & usable.within("train")] = CONFLICT
    reasons[rows.is_usable] = of_usable
    return reasons


def _kind_of(fault: str) -> str:
    """The finding that a bad row belongs to, by what is wrong with it."""
    if fault.startswith((NO_TEXT, EMPTY_TEXT, NO_LABEL)):
        return EMPTY
    return UNKNOWN if fault.startswith(UNKNOWN_LABEL) else UNREADABLE


def _conflicting(rows: Rows) -> np.ndarray:
    """Whether another row has the same key and another label."""
    # The first of each pair of key and label: a key that has two of them has two labels.
    keys, labels = np.unique(rows.keys[~later(rows.keys, rows.codes)], return_counts=True)
    return np.isin(rows.keys, keys[labels > 1])


def bad_row_findings(rows: Rows, drop: bool) -> list[Finding]:
    """The rows that cannot be used, by what is wrong with them.

    Args:
        rows: All of them.
        drop: They are left out, which makes them a warning instead of an error.
    """
    removed = "left out by --on_bad_rows drop" if drop else "--fix DIR removes them"
    kinds = {
        EMPTY: ("no text or no label", removed),
        UNREADABLE: ("broken encoding, JSON or cells", f"save the file again from its source; or {removed}"),
        UNKNOWN: ("unknown labels", f"correct them; or {removed}"),
    }
    bad = {i: _kind_of(fault) for i, fault in sorted(rows.faults.items())}
    findings = []
    for name, (title, advice) in kinds.items():
        places = [i for i, kind in bad.items() if kind == name]
        severity = ("warning" if drop else "error") if len(places) else "ok"
        examples = tuple(rows.example(i, rows.faults[i]) for i in places[:MAX_EXAMPLES])
        what_to_do = advice if len(places) else ""
        findings.append(Finding(name, title, severity, len(places), len(rows), what_to_do, len(places), examples))
    return findings


def _repeats(rows: Rows, fixable: int) -> Finding:
    """Rows with the text and the label of an earlier row of their split."""
    columns = (rows.split, rows.keys, rows.codes)
    repeats = np.flatnonzero(later(*columns))
    examples = _pairs(rows, repeats, columns, "repeats")
    advice = "--fix DIR keeps one of each" if fixable else "they go with the rows that --fix DIR removes otherwise"
    title = "duplicates within a split"
    return graded("duplicates", title, len(repeats), len(rows), advice, fixable=fixable, examples=examples)


def _near_repeats(rows: Rows) -> Finding:
    """Rows that nearly repeat an earlier row of their split, and none exactly; `repeats` counts both, by split."""
    # An exact repeat is near as well, and counted there.
    near = later(rows.split, rows.groups)
    repeats = np.flatnonzero(near & ~later(rows.split, rows.keys))
    examples = _pairs(rows, repeats, (rows.split, rows.groups), "nearly repeats")
    advice = "look at them: copies with a word changed count double; templates are harmless if the labels are right"
    repeated = {name: int((near & rows.within(name)).sum()) for name in rows.names}
    more: dict[str, Any] = {"examples": examples, "facts": {"repeats": repeated}}
    return graded("near_duplicates", "near-duplicates within a split", len(repeats), len(rows), advice, **more)


def _pairs(rows: Rows, places: np.ndarray, columns: Sequence[np.ndarray], says: str) -> tuple[Row, ...]:
    """Each row with the first one that is the same in all columns, which are of integers."""
    numbers, shown = numbered(*columns), places[:MAX_EXAMPLES]
    first = _first_of(numbers, numbers[shown])
    return tuple(rows.pair(i, first[numbers[i]], says) for i in shown.tolist())


def _first_of(column: np.ndarray, values: np.ndarray, which: np.ndarray | bool = True) -> dict[int, int]:
    """Some values of a column, and the first row that has each, of all or of some rows."""
    places = np.flatnonzero(np.isin(column, values) & which)
    values, first = np.unique(column[places], return_index=True)
    return dict(zip(values.tolist(), places[first].tolist(), strict=True))


def _leaks(rows: Rows, reasons: np.ndarray) -> list[Finding]:
    """For each pair of splits the rows of the second that a row of the first repeats, exactly or nearly."""
    findings = []
    for first, second in combinations(rows.names, 2):
        # Groups hold exact repeats too, as these are near.
        in_first, in_second = rows.within(first), rows.within(second)
        shared = in_second & np.isin(rows.groups, rows.groups[in_first])
        exact = int((in_second & np.isin(rows.keys, rows.keys[in_first])).sum())
        shown = np.flatnonzero(shared)[:MAX_EXAMPLES]
        by_group, by_key = (_first_of(one, one[shown], in_first) for one in (rows.groups, rows.keys))
        examples = tuple(
            rows.pair(i, by_key[rows.keys[i]], "is also")
            if rows.keys[i] in by_key
            else rows.pair(i, by_group[rows.groups[i]], "is nearly")
            for i in shown.tolist()
        )
        # Of each pair the row of the earlier split goes.
        leaking = in_first & np.isin(rows.groups, rows.groups[in_second])
        fixable = int((leaking & (reasons == LEAK)).sum())
        advice = (
            f"{exact:,} are the same and {int(shared.sum()) - exact:,} nearly: figures on {second} flatter the model; "
            f"--fix DIR removes {counted(int(leaking.sum()), 'row')} from {first}"
        )
        title = f"{second} texts also in {first}"
        facts = {"exact": exact, "splits": f"{first}/{second}"}
        more: dict[str, Any] = {"fixable": fixable, "examples": examples, "facts": facts}
        findings.append(graded("leakage", title, int(shared.sum()), int(in_second.sum()), advice, **more))
    return findings


def _conflicts(rows: Rows, fixable: int) -> Finding:
    """Rows with the text of another row and another label, equal texts one after the other."""
    places = np.flatnonzero(_conflicting(rows))
    examples: list[Row] = []
    by_key: dict[int, list[int]] = {}
    shown = rows.keys[places[np.sort(np.unique(rows.keys[places], return_index=True)[1])[:MAX_EXAMPLES]]]
    for i in places[np.isin(rows.keys[places], shown)].tolist():
        by_key.setdefault(int(rows.keys[i]), []).append(i)
    for members in by_key.values():
        for i in members:
            other = next(j for j in members if rows.codes[j] != rows.codes[i])
            examples.append(rows.pair(i, other, "contradicts"))
    elsewhere = len(places) - fixable
    advice = "decide which label is right"
    if fixable:
        advice += f"; --fix DIR removes {counted(fixable, 'training row')}"
    if elsewhere and fixable:
        advice += f" and leaves {counted(elsewhere, 'other')} to you"
    more: dict[str, Any] = {"fixable": fixable, "examples": tuple(examples[:MAX_EXAMPLES])}
    return graded("conflicts", "same text, other label", len(places), len(rows), advice, **more)
