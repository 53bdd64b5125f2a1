"""Whether a model is measured on texts that it has seen, and how good it is on the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from datasets import Dataset

from hf_sentiment.data.splits import CHOSEN, TRAINED, how_seen, read_seen_texts
from hf_sentiment.data.texts import numbers
from hf_sentiment.evaluation.report import with_intervals
from hf_sentiment.records.schema import Seen, Unseen

# Rows that a report lists, and that the line names.
_LISTED = 1000
_NAMED = 5


def seen_record(model: str | Path, test: Dataset, probabilities: np.ndarray) -> Seen | None:
    """How many texts of an evaluation the model has seen, and its figures on the others.

    Args:
        model: A run's folder, which holds the hashes of what it saw, or whatever else was evaluated.
        test: Labelled texts; `row` is where the user finds them.
        probabilities: Of these texts, `[texts, labels]`.

    Returns:
        What was both trained on and chosen on counts as trained on. `None` where the run kept no hashes.
    """
    seen = read_seen_texts(model)
    if seen is None:
        return None
    # [texts]: TRAINED, CHOSEN or ""; what is both is trained on.
    how, rows = how_seen(test["text"][:], seen), test["row"][:]
    rest = np.flatnonzero(how == "")
    metrics = None
    if 0 < len(rest) < len(how):
        metrics = with_intervals(probabilities[rest], numbers(test, "label")[rest])
    return Seen(
        trained_on=int(np.sum(how == TRAINED)),
        chosen_on=int(np.sum(how == CHOSEN)),
        rows=tuple(int(rows[text]) for text in np.flatnonzero(how != "")[:_LISTED]),
        unseen=Unseen(len(rest), metrics),
    )


def seen_warning(record: Seen | None, total: int) -> str | None:
    """What is to be said of `seen_record`, in one line; `None` where there is nothing.

    Args:
        record: What `seen_record` returned.
        total: Texts of the evaluation.
    """
    if record is None or not (record.trained_on or record.chosen_on):
        return None
    was = [f"was trained on {record.trained_on:,}"] if record.trained_on else []
    was += [f"was chosen by {record.chosen_on:,}"] if record.chosen_on else []
    warning = f"Warning: the model {' and '.join(was)} of these {total:,} texts, which flatters its figures"
    if record.unseen.model is None:
        return f"{warning}: name a file with others, --test_file FILE"
    named = ", ".join(map(str, record.rows[:_NAMED])) + (", …; --json lists them" if len(record.rows) > _NAMED else "")
    left = f"leave the seen ones out of the file (row{'s' if len(record.rows) > 1 else ''} {named})"
    return f"{warning}; on the other {record.unseen.texts:,} its accuracy is {record.unseen.model.accuracy}: {left}"
