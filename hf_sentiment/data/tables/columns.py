"""Which columns hold the text and the label: as the user names them, or guessed where only one can be meant."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from unicodedata import category, normalize

from hf_sentiment.errors import CallError

logger = logging.getLogger(__name__)

# Column names (lower case) that are taken for the text.
TEXT_NAMES = frozenset(
    {"text", "sentence", "review", "content", "comment", "body", "tweet", "message", "document", "snippet"}
    | {"review_text", "reviewtext", "review_body"}
)

# Column names (lower case) that are taken for the label.
LABEL_NAMES = frozenset(
    {"label", "labels", "sentiment", "rating", "stars", "score", "class", "target", "polarity"}
    | {"star_rating", "airline_sentiment"}
)

# Of a data frame; 1 and "1" are the same name here.
SAME_NAMES = "the data frame: two columns have the same name: give each a name of its own"

_LONG_NAME = 40  # a text, rather
_SECOND = re.compile(r"\.\d+$")


@dataclass(frozen=True)
class WantedColumns:
    """What the user says about columns: the names, where given, and whether labels are needed at all."""

    text: str | None
    label: str | None
    label_optional: bool


def choose_columns(columns: Sequence[str], given: WantedColumns, source: str) -> tuple[str, str | None]:
    """The text and the label column (None where labels are optional and none is certain).

    Raises `CallError` where a named column is missing, or where a guess would not be certain.
    """
    given = replace(given, text=_own(columns, given.text), label=_own(columns, given.label))
    if given.text and given.text == given.label:
        raise CallError(f'"{given.text}" can\'t be both --text_column and --label_column: name two columns')
    require_columns(columns, given.text, given.label, source)
    text = given.text or _guess(columns, TEXT_NAMES, "text", source, given.label)
    if given.label:
        return text, given.label
    if given.label_optional:
        candidates = _candidates(columns, LABEL_NAMES, text)
        return text, candidates[0] if len(candidates) == 1 else None
    return text, _guess(columns, LABEL_NAMES, "label", source, text)


def require_columns(columns: Sequence[str], text: str | None, label: str | None, source: str) -> None:
    """`CallError` with the nearest name where one of the two is not among the columns.

    Args:
        columns: All there are.
        text: The column of the texts, or `None`.
        label: The column of the labels, or `None`.
        source: Of the table, for messages.
    """
    for role, column in (("text", text), ("label", label)):
        if column is None or column in columns:
            continue
        lowered = {name.strip().lower(): name for name in columns}
        near = get_close_matches(column.strip().lower(), list(lowered), n=1)
        hint = f"; did you mean --{role}_column {lowered[near[0]]}?" if near else ""
        raise CallError(f'{source}: no column "{column}" (columns: {_listed(columns)}){hint}')


def visible(name: str) -> str:
    """A column's name as it looks: composed, of the usual width, without invisible signs and blanks around it.

    Args:
        name: As it is written in the file, or as the user names it.
    """
    if name.isascii():
        return name.strip()
    return "".join(sign for sign in normalize("NFKC", name) if category(sign) != "Cf").strip()


def _own(columns: Sequence[str], wanted: str | None) -> str | None:
    """The column's own name for the one that the user gave, where one alone looks like it."""
    alike = [column for column in columns if wanted and visible(column) == visible(wanted)]
    return alike[0] if len(alike) == 1 and wanted not in columns else wanted


def _candidates(columns: Sequence[str], usual: Iterable[str], taken: str | None) -> list[str]:
    """The columns with a usual name; a second one of the same name, which readers call "label.1", is one too."""
    # "label.1" is what readers make of a second "label"; a column that is called so by itself has no "label" beside it.
    bases = {column: _SECOND.sub("", column) for column in columns}
    names = {column: base if base in columns else column for column, base in bases.items()}
    return [column for column in columns if visible(names[column]).lower() in usual and column != taken]


def _guess(columns: Sequence[str], usual: Iterable[str], role: str, source: str, taken: str | None) -> str:
    """The one column with a usual name; anything else is the user's to say."""
    candidates = _candidates(columns, usual, taken)
    if len(candidates) == 1:
        logger.info('%s: the %s column is "%s"', source, role, candidates[0])
        return candidates[0]
    why = f"{' and '.join(candidates)} could each be the {role}" if candidates else f"no column looks like the {role}"
    header = ""
    if not candidates and any(len(name) > _LONG_NAME or name.strip().isdecimal() for name in columns):
        header = "; if the first row is no header, put one above it, such as text,label"
    raise CallError(f"{source}: {why}; name it with --{role}_column NAME (columns: {_listed(columns)}){header}")


def _listed(columns: Sequence[str]) -> str:
    """The columns for a message; a file without a header would otherwise fill the screen."""
    short = [name if len(name) <= _LONG_NAME else name[: _LONG_NAME - 3] + "..." for name in columns]
    return ", ".join(short if len(short) <= 30 else [*short[:30], f"and {len(short) - 30} more"])
