"""Sources of labelled text: the starter, the Hub, files, and tables in memory, all brought to one shape."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from datasets import ClassLabel, Dataset, DatasetDict, IterableDataset, Value, load_dataset
from datasets.exceptions import DatasetsError

from hf_sentiment.data.sources.files import FileTable, json_line_values, read_file
from hf_sentiment.data.sources.json_files import whole
from hf_sentiment.data.sources.starter.corpora import corpus_of, starter_data
from hf_sentiment.data.sources.starter.fetching import is_starter
from hf_sentiment.data.tables import SAME_NAMES, WantedColumns, choose_columns, require_columns
from hf_sentiment.errors import CallError

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

# What `load_data` takes as `dataset`.
Source: TypeAlias = "str | Dataset | DatasetDict | pd.DataFrame"

_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "dev": "validation",
    "val": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class RawData:
    """Texts and raw labels of one source.

    Attributes:
        splits: Any of "train", "validation", "test". Columns: `text` (string or None), `label` (the raw value; there is
            no such column where labels were optional and there are none), `row` (where the user finds it), and for the
            starter `group` (the document) and `ratings` (each rater's value).
        sources: Split → path or name, for messages.
        text_column: The column that the texts are from.
        label_column: The column that the labels are from, or None.
        label_names: The class names in the training split's order, where the source declares them (a `ClassLabel`
            feature). Labels are these names already, each split's its own.
        description: The source in one line.
        files: Split → the file as it was read, where the splits are from files.

    Row numbers: in CSV and its kin and in JSONL that of the line, from 1, on which the row begins, as an editor shows
    it; in Excel the sheet's; elsewhere the row from 1.
    """

    splits: dict[str, Dataset]
    sources: dict[str, str]
    text_column: str
    label_column: str | None
    label_names: tuple[str, ...] | None
    description: str
    files: Mapping[str, FileTable] = field(default_factory=dict)


_LEVELS = "the data frame: its columns have names of several levels: give each one name, frame.columns = [...]"


def load_data(
    dataset: Source | None = None,
    *,
    dataset_config_name: str | None = None,
    dataset_revision: str | None = None,
    train_file: str | os.PathLike[str] | None = None,
    validation_file: str | os.PathLike[str] | None = None,
    test_file: str | os.PathLike[str] | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
    label_optional: bool = False,
    encoding: str | None = None,
    keep_broken: bool = False,
) -> RawData:
    """Load a data set, or files, and bring them to the columns of `RawData`.

    Args:
        dataset: "starter", "starter:amazon", "starter:chinese", a Hub id, a `Dataset`, `DatasetDict` or pandas frame.
        dataset_config_name: The configuration of a Hub data set.
        dataset_revision: The branch, tag or commit of a Hub data set.
        train_file: CSV or its kin, JSONL, JSON, Parquet or Excel; a path or a URL.
        validation_file: Likewise.
        test_file: Likewise.
        text_column: The column with the text; guessed where one column only has a usual name.
        label_column: The column with the label; guessed likewise.
        label_optional: No label is needed (texts to be predicted).
        encoding: Of text files; found out where it is certain.
        keep_broken: A row that can't be read is a row without text, with a `fault`, and no error.

    Raises:
        CallError: The call can't be answered: no such file, column, data set or configuration, an ambiguous guess.
        DataError: A file's content can't be read at all (bad rows are a matter of `Rows.check`).
    """
    named = {"train": train_file, "validation": validation_file, "test": test_file}
    files = {split: file for split, file in named.items() if file is not None}
    columns = WantedColumns(text_column, label_column, label_optional)
    if dataset is not None and files:
        flags = ", ".join(f"--{split}_file" for split in files)
        raise CallError(f"a data set and {flags} are both given: give either --dataset_name or files")
    if dataset is None and not files:
        raise CallError("no data: give --dataset_name NAME or --train_file FILE")
    if files:
        return _from_files({split: os.fspath(file) for split, file in files.items()}, columns, encoding, keep_broken)
    if isinstance(dataset, str):
        if is_starter(dataset):
            return _from_starter(dataset, columns)
        return _from_hub(dataset, dataset_config_name, dataset_revision, columns)
    return _from_memory(dataset, columns)


def _from_files(files: Mapping[str, str], columns: WantedColumns, encoding: str | None, keep_broken: bool) -> RawData:
    """Each file is a table; the columns are settled on the first of them, and the others must have them."""
    options: dict[str, Any] = {"wanted": columns, "encoding": encoding, "keep_broken": keep_broken}
    # `columns` tell the header of each file; which of its columns are meant, the first file decides.
    tables = {split: read_file(file, **options) for split, file in files.items()}
    first = next(iter(tables.values()))
    text, label = choose_columns(first.columns, columns, first.source)
    splits: dict[str, Dataset] = {}
    names: tuple[str, ...] | None = None
    for split, table in tables.items():
        require_columns(table.columns, text, label, table.source)
        splits[split], names = _standard_file(table, text, label, names, keep_broken)
    # Names only: a description goes into records and cards, and folders are nobody's business there.
    described = "files: " + ", ".join(name.replace("\\", "/").rsplit("/", 1)[-1] for name in files.values())
    return RawData(splits, dict(files), text, label, names, described, tables)


def _standard_file(
    table: FileTable, text: str, label: str | None, names: tuple[str, ...] | None, keep_broken: bool
) -> tuple[Dataset, tuple[str, ...] | None]:
    if table.kind in ("jsonl", "array"):
        wanted = {"text": text} | ({"label": label} if label else {})
        dataset, found = json_line_values(table, wanted).add_column("row", table.rows), None
    else:
        dataset, found = _standard(table.dataset, text, label, table.rows, table.source)
    if keep_broken and table.faults is not None:
        faults = [table.faults.get(row) for row in table.rows.tolist()]
        dataset = dataset.add_column("fault", faults, feature=Value("string"))
    return dataset, names or found


def _from_starter(name: str, columns: WantedColumns) -> RawData:
    """The starter's columns are known; naming them is allowed."""
    corpus = corpus_of(name)
    label = "rating" if corpus.rated else "label"
    if columns.text not in (None, "text") or columns.label not in (None, label, "label"):
        raise CallError(f"{name}: its columns are text and {label}; leave --text_column and --label_column out")
    dataset = starter_data(name)
    dataset = dataset.add_column("row", np.arange(1, len(dataset) + 1))
    if corpus.rated:
        dataset = dataset.rename_columns({"rating": "label", "document": "group"})
        dataset = dataset.select_columns(["text", "label", "row", "group", "ratings"])
    description = f"{name}: {len(dataset):,} {corpus.what} (MIT)"
    return RawData({"train": dataset}, {"train": name}, "text", label, None, description)


def _from_hub(name: str, config: str | None, revision: str | None, columns: WantedColumns) -> RawData:
    """A data set of the Hub (or a local folder in its form)."""
    if os.path.isfile(name):
        raise CallError(f"{name} is a file: give it as --train_file {name}")
    try:
        loaded = load_dataset(name, name=config, revision=revision)
    except (DatasetsError, OSError, ValueError, RuntimeError) as error:
        raise CallError(_hub_message(name, config, error)) from error
    described = name + (f" ({config})" if config else "") + (f" at {revision}" if revision else "")
    return _from_splits(dict(loaded), name, columns, f"data set {described}")


def _hub_message(name: str, config: str | None, error: Exception) -> str:
    """One line for what `load_dataset` says in several."""
    text = " ".join(str(error).split())
    if "Config name is missing" in text or "BuilderConfig" in text:
        wrong = f"has no configuration {config!r}" if config else "has several configurations"
        known = text[text.find("[") : text.find("]") + 1] if "[" in text else ""
        return f"data set {name} {wrong}: name one with --dataset_config_name NAME {known}".rstrip()
    return f"data set {name}: cannot be loaded ({text[:300]}); check the name, or give --train_file FILE"


def _from_memory(dataset: object, columns: WantedColumns) -> RawData:
    """A `Dataset`, a mapping of them, or a pandas frame."""
    import pandas as pd

    if isinstance(dataset, Mapping):
        return _from_splits(dict(dataset), "the data set", columns, "a DatasetDict in memory")
    if isinstance(dataset, pd.DataFrame):
        if dataset.columns.nlevels > 1:
            raise CallError(_LEVELS)
        frame = dataset.rename(columns=str)
        if not frame.columns.is_unique:
            raise CallError(SAME_NAMES)
        text, label = choose_columns(list(frame.columns), columns, "the data frame")
        table = _from_frame(frame, text, label)
        splits, names = _standard(table, text, label, np.arange(1, len(table) + 1), "the data frame")
        return RawData({"train": splits}, {"train": "the data frame"}, text, label, names, "a pandas frame in memory")
    if isinstance(dataset, Dataset):
        return _from_splits({"train": dataset}, "the data set", columns, "a Dataset in memory")
    if isinstance(dataset, IterableDataset):
        raise CallError("a streamed data set can't be split or shuffled: load it without streaming=True")
    raise CallError(
        f"dataset is a {type(dataset).__name__}: give a name, a Dataset, a DatasetDict or a pandas DataFrame"
    )


def _from_frame(frame: pd.DataFrame, text: str, label: str | None) -> Dataset:
    """The wanted columns of a frame; a text that is no string becomes None, mixed labels become strings."""
    import pandas as pd

    if frame.empty:
        raise CallError("the data frame is empty")
    texts = frame[text]
    if pd.api.types.is_numeric_dtype(texts):
        raise CallError(
            f"the data frame: the column '{text}' holds {texts.dtype}, not text: name another with --text_column NAME"
        )
    # Half an emoji can't be written: it becomes U+FFFD, and its row a bad one.
    cells: dict[str, list[Any]] = {text: [whole(value) if isinstance(value, str) else None for value in texts]}
    if label is not None:
        values = [None if missing else value for value, missing in zip(frame[label], frame[label].isna(), strict=True)]
        # pandas holds mixed columns as objects, which Arrow refuses: they become strings.
        mixed = len({type(value) for value in values if value is not None}) > 1
        plain = [value.item() if isinstance(value, np.generic) else value for value in values]
        cells[label] = [None if value is None else whole(str(value)) for value in plain] if mixed else whole(plain)
    return Dataset.from_dict(cells)


def _from_splits(tables: dict[str, Any], source: str, columns: WantedColumns, description: str) -> RawData:
    """Named splits, with the usual aliases; another split, or a test without labels, is left out."""
    # Of two names for one split ("dev", "validation") the first counts.
    by_split: dict[str, Dataset] = {}
    other = next((table for table in tables.values() if not isinstance(table, Dataset)), None)
    if other is not None:
        what = type(other).__name__
        raise CallError(
            f"{source}: a split is a {what}, not a Dataset: make it one, such as by Dataset.from_pandas(frame)"
        )
    for name, table in tables.items():
        split = _SPLIT_NAMES.get(str(name).lower())
        if len(tables) == 1 and split is None:
            split = "train"
        if split is None or split in by_split:
            logger.info('%s: the split "%s" is not used', source, name)
        else:
            by_split[split] = table
    if not by_split:
        raise CallError(f"{source}: none of its splits ({', '.join(map(str, tables))}) is train, validation or test")
    order = [split for split in ("train", "validation", "test") if split in by_split]
    text, label = choose_columns(by_split[order[0]].column_names, columns, source)
    splits: dict[str, Dataset] = {}
    names: tuple[str, ...] | None = None
    for split in order:
        table, where = by_split[split], f"{source}, split {split}"
        require_columns(table.column_names, text, label, where)
        if not len(table):
            raise CallError(f"{where}: is empty")
        dataset, given = _standard(table, text, label, np.arange(1, len(table) + 1), where)
        if split == "test" and given and dataset.data.column("label").null_count == len(dataset):
            logger.info("%s: has no labels (all are -1) and is left out", where)
            continue
        splits[split], names = dataset, names or given
    sources = {split: source if len(splits) == 1 else f"{source}, split {split}" for split in splits}
    return RawData(splits, sources, text, label, names, description)


def _standard(
    table: Dataset, text: str, label: str | None, rows: np.ndarray, where: str
) -> tuple[Dataset, tuple[str, ...] | None]:
    """The columns `text`, `label`, `row`, and the class names of a `ClassLabel`."""
    # Numbers are refused rather than spelt out: the wrong column was named.
    kind = table.features[text]
    if not (isinstance(kind, Value) and kind.dtype in ("string", "large_string", "null")):
        raise CallError(
            f"{where}: the column '{text}' holds {_type_name(kind)}, not text: name another with --text_column NAME"
        )
    wanted = [text] if label is None else [text, label]
    dataset = table.with_format(None).select_columns(wanted)
    dataset = dataset.rename_columns({text: "text"} | ({label: "label"} if label else {}))
    names: tuple[str, ...] | None = None
    if label is not None:
        feature = dataset.features["label"]
        if isinstance(feature, ClassLabel):
            # Names, not indices: another split may have the same names in another order.
            names = tuple(feature.names)
            values = [_class_name(value, names) for value in dataset["label"]]
            dataset = dataset.remove_columns("label").add_column("label", values, feature=Value("string"))
        elif not isinstance(feature, Value):
            raise CallError(
                f"{where}: the column '{label}' holds {_type_name(feature)}, not one label a row: "
                "name another with --label_column NAME"
            )
    return dataset.add_column("row", rows), names


def _class_name(value: int | None, names: tuple[str, ...]) -> str | None:
    """A `ClassLabel`'s integer by name: what it means in this split, whatever it means in another."""
    if value is None or value < 0:
        return None
    return names[value] if value < len(names) else f"index {value} of {len(names)} names"


def _type_name(feature: object) -> str:
    return feature.dtype if isinstance(feature, Value) else type(feature).__name__.lower() + " values"
