"""Files of JSON: one object a line, or one list of objects; brought to one column of lines."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from hf_sentiment.data.tables import TEXT_NAMES, Encoding
from hf_sentiment.errors import DataError

# How the fault of a broken line begins.
NOT_JSON = ("not JSON", "not a JSON object")

_SURROGATE = re.compile("[\ud800-\udfff]")
# An object of more keys, none of them the usual name of a text, has texts for keys.
_MOST_KEYS = 50

_NOT_BY_ROWS = 'one object for the whole table: write one a row, frame.to_json(path, orient="records", lines=True)'


def list_items(path: Path, encoding: Encoding, source: str) -> list[str]:
    """The items of a file that is one JSON list, each as a line of its own.

    Raises:
        DataError: It is not JSON.
    """
    try:
        value = json.loads(path.read_text(encoding=encoding.name, errors="replace"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{source}, row {error.lineno}: {_not_json(error)}: write one list, [{{...}}, {{...}}]"
        ) from error
    except (RecursionError, ValueError) as error:
        raise DataError(f"{source}: {_too_much(error)}: write one object a row") from error
    return [json.dumps(whole(item), ensure_ascii=False) for item in value]


def _not_json(error: json.JSONDecodeError) -> str:
    """Where a text stops being JSON, and what is there."""
    line = (error.doc.splitlines() or [""])[min(error.lineno, len(error.doc.splitlines())) - 1]
    shown = line[max(0, error.colno - 11) : error.colno + 20].strip()
    return f"{NOT_JSON[0]} at column {error.colno}, near {shown!r}"


def _too_much(error: RecursionError | ValueError) -> str:
    """What Python's reader gives up on, though it is JSON."""
    deep = isinstance(error, RecursionError)
    return "lists too deep within one another" if deep else "a number of thousands of digits"


def shape_fault(path: Path, encoding: Encoding) -> str | None:
    """What is wrong with a file that is one JSON object as a whole and no row, or None."""
    try:
        value = json.loads(path.read_text(encoding=encoding.name, errors="replace"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value:
        return None
    # By columns (pandas' default), or by texts: {"a fine film": 1, ...}.
    if all(isinstance(items, (dict, list)) for items in value.values()) and len(value) > 1:
        return _NOT_BY_ROWS
    if len(value) > _MOST_KEYS and not TEXT_NAMES.intersection(map(str.lower, value)):
        return _NOT_BY_ROWS
    rows = [key for key, items in value.items() if isinstance(items, list) and items and isinstance(items[0], dict)]
    if len(rows) == 1 and not TEXT_NAMES.intersection(map(str.lower, value)):
        return f"the rows are under {rows[0]!r}: write that list alone"
    return None


def parse_line(line: str) -> dict[str, Any] | str:
    """One line as a JSON object without half emojis (see `whole`), or what is wrong with it."""
    try:
        value = json.loads(line)
    except json.JSONDecodeError as error:
        return f"{_not_json(error)}: write one JSON object a line, texts in double quotes"
    except (RecursionError, ValueError) as error:
        return f"{NOT_JSON[0]}: {_too_much(error)}"
    if not isinstance(value, dict):
        return f'{NOT_JSON[1]}: write lines such as {{"text": "...", "label": "..."}}'
    return whole(value) if "\\u" in line else value


def whole(value: Any) -> Any:
    """A JSON value in which no half of an escaped emoji is left, which could be neither read nor written."""
    if isinstance(value, str):
        return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [whole(item) for item in value]
    return {whole(key): whole(item) for key, item in value.items()} if isinstance(value, dict) else value


def json_value(value: object, name: str) -> str | None:
    """A value as a string, a text that is none as None."""
    if isinstance(value, str):
        return value
    if value is None or name == "text":
        return None
    return json.dumps(value)
