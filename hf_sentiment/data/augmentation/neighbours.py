"""Near words by the model's own input embeddings: nothing to download, in the language and case of the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from hf_sentiment.data.augmentation.guard import guarded_words
from hf_sentiment.data.tokenization import whole_words
from hf_sentiment.errors import CallError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# In the starter model's embeddings inflections and synonyms lie above ("film", "movie": 0.71), most antonyms below
# ("cheap", "expensive": 0.57). Comparatives are an exception ("faster", "slower": 0.73): see `_may_be_opposite`.
_SIMILARITY = 0.6
_NEIGHBOURS = 5
# Of the ten words that are nearest to "film", none is in the lexicon; to "clumsy", which the lexicon lacks, nine are.
# By chance it would be one.
_AROUND, _POLAR = 10, 2
_SHORTEST = 3  # letters
_ROWS = 1024  # words that are compared with all others at a time


def near_words(
    words: Iterable[str], tokenizer: PreTrainedTokenizerBase, embeddings: torch.Tensor
) -> dict[str, tuple[str, ...]]:
    """At most five near words for each of `words` that is a piece of the vocabulary, nearest first.

    A word that is in the sentiment lexicon, or two of whose ten nearest words are, has none and is none.

    Args:
        words: As they occur in texts.
        tokenizer: Of the model.
        embeddings: The model's input embeddings, `[vocabulary, width]`.

    Raises:
        CallError: The vocabulary does not tell words from pieces of words.
    """
    vocabulary = whole_words(tokenizer)
    if not vocabulary:
        raise CallError("--augment neighbour needs a vocabulary of words and pieces of words: leave `neighbour` out")
    pieces = sorted(piece for piece in vocabulary if len(piece) >= _SHORTEST)
    rows = torch.tensor([vocabulary[piece] for piece in pieces], dtype=torch.long)
    # `[pieces, width]`, of length 1: their products are cosines.
    vectors = functional.normalize(embeddings.detach().float().cpu()[rows], dim=1)
    place_of = {piece: place for place, piece in enumerate(pieces)}
    lexical = torch.tensor([piece.lower() in guarded_words() for piece in pieces])
    found = {place_of[form] for word in words for form in (word, word.lower()) if form in place_of}
    places = torch.tensor(sorted(place for place in found if not lexical[place]), dtype=torch.long)
    similarities, nearest = _nearest(vectors, places)
    # Whatever may be put into a text is asked too whether it is polar: two of its ten nearest are in the lexicon.
    candidates = torch.unique(nearest[similarities >= _SIMILARITY])
    candidates = torch.unique(torch.cat([places, candidates[~lexical[candidates]]]))
    polar = lexical.clone()
    polar[candidates] = lexical[_nearest(vectors, candidates)[1]].sum(dim=1) >= _POLAR
    near = {}
    for place, likeness, others in zip(places.tolist(), similarities, nearest, strict=True):
        word = pieces[place]
        kept = [pieces[other] for other in others[(likeness >= _SIMILARITY) & ~polar[others]].tolist()]
        kept = [other for other in kept if not _may_be_opposite(word, other)][:_NEIGHBOURS]
        if kept and not polar[place]:
            near[word] = tuple(kept)
    return near


def _may_be_opposite(word: str, other: str) -> bool:
    """Whether another word is a comparative or superlative that is no form of the word itself."""
    return other.endswith(("er", "est")) and other[:2] != word[:2]


def _nearest(vectors: torch.Tensor, places: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and place of the words nearest to each of `places`, itself left out, `[places, 10]`, nearest first."""
    count = min(_AROUND, len(vectors) - 1)
    values, others = torch.empty(len(places), count), torch.empty(len(places), count, dtype=torch.long)
    # Some rows at a time: all products at once would be vocabulary by vocabulary.
    for start in range(0, len(places), _ROWS):
        chunk = places[start : start + _ROWS]
        likeness = vectors[chunk] @ vectors.T
        likeness[torch.arange(len(chunk)), chunk] = -torch.inf
        values[start : start + _ROWS], others[start : start + _ROWS] = likeness.topk(count, dim=1)
    return values, others
