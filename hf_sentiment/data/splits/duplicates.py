"""Duplicates and near-duplicates: which texts must stay on one side of a split."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from hf_sentiment.data.language import words

# Texts whose sets of word pairs have at least this Jaccard similarity are near-duplicates.
NEAR = 0.8

# 4 of 5 shingles are 0.8, and floats must not make less of it.
_ROUNDING = 1e-6
_BYTES = 8  # of a hash

# How far a shingle reaches that very many texts share; see `_candidates`.
_FREQUENT = 256

# Candidate pairs that are held at a time.
_BATCH = 2_000_000

# Candidate pairs whose texts are compared at a time.
_ROWS = 50_000

# Western emoticons with eyes, an optional nose and a mouth, their mirror images, hearts, and faces on a line.
# A mouth that is a letter must not begin a word ("re:Paris").
_EMOTICON = re.compile(
    r"""(?: [<>]?[:;=]['\u2019]?[-o^*]?(?:[)\](\[/\\|}{@*]+|[3dpo](?!\w))
          | (?<!\w)[)\](\[]+['\u2019]?[-o^*]?[:;=](?![)\](\[])
          | </?3+
          | (?<!\w)[>\^ot;-][_.][<\^ot;-](?!\w)
        )""",
    re.VERBOSE,
)


class _Kept(dict[int, str]):
    """For `str.translate`: letters, digits, marks and pictures stay, the rest becomes a blank. Filled on demand."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in "'\u2019" or category == "Cf" or 0xFE00 <= code <= 0xFE0F:
            replacement = ""  # an apostrophe joins its word; joiners and variation selectors only style a picture
        elif category[0] in "LMN" or category == "So" or 0x1F3FB <= code <= 0x1F3FF:
            replacement = character
        else:
            replacement = " "
        self[code] = replacement
        return replacement


_KEPT = _Kept()


def duplicate_key(text: str) -> str:
    """What two texts must share to count as the same.

    Unicode compatibility forms, case, white space and punctuation are folded; words, digits, emoji and emoticons stay,
    so that "Fun :)" and "Fun :(" differ, while "Fun!" and "fun" do not. A text of nothing but punctuation is its own
    key.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # An emoticon stands as it is between the words, which lose their punctuation.
    pieces: list[str] = []
    end = 0
    for match in _EMOTICON.finditer(folded):
        pieces += folded[end : match.start()].translate(_KEPT).split()
        pieces.append(match.group())
        end = match.end()
    pieces += folded[end:].translate(_KEPT).split()
    # Letters of scripts without blanks stand alone, as words do: there a blank more or less is chance.
    return " ".join(words(" ".join(pieces))) or " ".join(folded.split())


class Duplicates:
    """Which of some texts are the same or nearly so: searched for once, and then told of any part of them.

    Texts belong together if their `duplicate_key` is the same, if their sets of word pairs overlap by `NEAR` (Jaccard),
    or if they are of one known group; and so on along chains. A word put for another ("good" for "bad") is too much
    below ten words, and a word more is too much below five. Of scripts without blanks each letter counts as a word.

    The search is exact up to shingles shared by very many texts (`_candidates`), the same for the same input, and its
    memory is bounded by the texts themselves.

    Args:
        texts: Any strings; nothing is searched for before it is asked for.
    """

    def __init__(self, texts: Sequence[str] | np.ndarray) -> None:
        self._texts = texts

    @cached_property
    def _keyed(self) -> tuple[np.ndarray, np.ndarray]:
        """The distinct keys in alphabetical order, and the number of each text's key."""
        # Objects: a plain array of strings gives every one the room of the longest.
        keys = np.array([duplicate_key(text) for text in self._texts], dtype=object)
        return np.unique(keys, return_inverse=True)

    @property
    def keys(self) -> np.ndarray:
        """The number of each text's `duplicate_key`; shape (texts,)."""
        return self._keyed[1]

    @cached_property
    def hashes(self) -> np.ndarray:
        """A hash for each text, the same for equal keys; shape (texts,), uint64."""
        return key_hashes(self._keyed[0])[self.keys]

    @cached_property
    def _pairs(self) -> np.ndarray:
        """The numbers of keys that are near one another; shape (m, 2)."""
        return near_pairs(list(self._keyed[0]))

    def groups(
        self, part: np.ndarray | None = None, known: Sequence[str | int | None] | np.ndarray | None = None
    ) -> np.ndarray:
        """Numbers such that texts that must not be separated share one, from 0 in order of first appearance.

        Args:
            part: Which texts, by position, shape (n,); by default all. Texts outside it link no two inside it.
            known: Ids of known groups (a document, an author), shape (n,); `None` where a text has none.

        Returns:
            Integers of shape (n,).
        """
        keys = self.keys if part is None else self.keys[part]
        count = len(keys)
        if not count:
            return np.empty(0, dtype=np.int64)
        present = np.zeros(len(self._keyed[0]), dtype=bool)
        present[keys] = True
        # Nodes: the texts, then all keys, then the known groups. Edges: each text to its key, and near keys.
        edges = [
            np.column_stack([np.arange(count), count + keys]),
            count + self._pairs[present[self._pairs].all(axis=1)],
        ]
        nodes = count + len(present)
        if known is not None:
            numbers = {group: i for i, group in enumerate(dict.fromkeys(known)) if group is not None}
            linked = [(i, nodes + numbers[group]) for i, group in enumerate(known) if group is not None]
            edges.append(np.array(linked, dtype=np.int64).reshape(-1, 2))
            nodes += len(numbers) + 1
        pairs = np.concatenate(edges)
        graph = sparse.coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
        component = connected_components(graph, directed=False)[1][:count]
        _, first, inverse = np.unique(component, return_index=True, return_inverse=True)
        # Components are numbered as the graph is walked: here by the first text of each.
        return np.argsort(np.argsort(first))[inverse].astype(np.int64)


def key_hashes(keys: Iterable[str]) -> np.ndarray:
    """A hash for each key, uint64: among a million, another key is mistaken for one of them once in 10^13."""
    digests = (blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype="<u8")


def later(*columns: np.ndarray) -> np.ndarray:
    """Whether each row repeats an earlier one in all of some integer columns; all of shape (n,)."""
    repeated = np.ones(len(columns[0]), dtype=bool)
    repeated[np.unique(np.column_stack(columns), axis=0, return_index=True)[1]] = False
    return repeated


def _shingles(key: str) -> list[str]:
    """The pairs of neighbouring words of a key."""
    return [f"{left} {right}" for left, right in pairwise(key.split())]


def near_pairs(keys: list[str]) -> np.ndarray:
    """Pairs (i, j), i < j, of keys whose shingle sets have a Jaccard similarity of `NEAR` or more; shape (m, 2)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=_shingles, n_features=2**31 - 1, binary=True, norm=None, alternate_sign=False, dtype=np.float32
    )
    if not keys:
        return np.empty((0, 2), dtype=np.int64)
    # One row a key, one column a word pair: 1 where the key has it. 2^31 columns make collisions too rare to matter.
    bags = hashing.transform(keys)
    features, columns = np.unique(bags.indices, return_inverse=True)
    if not len(features):
        return np.empty((0, 2), dtype=np.int64)
    # Columns in order of frequency, rarest first, so that the front of a sorted row is its rarest shingles.
    frequency = np.bincount(columns)
    rank = np.empty(len(features), dtype=np.int64)
    rank[np.argsort(frequency, kind="stable")] = np.arange(len(features))
    bags = sparse.csr_array((bags.data, rank[columns], bags.indptr), shape=(len(keys), len(features)))
    bags.sort_indices()
    batches = [_confirmed(bags, pairs) for pairs in _candidates(bags)]
    return np.concatenate(batches) if batches else np.empty((0, 2), dtype=np.int64)


def _candidates(bags: sparse.csr_array) -> Iterator[np.ndarray]:
    """Batches of pairs that may be near, `[m, 2]`."""
    # Two sets of Jaccard similarity t share an element among the first n - ⌈t·n⌉ + 1 of each, in any order common to
    # all sets (prefix filtering: Chaudhuri, Ganti & Kaushik 2006; Bayardo, Ma & Srikant 2007). Rarest first, those are
    # few, and hardly any texts share them.
    sizes = np.diff(bags.indptr)  # shingles of each key
    row = np.repeat(np.arange(len(sizes)), sizes)  # of each entry, as `bags.indices` is its column
    place = np.arange(len(row)) - np.repeat(bags.indptr[:-1], sizes)  # of the entry within its row, rarest first
    prefix = (sizes - np.ceil(NEAR * sizes - _ROUNDING).astype(np.int64) + 1)[row]
    in_prefix = place < prefix
    row, column = row[in_prefix], bags.indices[in_prefix]
    order = np.lexsort((row, column))
    row, column = row[order], column[order]
    # Within a run of one column the rows ascend: pair each with the one `step` places on. So a shingle in more than
    # `_FREQUENT` prefixes (template text) links a text to its next neighbours in alphabetical order only, which keeps
    # the work linear; a chain of neighbours still joins them all.
    batch: list[np.ndarray] = []
    waiting = 0
    for step in range(1, min(_FREQUENT, len(column) - 1) + 1):
        together = np.flatnonzero(column[step:] == column[:-step])
        if not len(together):
            break
        left, right = row[together], row[together + step]
        # |A ∩ B| is at most the smaller set, |A ∪ B| at least the larger: sizes alone rule most pairs out.
        smaller, larger = np.minimum(sizes[left], sizes[right]), np.maximum(sizes[left], sizes[right])
        alike = smaller >= NEAR * larger - _ROUNDING
        batch.append(left[alike] * len(sizes) + right[alike])
        waiting += len(batch[-1])
        if waiting > _BATCH:
            yield _as_pairs(batch, len(sizes))
            batch, waiting = [], 0
    if waiting:
        yield _as_pairs(batch, len(sizes))


def _as_pairs(batch: list[np.ndarray], rows: int) -> np.ndarray:
    """Distinct pairs out of their numbers `left * rows + right`; shape (m, 2)."""
    return np.column_stack(np.divmod(np.unique(np.concatenate(batch)), rows))


def _confirmed(bags: sparse.csr_array, pairs: np.ndarray) -> np.ndarray:
    """The candidate pairs that are near indeed."""
    sizes = np.diff(bags.indptr)
    near = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _ROWS):
        left, right = pairs[start : start + _ROWS].T
        # Jaccard: shared / (left + right - shared), without a division.
        shared = bags[left].multiply(bags[right]).sum(axis=1)
        near[start : start + _ROWS] = shared >= NEAR * (sizes[left] + sizes[right] - shared) - _ROUNDING
    return pairs[near]
