"""The curve in a notebook: one picture in the output of the cell, which each evaluation replaces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

_WIDTH = 700  # pixels, half of what the file has: sharp on dense screens


class NotebookPicture:
    """Shows a file as a picture where a notebook runs us, and does nothing elsewhere. IPython is no dependency."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, path: Path) -> None:
        """Show the PNG file at `path`, in place of the picture shown before."""
        if not _in_notebook():
            return
        from IPython.display import Image, display

        picture = Image(data=path.read_bytes(), format="png", width=_WIDTH)
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)


def _in_notebook() -> bool:
    """Whether a kernel runs us that can show pictures: not a plain Python, nor IPython on a terminal."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
