"""Which encoding a text file is in: UTF-8, what its first bytes say, or what its own words tell with certainty."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hf_sentiment.data.language import ranked
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
# Encodings that are looked for, and the languages (py3langid's) whose programs write them.
_HOME = {
    "cp1252": "en fr de es it pt nl sv da no nb nn fi is ca gl eu ga af id ms",
    "cp1250": "pl cs sk hu sl hr bs ro sq",
    "iso8859_2": "pl cs sk hu sl hr bs ro sq",
    "cp1251": "ru uk bg be mk sr",
    "cp1253": "el",
    "cp1254": "tr az",
    "cp1255": "he",
    "cp1256": "ar fa ur",
    "cp1257": "lt lv et",
    "koi8_r": "ru",
    "cp932": "ja",
    "euc_jp": "ja",
    "gb18030": "zh",
    "big5": "zh",
    "cp949": "ko",
}

_BLOCK = 2**20
_EVIDENCE = 2**16  # bytes of lines that are not ASCII: more tell nothing more
_LEAST_LINES = 3
_CHAOS = 0.35  # the library's default of 0.2 refuses short French lines in their own encoding
_STRAY_BYTES = 0.1
_NOT_WESTERN = frozenset("šžŠŽŸ¤")  # on a Mac š is ö, and ¤ is the euro of Latin-9
_WITHIN_WORDS = "’‘`´–—·“”，。、！？；："


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
    # A line end is 0A 00 or 00 0A, whatever the script, and begins at an even byte: in between both occur, since the
    # letters beside it have zero bytes too.
    units = [start[i : i + 2] for i in range(0, len(start) - 1, 2)]
    for name, end in (("utf-16-le", b"\n\0"), ("utf-16-be", b"\0\n")):
        if units.count(end) >= 0.9 * start.count(b"\n") > 0 and any(b"\0" in unit and unit != end for unit in units):
            return name
    return None


def _by_content(path: Path, source: str) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            pass
        else:
            return UTF8
    # Lines of ASCII are the same in all of these; `good` and `broken` count the others.
    good, broken, first, evidence = _lines_not_ascii(path)
    if broken <= _STRAY_BYTES * good or (good and broken < _LEAST_LINES):
        return UTF8  # some rows are broken, and are named by what reads them
    if good > _STRAY_BYTES * broken:
        raise DataError(
            f"{source}, row {first}: not UTF-8, unlike {good:,} of {good + broken:,} rows with letters beyond a-z: two "
            "files in one? Save each as UTF-8; with --encoding utf-8 such rows are bad ones"
        )
    found = _by_language(evidence) if broken >= _LEAST_LINES else None
    if found is None:
        raise DataError(
            f"{source}, row {first}: not UTF-8: {_shown(evidence)}: name the encoding, --encoding windows-1252 in "
            "Western Europe, cp932 in Japan, cp949 in Korea, big5 in Taiwan; with --encoding utf-8 such rows are bad "
            "ones"
        )
    _check(path, source, found, None)
    return found


def _lines_not_ascii(path: Path) -> tuple[int, int, int, bytes]:
    """Lines with letters beyond ASCII that are UTF-8, those that are not, the first of these, and what is in them."""
    good = broken = first = 0
    evidence = bytearray()
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
                if len(evidence) < _EVIDENCE:
                    evidence += line[:2000]
    return good, broken, first, bytes(evidence)


def _by_language(evidence: bytes) -> str | None:
    """The one encoding of `_HOME` in which the lines are text of a language that is written in it, or None.

    Several encodings may read them as the same text, and then any of them will do.
    """
    import charset_normalizer

    # Text → the first encoding that reads it so. A reading counts if its language is one that is written in it, and
    # nothing in it is odd; if two different texts remain, nothing is certain.
    readings: dict[str, str] = {}
    known = set(" ".join(_HOME.values()).split())
    for match in charset_normalizer.from_bytes(evidence, cp_isolation=list(_HOME), threshold=_CHAOS):
        text = str(match)
        likely = (language for language in ranked(text[:5000]) if language in known)
        language = _by_script(text) or next(likely, "")
        for name in match.could_be_from_charset:
            foreign = name == "cp1252" and language != "fi" and bool(_NOT_WESTERN.intersection(text))
            if name in _HOME and language in _HOME[name].split() and not foreign and not _odd(text):
                readings.setdefault(text, name)
    return next(iter(readings.values())) if len(readings) == 1 else None


def _by_script(text: str) -> str | None:
    """Japanese, Korean, Chinese or Greek by their letters; None for other scripts, and where letters are mixed."""
    # Of the letters beyond ASCII nearly all must be of the script; Japanese mixes kana with Chinese characters.
    every = [letter for letter in text if letter.isalpha()]
    letters = [letter for letter in every if not letter.isascii()]
    if len(letters) < 0.2 * len(every) or max(letters) < "\u0370":
        return None
    for language, least, (low, high) in (
        ("ja", 0.2, ("\u3041", "\u30ff")),
        ("ko", 0.95, ("\uac00", "\ud7a3")),
        ("zh", 1.0, ("\u4e00", "\u9fff")),
        ("el", 1.0, ("\u0370", "\u03ff")),
    ):
        if sum(low <= letter <= high for letter in letters) >= least * len(letters):
            return language
    return None


def _odd(text: str) -> bool:
    """Whether there are controls, or signs or capitals within words that nobody writes: another encoding's text."""
    if any("\x80" <= sign <= "\x9f" for sign in text):
        return True
    for a, sign, b in zip(text, text[1:], text[2:], strict=False):
        if sign.isascii() or not (a.isalpha() and b.isalpha()):
            continue
        if sign == "ς" or (a.islower() and sign.isupper()):
            return True
        if not (sign.isalnum() or sign.isspace() or sign in _WITHIN_WORDS):
            return True
    return False


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


def _shown(evidence: bytes) -> str:
    line = evidence.splitlines()[0].decode("ascii", "backslashreplace")
    at = max(0, line.find("\\x") - 20)
    return '"' + line[at : at + 40] + '"'
