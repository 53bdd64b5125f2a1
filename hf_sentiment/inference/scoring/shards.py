"""Which rows of which file go into which file of the output, and what is finished of it."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from hf_sentiment.data import sources
from hf_sentiment.errors import CallError, first_line
from hf_sentiment.inference.outputs import OUTPUTS
from hf_sentiment.inference.rows import few, known_files
from hf_sentiment.records.atomic import file_atomically, write_atomically
from hf_sentiment.records.checksums import sha256_of

logger = logging.getLogger(__name__)

# Rows of a Parquet file that go into one file of the output: minutes of a core's work, which is what a kill costs.
SHARD_ROWS = 65_536
# Where the output keeps what it knows of itself: readers of folders pass over such a name.
_RECORDS = "_hf_sentiment"
_CALL, _LOCK = f"{_RECORDS}/call.json", f"{_RECORDS}/lock"
# What tells that a file may have changed, by the names that file systems have for it; the size is the first.
_VERSION = ("size", "mtime", "ETag", "etag", "LastModified", "last_modified", "updated", "md5Hash")
_FOOTERS_AT_ONCE = 16
_KINDS = {"parquet": ".parquet", "jsonl": ".jsonl", "json": ".jsonl", "tsv": ".tsv", "excel": ".xlsx", "csv": ".csv"}


@dataclass(frozen=True)
class Shard:
    """Rows of a file of the input that are a file of the output.

    Attributes:
        path: Of the input, as its file system has it.
        source: The same, below the folder that is read.
        name: Of the output, below the folder that is written.
        version: What tells whether the input is still the same.
        start: The first row.
        stop: The row after the last one; `None` where it is the whole file.
    """

    path: str
    source: str
    name: str
    version: str
    start: int = 0
    stop: int | None = None


def open_place(place: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a path or URL, and its path there.

    Raises:
        CallError: There is no such file system, or what it needs is not installed.
    """
    try:
        return url_to_fs(str(Path(place).expanduser().absolute()) if "://" not in place else place)
    except (ValueError, ImportError, OSError) as error:
        raise CallError(f"{place}: cannot be opened ({first_line(error)})") from error


def is_folder(place: str) -> bool:
    """Whether a path or URL is a folder; not asked of a URL that ends as that of a data file does.

    Raises:
        CallError: As `open_place`, or there is no answer.
    """
    if "://" not in place:
        return Path(place).expanduser().is_dir()
    if PurePosixPath(place.removesuffix(".gz")).suffix in sources.EXTENSIONS:
        return False
    system, root = open_place(place)
    try:
        return bool(system.isdir(root))
    except Exception as error:  # each file system has its own
        raise CallError(f"{place}: cannot be read ({first_line(error)})") from error


def find_shards(folder: str) -> list[Shard]:
    """The shards of all files below a folder that `known_files` knows, by name.

    Args:
        folder: A path or URL.

    Raises:
        CallError: No file in it has a known type, or two would have the same name in the output.
    """
    system, root = open_place(folder)
    there = {path.removeprefix(root).lstrip("/"): (path, info) for path, info in system.find(root, detail=True).items()}
    found: list[tuple[str, str, str, str]] = []  # path, name below the folder, kind, version
    for source, kind in known_files(folder, there).items():
        path, info = there[source]
        found.append((path, source, kind, " ".join(str(info[key]) for key in _VERSION if key in info)))
    if not found:
        raise CallError(f"{folder}: no file in it is of a known type ({', '.join(sources.EXTENSIONS)})")
    # A footer says how many rows there are; of other files that takes reading them, and each stays whole.
    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as threads:
        totals = list(threads.map(lambda entry: _rows(system, entry[0]) if entry[2] == "parquet" else 0, found))
    shards: list[Shard] = []
    for (path, source, kind, version), total in zip(found, totals, strict=True):
        suffix = PurePosixPath(source).suffix.lower()
        name = source if suffix in OUTPUTS else source + _KINDS[kind]
        if total <= SHARD_ROWS:
            shards.append(Shard(path, source, name, version))
            continue
        count = -(-total // SHARD_ROWS)
        for number in range(count):
            part = f"{name[: -len('.parquet')]}-{number:05}-of-{count:05}.parquet"
            rows = number * SHARD_ROWS, min(total, (number + 1) * SHARD_ROWS)
            shards.append(Shard(path, source, part, version, *rows))
    for name, times in Counter(shard.name for shard in shards).items():
        if times > 1:
            raise CallError(f"{folder}: two files in it would both be {name} in the output: rename one of them")
    return shards


def _rows(system: AbstractFileSystem, path: str) -> int:
    try:
        with system.open(path) as file:
            return pq.read_metadata(file).num_rows
    except (OSError, ValueError, pa.ArrowException):
        return 0  # whoever reads it says what is wrong


def fetched(system: AbstractFileSystem, shard: Shard, place: Path) -> Path:
    """A file on this machine with the rows of a shard: the input itself, or what is copied of it.

    Args:
        system: Of the input.
        shard: What is wanted.
        place: A folder for the copy.
    """
    if shard.stop is None and isinstance(system, LocalFileSystem):
        return Path(shard.path)
    target = place / PurePosixPath(shard.path).name
    if shard.stop is None:
        system.get_file(shard.path, str(target))
        return target
    with system.open(shard.path) as file, pq.ParquetFile(file) as table:
        sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
        ends = np.cumsum(sizes)
        needed = np.flatnonzero((ends > shard.start) & (ends - sizes < shard.stop))
        at = int(ends[needed[0]] - sizes[needed[0]])
        with pq.ParquetWriter(target, table.schema_arrow) as writer:
            for batch in table.iter_batches(row_groups=needed.tolist()):
                begin, end = max(0, shard.start - at), min(batch.num_rows, shard.stop - at)
                if begin < end:
                    writer.write_batch(batch.slice(begin, end - begin))
                at += batch.num_rows
    return target


def _is_same(record: Mapping[str, Any], shard: Shard, system: AbstractFileSystem) -> bool:
    """Whether an input whose time is another has the content that it had; of another size it has not."""
    if str(record["version"]).split()[:1] != shard.version.split()[:1]:
        return False
    with tempfile.TemporaryDirectory(prefix="hf-sentiment-") as place:
        return bool(sha256_of(fetched(system, shard, Path(place))) == record.get("digest"))


class OutputFolder:
    """The folder that is written: its files, and a record of each that is finished.

    Args:
        place: A path or URL.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.system, self.root = open_place(place)
        self.is_local = isinstance(self.system, LocalFileSystem)

    @property
    def lock(self) -> str | None:
        """A file to lock while it is written; `None` where no file system of this machine has it."""
        return f"{self.root}/{_LOCK}" if self.is_local else None

    def check(self, call: Mapping[str, Any], there: Set[str]) -> None:
        """See that it is empty, or of the same call.

        Args:
            call: What was asked for, as plain JSON.
            there: Its `files`.

        Raises:
            CallError: It is neither.
        """
        if not there - {_CALL, _LOCK}:
            return  # of a call that came to nothing
        if _CALL not in there:
            raise CallError(f"--output {self.place} exists and is not overwritten: name another folder, or remove it")
        before = self._read(_CALL)
        if not before:
            raise CallError(
                f"--output {self.place}: {self.path_of(_CALL)} is damaged, and what command wrote it is not known: "
                "name another folder, or remove this one"
            )
        if different := [name for name, value in call.items() if before.get(name) != value]:
            raise CallError(
                f"--output {self.place}: files of another call are there (another {', '.join(different)}): run that "
                "command again to go on with it, or name another folder"
            )

    def begin(self, call: Mapping[str, Any]) -> None:
        """Write the call down, if it can be begun or gone on with; as `check`.

        Args:
            call: What was asked for, as plain JSON.
        """
        self.check(call, self.files())  # anew: another process may have begun meanwhile
        self._write(_CALL, json.dumps(call, indent=2))

    def finished(
        self, shards: list[Shard], system: AbstractFileSystem, there: Set[str] | None = None
    ) -> dict[str, dict[str, Any]]:
        """Name → record of the shards that are finished.

        Args:
            shards: Of the input.
            system: Of the input.
            there: Its `files`; without them each shard is looked for.

        Raises:
            CallError: The content of one of them is another since.
        """
        if there is None:  # as each is asked for once more before it is made
            named = (name for shard in shards for name in (_record(shard), shard.name))
            there = {name for name in named if self.system.exists(f"{self.root}/{name}")}
        finished = {}
        for shard in shards:
            record = self._read(_record(shard)) if _record(shard) in there else {}
            changed = record.get("version") != shard.version
            if not {"version", "rows"} <= record.keys() or (shard.name not in there if record["rows"] else changed):
                continue  # damaged, removed, or without rows until now: to be made again
            if changed and not _is_same(record, shard, system):
                written = self.path_of(shard.name)
                raise CallError(
                    f"{shard.source} has changed since {written} was made of it: remove {written} to have it made "
                    "again, or name another --output"
                )
            finished[shard.name] = record
        return finished

    def say_what_has_no_input(self, shards: list[Shard], there: Set[str]) -> None:
        """A line about what was made of files that are not there any more, or are in other shards now.

        Args:
            shards: All of the input.
            there: Its `files`.
        """
        names = {shard.name for shard in shards}
        stale = sorted(name for name in there - names if f"{_RECORDS}/{name}.json" in there)
        if stale:
            logger.warning("%s: the input of %s is not there any more; it is kept", self.place, few(stale))

    def path_of(self, name: str) -> str:
        """A file of it as the user would name it.

        Args:
            name: Below the folder.
        """
        return f"{self.place.rstrip('/')}/{name}"

    def finish(self, shard: Shard, written: Path | None, record: Mapping[str, Any]) -> None:
        """Put a whole file under its name, and then its record.

        Args:
            shard: Whose it is.
            written: The file; `None` where the input has no rows.
            record: Plain JSON.
        """
        target = f"{self.root}/{shard.name}"
        if written is not None and self.is_local:
            with file_atomically(target) as beside:
                shutil.copyfile(written, beside)
        elif written is not None:
            folder, _, name = target.rpartition("/")
            self.system.makedirs(folder, exist_ok=True)
            beside_there = f"{folder}/.{name}.{uuid.uuid4().hex}"
            self.system.put_file(str(written), beside_there)
            self.system.mv(beside_there, target)
        self._write(_record(shard), json.dumps({**record, "version": shard.version}))

    def files(self) -> set[str]:
        """All that there are, below the folder."""
        return {path.removeprefix(self.root).lstrip("/") for path in self.system.find(self.root)}

    def _read(self, name: str) -> dict[str, Any]:
        """A record; of a damaged one nothing."""
        try:
            return dict(json.loads(self.system.cat_file(f"{self.root}/{name}")))
        except (ValueError, TypeError):
            return {}

    def _write(self, name: str, content: str) -> None:
        path = f"{self.root}/{name}"
        if self.is_local:
            write_atomically(path, content)
        else:  # a store of objects has whole ones alone
            self.system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self.system.pipe_file(path, content.encode())


def _record(shard: Shard) -> str:
    return f"{_RECORDS}/{shard.name}.json"
