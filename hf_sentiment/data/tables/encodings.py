"""Which encoding a text file is in: UTF-8, what its first bytes say, or what its own words tell with certainty."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_sentiment.data.tables.readings import encoding_of
from hf_sentiment.errors import CallError, DataError

# UTF-8, with or without a byte-order mark.
UTF8 = "utf-8-sig"

_MARKS = {
    codecs.BOM_UTF8: UTF8,
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_NAMES = {UTF8: "UTF-8", "utf-16": "UTF-16", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32": "UTF-32"}

_BLOCK = 2**20
_EVIDENCE = 2**14  # bytes of lines that are not ASCII: more tell nothing more
_BEFORE, _LONGEST = 200, 2000  # of a line: bytes of ASCII that come before, and all
_ASCII = bytes(range(0x80))
_LEAST_LINES = 3
_STRAY_BYTES = 0.1
_BY_COUNTRY = "--encoding windows-1252 in Western Europe, cp932 in Japan, cp949 in Korea, big5 in Taiwan"


@dataclass(frozen=True)
class Encoding:
    """How a file's bytes are read.

    Attributes:
        name: The codec.
        detected: It is not UTF-8, and the user did not name it.
        universal: A lone carriage return ends a line, as on old Macs.
    """

    name: str
    detected: bool
    universal: bool

    @property
    def title(self) -> str:
        """The name for messages."""
        return _NAMES.get(self.name, self.name.replace("cp125", "windows-125").replace("iso8859_", "iso-8859-"))


def find_encoding(path: Path, source: str, said: str | None) -> Encoding:
    """The encoding of a file (`said`, where the user named one), and how its lines end.

    Raises:
        CallError: There is no encoding of that name.
        DataError: The file is not in the encoding that was named, or which one it is in is not certain.
    """
    # What the user says goes before what the bytes tell, but is checked against them.
    if said is not None:
        name = codec_of(said)
        if name != UTF8:
            _check(path, source, name, said)
    else:
        name = _by_mark(path) or _by_content(path, source)
    with path.open("rb") as file:
        start = file.read(_BLOCK)
    text = start.decode(name, "replace")
    # Where lines end as on Windows, a carriage return of its own is within a text.
    universal = "\r\n" not in text and text.count("\r") > text.count("\n")
    return Encoding(name, said is None and name != UTF8, universal)


def open_lines(path: Path, encoding: Encoding, *, exact: bool = False) -> Iterator[str]:
    """The lines of a file, with their ends; bytes that are not in the encoding are U+FFFD.

    Args:
        path: The file.
        encoding: What `find_encoding` found.
        exact: UTF-8 keeps its byte-order mark, and broken bytes as surrogates: `surrogateescape` gives the bytes back.
    """
    newline = "" if encoding.universal else "\n"
    # A copy must be the same to the byte, a reader must not stumble: U+FFFD marks what was broken.
    utf8 = exact and encoding.name == UTF8
    name, errors = ("utf-8", "surrogateescape") if utf8 else (encoding.name, "replace")
    with open(path, encoding=name, errors=errors, newline=newline) as file:
        if exact:
            yield from file
        else:
            yield from (line.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in line else line for line in file)


def codec_of(said: str) -> str:
    """The codec of an encoding that the user named.

    Raises:
        CallError: There is none.
    """
    try:
        name = codecs.lookup(said.strip()).name
        "".encode(name)
    except (LookupError, TypeError, ValueError) as error:
        raise CallError(
            f"--encoding {said}: no such encoding; name one such as utf-8, windows-1252, utf-16 or shift_jis"
        ) from error
    return UTF8 if name == "utf-8" else name


def _by_mark(path: Path) -> str | None:
    """What a byte-order mark says; UTF-16 also without one, by its zero bytes."""
    with path.open("rb") as file:
        start = file.read(_BLOCK)
    for mark, name in _MARKS.items():
        if start.startswith(mark):
            return name
    if b"\0" not in start:
        return None
    # Signs of ASCII, line ends among them, and hardly one that is no text: the other way round, or as a file of ASCII
    # in which zero bytes are strewn, they are controls and none at all.
    for name in ("utf-16-le", "utf-16-be"):
        text = start[:_EVIDENCE].decode(name, "replace")
        none = sum(unicodedata.category(sign)[0] == "C" and sign not in "\t\r\n" for sign in text)
        none += text.count("\N{REPLACEMENT CHARACTER}")
        if "\n" in text and any(sign.isascii() and sign.isprintable() for sign in text) and none <= 0.01 * len(text):
            return name
    return None


def _by_content(path: Path, source: str) -> str:
    decoder, japanese = codecs.getincrementaldecoder("utf-8")(), False
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                japanese = japanese or (block.isascii() and b"\x1b$B" in block)
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            pass
        else:
            # Seven bits, and so ASCII to the eye.
            return "iso2022_jp" if japanese else UTF8
    # Lines of ASCII are the same in all of these; `good` and `broken` count the others.
    good, broken, first, evidence = _lines_not_ascii(path)
    if broken <= _STRAY_BYTES * good or (good and broken < _LEAST_LINES):
        return UTF8  # some rows are broken, and are named by what reads them
    if good > _STRAY_BYTES * broken:
        raise DataError(
            f"{source}, row {first}: not UTF-8, unlike {good:,} of {good + broken:,} rows with letters beyond a-z: two "
            "files in one? Save each as UTF-8; with --encoding utf-8 such rows are bad ones"
        )
    found = encoding_of(evidence) if broken >= _LEAST_LINES else None
    if found is None:
        named = "--encoding utf-16-le perhaps" if b"\0" in b"".join(evidence) else _BY_COUNTRY
        raise DataError(
            f"{source}, row {first}: not UTF-8: {_shown(evidence)}: name the encoding, {named}; with --encoding utf-8 "
            "such rows are bad ones"
        )
    _check(path, source, found, None)
    return found


def _lines_not_ascii(path: Path) -> tuple[int, int, int, list[bytes]]:
    """Lines with letters beyond ASCII that are UTF-8, those that are not, the first of these, and what is in them."""
    good = broken = first = 0
    size, evidence = 0, []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                good += 1
            except UnicodeDecodeError:
                broken += 1
                first = first or number
                if size < _EVIDENCE:
                    start = max(0, len(line) - len(line.lstrip(_ASCII)) - _BEFORE)
                    evidence.append(line[start : start + _LONGEST])
                    size += len(evidence[-1])
    return good, broken, first, evidence


def _check(path: Path, source: str, name: str, said: str | None) -> None:
    """`DataError` with the first line that is not in the encoding."""
    decoder = codecs.getincrementaldecoder(name)()
    row = 1
    with path.open("rb") as file:
        for line in file:
            try:
                decoder.decode(line)
            except UnicodeDecodeError as error:
                which = f"as --encoding {said} says" if said else "as most of the file is"
                raise DataError(f"{source}, row {row}: not in {name}, {which}: name another with --encoding") from error
            row += 1


def _shown(evidence: list[bytes]) -> str:
    escaped = evidence[0].rstrip().decode("ascii", "backslashreplace")
    line = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in escaped)
    at = max(0, line.find("\\x") - 20)
    return '"' + line[at : at + 40] + '"'
