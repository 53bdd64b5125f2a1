"""A long text in pieces of the lengths that a model learned from, and one answer of what it says of them.

The rule is a dictionary of plain JSON, which the model's config has as `long_texts`: `least` and `longest` are words of
a piece, `shift` (a number a label) and `scale` make one answer of the pieces'. This file needs nothing but numpy, so
that it can be sent along with a model.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

# What the mean of the pieces' logits is multiplied by where no long texts tell: together they say more than one.
SCALE = 2.0
# How much longer a text must be than what was learned from: one that is little longer is of the same kind, and has two
# halves of a sentence for pieces.
LONG = 1.5
# Letters of scripts without blanks between words, Thai, Lao, Burmese, Khmer, kana and Chinese characters, and the marks
# that follow one.
_LETTERS = "\u0e01-\u0edf\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
_LETTERS += "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
_FOLLOWING = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ecd\u102b-\u103e\u17b4-\u17d3\u3099\u309a\uff9e\uff9f"
)
_WORD = re.compile(f"[{_LETTERS}][{_FOLLOWING}]*|[^\\s{_LETTERS}]+")
# Marks that end a sentence, with the quotes and brackets that close after them, and blanks: Latin, Arabic, Urdu, Hindi,
# Armenian, Burmese and Khmer marks; the wide ones of Chinese and Japanese, which need no blank; and the end of a line.
_CLOSING = "[\"'\u2019\u201d\u00bb)\\]\u300d\u300f\uff09]*+"
_MARKS, _WIDE_MARKS = "[.!?\u2026\u061f\u06d4\u0964\u0589\u104b\u17d4]", "[\u3002\uff01\uff1f\uff61]"
# Possessive, and only from the first mark of a row: in linear time, whatever the text is.
_END = re.compile(f"(?<!{_MARKS}){_MARKS}++{_CLOSING}(?=\\s)\\s*+|{_WIDE_MARKS}++{_CLOSING}\\s*+|\n\\s*+")


def count_words(text: str) -> int:
    """What stands between blanks; of scripts without blanks each letter."""
    return len(_WORD.findall(text))


def split(text: str, least: int, longest: int) -> list[str]:
    """Pieces that begin and end with sentences; together they are the text, but for the blanks between them.

    Sentences are joined until they have `least` words together, and one that is too long is cut between words, into
    equal parts.

    Args:
        text: Of any language.
        least: Words of a piece, where the next sentence leaves it room.
        longest: Words of a piece that it never exceeds.
    """
    pieces: list[tuple[str, int]] = []  # with their words
    for sentence in _sentences(text, longest):
        words = count_words(sentence)
        joins = pieces and pieces[-1][1] < least and pieces[-1][1] + words <= longest
        before, so_far = pieces.pop() if joins else ("", 0)
        pieces.append((before + sentence, so_far + words))
    # What is left over at the end goes to the piece before it.
    if len(pieces) > 1 and pieces[-1][1] < least and pieces[-2][1] + pieces[-1][1] <= longest:
        (last, words), (before, so_far) = pieces.pop(), pieces.pop()
        pieces.append((before + last, so_far + words))
    return [piece.strip() for piece, _ in pieces if piece.strip()]


def _sentences(text: str, longest: int) -> list[str]:
    """Each with the blanks after it; one of more words than `longest` in parts."""
    ends = [0, *(match.end() for match in _END.finditer(text)), len(text)]
    sentences = []
    for begin, end in pairwise(ends):
        starts = [match.start() for match in _WORD.finditer(text, begin, end)]
        parts = max(1, math.ceil(len(starts) / longest))
        cuts = [starts[len(starts) * part // parts] for part in range(1, parts)]
        sentences += [text[one:other] for one, other in pairwise([begin, *cuts, end])]
    return sentences


def default_rule(labels: int) -> dict[str, Any]:
    """For a model that has no rule: pieces as of one that learned from sentences.

    Args:
        labels: How many the model has.
    """
    return {"least": 9, "longest": 40, "shift": [0.0] * labels, "scale": SCALE}


def pieces_of(text: str, rule: Mapping[str, Any]) -> list[str]:
    """The pieces of a text that has over `LONG` times `longest` words; any other text as it is.

    Args:
        text: Of any length.
        rule: As `check_rule` wants it.
    """
    is_long = count_words(text) > LONG * rule["longest"]
    return split(text, rule["least"], rule["longest"]) if is_long else [text]


def pool(logits: np.ndarray, rule: Mapping[str, Any]) -> np.ndarray:
    """The logits of a text by those of its pieces, `[labels]`: their mean less `shift`, times `scale`.

    Args:
        logits: Of more than one piece, `[pieces, labels]`.
        rule: As `check_rule` wants it.
    """
    mean = np.asarray(logits, dtype=np.float64).mean(axis=0)
    return np.asarray(rule["scale"] * (mean - np.asarray(rule["shift"])))


def check_rule(rule: Any, labels: int) -> None:
    """Refuse what is no rule for a model of so many labels.

    Raises:
        ValueError: It says which part of the rule is wrong.
    """
    if not isinstance(rule, Mapping):
        raise ValueError(f"a dictionary is wanted, got {rule!r}")
    least, longest, shift = rule.get("least"), rule.get("longest"), rule.get("shift")
    if not (type(least) is int and type(longest) is int and 1 <= least <= longest):
        raise ValueError(
            f"least and longest must be numbers of words, 1 <= least <= longest, got {least!r}, {longest!r}"
        )
    if not (_is_number(rule.get("scale")) and rule["scale"] > 0):
        raise ValueError(f"scale must be a number above 0, got {rule.get('scale')!r}")
    if not isinstance(shift, (list, tuple)) or len(shift) != labels or not all(map(_is_number, shift)):
        raise ValueError(f"shift must be {labels} numbers, one a label, got {shift!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
