"""Data that one process has prepared and all read: Arrow files in a folder that all of them see, mapped into memory."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import datasets
from datasets import Dataset

from hf_sentiment.compute.processes import count, main_does, rank
from hf_sentiment.data.prepare import PreparedData
from hf_sentiment.errors import CallError
from hf_sentiment.records.folder import RunFolder


@contextlib.contextmanager
def shared_place(folder: RunFolder) -> Iterator[Path | None]:
    """A folder within that of the run that every process sees, while it is needed; `None` for a single one.

    Args:
        folder: Of the run.

    Raises:
        CallError: A process does not see it.
    """
    if count() == 1:
        yield None
        return
    with contextlib.ExitStack() as stack:
        place = main_does(lambda: stack.enter_context(folder.shared_place()))
        if not place.is_dir():
            raise CallError(
                f"--output_dir {folder.path}: process {rank()} on {socket.gethostname()} does not see what the "
                "main one writes there: name a folder that all machines share, by the same path"
            )
        yield place


def on_disk(data: PreparedData, tokens: Mapping[str, Dataset], place: Path) -> tuple[PreparedData, dict[str, Dataset]]:
    """The same data in files, so that pickled they are little more than paths, without what only an audit needs.

    Args:
        data: Labelled and unlabelled texts.
        tokens: Tokenised texts by split.
        place: Where the files go.
    """
    unlabeled = None if data.unlabeled is None else _on_disk(data.unlabeled, place / "unlabeled")
    splits = {name: _on_disk(split, place / "texts" / name) for name, split in data.splits.items()}
    written = replace(data, splits=splits, unlabeled=unlabeled, findings=[], seen={})
    return written, {name: _on_disk(split, place / "tokens" / name) for name, split in tokens.items()}


def _on_disk(dataset: Dataset, path: Path) -> Dataset:
    if not len(dataset):
        return dataset
    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        dataset.save_to_disk(path)
        return Dataset.load_from_disk(path, keep_in_memory=False)
    finally:
        if not hidden:
            datasets.enable_progress_bars()
