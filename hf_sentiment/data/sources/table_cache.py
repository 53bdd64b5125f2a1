"""Tables that `datasets` can't read by itself: converted once to Arrow by its own machinery, cached, memory-mapped."""

from __future__ import annotations

import dataclasses
import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from datasets.builder import Key
from huggingface_hub.utils import insecure_hashlib

from hf_sentiment.data.sources import excel, json_files
from hf_sentiment.data.tables import encodings, kinds, lines, reader

# The columns beside those of the table, which are named by their position: 0, 1, ...
ROW, LAST, NOTE, FAULT = "row", "last", "note", "fault"

_BATCH = 10_000


@dataclass
class RowsConfig(datasets.BuilderConfig):
    """How to read a file.

    Attributes:
        settings: The arguments of the reader as JSON: `dialect`, `encoding`, `start` and `width` of a delimited file,
            `sheet`, `start` and `width` of a workbook.
    """

    settings: str = field(default="{}")


class Rows(datasets.ArrowBasedBuilder):
    """The rows of one delimited file or one sheet, every cell a string."""

    BUILDER_CONFIG_CLASS = RowsConfig

    def _info(self) -> datasets.DatasetInfo:
        width = json.loads(self.config.settings)["width"]
        # Cells are strings, whatever they look like: "007" keeps its zeros.
        types = {str(i): "string" for i in range(width)} | {ROW: "int64", LAST: "int64", NOTE: "int8", FAULT: "string"}
        return datasets.DatasetInfo(
            features=datasets.Features({name: datasets.Value(kind) for name, kind in types.items()})
        )

    def _split_generators(self, dl_manager: Any) -> list[datasets.SplitGenerator]:
        # Not through `dl_manager.extract`: a workbook is a zip archive.
        return [datasets.SplitGenerator(name="train", gen_kwargs={"path": str(self.config.data_files["train"][0])})]

    def _generate_tables(self, path: str) -> Iterator[tuple[Key, pa.Table]]:
        records = _records(Path(path), json.loads(self.config.settings))
        schema = self.info.features.arrow_schema
        for i, batch in enumerate(iter(lambda: list(islice(records, _BATCH)), [])):
            # Records to columns: those of the cells, then the row numbers, notes and faults.
            cells, *beside = zip(*batch, strict=True)
            columns = zip([*zip(*cells, strict=True), *beside], schema, strict=True)
            arrays = [pa.array(column, kind.type) for column, kind in columns]
            yield Key(0, i), pa.Table.from_arrays(arrays, schema=schema)


def _records(path: Path, settings: dict[str, Any]) -> Iterator[lines.Record]:
    if "sheet" in settings:
        return excel.read_rows(path, settings["sheet"], settings["start"], settings["width"])
    encoding = encodings.Encoding(**settings["encoding"])
    dialect = lines.Dialect(**settings["dialect"])
    return reader.read_records(lambda: encodings.open_lines(path, encoding), dialect, settings["start"])


def delimited_rows(path: Path, encoding: encodings.Encoding, dialect: lines.Dialect, start: int) -> datasets.Dataset:
    """The rows of a delimited file from the line `start` on: columns 0, 1, ..., `ROW`, `LAST`, `NOTE`, `FAULT`.

    Args:
        path: The file.
        encoding: Of the file.
        dialect: How its records are written.
        start: The first line that is data.
    """
    settings = {"encoding": dataclasses.asdict(encoding), "dialect": dataclasses.asdict(dialect)}
    return _cached(path, settings | {"start": start, "width": dialect.width})


def sheet_rows(path: Path, sheet: str, start: int, width: int) -> datasets.Dataset:
    """The rows of a sheet from the row `start` on, likewise.

    Args:
        path: The workbook.
        sheet: Its name there.
        start: A row number of Excel's.
        width: Cells of a row.
    """
    return _cached(path, {"sheet": sheet, "start": start, "width": width})


def _cached(path: Path, settings: dict[str, Any]) -> datasets.Dataset:
    # A name with [ or * is a pattern to `datasets`, which would read other files.
    files = {"train": [glob.escape(str(path))]}
    builder = Rows(data_files=files, settings=json.dumps(settings, sort_keys=True), hash=code_hash())
    builder.download_and_prepare()
    return builder.as_dataset(split="train")


def code_hash() -> str:
    """Of the modules that read: another version of them doesn't take this one's tables from the cache."""
    digest = insecure_hashlib.sha256()
    for module in (reader, lines, kinds, encodings, excel, json_files):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()
