"""The edits of augmentation, each on the tokens of one text; a token that is not free is never touched.

An edit returns the new words, or `None` where the text offers nothing to change. Tokens are changed in place of one
another, so that what is not touched stays as it was written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from hf_sentiment.data.augmentation.guard import Token, in_scope, stop_words

# Share of a text's words that an edit changes, and at least one: EDA's alpha (Wei & Zou 2019, arXiv:1901.11196).
SHARE = 0.1

# Between its first and its last letter a word can be misspelt and still be read.
_MISSPELT_FROM = 4

# Verbs that a suffix stands for, and the pronouns that take it. Others are left alone: 's is "is", "has" or a
# possessive, 'd "had" or "would", and n't is guarded.
_FORMS = {
    "am": ("'m", "i"),
    "are": ("'re", "you we they who"),
    "have": ("'ve", "i you we they who"),
    "will": ("'ll", "i you he she it we they who that there"),
}
_EXPANDED = {pronoun + suffix: verb for verb, (suffix, pronouns) in _FORMS.items() for pronoun in pronouns.split()}
# "I have a dog" is not "I've a dog".
_CONTRACTED = {
    (pronoun, verb): suffix
    for verb, (suffix, pronouns) in _FORMS.items()
    for pronoun in pronouns.split()
    if verb != "have"
}


def deletion(tokens: list[Token], draw: Random) -> list[str] | None:
    """Leave words out; one always stays."""
    places = _movable(tokens)
    count = min(_count(tokens), len(places), len(tokens) - 1)
    gone = set(draw.sample(places, max(0, count)))
    return [item.text for place, item in enumerate(tokens) if place not in gone] if gone else None


def swap(tokens: list[Token], draw: Random) -> list[str] | None:
    """Exchange words with nothing but free words between them, so that none moves across a guarded one or a comma."""
    # Runs of neighbouring free words; the longer a run, the likelier it is drawn.
    runs: list[list[int]] = []
    for place in _movable(tokens):
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    runs = [run for run in runs if len(run) > 1]
    if not runs:
        return None
    words = [item.text for item in tokens]
    for _ in range(_count(tokens)):
        run = draw.choices(runs, weights=[len(run) for run in runs])[0]
        first, second = draw.sample(run, 2)
        words[first], words[second] = words[second], words[first]
    return words


def typos(tokens: list[Token], draw: Random) -> list[str] | None:
    """Exchange, leave out or double a letter inside a word."""

    def misspell(word: str) -> str:
        place = draw.randrange(1, len(word) - 2)
        left, here, following, right = word[:place], word[place], word[place + 1], word[place + 2 :]
        return left + draw.choice((following + here, following, here + here + following)) + right

    return _rewritten(tokens, draw, lambda word: len(word) >= _MISSPELT_FROM, misspell)


def neighbour(tokens: list[Token], draw: Random, near: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """Put a near word for a word, written like it."""
    return _rewritten(
        tokens,
        draw,
        lambda word: bool(_near(word, near)) and word.lower() not in stop_words(),
        lambda word: _cased_like(word, draw.choice(_near(word, near))),
    )


def casing(tokens: list[Token], draw: Random) -> list[str] | None:
    """Write all free words in small letters, in capitals, or with a capital."""
    form: Callable[[str], str] = draw.choice((str.lower, str.upper, str.capitalize))
    return [item.text if item.guarded else item.written(form(item.word)) if item.word else item.text for item in tokens]


def contractions(tokens: list[Token], draw: Random) -> list[str] | None:
    """Write "they are" for "they're" or the other way round, once."""
    free = set(_movable(tokens))
    options: list[tuple[int, int, str]] = []  # tokens from, to, and what stands for them
    for place in sorted(free):
        text = tokens[place].text.replace("’", "'")
        if text.lower() in _EXPANDED:
            options.append((place, place + 1, text.split("'")[0] + " " + _EXPANDED[text.lower()]))
        # "That is what they are" is not contracted: a word must follow.
        if place + 1 in free and place + 2 < len(tokens) and tokens[place + 2].word:
            suffix = _CONTRACTED.get((text.lower(), tokens[place + 1].text))
            if suffix is not None:
                options.append((place, place + 2, text + suffix))
    if not options:
        return None
    start, end, written = draw.choice(options)
    words = [item.text for item in tokens]
    return [*words[:start], *written.split(), *words[end:]]


def _count(tokens: list[Token]) -> int:
    return max(1, int(SHARE * len(tokens)))


def _movable(tokens: list[Token]) -> list[int]:
    """Places of free words without punctuation, which ends a clause, and out of every negation's reach."""
    return [
        place
        for place, (item, scope) in enumerate(zip(tokens, in_scope(tokens), strict=True))
        if item.word == item.text and not item.guarded and not scope
    ]


def _rewritten(
    tokens: list[Token], draw: Random, fits: Callable[[str], bool], rewrite: Callable[[str], str]
) -> list[str] | None:
    """Some of the free words that fit, rewritten."""
    places = [place for place, item in enumerate(tokens) if item.word and not item.guarded and fits(item.word)]
    words = [item.text for item in tokens]
    for place in draw.sample(places, min(_count(tokens), len(places))):
        words[place] = tokens[place].written(rewrite(tokens[place].word))
    return words if places else None


def _near(word: str, near: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return near.get(word) or near.get(word.lower(), ())


def _cased_like(word: str, other: str) -> str:
    if word.isupper():
        return other.upper()
    return other.capitalize() if word[0].isupper() else other
