"""Patterns of short phrases, by language: {w} is a word of the lexicon, {f} any other word, {b} an adverb of degree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Grammar:
    """How phrases of a language are made.

    Attributes:
        one: Patterns with one word of the lexicon.
        two: Patterns with two.
        none: Patterns with none.
        joints: What stands between two phrases that are joined.
        but: What contrasts two parts of a sentence, of which the second counts for more.
        negations: Words that negate what follows.
        boosters: Adverbs of degree; in English those of VADER.
        nouns: Words without sentiment that go with the patterns' articles.
    """

    one: tuple[str, ...]
    two: tuple[str, ...]
    none: tuple[str, ...]
    joints: tuple[str, ...]
    but: str
    negations: tuple[str, ...]
    boosters: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()


_ENGLISH = Grammar(
    one=(
        *("{w}", "{w}", "It was {w}.", "This is a {w} one.", "I felt {w} about it.", "{w}!", "They are {w}.", "so {w}"),
        *("{b} {w}", "not {w}", "It was not {w} at all.", "never {w}", "It isn't {w}.", "a {w} {f}", "the {f} is {w}"),
        *("this {f} is not {w}", "not a {w} {f}", "I {w} the {f}", "{w} {f} {f}"),
    ),
    two=(
        *("{w} and {w}", "{w}, but {w}", "It is {w} but not {w}.", "the {f} was {w} and {w}", "{f} and {f}: {w}"),
        *("the {f} is {w}, but the {f} is {w}", "a {w} {f} with {w} {f}", "neither {w} nor {w}"),
    ),
    none=("the {f} is a {f}", "{f} of {f}", "I have the {f}", "it has a {f} with {f}"),
    joints=(" ", ", but ", ". ", " and ", ", ", "! ", ", yet ", " because "),
    but="but",
    negations=(
        "not",
        "never",
        "cannot",
        "without",
        "nor",
        "neither",
        "none",
        "nothing",
        "nowhere",
        "rarely",
        "seldom",
        "despite",
    ),
    nouns=(
        *("film", "book", "hotel", "room", "phone", "service", "city", "house", "street", "table", "door", "car"),
        *("day", "week", "evening", "price", "food", "coffee", "page", "chapter", "story", "actor", "camera", "box"),
        *("screen", "shop", "school", "garden", "river", "weather", "letter", "road", "place", "person", "teacher"),
    ),
)
_DUTCH = Grammar(
    one=(
        *("{w}", "{w}", "Het was {w}.", "Ik vond het {w}.", "{w}!", "Ze zijn {w}.", "niet {w}", "{b} {w}", "nooit {w}"),
        *("Het was helemaal niet {w}.", "een {w} {f}", "de {f} is {w}", "deze {f} is niet {w}", "geen {w} {f}"),
    ),
    two=("{w} en {w}", "{w}, maar {w}", "Het is {w}, maar niet {w}.", "de {f} is {w}, maar de {f} is {w}"),
    none=("de {f} is een {f}", "de {f} van de {f}", "Ik heb de {f}."),
    joints=(" ", ", maar ", ". ", " en ", ", ", "! ", " want "),
    but="maar",
    negations=("niet", "geen", "nooit", "zonder"),
    boosters=("erg", "heel", "ontzettend", "absoluut", "uiterst", "echt"),
    nouns=("film", "kamer", "dag", "stad", "tafel", "deur", "auto", "telefoon", "foto", "winkel", "avond", "straat"),
)
_FRENCH = Grammar(
    one=(
        *("{w}", "{w}", "C'était {w}.", "Je le trouve {w}.", "{w} !", "Ils sont {w}.", "pas {w}", "{b} {w}"),
        *("jamais {w}", "Ce n'était pas du tout {w}.", "un {f} {w}", "le {f} est {w}", "ce {f} n'est pas {w}"),
    ),
    two=("{w} et {w}", "{w}, mais {w}", "C'est {w}, mais pas {w}.", "le {f} est {w}, mais le {f} est {w}"),
    none=("le {f} est un {f}", "le {f} du {f}", "J'ai le {f}."),
    joints=(" ", ", mais ", ". ", " et ", ", ", "! ", " parce que "),
    but="mais",
    negations=("pas", "jamais", "ni", "sans"),
    boosters=("très", "vraiment", "particulièrement", "totalement", "absolument", "complètement"),
    nouns=("livre", "film", "jour", "magasin", "soir", "jardin", "train", "lit", "mur", "téléphone", "repas", "bureau"),
)
_ITALIAN = Grammar(
    one=(
        *("{w}", "{w}", "Era {w}.", "Lo trovo {w}.", "{w}!", "Sono {w}.", "non {w}", "{b} {w}", "mai {w}"),
        *("Non era per niente {w}.", "un {f} {w}", "il {f} è {w}", "questo {f} non è {w}"),
    ),
    two=("{w} e {w}", "{w}, ma {w}", "È {w}, ma non {w}.", "il {f} è {w}, ma il {f} è {w}"),
    none=("il {f} è un {f}", "il {f} del {f}", "Ho il {f}."),
    joints=(" ", ", ma ", ". ", " e ", ", ", "! ", " perché "),
    but="ma",
    negations=("non", "mai", "né", "senza", "niente"),
    boosters=("molto", "davvero", "estremamente", "veramente", "assai", "assolutamente"),
    nouns=("libro", "film", "giorno", "tavolo", "telefono", "letto", "muro", "giardino", "treno", "prezzo", "pranzo"),
)
GRAMMARS: Mapping[str, Grammar] = {"en": _ENGLISH, "nl": _DUTCH, "fr": _FRENCH, "it": _ITALIAN}
