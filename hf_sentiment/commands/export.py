"""Writing a model for other engines: a folder without torch that says what the model says."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hf_sentiment.commands.evaluate import label_rule
from hf_sentiment.data.prepare import content_hash, load_rows
from hf_sentiment.data.sources import read_file, table_rows
from hf_sentiment.data.tables import WantedColumns, choose_columns
from hf_sentiment.data.texts import numbers
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.card import keep_metadata, read_card, render_card, template_folder
from hf_sentiment.inference import pieces
from hf_sentiment.inference.backends import TorchBackend
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.export import PROBES, check_parity, write_folder, write_graph, write_int8
from hf_sentiment.parser import local_file
from hf_sentiment.records.atomic import folder_atomically, refuse_existing
from hf_sentiment.records.schema import AuditRecord, ExportRecord, Int8Record
from hf_sentiment.records.serialization import read_json, read_record, without_version, write_record
from hf_sentiment.training.arguments import split_arguments
from hf_sentiment.training.call import Call
from hf_sentiment.training.load import load_planned_splits

logger = logging.getLogger(__name__)

FORMATS = ("onnx", "openvino")
_PACKAGES = {
    "onnx": ("onnx", "onnxruntime"),
    "openvino": ("openvino",),
}
# What 8 bits may cost: a share of the texts that get another label, and of accuracy. Fewer texts tell too little.
_MOST_CHANGED, _MOST_LOST, _FEWEST_TEXTS = 0.02, 0.005, 100
_SOURCES = "--test_file FILE or --dataset_name NAME, with labels, or --text_file FILE"
_COMPARED = 128  # given texts whose logits are compared with torch's


@dataclass(frozen=True)
class _Texts:
    """What the exported model is compared on; `labels`, indices of the model's, where the texts have any."""

    texts: list[str]
    labels: np.ndarray | None = None


def export(
    model: str,
    output: str | os.PathLike[str],
    *,
    format: str = "onnx",
    int8: bool = False,
    force: bool = False,
    test_file: str | None = None,
    dataset_name: str | None = None,
    text_file: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    encoding: str | None = None,
    revision: str | None = None,
    num_threads: int | None = None,
) -> ExportRecord:
    """Write a model as ONNX or OpenVINO, with tokenizer, labels and calibration, and compare it with torch.

    Args:
        model: A trained model's folder or a Hub id.
        output: A folder that is not there yet.
        format: `"onnx"` or `"openvino"`.
        int8: Write one with weights of 8 bits beside it, measured on given texts, or else on the run's test texts.
        force: Keep the 8 bits whatever they cost.
        test_file: Labelled texts, for agreement and accuracy.
        dataset_name: A data set whose test split is used instead: a Hub id, or `starter`.
        text_file: Texts without labels, for agreement alone.
        text_column: Column of the texts; guessed if only one can be it.
        label_column: Column of the labels; guessed if only one can be it.
        encoding: Of a text file, where its content does not tell it.
        revision: Branch, tag or commit of a Hub repository.
        num_threads: CPU threads.

    Raises:
        CallError: A wrong argument, or a model that cannot be exported.
        SentimentError: What was written says something else than the model; nothing is left of it.

    Examples:
        >>> export("runs/reviews", "exported", int8=True, test_file="test.csv").int8.changed  # doctest: +SKIP
    """
    _check(format, sum(source is not None for source in (test_file, dataset_name, text_file)))
    output = local_file(output)
    refuse_existing(output)
    classifier = SentimentClassifier.from_pretrained(model, revision=revision, num_threads=num_threads)
    columns = {"text_column": text_column, "label_column": label_column, "encoding": encoding}
    given = _given_texts(classifier, model, test_file, dataset_name, text_file, columns, int8)
    if int8 and not force and len(given.texts) < _FEWEST_TEXTS:
        raise CallError(f"{len(given.texts)} texts do not tell what 8 bits cost: give {_FEWEST_TEXTS}, or say --force")
    with folder_atomically(output) as folder:
        compared = [*PROBES, *given.texts[:_COMPARED]]
        difference = _write(classifier, folder, format, compared)
        rounded = None
        if int8:
            write_int8(folder, format, given.texts)
            rounded = _measure_int8(folder, given, format, num_threads, force)
        versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", *_PACKAGES[format])}
        record = ExportRecord(format, versions, len(compared), difference, rounded)
        write_record(folder / "records" / "export.json", record)
        _add_servers(folder, format, Path(model, "README.md").expanduser())
    return record


def _check(format: str, sources: int) -> None:
    """Before anything is loaded."""
    if format not in FORMATS:
        raise CallError(f"--format must be one of {', '.join(FORMATS)}, got {format!r}")
    if sources > 1:
        raise CallError(f"name one source of texts: {_SOURCES}")


def _write(classifier: SentimentClassifier, folder: Path, format: str, compared: list[str]) -> float:
    """The folder but for 8 bits and the record; the largest difference of a logit."""
    backend = classifier.backend
    assert isinstance(backend, TorchBackend)
    backend.model.float().cpu()
    write_folder(backend, folder)
    write_graph(backend.model, backend.tokenizer, folder, format)
    return check_parity(classifier, str(folder), format, compared)


def _add_servers(folder: Path, format: str, model_card: Path) -> None:
    """The card, with the licence and language of the model's, and for ONNX what an Inference Endpoint runs."""
    card = render_card(folder)
    if model_card.is_file():
        card = keep_metadata(card, read_card(model_card))
    (folder / "README.md").write_text(card, encoding="utf-8")
    if format == "onnx":
        for name in ("handler.py", "requirements.txt"):
            shutil.copyfile(template_folder() / "exported" / name, folder / name)
        shutil.copyfile(str(pieces.__file__), folder / "pieces.py")


def _given_texts(
    classifier: SentimentClassifier,
    model: str,
    test_file: str | None,
    dataset_name: str | None,
    text_file: str | None,
    columns: dict[str, Any],
    needed: bool,
) -> _Texts:
    if text_file is not None:
        wanted = WantedColumns(columns["text_column"], None, True)
        table = read_file(text_file, wanted=wanted, encoding=columns["encoding"])
        text, _ = choose_columns(table.columns, wanted, table.source)
        texts = [values.get(text) for _, values in table_rows(table)]
        return _Texts([one for one in texts if isinstance(one, str) and one.strip()])
    if test_file is None and dataset_name is None:
        return _held_out(Path(model).expanduser()) if needed else _Texts([])
    if classifier.config.get("problem_type") == "multi_label_classification":
        raise CallError(f"{model} gives a text several labels: name texts without labels, --text_file FILE")
    saved = classifier.config.get("label_rule")
    raw, rows = load_rows(
        dataset_name,
        lambda raw: label_rule(raw, model, classifier.labels, saved, False),
        split="test",
        test_file=test_file,
        **columns,
    )
    rows.check("error")
    test = rows.labeled(raw)["test"]
    return _Texts(test["text"][:], numbers(test, "label"))


def _held_out(run: Path) -> _Texts:
    """The test texts of a run, made again by what its records say.

    Raises:
        CallError: It has none, or they are not the same any more.
    """
    place = run / "records" / "arguments.json"
    why, said = "", read_json(place)
    audit = read_record(run / "records" / "audit.json", AuditRecord)
    if said and audit is not None and audit.used.get("test"):
        try:
            ours, training = split_arguments(
                {name: value for name, value in without_version(said, place).items() if value is not None}
            )
            test = load_planned_splits(Call(ours, training)).splits["test"]
        except SentimentError as error:
            why = f" cannot be read again ({error})"
        else:
            if content_hash(test) == audit.content["test"]:
                return _Texts(test["text"][:], numbers(test, "label"))
            why = " are others now"
    what = f"the test texts of {run}{why}" if why else "8 bits are kept where a measurement allows it"
    raise CallError(f"{what}: name texts: {_SOURCES}")


def _measure_int8(folder: Path, given: _Texts, format: str, num_threads: int | None, force: bool) -> Int8Record:
    """What 8 bits cost on the given texts.

    Raises:
        SentimentError: Too much.
    """
    kinds = (format, f"{format}-int8")
    loaded = [SentimentClassifier.from_pretrained(folder, kind, num_threads) for kind in kinds]
    exact, rounded = (_answers(classifier, given.texts) for classifier in loaded)
    changed, count = float((exact != rounded).any(axis=1).mean()), len(given.texts)
    record = Int8Record(count, changed)
    lost = 0.0
    if given.labels is not None:
        before, after = (float((found[:, 0] == given.labels).mean()) for found in (exact, rounded))
        record, lost = Int8Record(count, changed, after, before), before - after
    said = f"with 8 bits {changed:.1%} of {count} texts have another label"
    if record.accuracy is not None:
        said += f", and accuracy is {record.accuracy:.1%} instead of {record.accuracy_float32:.1%}"
    if not force and (changed > _MOST_CHANGED or lost > _MOST_LOST):
        raise SentimentError(f"{said}; 2 % and 0.5 points are allowed: leave out --int8, or say --force")
    logger.info("%s", said[0].upper() + said[1:])
    return record if not force else Int8Record(count, changed, record.accuracy, record.accuracy_float32, forced=True)


def _answers(classifier: SentimentClassifier, texts: list[str]) -> np.ndarray:
    """The label of each text, `[texts, 1]`, or whether it has each of several, `[texts, labels]`."""
    logits = classifier.logits(texts)
    several = classifier.config.get("problem_type") == "multi_label_classification"
    return logits > 0 if several else logits.argmax(axis=1, keepdims=True)
