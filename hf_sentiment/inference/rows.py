"""The rows to predict: of a file, of all files of a folder, of a stream, each in order and with all its columns."""

from __future__ import annotations

import hashlib
import io
import itertools
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hf_sentiment.data import sources  # its names are imported when they are used: `datasets` takes a second
from hf_sentiment.data.tables import WantedColumns, choose_columns, codec_of
from hf_sentiment.errors import CallError, NoRows, SentimentError
from hf_sentiment.records.checksums import sha256_of

logger = logging.getLogger(__name__)

_TYPED_AT_ONCE = 10_000


@dataclass(frozen=True)
class InputRow:
    """One row.

    Attributes:
        number: Its number as the user finds it (see `RawData`); of standard input the line.
        values: Column → value, as the file has it.
        text: What is to be predicted; `None` where there is nothing.
        fault: Why the row cannot be read, or "".
    """

    number: int
    values: dict[str, Any]
    text: Any
    fault: str = ""


class InputRows(ABC):
    """Rows in order, some thousand of them in memory.

    Attributes:
        name: For messages.
        columns: Their names, in order.
        total: How many rows there are; of a stream nobody knows.
    """

    name: str
    columns: list[str]
    total: int | None

    @abstractmethod
    def read(self, start: int) -> Iterator[InputRow]:
        """The rows.

        Args:
            start: How many are passed over.
        """

    def types(self) -> dict[str, pa.DataType]:
        """Column → its type; what is no string only where the file has types, as Parquet and JSON do."""
        return dict.fromkeys(self.columns, pa.string())

    def digest(self) -> str | None:
        """What tells these rows from others; of a stream `None`, which cannot be read again."""
        return None


def read_rows(file: str, text_column: str | None = None, encoding: str | None = None) -> InputRows:
    """The rows of a file of any kind that `train` reads, of a folder of such files, or of standard input.

    Blank rows between others are rows too, so that what is predicted lines up with the file. A `.txt` without a header
    has a text a line.

    Args:
        file: A path or URL, or a folder; `-` for a text a line on standard input.
        text_column: The column of the texts; guessed if only one can be it.
        encoding: Of a text file, where its content does not tell it.

    Raises:
        CallError: An unknown file, column or encoding.
        DataError: Content that cannot be read at all.
    """
    if file == "-":
        return LineRows(sys.stdin.buffer, encoding or "utf-8")
    wanted = WantedColumns(text_column, None, True)
    folder = Path(file).expanduser()
    if folder.is_dir():
        return FolderRows(folder, wanted, encoding)
    if not folder.suffix and not folder.exists():
        elsewhere = "a file's URL has its extension, and a folder there becomes a folder: --output without an extension"
        raise CallError(f"{file}: {elsewhere if '://' in file else 'no such file or folder'}")
    return _file_rows(file, wanted, encoding, plain=text_column is None)


class LineRows(InputRows):
    """A text a line, of a stream.

    Args:
        stream: Read once.
        encoding: What is not in it has a replacement character.

    Raises:
        CallError: There is no such encoding.
    """

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self.name, self.columns, self.total = "standard input", ["text"], None
        self._stream, self._codec = stream, codec_of(encoding)

    def read(self, start: int) -> Iterator[InputRow]:
        """The lines."""
        lines = io.TextIOWrapper(self._stream, self._codec, "replace", newline="\n")
        try:
            for number, line in enumerate(itertools.islice(lines, start, None), start=start + 1):
                text = line.rstrip("\r\n")
                yield InputRow(number, {"text": text}, text)
        finally:
            lines.detach()  # or it would close the stream


class MemoryRows(InputRows):
    """Texts in memory, whose other columns stay where they are.

    Args:
        name: For messages.
        texts: In order.
    """

    def __init__(self, name: str, texts: Sequence[Any]) -> None:
        self.name, self.columns, self.total, self._texts = name, [], len(texts), texts

    def read(self, start: int) -> Iterator[InputRow]:
        """The texts."""
        for number, text in enumerate(itertools.islice(self._texts, start, None), start=start + 1):
            yield InputRow(number, {}, text)


class FileRows(InputRows):
    """The rows of one file.

    Args:
        table: The file as it was read.
        text: Its column of texts.
    """

    def __init__(self, table: sources.FileTable, text: str) -> None:
        self._table, self._text = sources.unmapped(table), text
        # The reader leaves blank rows out: what it knows of lines tells where they were.
        self._blank = _blank_rows(table)
        self.name, self.columns = table.source, table.columns
        self.total: int = len(table.rows) + len(self._blank)

    def read(self, start: int) -> Iterator[InputRow]:
        """The rows, blank ones between others too."""
        if not self._blank:
            return self._taken(start)
        return itertools.islice(_with_blank_rows(self._taken(0), self._blank, self.columns), start, None)

    def _taken(self, start: int) -> Iterator[InputRow]:
        """The rows that the reader took."""
        faults = self._table.faults or {}
        for number, values in sources.table_rows(self._table, start):
            yield InputRow(number, values, values.get(self._text), faults.get(number, ""))

    def types(self) -> dict[str, pa.DataType]:
        """As the file has them; of JSON the one that all values of a key have."""
        if self._table.kind not in ("jsonl", "array"):
            schema = self._table.dataset.data.schema
            return {column: schema.field(column).type for column in self.columns}
        types = dict.fromkeys(self.columns, pa.null())
        rows = (values for _, values in sources.table_rows(self._table))
        while batch := list(itertools.islice(rows, _TYPED_AT_ONCE)):
            for column, known in types.items():
                types[column] = _common(known, _type_of([values.get(column) for values in batch]))
        return {column: kind if _can_be_stored(kind) else pa.string() for column, kind in types.items()}

    def digest(self) -> str:
        """Of the content, and of the sheet; not of the name."""
        return f"{sha256_of(self._table.path)} {self._table.sheet or ''}".strip()


class FolderRows(InputRows):
    """The rows of all files of a folder and of those below, by name; a column `file` in front names each row's file.

    Args:
        folder: Of what is in it the files that `known_files` knows.
        wanted: The columns that the user named.
        encoding: Of text files, where their content does not tell it.

    Raises:
        CallError: No file in it can be read, or one of them lacks a column.
        DataError: The content of one of them cannot be read.
    """

    def __init__(self, folder: Path, wanted: WantedColumns, encoding: str | None) -> None:
        self.name, self._files, broken = str(folder), {}, {}
        found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
        for name in known_files(self.name, (path.relative_to(folder).as_posix() for path in found)):
            try:
                self._files[name] = _file_rows(str(folder / name), wanted, encoding, plain=True)
            except NoRows:
                logger.info("%s: has no rows: what is in it, if anything, is taken for a header", folder / name)
            except SentimentError as error:
                broken[name] = error
        if broken:
            # All of them at once, and before any work: none is left out in silence.
            first, *others = broken
            more = f"; nor can {few(others)} be used" if others else ""
            raise type(broken[first])(f"{broken[first]}{more}")
        if not self._files:
            raise CallError(f"{folder}: no file in it has rows of a known type ({', '.join(sources.EXTENSIONS)})")
        columns = list(dict.fromkeys(column for rows in self._files.values() for column in rows.columns))
        for name, rows in self._files.items():
            if len(rows.columns) < len(columns):
                lacks = [column for column in columns if column not in rows.columns]
                logger.info("%s has no column %s: its cells are empty", name, ", ".join(lacks))
        self._of_file = "file"
        while self._of_file in columns:
            self._of_file = f"source_{self._of_file}"
        self.columns = [self._of_file, *columns]
        self.total: int = sum(rows.total for rows in self._files.values())
        logger.info("%s: %d files, %s rows", folder, len(self._files), f"{self.total:,}")

    def read(self, start: int) -> Iterator[InputRow]:
        """The rows of one file after the other."""
        for name, rows in self._files.items():
            if start < rows.total:
                for row in rows.read(start):
                    yield replace(row, values={self._of_file: name} | row.values)
            start = max(0, start - rows.total)

    def types(self) -> dict[str, pa.DataType]:
        """Those that all files can have."""
        types = dict.fromkeys(self.columns, pa.null()) | {self._of_file: pa.string()}
        for rows in self._files.values():
            for column, kind in rows.types().items():
                types[column] = _common(types[column], kind)
        return types

    def digest(self) -> str:
        """Of all names and contents."""
        contents = "\n".join(f"{name}\t{rows.digest()}" for name, rows in self._files.items())
        return hashlib.sha256(contents.encode()).hexdigest()


def few(names: Sequence[str]) -> str:
    """Some of many names, in a line.

    Args:
        names: At least one.
    """
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _file_rows(file: str, wanted: WantedColumns, encoding: str | None, *, plain: bool) -> FileRows:
    table = sources.read_file(file, wanted=wanted, encoding=encoding, keep_broken=True, keep_blank=True, plain=plain)
    # Among other files lines are texts, whatever the column of the others is called.
    text = "text" if table.kind == "lines" else choose_columns(table.columns, wanted, table.source)[0]
    return FileRows(table, text)


def known_files(folder: str, names: Iterable[str]) -> dict[str, str]:
    """Name → kind of the files of a folder that are read, in order; what is passed over and not hidden is said.

    Args:
        folder: For messages.
        names: Below it, of what is no folder; a link to one is not followed.
    """
    known, others = {}, []
    for name in sorted(names):
        kind = sources.EXTENSIONS.get(PurePosixPath(name.lower().removesuffix(".gz")).suffix)
        starts = {part[:1] for part in name.replace("~$", ".").split("/")}
        if kind and not starts & {".", "_"}:
            known[name] = kind
        elif "." not in starts:
            others.append(name)
    if others:
        logger.info("%s: passed over %s (other types, names with _ in front, linked folders)", folder, few(others))
    return known


def _type_of(values: list[Any]) -> pa.DataType:
    try:
        return pa.array(values).type
    except (ValueError, TypeError, OverflowError, NotImplementedError):  # Arrow's errors, and what it lets through
        return pa.string()


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """A type for values of both: the wider of two numbers; of what cannot be one, strings."""
    if pa.types.is_string(one) or one == other:
        return one
    try:
        schemas = [pa.schema({"": one}), pa.schema({"": other})]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except (ValueError, TypeError):
        return pa.string()


def _can_be_stored(kind: pa.DataType) -> bool:
    try:
        pq.write_table(pa.schema({"": kind}).empty_table(), io.BytesIO())
    except (ValueError, TypeError, NotImplementedError):  # an object without a key, somewhere in it
        return False
    return not pa.types.is_null(kind)


def _blank_rows(table: sources.FileTable) -> list[int]:
    """The numbers of rows between others of which the table knows nothing, as nothing at all is written there.

    In a file of several columns a line without a separator is no row to anybody; in one of one column, or in a sheet,
    it is.
    """
    if table.layout is None or (table.kind != "excel" and len(table.columns) > 1):
        return []
    # A row may begin just below the one before: where it begins later, nothing is written in between.
    begin = np.append(table.layout.start, table.last[:-1] + 1)
    gaps = np.flatnonzero(table.rows > begin)
    return [number for i in gaps for number in range(int(begin[i]), int(table.rows[i]))]


def _with_blank_rows(rows: Iterator[InputRow], blank: list[int], columns: list[str]) -> Iterator[InputRow]:
    # Two ascending sequences in one, by row number; neither is held in memory.
    waiting = iter(blank)
    following = next(waiting, None)
    for row in rows:
        while following is not None and following < row.number:
            yield InputRow(following, dict.fromkeys(columns, ""), None)
            following = next(waiting, None)
        yield row
    for number in itertools.chain([] if following is None else [following], waiting):
        yield InputRow(number, dict.fromkeys(columns, ""), None)
