"""Whether a model is measured on texts that it has seen, and how good it is on the others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset

from hf_sentiment.data.splits import CHOSEN, TRAINED, how_seen, read_seen_texts
from hf_sentiment.evaluation.report import metric_cell, with_intervals

# Rows that a report lists, and that the line names.
_LISTED = 1000
_NAMED = 5


def seen_record(model: str | Path, test: Dataset, probabilities: np.ndarray) -> dict[str, Any] | None:
    """How many texts of an evaluation the model has seen, and its figures on the others, as plain JSON.

    Args:
        model: A run's folder, which holds the hashes of what it saw, or whatever else was evaluated.
        test: Labelled texts; `row` is where the user finds them.
        probabilities: Of these texts, `[texts, labels]`.

    Returns:
        `trained_on` and `chosen_on` (texts; what is both counts as trained on), `rows` (of the first 1,000 of these),
        and `unseen`: how many are neither and, where they are some of the texts and not all, the metrics on them.
        `None` where the run kept no hashes.
    """
    seen = read_seen_texts(model)
    if seen is None:
        return None
    how, rows = how_seen(test["text"][:], seen), test["row"][:]
    rest = np.flatnonzero(how == "")
    unseen: dict[str, Any] = {"texts": len(rest)}
    if 0 < len(rest) < len(how):
        unseen["model"] = with_intervals(probabilities[rest], np.asarray(test["label"])[rest])
    counts = {"trained_on": int(np.sum(how == TRAINED)), "chosen_on": int(np.sum(how == CHOSEN))}
    listed = [int(rows[i]) for i in np.flatnonzero(how != "")[:_LISTED]]
    return {**counts, "rows": listed, "unseen": unseen}


def seen_warning(record: Mapping[str, Any] | None, total: int) -> str | None:
    """What is to be said of `seen_record`, in one line; `None` where there is nothing.

    Args:
        record: What `seen_record` returned.
        total: Texts of the evaluation.
    """
    if record is None or not (record["trained_on"] or record["chosen_on"]):
        return None
    trained, chosen, unseen = record["trained_on"], record["chosen_on"], record["unseen"]
    was = [f"was trained on {trained:,}"] if trained else []
    was += [f"was chosen by {chosen:,}"] if chosen else []
    said = f"Warning: the model {' and '.join(was)} of these {total:,} texts, which flatters its figures"
    if not unseen["texts"]:
        return f"{said}: name a file with others, --test_file FILE"
    accuracy, rows = metric_cell(unseen["model"], "accuracy"), record["rows"]
    named = ", ".join(map(str, rows[:_NAMED])) + (", …; --json lists them" if len(rows) > _NAMED else "")
    left = f"leave the seen ones out of the file (row{'s' if len(rows) > 1 else ''} {named})"
    return f"{said}; on the other {unseen['texts']:,} its accuracy is {accuracy}: {left}"
