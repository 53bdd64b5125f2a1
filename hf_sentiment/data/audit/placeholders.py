"""What people and programs write where there is no text."""

from __future__ import annotations

import unicodedata

# Texts, in lower case, that stand for no text: what spreadsheets, programs and people write into an empty cell.
PLACEHOLDERS = frozenset(
    (
        *("n/a", "n.a.", "na", "#n/a", "#na", "<na>", "nan", "#nan", "-nan", "null", "(null)", "[null]", "nil", "none"),
        *("<none>", "undefined", "no text", "no comment", "no comments", "no review", "not available"),
        *("not applicable", "[deleted]", "[removed]", "#ref!", "#value!", "#name?", "#div/0!"),
        *("-", "--", "---", "–", "—", "_", ".", "..", "...", "?", "??", "???", "。", "。。", "。。。"),
        *("无", "無", "暂无", "なし", "特になし", "없음", "ไม่มี"),
    )
)


def is_placeholder(text: str) -> bool:
    """Whether a text is one of `PLACEHOLDERS`."""
    # Full-width forms are other characters: "Ｎ／Ａ", "？".
    return " ".join(unicodedata.normalize("NFKC", text).split()).lower() in PLACEHOLDERS
