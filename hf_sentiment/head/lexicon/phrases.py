"""Short phrases with words of a lexicon, and what each is worth by the rules of its language."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase
from vaderSentiment.vaderSentiment import BOOSTER_DICT, NEGATE, SentimentIntensityAnalyzer

from hf_sentiment.data.tokenization import whole_words
from hf_sentiment.head.lexicon.grammar import GRAMMARS, Grammar
from hf_sentiment.head.lexicon.words import is_multilingual, pattern_words

# Patterns with one word of the lexicon, with two, with none.
_SHARES = (0.6, 0.34, 0.06)
# Shares of what is composed of a pattern: of its words that get an adverb of degree, are negated from up to two words
# away, or stand in capitals; of phrases that end in an exclamation or an emoticon; and of those that are joined.
_BOOSTED, _NEGATED, _CAPITAL, _EXCLAIMED, _WITH_EMOTICON, _JOINED = 0.12, 0.1, 0.1, 0.12, 0.12, 0.25
_APART, _AT_THE_END = (0, 0, 1, 2), 0.8
# VADER's compound score is s / sqrt(s^2 + 15) of the sum of valences s (its `normalize`): undone here.
_NORMALIZATION = 15.0
_LARGEST = 6.0
# The rules of other languages: VADER's, but that a negated word is worth -0.5 times as much, as in Pattern.
_REACH, _OPPOSITE = 3, -0.5
_BEFORE_BUT, _AFTER_BUT = 0.5, 1.5
_EXCLAMATION, _MOST_EXCLAMATIONS = 0.292, 4
_STRONGEST = 4.0


@dataclass(frozen=True)
class _Language:
    """What the phrases of a language are made of.

    Attributes:
        grammar: Its patterns.
        slots: What each slot of a pattern may be.
        valence: Of a phrase.
    """

    grammar: Grammar
    slots: Mapping[str, Sequence[str]]
    valence: Callable[[str], float]

    def phrase(self, generator: random.Random) -> tuple[str, float]:
        """A phrase and its valence."""
        text = self._part(generator)
        if generator.random() < _JOINED:
            text = text.rstrip(".") + generator.choice(self.grammar.joints) + self._part(generator)
        for slot, words in self.slots.items():
            while slot in text:
                text = text.replace(slot, generator.choice(words), 1)
        return text, self.valence(text)

    def _part(self, generator: random.Random) -> str:
        """A pattern with what is composed around it, its slots still open."""
        patterns = (self.grammar.one, self.grammar.two, self.grammar.none)
        words = []
        for word in generator.choice(generator.choices(patterns, _SHARES)[0]).split(" "):
            if "{w}" in word:
                words += ["{b}"] * (generator.random() < _BOOSTED)
                if generator.random() < _NEGATED:
                    words += ["{n}", *["{f}"] * generator.choice(_APART)]
                if "{W}" in self.slots and generator.random() < _CAPITAL:
                    word = word.replace("{w}", "{W}")
            words.append(word)
        text = " ".join(words)
        if generator.random() < _EXCLAIMED:
            text = text.rstrip(".") + "!" * generator.randint(1, 3)
        if not self.slots["{e}"] or generator.random() >= _WITH_EMOTICON:
            return text
        return f"{text} {{e}}" if generator.random() < _AT_THE_END else f"{{e}} {text}"


def lexicon_phrases(
    tokenizer: PreTrainedTokenizerBase, count: int, languages: Sequence[str] = ("en",), seed: int = 0
) -> list[tuple[str, float]]:
    """`count` phrases and their valences: by VADER's rules in English, else by a few of them.

    Args:
        tokenizer: Its whole words stand between the words of the English lexicon, unless they are of many languages.
            Emoticons that it does not know, and capitals where it has none, are left out.
        count: Phrases.
        languages: Of the phrases, each as often as the others.
        seed: Of the draw.
    """
    # Of Python and not of numpy or torch: the draws are the same whatever else a run draws.
    generator = random.Random(seed)
    analyzer = SentimentIntensityAnalyzer()
    known = [_english(tokenizer, analyzer) if one == "en" else _other(one, tokenizer, analyzer) for one in languages]
    return [known[number % len(known)].phrase(generator) for number in range(count)]


def rule_valences(texts: Sequence[str]) -> list[float]:
    """The sum of valences behind VADER's score of each text, at most 6 either way.

    Args:
        texts: English ones.
    """
    analyzer = SentimentIntensityAnalyzer()
    return [_sum_behind(analyzer.polarity_scores(text)["compound"]) for text in texts]


def _english(tokenizer: PreTrainedTokenizerBase, analyzer: SentimentIntensityAnalyzer) -> _Language:
    taken = {*analyzer.lexicon, *NEGATE, *BOOSTER_DICT}
    # In other languages a word that VADER does not know may have sentiment all the same.
    others = () if is_multilingual(tokenizer) else plain_words(tokenizer)
    words = [word for word in analyzer.lexicon if word.replace(" ", "").replace("-", "").replace("'", "").isalpha()]
    slots = {
        "{w}": words,
        "{f}": [word for word in others if word.lower() not in taken] or GRAMMARS["en"].nouns,
        "{b}": [word for word in BOOSTER_DICT if " " not in word],
        "{e}": _emoticons(tokenizer, analyzer),
        "{n}": [word for word in NEGATE if "'" in word or word in GRAMMARS["en"].negations],
    }
    if _has_capitals(tokenizer):
        slots["{W}"] = [word.upper() for word in words]
    return _Language(GRAMMARS["en"], slots, lambda text: _sum_behind(analyzer.polarity_scores(text)["compound"]))


def _sum_behind(compound: float) -> float:
    """The sum of valences behind a compound score, at most 6 either way."""
    valence = compound * math.sqrt(_NORMALIZATION / max(1.0 - compound**2, 1e-4))
    return max(-_LARGEST, min(_LARGEST, valence))


def _emoticons(tokenizer: PreTrainedTokenizerBase, analyzer: SentimentIntensityAnalyzer) -> list[str]:
    """The emoticons and shorthands of up to three signs that the tokenizer can read, as people write them."""
    # In capitals, as people write them, and as VADER takes for emphasis, only where the encoder can see those.
    signs = [word for word in analyzer.lexicon if not word.replace("-", "").isalpha() and not word.isdigit()]
    short = [word.upper() if _has_capitals(tokenizer) else word for word in signs if len(word) < 4]
    return [word for word in short if tokenizer.unk_token not in tokenizer.tokenize(word)]


def _has_capitals(tokenizer: PreTrainedTokenizerBase) -> bool:
    return bool(tokenizer.tokenize("GOOD") != tokenizer.tokenize("good"))


def plain_words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """ASCII words of three letters and more that are one token, in order."""
    # A vocabulary that does not mark pieces of words is taken for one of words.
    known = whole_words(tokenizer) or tokenizer.get_vocab()
    return sorted(word for word in known if word.isalpha() and word.isascii() and len(word) > 2)


def _other(language: str, tokenizer: PreTrainedTokenizerBase, analyzer: SentimentIntensityAnalyzer) -> _Language:
    grammar, lexicon = GRAMMARS[language], pattern_words(language)
    read = {word.upper(): valence for word, valence in analyzer.lexicon.items()}
    emoticons = {word: read[word.upper()] for word in _emoticons(tokenizer, analyzer)}
    # Words with a part of their own in the rules are not words to be taught.
    taken = {*grammar.negations, *grammar.boosters, *grammar.nouns, grammar.but}
    valences = {word: valence for word, valence in lexicon.valences.items() if word not in taken}
    boosters = {word: lexicon.intensities[word] for word in grammar.boosters}
    slots = {"{w}": sorted(valences), "{f}": grammar.nouns, "{b}": grammar.boosters}
    slots |= {"{n}": grammar.negations, "{e}": list(emoticons)}
    return _Language(grammar, slots, lambda text: rule_valence(text, valences | emoticons, boosters, grammar))


def rule_valence(text: str, valences: Mapping[str, float], boosters: Mapping[str, float], grammar: Grammar) -> float:
    """The sum of a phrase's valences: with adverbs of degree, negations, exclamation marks and "but".

    Args:
        text: A phrase.
        valences: Of each word and emoticon.
        boosters: What each adverb of degree multiplies the valence after it by.
        grammar: With the words that negate and contrast.
    """
    words = [word if word in valences else word.strip(".,!") for word in text.split()]
    lowered = [word.lower() for word in words]
    but = lowered.index(grammar.but) if grammar.but in lowered else None
    total = 0.0
    for place, word in enumerate(words):
        valence = valences.get(word, 0.0) * boosters.get(words[place - 1] if place else "", 1.0)
        valence = max(-_STRONGEST, min(_STRONGEST, valence))
        if any(before in grammar.negations for before in lowered[max(0, place - _REACH) : place]):
            valence *= _OPPOSITE
        if but is not None:
            valence *= _BEFORE_BUT if place < but else _AFTER_BUT
        total += valence
    if total:
        total += math.copysign(_EXCLAMATION * min(text.count("!"), _MOST_EXCLAMATIONS), total)
    return max(-_LARGEST, min(_LARGEST, total))
