"""Which texts a run has seen: short hashes of them, kept beside it, so that an evaluation can tell.

They lie in `records/seen_texts.npz` and are never published: a hash of eight bytes gives no text away, but it does tell
somebody who guesses one whether it is there.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hf_sentiment.data.splits.duplicates import duplicate_key, key_hashes
from hf_sentiment.errors import DataError
from hf_sentiment.records.atomic import write_atomically

# The name of the file in `records/`.
SEEN_TEXTS = "seen_texts.npz"

# How a text was seen: its label was learned from, or it chose among weights or fitted the temperature.
TRAINED, CHOSEN = "train", "validation"


def text_hashes(texts: Iterable[str]) -> np.ndarray:
    """A hash for each text, the same for texts with the same `duplicate_key`; uint64, `[texts]`."""
    return key_hashes(map(duplicate_key, texts))


def write_seen_texts(records: Path, seen: Mapping[str, np.ndarray]) -> None:
    """Keep the hashes in a run's `records/`, eight bytes a text."""
    buffer = io.BytesIO()
    np.savez(buffer, **seen)  # type: ignore[arg-type]  # the names are those of arrays
    write_atomically(records / SEEN_TEXTS, buffer.getvalue())


def read_seen_texts(model: str | os.PathLike[str]) -> dict[str, np.ndarray] | None:
    """The hashes that a run kept; `None` where the folder is no run, or the name is the Hub's.

    Args:
        model: A run's folder, or that of one of its checkpoints.

    Raises:
        DataError: The file is there and cannot be read.
    """
    # A checkpoint of an unfinished run has seen what the run has.
    folder = Path(model).expanduser()
    places = [folder, folder.parent] if folder.name.startswith("checkpoint-") else [folder]
    path = next((path for place in places if (path := place / "records" / SEEN_TEXTS).is_file()), None)
    if path is None:
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}): restore it, or remove it and evaluate without it") from error


def joined(*seen: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray]:
    """The hashes of several runs in one: of a run that goes on from another's model, and of that other."""
    runs = [of_run for of_run in seen if of_run]
    names = dict.fromkeys(name for of_run in runs for name in of_run)
    return {name: np.unique(np.concatenate([run[name] for run in runs if name in run])) for name in names}


def how_seen(texts: Sequence[str], seen: Mapping[str, np.ndarray]) -> np.ndarray:
    """How each text was seen: `TRAINED`, `CHOSEN` (and not trained on), or "" for not at all; `[texts]`."""
    hashes = text_hashes(texts)
    how = np.full(len(hashes), "", dtype=object)
    # What is both is overwritten: trained on counts for more.
    for name in (CHOSEN, TRAINED):
        if name in seen:
            how[np.isin(hashes, seen[name])] = name
    return how
