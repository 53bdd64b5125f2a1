"""Raw labels as they stand in a column: one key for all spellings of a value, and what is no label at all."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Polarity words in order; a label name is one of these or is kept as it is written.
POLARITY_ORDER = ("very negative", "negative", "neutral", "positive", "very positive")

# Words that stand for "no label" in one column and are a class in another; `infer_label_rule` says when.
PERHAPS_MISSING = frozenset(
    {"none", "unknown", "missing", "unlabeled", "unlabelled", "no label", "not labeled", "not labelled"}
    | {"not available", "tbd"}
)

# A value in at most this share of the rows, or in a single one, may be a slip; a class of it could not be learned.
STRAY_SHARE = 0.01

# Slips are at most this share of the rows together: in a column of scores nearly every value is rare.
STRAYS_SHARE = 0.05

# Labelled rows from which on a value in a single row can be told from a rare class: it is 1 in 20 at most.
FEWEST_ROWS = 20

# The same for a word among words: "mixed" is more likely to be a class beside "positive" than 60 is.
FEWEST_ROWS_OF_WORDS = 100

# A word in more rows than this is written so on purpose, however many rows there are.
STRAY_ROWS_OF_WORDS = 5

_MISSING = frozenset({"", "nan", "nat", "null", "na", "n/a", "n.a.", "n.a", "nil", "\\n", "undefined", "[]", "{}"})
# What says so within brackets, as spreadsheets and databases write it: (blank), [NULL], <NA>.
_BRACKETED = _MISSING | PERHAPS_MISSING | {"blank", "empty", "leer"}

# The errors of a spreadsheet in any language (#REF!, #NAME?, #N/A, #NV, ####), and marks that say nothing.
_MISSING_FORMS = re.compile(r"#+|#\S*[!?]|#n/?[a-z]|#getting_data|[-_.?/\\·]+")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")
_PARTS = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s,]+")
_OBJECT = re.compile(r"\{.*[\"'].*:.*\}", re.DOTALL)
# Stars as a word: English, Chinese and Japanese, German, Dutch, French, Italian, Spanish and Portuguese, Danish and
# Norwegian, Swedish, Polish, Turkish, Russian. "Of five" in most of these.
_STAR = (
    r"(?:star(?:s|\(s\))?|[つ颗顆]?星|sterne?n?|ster(?:ren)?|étoiles?|stell[ae]|estrell?as?|stjerner?|stjärn(?:a|or)|"
    r"gwiazd(?:a|y|ka|ki|ek)|y[ıi]ld[ıi]z|зв[её]зд[аы]?|[★⭐])"
)
_OF_FIVE = r"\s*(?:/|(?:out )?of|von|van|sur|de|su|av|af|z|из)\s*5"
# The number before them; after them, as in Japanese and Korean; and pictures, of which the full ones count.
_STARS = re.compile(
    rf"(?:rated )?(\d+(?:[.,]\d+)?)(?:(?:{_OF_FIVE})?[\s-]*{_STAR}|{_OF_FIVE})"
    r"|(?:5つ星のうち|[星별])\s*(\d+(?:[.,]\d+)?)[つ개個]?|([★⭐🌟*]+)☆*|(☆+)",
    re.IGNORECASE,
)
# The same with the number as a word.
_COUNTED = re.compile(rf"(\w+?)[\s-]*{_STAR}", re.IGNORECASE)
_COUNTS = {"one": 1.0, "two": 2.0, "three": 3.0, "four": 4.0, "five": 5.0}
_COUNTS |= {"一": 1.0, "二": 2.0, "三": 3.0, "四": 4.0, "五": 5.0}
_SIGNS = {"+": "positive", "-": "negative", "++": "very positive", "--": "very negative"}
_POLARITY = {
    "neg": "negative",
    "neu": "neutral",
    "pos": "positive",
    **{name: name for name in POLARITY_ORDER},
    **{name.replace(" ", mark): name for name in POLARITY_ORDER for mark in "_-"},
}
_PUNCTUATION = ".,;:!()[]"
_QUOTES = "\"'`\u201c\u201d\u201e\u2018\u2019\u201a\xab\xbb"
# Letters that lose their dot or get one where Turkish is put in lower case, dashes and apostrophes of all kinds.
_ALIKE = str.maketrans({"\u0131": "i", "\u2019": "'"} | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))
# Selectors of a letter's picture, and fillers, which are letters to Unicode.
_UNSEEN = frozenset("\u034f\u115f\u1160\u3164\uffa0\u2800") | {chr(code) for code in range(0xFE00, 0xFE10)}


class SeveralLabels(ValueError):
    """A list or an object in a label's place."""


def only_value(value: object) -> object:
    """The value itself, or that of a list of exactly one, as JSON, Python and NumPy write lists.

    Raises:
        SeveralLabels: It is a list of more, or an object.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or value.strip()[:1] not in ("[", "{"):
        return value
    text = value.strip()
    # JSON first; Python and NumPy write lists that are none: ['a'], [1 0].
    try:
        parsed = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        parsed = _written_list(text)
    if isinstance(parsed, list) and len(parsed) == 1 and not isinstance(parsed[0], list | dict):
        return parsed[0]
    # "[any other name]" is a name, and an empty list no label at all.
    if parsed is None or parsed in ([], {}):
        return value
    raise SeveralLabels(value)


def _written_list(text: str) -> list[Any] | dict[str, Any] | None:
    """The parts of a list that Python or NumPy wrote, a stand-in for its object, or None for "[any other name]"."""
    if text.startswith("{"):
        return {text: None} if _OBJECT.fullmatch(text) else None
    parts = _PARTS.findall(text[1:-1]) if text.endswith("]") else []
    if not parts or not all(part[0] in "\"'" or as_number(part) is not None for part in parts):
        return None
    return [part.strip("\"'") for part in parts]


def is_several(value: object) -> bool:
    """Whether a list of several values, or an object, stands in a label's place."""
    try:
        only_value(value)
    except SeveralLabels:
        return True
    return False


def is_missing(value: object) -> bool:
    """Whether a raw value stands for "no label" in any column: None, NaN, a blank, `#N/A`, `#REF!`, "-", "?", …"""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return True
    if not isinstance(value, str | bytes):
        return False
    # (blank), [NULL], <NA>
    key = canonical(value)
    bracketed = key[:1] in ("(", "[", "<") and key.strip("()[]<>") in _BRACKETED
    return key in _MISSING or bracketed or _MISSING_FORMS.fullmatch(key) is not None


def as_number(value: object) -> float | None:
    """A finite number as float, from a number or a numeric string; None for all else (booleans included).

    A comma is a decimal one: "1,0" is 1.
    """
    if isinstance(value, bool | np.bool_):
        return None
    # Full-width digits and minus signs of all kinds are digits and a minus.
    if isinstance(value, str):
        value = visible(unicodedata.normalize("NFKC", value)).translate(_ALIKE)
        # float() alone also takes "1_000" and "infinity".
        if not _NUMBER.fullmatch(value):
            return None
        value = value.replace(",", ".")
    elif not hasattr(value, "__float__"):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def plain(number: float) -> str:
    """The shortest spelling of a number: "1" for 1.0, "0.5" for 0.5."""
    return str(int(number)) if number == int(number) else repr(number)


def stars_of(key: str) -> float | None:
    """The number in "4 stars", "four stars", "3.5★", "4.0 out of 5 stars", "4/5", "★★★☆☆" and so on, in
    several languages; None without a star."""
    match = _STARS.fullmatch(key)
    if match is None:
        word = _COUNTED.fullmatch(key)
        return None if word is None else _COUNTS.get(word[1].lower())
    number = match[1] or match[2]
    return float(number.replace(",", ".")) if number else float(len(match[3] or match[4]))


def visible(text: str) -> str:
    """What a reader sees: without invisible characters, and without white space and quotes at the ends."""
    kept = (c for c in text if c.isspace() or not (unicodedata.category(c) in ("Cf", "Cc") or c in _UNSEEN))
    text = " ".join("".join(kept).split())
    if text.startswith('="'):  # so that a spreadsheet keeps a number as text
        text = text[1:]
    return text.strip(_QUOTES + " ") or text


def canonical(value: object) -> str:
    """One key for a value in all its spellings: "1" for 1, 1.0, " 1 " and "1,0"; "true" for True; other strings as a
    reader sees them, in lower case and in Unicode's one form for letters that look the same (NFKC)."""
    try:
        value = only_value(value)
    except SeveralLabels as error:
        value = str(error)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    number = as_number(value)
    if number is not None:
        return plain(number)
    # NFKC twice: folding case can undo it. It also makes of İ an i with a combining dot, which goes.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", str(value)).casefold())
    return visible(folded).translate(_ALIKE).replace("i\u0307", "i")


def fold(key: str) -> str:
    """Case folded, and a polarity word in its full spelling ("NEG" and "(neg.)" → "negative")."""
    folded = key.casefold()
    return _POLARITY.get(folded.strip(_PUNCTUATION), folded)


def strays(counts: Mapping[Any, int], rows: int, among_words: bool = False) -> frozenset[Any]:
    """Values that are too few to be meant as classes: slips, sums, the rest of another table.

    Each stands in at most 1 % of the rows, or in a single one of at least 20; all of them together in 5 % at most.

    Args:
        counts: Value → rows.
        rows: Labelled rows of the whole column.
        among_words: Words among words, which are slips only in 100 rows or more, and in at most five of these.
    """
    if rows < (FEWEST_ROWS_OF_WORDS if among_words else FEWEST_ROWS):
        return frozenset()
    # 1 % of the rows, and never less than one row; of words five at most.
    most = max(1, int(STRAY_SHARE * rows))
    most = min(most, STRAY_ROWS_OF_WORDS) if among_words else most
    few = frozenset(value for value, count in counts.items() if count <= most)
    return few if sum(counts[value] for value in few) <= STRAYS_SHARE * rows else frozenset()


@dataclass(frozen=True)
class LabelColumn:
    """The values of a label column.

    Attributes:
        counts: Key (see `canonical`) → rows, without what is missing.
        spellings: Key → raw spelling → rows.
        rows: Labelled rows.
        lists: Rows whose label is a list of exactly one.
        several: A list or object that stands in a label's place, if there is one.
        signs: Whether "+" is among the labels, so that "-" is one too.
        declared: Keys that are classes for certain.
    """

    counts: dict[str, int]
    spellings: dict[str, Counter[str]]
    rows: int
    lists: int
    several: str | None
    signs: bool
    declared: frozenset[str]

    @classmethod
    def of(cls, values: Iterable[object], declared: Sequence[str] = ()) -> LabelColumn:
        """Count a column.

        Args:
            values: Raw values.
            declared: Names that are classes for certain, whatever they look like.
        """
        # Distinct raw values first: a column of millions has few. True == 1 in a dict, so the type is in the key.
        raw = Counter((type(value), value) for value in values if value is not None)
        sure = frozenset(canonical(name) for name in declared)
        # "-" is no label in most columns; beside a "+" it is one.
        signs = any(isinstance(value, str) and canonical(value) in ("+", "++") for _, value in raw)
        labels = sure | (set(_SIGNS) if signs else set())
        counts: Counter[str] = Counter()
        spellings: dict[str, Counter[str]] = {}
        lists, several = 0, None
        for (_, value), count in raw.items():
            if is_several(value):
                several = several or str(value)
                continue
            single = only_value(value)
            key = canonical(single)
            if is_missing(single) and key not in labels:
                continue
            lists += count if single is not value and not isinstance(value, bytes) else 0
            counts[key] += count
            spellings.setdefault(key, Counter())[str(single)] += count
        return cls(dict(counts), spellings, sum(counts.values()), lists, several, signs, sure)

    def strays(self, keys: Iterable[str], among_words: bool = False) -> frozenset[str]:
        """Those of the keys that are too few to be classes; none that is declared to be one."""
        return strays({key: self.counts[key] for key in keys}, self.rows, among_words) - self.declared

    def are_strays(self, keys: Collection[str], among_words: bool = False) -> bool:
        """Whether all of the keys are too few to be classes."""
        return len(self.strays(keys, among_words)) == len(keys)

    def name(self, keys: Iterable[str]) -> str:
        """The most frequent spelling of the given keys, as a reader sees it; of equally frequent ones the first."""
        # Spellings that a reader cannot tell apart count as one.
        seen: Counter[str] = Counter()
        for key in keys:
            for spelling, count in self.spellings[key].items():
                seen[unicodedata.normalize("NFC", visible(spelling))] += count
        return min(seen, key=lambda spelling: (-seen[spelling], spelling))

    def polarity(self, key: str) -> str | None:
        """The polarity word that a key is for certain."""
        word = _SIGNS.get(key, key) if self.signs else key
        return fold(word) if fold(word) in POLARITY_ORDER else None
