"""Predicting a file of texts, row by row, as JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from hf_sentiment.data.sources import load_data
from hf_sentiment.errors import CallError
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.loading import find_checkpoint


def predict_file(
    model: str,
    file: str,
    *,
    text_column: str | None = None,
    encoding: str | None = None,
    backend: str = "torch",
    revision: str | None = None,
    num_threads: int | None = None,
) -> Iterator[str]:
    """One JSON object a text, in the file's order: `{"label", "score", "scores"}`.

    Args:
        model: A folder or Hub id.
        file: CSV, TSV, JSONL, Parquet or Excel, or `-` for a text a line on stdin.
        text_column: Column of the texts; guessed if only one can be it.
        encoding: Of a text file, where it is not found out.
        backend: `"torch"`.
        revision: Branch, tag or commit of a Hub repository.
        num_threads: CPU threads.

    Raises:
        CallError: An unknown file, column or model, or a row without text (with its number).
    """
    texts: Iterable[str]
    find_checkpoint(model, revision)  # a wrong name is said before a file of any size is read
    if file == "-":
        texts, total = _lines(sys.stdin.buffer), None
    else:
        texts = _texts(file, text_column, encoding)
        total = len(texts)
    classifier = SentimentClassifier.from_pretrained(model, backend=backend, revision=revision, num_threads=num_threads)
    return (json.dumps(prediction, ensure_ascii=False) for prediction in classifier.predict_iter(texts, total))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a UTF-8 stream, whatever the locale is."""
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise CallError(f"standard input, line {number}: not UTF-8: convert it first") from error


def _texts(file: str, text_column: str | None, encoding: str | None) -> list[str]:
    raw = load_data(None, test_file=file, text_column=text_column, label_optional=True, encoding=encoding)
    table = raw.splits["test"]
    texts: list[str] = table["text"][:]
    for text, row in zip(texts, table["row"], strict=True):
        if text is None:
            raise CallError(f"{file}, row {row}: no text in column {raw.text_column}: remove the row")
    return texts
