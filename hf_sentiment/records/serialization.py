"""From the dataclasses of `records.schema` to the JSON files of a run, and back."""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import write_json

# In every file. It is raised when a name goes or comes to mean something else; a name that is added changes nothing.
VERSION = 1

# In the metadata of a field: it holds the names that the others do not, which stand beside them in the file.
_REST = "rest"
# The types of JSON, in words.
_NAMES = {dict: "an object", list: "a list", str: "a text", float: "a number", int: "a whole number", bool: "a boolean"}

_T = TypeVar("_T")


def to_json(value: Any) -> Any:
    """A record, or a part of one, as plain JSON. A field that may be left out, as its default is `None`, is then."""
    if dataclasses.is_dataclass(value):
        entries: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            entry = getattr(value, field.name)
            # Flat, so that a reader of the file need not know which names are ours.
            if field.metadata.get(_REST):
                entries |= to_json(entry)
            # A field without a default has `MISSING` for one, so its `None` is written.
            elif entry is not None or field.default is not None:
                entries[field.name] = to_json(entry)
        return entries
    if isinstance(value, Mapping):
        return {str(name): to_json(entry) for name, entry in value.items()}
    return [to_json(entry) for entry in value] if isinstance(value, list | tuple) else value


def from_json(kind: Any, value: Any, place: str = "") -> Any:
    """What `to_json` wrote, as the type that it was. Names that the type does not have are passed over.

    Args:
        kind: A dataclass, a type of JSON, `X | None`, `list[X]`, `dict[str, X]`, or a tuple of either form.
        value: Plain JSON.
        place: Where it stands in its file, for messages.

    Raises:
        ValueError: Something is missing, or of another type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any or (value is None and types.NoneType in arguments):
        return value
    # `X | None` is the only union of the schema.
    if origin in (Union, types.UnionType):
        return from_json(arguments[0], value, place)
    plain = dict if dataclasses.is_dataclass(kind) else list if origin is tuple else origin or kind
    # JSON has no tuples, and writes 1.0 as 1 in other languages.
    fits = isinstance(value, (int, float) if plain is float else plain)
    # Python's JSON has NaN, which `write_record` refuses to write: somebody has edited the file.
    if not fits or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{place or 'it'} is {value!r:.60}, and should be {_NAMES[plain]}")
    if dataclasses.is_dataclass(kind):
        return _object(kind, value, place)
    if plain is dict:
        return {name: from_json(arguments[1], entry, _within(place, name)) for name, entry in value.items()}
    if plain is list:
        # `tuple[X, Y]` has a type for each place; `list[X]` and `tuple[X, ...]` have one for all.
        kinds = arguments if origin is tuple and arguments[-1] is not Ellipsis else arguments[:1] * len(value)
        entries = zip(kinds, value, strict=True)
        return origin(from_json(one, entry, f"{place}[{index}]") for index, (one, entry) in enumerate(entries))
    return value


def _object(kind: Any, value: Mapping[str, Any], place: str) -> Any:
    types_by_name, entries = get_type_hints(kind), {}
    names = {field.name for field in dataclasses.fields(kind)}
    for field in dataclasses.fields(kind):
        # Whatever else stands there, as plain JSON: only its reader knows the types.
        if field.metadata.get(_REST):
            entries[field.name] = {name: entry for name, entry in value.items() if name not in names}
        elif field.name in value:
            entries[field.name] = from_json(types_by_name[field.name], value[field.name], _within(place, field.name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{_within(place, field.name)} is missing")
    return kind(**entries)


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def as_record(value: Any) -> dict[str, Any]:
    """A record as the content of its file: plain JSON with the version in front."""
    return {"version": VERSION, **to_json(value)}


def write_record(path: Path, value: Any) -> None:
    """Write a record, whole or not at all.

    Args:
        path: Of the file.
        value: A dataclass of `records.schema`, or a mapping.
    """
    write_json(path, as_record(value))


def read_record(path: Path, kind: type[_T]) -> _T | None:
    """A record; `None` where there is no such file.

    Args:
        path: Of the file.
        kind: A dataclass of `records.schema`, or `dict[str, Any]` for names and values as they are.

    Raises:
        CallError: It is of another version, or not what it should be.
    """
    if not path.is_file():
        return None
    content = read_json(path)
    # A file that somebody has edited is met here, and not by a reader that misses a key.
    try:
        record: _T = from_json(kind, without_version(content, path))
    except ValueError as error:
        if isinstance(error, CallError):
            raise
        raise CallError(f"{path}: {error}: restore it, or train again") from error
    return record


def read_json(path: Path) -> Any:
    """What a JSON file holds; `None` where there is no such file.

    Raises:
        CallError: It is not JSON.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CallError(f"{path} is not JSON ({error}): restore it, or train again") from error


def read_object(path: Path) -> dict[str, Any] | None:
    """As `read_json`, of a file that holds names and values.

    Raises:
        CallError: It does not.
    """
    content = read_json(path)
    if not isinstance(content, dict | None):
        raise CallError(f"{path} holds {content!r:.40}, and no names and values: restore it, or train again")
    return content


def without_version(content: Any, place: str | Path) -> Any:
    """The content of a record's file without its version, which is the one that this package reads.

    Args:
        content: What the file holds.
        place: The file, for the message.

    Raises:
        CallError: It is another one.
    """
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        has = "no version" if version is None else f"version {version!r:.20}"
        raise CallError(
            f"{place} has {has}, and this hf-sentiment reads version {VERSION}: install the hf-sentiment that wrote "
            "it, or train again"
        )
    return {name: entry for name, entry in content.items() if name != "version"}
