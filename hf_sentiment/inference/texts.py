"""What is a text and what is none: of a cell without one, a prediction would be a guess at nothing."""

from __future__ import annotations

import unicodedata

from hf_sentiment.data.audit import is_placeholder
from hf_sentiment.data.labels import as_number

# How the notes begin.
EMPTY = "empty text"
NOT_A_TEXT = "not a text"

_NOTHING_TO_SEE = ("Cc", "Cf", "Zs", "Zl", "Zp")


def no_text(value: object) -> str:
    """Why a value is no text that has a label; "" where it is one.

    Empty are `None`, NaN, white space, invisible characters, broken ones alone (U+FFFD), and what stands for an empty
    cell (`NaN`, `N/A`, `-`; see `is_placeholder`). A number, true and false are no texts, nor are strings of them: it
    depends on the file's format which of the two a cell is.
    """
    # Booleans are no empty cells, and no numbers either.
    if value is None or value is True or value is False:
        return EMPTY if value is None else f"{NOT_A_TEXT} ({str(value).lower()})"
    if not isinstance(value, str):
        # NaN, NaT and pandas' NA say of themselves that they are not equal to themselves, or do not say.
        return EMPTY if _is_nan(value) else f"{NOT_A_TEXT} ({type(value).__name__})"
    if all(unicodedata.category(character) in _NOTHING_TO_SEE or character == "\ufffd" for character in value):
        return EMPTY
    if len(value) <= 20:  # longer ones are no words for nothing, and need not be looked at so closely
        if is_placeholder(value):
            return f"{EMPTY} ({value.strip()})"
        if as_number(value) is not None:
            return f"{NOT_A_TEXT} (a number)"
        if value.strip().lower() in ("true", "false"):
            return f"{NOT_A_TEXT} ({value.strip().lower()})"
    return ""


def _is_nan(value: object) -> bool:
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA has no truth value; nor has an array, which is no text either
        return type(value).__name__ == "NAType"
