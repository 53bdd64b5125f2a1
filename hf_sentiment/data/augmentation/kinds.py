"""The kinds of augmentation by their names; without torch, so that a help can list them."""

from __future__ import annotations

from hf_sentiment.errors import CallError

# `Augmenter` says what each does.
KINDS = ("deletion", "swap", "neighbour", "typos", "casing", "contractions", "joining")

# Kinds that are applied to texts in any language.
LANGUAGE_NEUTRAL = ("casing", "joining")


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
