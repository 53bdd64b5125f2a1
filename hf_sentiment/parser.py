"""One parser for every command, recipe and script: dataclasses become flags, a YAML recipe is a list of the same flags.

It imports neither torch nor transformers, so that every `--help` is quick. transformers' own arguments join a parser
as its parent: argparse takes over what `HfArgumentParser` made of them, and reads them as it does everywhere.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, get_args, get_origin, get_type_hints
from urllib.request import url2pathname

import yaml

from hf_sentiment.errors import CallError, first_line

# What data files end with; the module that reads them is heavy.
_DATA_FILES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".parquet")
# The words that `HfArgumentParser` takes.
_TRUTH = dict.fromkeys(("true", "t", "yes", "y", "1"), True) | dict.fromkeys(("false", "f", "no", "n", "0"), False)


def flag(default: Any, help: str) -> Any:
    """A field that is a flag with a value: `--text_column text`, or `--text-column text`.

    Args:
        default: Its value where nothing is said.
        help: A line.
    """
    return dataclasses.field(default=default, metadata={"help": help})


def switch(help: str, *aliases: str) -> Any:
    """A field that is a flag without a value: `--public`.

    Args:
        help: A line.
        *aliases: Other spellings: `-h`.
    """
    return dataclasses.field(default=False, metadata={"help": help, "aliases": aliases, "action": "store_true"})


def word(name: str, help: str, default: Any = dataclasses.MISSING) -> Any:
    """A field that is a word in its place, without a flag: `FILE`.

    Args:
        name: As the help has it.
        help: A line.
        default: Its value where it is left out; without one it has to be there.
    """
    return dataclasses.field(default=default, metadata={"help": help, "word": name})


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What stands before the flags that a recipe can hold."""

    recipe: str | None = word("RECIPE.yaml", "A YAML file of flags; those of the command line override it.", None)


class FlagParser(argparse.ArgumentParser):
    """A parser of the flags of dataclasses that answers a wrong call with one line and a guess, not a page of usage.

    Args:
        command: The command: "hf-sentiment predict".
        *flags: Dataclasses whose fields are made by `flag`, `switch` and `word`.
        parents: Parsers whose flags are taken as well.
        both: Take `--text-column` beside `--text_column`; a help says everything once.
    """

    def __init__(
        self, command: str, *flags: type[Any], parents: Iterable[argparse.ArgumentParser] = (), both: bool = True
    ) -> None:
        super().__init__(command, parents=list(parents), add_help=False, allow_abbrev=False)
        self._both = both
        # Of all arguments, those of the parents too: what is not said is none of them.
        self._names: list[str] = []
        for parent in parents:
            for arguments in getattr(parent, "dataclass_types", ()):
                self._names += [field.name for field in dataclasses.fields(arguments) if field.init]
        for arguments in flags:
            hints = get_type_hints(arguments)  # a field alone has its type as a string
            for field in dataclasses.fields(arguments):
                self._names.append(field.name)
                self._add(field, hints[field.name])

    def error(self, message: str) -> NoReturn:
        """Raise `CallError` with argparse's message."""
        if message.startswith("the following"):
            raise CallError(f"{message}: `{self.prog} --help` says what they are")
        # argparse names both spellings: "argument --learning_rate/--learning-rate: …"
        message = re.sub(r"^argument (--\w+)(/\S+)?:", r"\1:", message)
        name = message.partition(":")[0]
        if message.endswith("one argument"):  # a negative number in exponents, or a name with a dash, looks like a flag
            message += f", and what begins with - is joined to it: {name}=-VALUE"
        raise CallError(message.replace("ignored explicit argument", "takes no value, got"))

    def said(self, words: Sequence[str]) -> dict[str, Any]:
        """What `words` say, by name, parsed; nothing that is a default. What a recipe says comes before the flags.

        Args:
            words: Of a command line, without the command.

        Raises:
            CallError: An unknown flag (with the nearest known one), a value of the wrong type, an unreadable recipe.
        """
        # The recipe is a word like any other, so that it may stand anywhere. Its flags are parsed on their own, and
        # those of the command line win whatever their order.
        said = self._explicit(words)
        recipe = said.pop("recipe", None)
        if recipe is None:
            return said
        if not recipe.endswith((".yaml", ".yml")):
            raise CallError(
                self._flag_of(recipe) or f"{recipe}: expected a recipe that ends with .yaml, or --name value"
            )
        words = recipe_words(recipe)
        try:
            told = self._explicit(words)
        except CallError as error:
            raise CallError(f"{recipe}: {error}") from error
        if "recipe" in told:  # it stands in no recipe, so it is the second value of a flag, or one of a switch
            raise CallError(f"{recipe}: {told['recipe']} is a value too many: `{self.prog} --help` says what is taken")
        return told | said

    def _explicit(self, words: Sequence[str]) -> dict[str, Any]:
        # With a namespace that has them all, argparse adds no defaults of its own.
        nothing = argparse.Namespace(**dict.fromkeys(self._names, dataclasses.MISSING))
        namespace, unknown = self.parse_known_args(list(words), nothing)
        if unknown:
            raise CallError(self._unknown(unknown[0]))
        for name, value in vars(namespace).items():
            if value == []:  # argparse drops `--`, which ends the flags, also where it is a value
                raise CallError(f"--{name} needs a value, got --")
        return {name: value for name, value in vars(namespace).items() if value is not dataclasses.MISSING}

    def _flag_of(self, word: str) -> str | None:
        """The message for a file of data that lacks its flag."""
        name = next((name for name in ("train_file", "test_file") if name in self._names), None)
        if name is None or not word.endswith(_DATA_FILES):
            return None
        return f"{word}: say what the file is for: --{name} {word}"

    def _unknown(self, token: str) -> str:
        if not token.startswith("-"):
            return self._flag_of(token) or f"{token} is a word too many: `{self.prog} --help` says what is taken"
        # One spelling each, so that --num-threads is as near to --num_threads as it looks.
        flags = [name for name in self._option_string_actions if "-" not in name[2:]]
        near = nearest("--" + token.split("=")[0].lstrip("-").replace("-", "_"), flags)
        return f"unknown argument {token}{near or f': `{self.prog} --help` lists the arguments'}"

    def _add(self, field: dataclasses.Field[Any], hint: Any) -> None:
        """Add the flag, or the word, of a field whose type is `hint`."""
        metadata = field.metadata
        if "word" in metadata:
            # A word that is left out is not said: argparse would set its default.
            optional: dict[str, Any] = {}
            if field.default is not dataclasses.MISSING:
                optional = {"nargs": "?", "default": dataclasses.MISSING}
            self.add_argument(field.name, metavar=metadata["word"], help=metadata["help"], **optional)
            return
        options = {"action": metadata["action"]} if "action" in metadata else _options(field.name, hint)
        default = "" if field.default in (None, False) else f" (default: {field.default})"
        spellings = [*self._spellings(field.name), *metadata.get("aliases", ())]
        self.add_argument(*spellings, help=metadata["help"].replace("%", "%%") + default, **options)
        # What is on, or decided elsewhere, can be switched off.
        if hint in (bool, bool | None) and field.default is not False:
            opposite = f"The same as --{field.name} false."
            spellings = self._spellings(f"no_{field.name}")
            self.add_argument(*spellings, dest=field.name, action="store_false", help=opposite)

    def _spellings(self, name: str) -> list[str]:
        both = [name, name.replace("_", "-")] if self._both else [name]
        return [f"--{spelling}" for spelling in dict.fromkeys(both)]


def _options(name: str, hint: Any) -> dict[str, Any]:
    """What `add_argument` wants for a type: `str | None` is one word, `list[str]` are several."""
    shown = name.rpartition("_")[2].upper()  # --text_column COLUMN
    if isinstance(hint, UnionType):  # X | None
        hint = next(part for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is list:
        return {"type": get_args(hint)[0], "nargs": "+", "metavar": shown}
    if hint is bool:  # its value may be left out: a recipe has one, and so has a flag that overrides it
        return {"type": _truth, "nargs": "?", "const": True, "metavar": "true|false"}
    return {"type": _local if hint is Path else hint, "metavar": shown}


def _truth(said: str) -> bool:
    if said.lower() not in _TRUTH:
        raise argparse.ArgumentTypeError(f"expected true or false, got {said!r}")
    return _TRUTH[said.lower()]


def _local(said: str) -> Path:
    try:
        return local_file(said)
    except CallError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def place_of(said: str | os.PathLike[str]) -> str:
    """A path or URL as it was said; of a `file:` URL the path.

    Args:
        said: By the user.

    Raises:
        CallError: A `file:` URL of another machine.
    """
    said = os.fspath(said)
    if not said.lower().startswith("file:/"):
        return said
    host, _, path = said[len("file:") :].removeprefix("//").partition("/")
    if host.lower() not in ("", "localhost"):
        raise CallError(f"{said} is a file on the machine {host}: one on this machine is file:///PATH")
    return url2pathname(f"/{path}")


def local_file(said: str | os.PathLike[str]) -> Path:
    """The path of a file to write, which may be a `file:` URL.

    Args:
        said: By the user.

    Raises:
        CallError: A URL of another kind.
    """
    place = place_of(said)
    if re.match(r"[A-Za-z][\w+.:-]+:/", place):  # a `Path` has one of its two slashes
        raise CallError(f"{place}: a single file is written on this machine alone: name one here, and copy it there")
    return Path(place).expanduser()


def nearest(said: str, known: Iterable[str]) -> str:
    """`, did you mean …?` with the nearest name; empty where none is near.

    Args:
        said: A name that is none of them.
        known: The names.
    """
    near = difflib.get_close_matches(said, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def recipe_words(path: str | Path) -> list[str]:
    """The flags that a YAML recipe stands for, in its order: `learning_rate: 2e-5` is `--learning_rate 2e-5`.

    Lists become several values, mappings JSON, and `null` leaves the default.

    Args:
        path: The recipe.

    Raises:
        CallError: No such file, or no YAML mapping of names to values; with the line where YAML says it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CallError(f"{path}: {error.strerror}: name a YAML recipe, such as recipes/starter.yaml") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        raise CallError(f"{where}: not YAML ({getattr(error, 'problem', None) or first_line(error)})") from error
    if not isinstance(content, dict):
        raise CallError(f"{path}: a recipe is a list of `name: value` lines, such as `learning_rate: 2e-5`")
    return [word for name, value in content.items() for word in flag_words(name, value)]


def flag_words(name: str, value: Any) -> list[str]:
    """An argument as the words that a parser reads as it; none for `None`.

    Args:
        name: Of the argument.
        value: As it was parsed; a list becomes several words.
    """
    if value is None:
        return []
    words = [_text(item) for item in (value if isinstance(value, list) else [value])]
    if len(words) == 1 and words[0].startswith("-"):
        return [f"--{name}={words[0]}"]  # or it would be taken for a flag
    return [f"--{name}", *words]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | dict) else str(value)
