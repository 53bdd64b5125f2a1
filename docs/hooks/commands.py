"""The command reference: the help of each command, as the parser of `hf_sentiment.cli` gives it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

from mkdocs.structure.pages import Page

_PLACE = re.compile(r"<!-- flags: (\w+) -->")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Puts the help of every command into its place on the page `commands.md`."""
    return (
        _PLACE.sub(lambda place: f"```text\n{_help(place[1])}\n```", markdown)
        if page.file.src_uri == "commands.md"
        else markdown
    )


def _help(command: str) -> str:
    call = [sys.executable, "-m", "hf_sentiment", command, "--help"]
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stdout.strip()
