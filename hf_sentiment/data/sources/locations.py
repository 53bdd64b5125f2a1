"""Where a data file is, and of which format: by its name, and by its first bytes."""

from __future__ import annotations

import logging
import os
import re
import zipfile
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from datasets import DownloadConfig, DownloadManager
from datasets.exceptions import DatasetsError

from hf_sentiment.errors import CallError, DataError, first_line
from hf_sentiment.parser import place_of

logger = logging.getLogger(__name__)

# Known file extensions and their formats; `.gz` may follow.
EXTENSIONS = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".xlsx": "excel",
    ".xlsm": "excel",
}

# The first bytes of files that are no tables, and what is to be done with them.
_FOREIGN = {
    b"%PDF-": "a PDF: save its table as CSV",
    b"\x89PNG": "a picture: write its table as CSV",
    b"\xff\xd8\xff": "a picture: write its table as CSV",
    b"BZh": "packed by bzip2: unpack it",
    b"\xfd7zXZ\0": "packed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it",
    b"7z\xbc\xaf\x27\x1c": "packed by 7-Zip: unpack it",
    b"Rar!\x1a\x07": "packed by RAR: unpack it",
    b"SQLite format 3\0": "an SQLite database: export the table as CSV",
    b"\x80\x04\x95": "a pickle of Python: write the table as CSV, frame.to_csv(path, index=False)",
    b"\x80\x05\x95": "a pickle of Python: write the table as CSV, frame.to_csv(path, index=False)",
}

_JSON = re.compile(rb'(\xef\xbb\xbf)?\s*(\[\s*)?\{\s*"')


def kind_of(name: str) -> tuple[str, str, str | None]:
    """The format by the extension, the file, and the sheet behind a #."""
    file, sheet = name, None
    before, mark, behind = name.rpartition("#")
    if mark and before.lower().endswith((".xlsx", ".xlsm")) and not Path(name).exists():
        file, sheet = before, behind
    path = urlsplit(file).path if "://" in file else file
    extension = os.path.splitext(path.lower().removesuffix(".gz"))[1]
    if extension == ".xls":
        raise CallError(f"{name}: the Excel format before 2007: save it as .xlsx")
    if extension not in EXTENSIONS:
        known = ", ".join(EXTENSIONS)
        raise CallError(f"{name}: unknown file type {extension or '(no extension)'}; known: {known}")
    return EXTENSIONS[extension], file, sheet


def is_data_file(name: str) -> bool:
    """Whether a name can be that of a file that is read: a path, a URL, or a sheet of a workbook.

    Args:
        name: A file may be there or not.
    """
    try:
        kind_of(name)
    except CallError:
        return False
    return True


def local_path(name: str) -> Path:
    """The file itself, unpacked, or the cached download of a URL."""
    manager, name = DownloadManager(), place_of(name)
    try:
        if "://" in name:
            return Path(manager.download_and_extract(name) if name.lower().endswith(".gz") else manager.download(name))
        path = Path(name).expanduser()
        if path.is_file():
            return _unpacked(path) if name.lower().endswith(".gz") else path.resolve()
    except (OSError, ValueError, EOFError, zlib.error, DatasetsError) as error:
        what = "downloaded" if "://" in name else "unpacked"
        raise CallError(f"{name}: cannot be {what} ({first_line(error.__cause__ or error)})") from error
    if not path.exists():
        raise CallError(f"{name}: no such file{_nearest_file(path)}")
    raise CallError(f"{name}: is a folder; name a file in it ({', '.join(EXTENSIONS)})")


def _unpacked(path: Path) -> Path:
    """The content of a packed file, in the cache, as old as the packed one."""
    # `datasets` knows what it has unpacked by the name alone, and the file may be another by now.
    unpacked = Path(DownloadManager(download_config=DownloadConfig(force_extract=True)).extract(str(path.resolve())))
    os.utime(unpacked, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    return unpacked


def _nearest_file(path: Path) -> str:
    from difflib import get_close_matches

    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    near = get_close_matches(path.name, [p.name for p in path.parent.iterdir() if p.is_file()], n=1)
    return f"; did you mean {path.with_name(near[0])}?" if near else ""


def kind_by_content(path: Path, kind: str, name: str) -> str:
    """The format by the first bytes, where these say that it is another than the extension says."""
    with path.open("rb") as file:
        start = file.read(64)
    # The first bytes: of OLE (.xls, or an encrypted workbook), Parquet, a zip archive, a web page, JSON.
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise CallError(f"{name}: the Excel format before 2007, or a workbook with a password: save it as plain .xlsx")
    if start.startswith(b"\x1f\x8b"):
        raise DataError(f"{name}: packed by gzip: unpack it, or name it {Path(name).name}.gz")
    for mark, what in _FOREIGN.items():
        # A text may begin with BZh, but not go on so.
        if start.startswith(mark) and (mark != b"BZh" or start[4:10] == b"1AY&SY"):
            raise DataError(f"{name}: {what}")
    content = kind
    if start.startswith(b"PAR1"):
        content = "parquet"
    elif kind == "parquet":
        raise DataError(f"{name}: not a Parquet file, or not a whole one: write it again")
    elif start.startswith(b"PK\x03\x04") and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                content = "excel" if "xl/workbook.xml" in archive.namelist() else kind
        except (zipfile.BadZipFile, ValueError) as error:
            raise DataError(f"{name}: a broken Excel workbook or zip archive: save it again") from error
        if content != "excel":
            raise CallError(f"{name}: a zip archive: unpack it, and name a file in it")
    elif start.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise CallError(f"{name}: a web page, not a data file: take the link to the file itself")
    elif kind in ("csv", "tsv") and _JSON.match(start):
        content = "json"
    if content != kind:
        title = {"excel": "an Excel workbook", "parquet": "Parquet", "json": "JSON"}[content]
        logger.info("%s: by its content it is %s", name, title)
    return content
