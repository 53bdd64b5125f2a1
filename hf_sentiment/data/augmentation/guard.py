"""What augmentation must not touch: the words, emoticons and rules that carry sentiment in English.

All lists are VADER's (Hutto & Gilbert, ICWSM 2014; package `vaderSentiment`): its lexicon of words, slang and emoticons
with human valences, its negations, its intensifiers and its idioms. What happens to the rest of a text is checked at
the end by VADER's score, as its rules see more than its lists (emphasis, distance).
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import NamedTuple

from vaderSentiment.vaderSentiment import (
    BOOSTER_DICT,
    NEGATE,
    SENTIMENT_LADEN_IDIOMS,
    SPECIAL_CASES,
    SentimentIntensityAnalyzer,
)

# Words after a negation that it may turn around: VADER's own window.
NEGATION_REACH = 3

# Words that VADER's rules name but none of its lists: "but" turns a text, "least" turns a word, and "no", of the
# lexicon, negates.
_RULE_WORDS = ("but", "least")
_RULE_NEGATION = "no"

# Quotes and brackets before a word, punctuation after it. Colons and equals signs make emoticons with a letter.
_WORD = re.compile(r"([\"'“‘(\[]*)([^\W\d_]+(?:['’-][^\W\d_]+)*)([.,;!?…\"'”’)\]]*)")
_INSIDE = re.compile(r"[^\w'\s]+")


class Token(NamedTuple):
    """What stands between two blanks of a text.

    Attributes:
        text: As it is written.
        before: Quotes and brackets attached to a word.
        word: The letters, with apostrophes and hyphens inside; empty for a number, an emoticon, emoji or punctuation.
        after: Punctuation attached to a word.
        guarded: Whether it carries sentiment.
        negation: Whether it turns around what follows.
    """

    text: str
    before: str
    word: str
    after: str
    guarded: bool
    negation: bool

    def written(self, word: str) -> str:
        """The token with another word in place of its own."""
        return self.before + word + self.after


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


@cache
def guarded_words() -> frozenset[str]:
    """Lower-case words, slang and emoticons that are never deleted, moved, replaced or misspelt."""
    return frozenset(_analyzer().lexicon).union(NEGATE, BOOSTER_DICT, _RULE_WORDS)


@cache
def _phrases() -> dict[str, list[tuple[str, ...]]]:
    """Idioms and intensifiers of several words, by their first word."""
    known = [*guarded_words(), *SPECIAL_CASES, *SENTIMENT_LADEN_IDIOMS]
    phrases: dict[str, list[tuple[str, ...]]] = {}
    for words in {tuple(name.split()) for name in known if " " in name and name[0].isalpha()}:
        phrases.setdefault(words[0], []).append(words)
    return phrases


@lru_cache(maxsize=2**16)
def token(text: str) -> Token:
    """A token read on its own."""
    plain = text.lower().replace("’", "'")
    match = _WORD.fullmatch(text)
    before, word, after = match.groups() if match else ("", "", "")
    # A token carries sentiment if it does as a whole, as a word without its punctuation, or in one of its parts.
    parts = {plain, word.lower().replace("’", "'"), *_INSIDE.split(plain)}
    negation = "n't" in plain or not parts.isdisjoint([*NEGATE, _RULE_NEGATION])
    emoji = not _analyzer().emojis.keys().isdisjoint(text)
    return Token(text, before, word, after, negation or emoji or not parts.isdisjoint(guarded_words()), negation)


def read(text: str) -> list[Token]:
    """The tokens of a text, words of an idiom guarded as well."""
    tokens = [token(part) for part in text.split()]
    words = [item.word.lower() for item in tokens]
    for start, first in enumerate(words):
        for phrase in _phrases().get(first, ()):
            if tuple(words[start : start + len(phrase)]) == phrase:
                for place in range(start, start + len(phrase)):
                    tokens[place] = tokens[place]._replace(guarded=True)
    return tokens


def in_scope(tokens: list[Token]) -> list[bool]:
    """Whether each token is among the three that follow a negation."""
    scope, left = [], 0
    for item in tokens:
        scope.append(left > 0)
        left = NEGATION_REACH if item.negation else left - 1
    return scope


@cache
def stop_words() -> frozenset[str]:
    """English function words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS)


def polarity(text: str) -> float:
    """VADER's compound score, -1…1."""
    return float(_analyzer().polarity_scores(text)["compound"])


@lru_cache(maxsize=2**16)
def _reading(text: str) -> tuple[list[str], float]:
    return [item.text.lower() for item in read(text) if item.guarded], polarity(text)


def same_sentiment(before: str, after: str) -> bool:
    """Whether both texts have the same guarded tokens in the same order, and the same score by VADER."""
    tokens, score = _reading(before)
    return score == polarity(after) and tokens == [item.text.lower() for item in read(after) if item.guarded]
