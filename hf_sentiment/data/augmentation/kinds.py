"""The kinds of augmentation by their names; without torch, so that a help can list them."""

from __future__ import annotations

from collections.abc import Sequence

from hf_sentiment.errors import CallError

# `Augmenter` says what each does.
KINDS = ("deletion", "swap", "neighbour", "typos", "casing", "contractions", "joining")

# Kinds that are applied to texts in any language; the others are where the words that carry sentiment are known.
LANGUAGE_NEUTRAL = ("casing", "joining")
GUARDED = ("en",)


def parse_kinds(said: str) -> tuple[str, ...]:
    """The kinds that `--augment` names: a comma-separated list, or `none` for no kind.

    Raises:
        CallError: An unknown kind, or none at all.
    """
    if said.strip() == "none":
        return ()
    kinds = tuple(dict.fromkeys(part.strip() for part in said.split(",")))
    for kind in kinds:
        if kind not in KINDS:
            raise CallError(f"--augment {said}: {kind!r} is no kind: give none, or some of {','.join(KINDS)}")
    return kinds


def check_language(kinds: Sequence[str], language: str | None) -> None:
    """See that some kinds can be applied to texts in a language, or in several (`None`), of which each is asked.

    Raises:
        CallError: A kind needs to know which words carry sentiment, and in this language it does not.
    """
    refused = [kind for kind in kinds if kind not in LANGUAGE_NEUTRAL]
    if refused and language not in (None, *GUARDED):
        raise CallError(
            f"--augment {','.join(kinds)}: {', '.join(refused)} would change polarity words of these texts, which are "
            f"in {language!r}: give {','.join(LANGUAGE_NEUTRAL)}, one of the two, or none"
        )
