"""The command reference: the help of each command, as the parser of `hf_sentiment.cli` gives it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from mkdocs.structure.pages import Page

COMMANDS = ("train", "plan", "audit", "evaluate", "predict", "publish")


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Appends the help of every command to the page `commands.md`."""
    if page.file.src_uri != "commands.md":
        return markdown
    return "\n".join([markdown, *(f"## {name}\n\n```text\n{_help(name)}\n```\n" for name in COMMANDS)])


def _help(command: str) -> str:
    call = [sys.executable, "-m", "hf_sentiment", command, "--help"]
    environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1"}
    return subprocess.run(call, capture_output=True, text=True, check=True, env=environment).stdout.strip()
