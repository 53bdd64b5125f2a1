"""Hand-written sections of a card: what stands between two markers on the Hub survives the next publish."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from hf_sentiment.errors import SentimentError

# On lines of their own; HTML comments, so that no page shows them.
_BEGIN = re.compile(r"^[ \t]*<!--[ \t]*hand-written:[ \t]*begin[ \t]+(.+?)[ \t]*-->[ \t]*$", re.MULTILINE)
_END = re.compile(r"^[ \t]*<!--[ \t]*hand-written:[ \t]*end(?:[ \t]+(.+?))?[ \t]*-->[ \t]*$", re.MULTILINE)


def handwritten_sections(card: str) -> dict[str, str]:
    """The text between each pair of markers, by name, as it was written.

    Raises:
        SentimentError: A section does not end, begins twice, or stands inside another: keeping it would be guesswork.
    """
    return {name: card[start:end] for name, start, end in _spans(card)}


def read_card(path: Path, place: str | None = None) -> str:
    """The text of a card that is there.

    Args:
        path: The file.
        place: What it is called in the error, by default the path.

    Raises:
        SentimentError: It is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SentimentError(
            f"{place or path}: not UTF-8, so what people wrote into it cannot be kept: save it as UTF-8"
        ) from error


def keep_handwritten(card: str, present: str) -> str:
    """A new card with the hand-written sections of the present one.

    A section takes the place of the section of that name; one that the new card does not have is put at its end.

    Args:
        card: The new card.
        present: The card that is on the Hub now.

    Raises:
        SentimentError: The markers of a card do not pair.
    """
    kept = {name: text for name, text in handwritten_sections(present).items() if text.strip()}
    # From the end, so that the places of those before stay right.
    for name, start, end in reversed(list(_spans(card))):
        if name in kept:
            card = card[:start] + kept.pop(name) + card[end:]
    for name, text in kept.items():
        section = f"<!-- hand-written: begin {name} -->{text}<!-- hand-written: end {name} -->\n"
        card = card.rstrip("\n") + "\n\n" + section
    return card


def _spans(card: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of the text of each section, without its markers."""
    seen: set[str] = set()
    position = 0
    while (begin := _BEGIN.search(card, position)) is not None:
        name = begin.group(1)
        end = _END.search(card, begin.end())
        inner = _BEGIN.search(card, begin.end())
        # No end, the end of another one, or a beginning before it: whose text it is would be guesswork.
        if end is None or (end.group(1) or name) != name or (inner is not None and inner.start() < end.start()):
            raise SentimentError(
                f"README.md: the hand-written section {name!r} has no end: add <!-- hand-written: end {name} -->"
            )
        if name in seen:
            raise SentimentError(f"README.md has two hand-written sections {name!r}: rename one")
        seen.add(name)
        yield name, begin.end(), end.start()
        position = end.end()
