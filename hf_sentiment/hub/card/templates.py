"""The model card templates: where they are, and how one is filled; a variable that there is not is an error."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateSyntaxError

from hf_sentiment.errors import CallError


def template_folder() -> Path:
    """The folder `model_card_templates`, of an installed wheel or of a checkout.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    package = Path(__file__).resolve().parents[2]  # hub/card/ lies two floors below
    for folder in (package / "model_card_templates", package.parent / "model_card_templates"):
        if (folder / "sentiment.md").is_file():
            return folder
    raise FileNotFoundError(f"no model card templates beside {package}: the installation is incomplete, make it again")


def fill(template: str | Path, variables: Mapping[str, Any]) -> str:
    """A card of a template of ours by name, or of the user's own by path, which may extend or import ours.

    Args:
        template: `"sentiment.md"`, `"adapter.md"`, or a path.
        variables: What the template may use.

    Raises:
        CallError: There is no such file, it is no Jinja template, or it uses a variable that there is not.
    """
    own = isinstance(template, Path)
    if isinstance(template, Path) and not template.is_file():
        raise CallError(f"--card_template {template}: no such file")
    environment = _environment(template.resolve().parent if isinstance(template, Path) else None)
    name = Path(template).name
    try:
        text = environment.get_template(name).render(**variables)
    except TemplateSyntaxError as error:
        raise CallError(f"{error.name or template}, line {error.lineno}: {error.message}") from error
    except (TemplateError, TypeError, ValueError, AttributeError, KeyError) as error:
        if not own:
            raise
        known = ", ".join(sorted(variables))
        raise CallError(f"--card_template {template}: {' '.join(str(error).split())}; there are: {known}") from error
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


@lru_cache(maxsize=4)  # compiling our templates takes longer than filling them; a file that changes is read again
def _environment(own: Path | None) -> Environment:
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in (own, template_folder()) if folder is not None]),
        undefined=StrictUndefined,  # a misspelt variable shall not be an empty place on the card
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters |= {"cell": as_cell, "literal": as_literal}
    return environment


def as_cell(value: object) -> str:
    """Text as Markdown that shows it as it is, in a cell of a table too: nobody's text becomes markup."""
    line = " ".join(str(value).split())
    # Ampersands first, as the others become some.
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", line)


def as_literal(value: object) -> str:
    """Text as a Python string literal."""
    return json.dumps(str(value), ensure_ascii=False)
