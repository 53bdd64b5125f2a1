"""The command reference: what each command takes, as the parser of `hf-sentiment` is made of it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from mkdocs.structure.pages import Page

from hf_sentiment.commands.flags import COMMANDS
from hf_sentiment.training.arguments import SentimentArguments

_OPPOSITES = "A flag that is on by default is turned off by `--no_NAME`: `--no_calibrate`."
_FLAG = re.compile(r"(?<!`)--\w+")
_PLACE = re.compile(r"<!-- flags: (\w+) -->")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Puts what each command takes into its place on the page `commands.md`."""
    arguments = "\n".join([*_table(SentimentArguments), "", _OPPOSITES])
    return _PLACE.sub(lambda place: _section(place[1]), markdown).replace("<!-- arguments -->", arguments)


def _section(name: str) -> str:
    """A call of a command, and its own flags."""
    command = COMMANDS[name]
    words = [field.metadata["word"] for field in dataclasses.fields(command) if "word" in field.metadata]
    call = " ".join(["hf-sentiment", name, *(["[RECIPE.yaml]"] if command.trains else words), "[--name value ...]"])
    more = _FLAG.sub(r"`\g<0>`", " ".join((command.__doc__ or "").partition("\n\n")[2].split()))
    lines = ["```text", call, "```", "", more, "", *_table(command), ""]
    if command.trains and name != "train":
        lines += ["All [arguments of `train`](#arguments-of-train) are taken as well.", ""]
    return "\n".join(lines)


def _table(flags: type[Any]) -> list[str]:
    """A row for each field of a dataclass of flags."""
    rows = [f"| {_name(field)} | {_help(field)} |" for field in dataclasses.fields(flags)]
    return ["| flag | meaning |", "| --- | --- |", *rows]


def _name(field: dataclasses.Field[Any]) -> str:
    return f"`{field.metadata['word']}`" if "word" in field.metadata else f"`--{field.name}`"


def _help(field: dataclasses.Field[Any]) -> str:
    meaning = str(field.metadata["help"]).replace("|", "\\|")
    if field.default in (None, False, dataclasses.MISSING):
        return meaning
    return f"{meaning} Default: `{str(field.default).lower() if field.default is True else field.default}`."
