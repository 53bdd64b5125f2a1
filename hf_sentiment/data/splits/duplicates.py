"""Duplicates and near-duplicates: which texts must stay on one side of a split."""

from __future__ import annotations

import mmap
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from itertools import islice, pairwise
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
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

# Keys that are looked at together.
_KEYS = 10_000

# Places in which shingles are counted.
_PLACES = 2**22

# Entries of prefixes that are looked at together.
_ENTRIES = 2**20

# Candidate pairs that are held at a time.
_BATCH = 2_000_000

# Candidate pairs whose texts are compared at a time.
_ROWS = 50_000

# Western emoticons with eyes, an optional nose and a mouth, their mirror images, hearts, and faces on a line; mouths
# alone, as Russians and Koreans write them. A mouth that is a letter must not begin a word ("re:Paris"). And what says
# how much: signs of numbers and school grades, and numbers in parts ("-1", "A-", "1/5", "1.5").
_SIGN = re.compile(
    r"""(?: [<>]?[:;=]['\u2019]?[-o^*]?(?:[)\](\[/\\|}{@*]+|[3dpo](?!\w))
          | (?<!\w)[)\](\[]+['\u2019]?[-o^*]?[:;=](?![)\](\[])
          | </?3+
          | (?<!\w)[>\^ot;-][_.][<\^ot;-](?!\w)
          | \){2,} | \({2,} | \^{2,}
          | (?<![\w)])[+-]?\d+(?:[.,:/]\d+)*(?!\w)
          | (?<!\w)[a-f][+-](?![\w-])
        )""",
    re.VERBOSE,
)


class _Kept(dict[int, str]):
    """For `str.translate`: letters, digits, marks, pictures and arrows stay, all else is a blank. Filled on demand."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if character in "'\u2019" or category == "Cf" or 0xFE00 <= code <= 0xFE0F:
            replacement = ""  # an apostrophe joins its word; joiners and variation selectors only style a picture
        # A symbol that is on every keyboard is punctuation.
        elif category[0] in "LMN" or (category in ("So", "Sm") and code > 127) or 0x1F3FB <= code <= 0x1F3FF:
            replacement = character
        else:
            replacement = " "
        self[code] = replacement
        return replacement


_KEPT = _Kept()


def duplicate_key(text: str) -> str:
    """What two texts must share to count as the same.

    Unicode compatibility forms, case, white space and punctuation are folded; words, numbers with their signs, emoji
    and emoticons stay, so that "Fun :)" and "Fun :(" differ, while "Fun!" and "fun" do not. A text of nothing but
    punctuation is its own key.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # A sign stands as it is between the words, which lose their punctuation.
    pieces: list[str] = []
    end = 0
    for match in _SIGN.finditer(folded):
        pieces += folded[end : match.start()].translate(_KEPT).split()
        pieces.append(match.group())
        end = match.end()
    pieces += folded[end:].translate(_KEPT).split()
    # Letters of scripts without blanks stand alone, as words do: there a blank more or less is chance.
    return " ".join(words(" ".join(pieces))) or " ".join(folded.split())


class _Found(NamedTuple):
    """What a search found: hash and number of each text's key, how many there are, and which are near, `[m, 2]`.

    Numbers are int32: of two million texts that are much alike there may be eight million pairs.
    """

    hashes: np.ndarray
    numbers: np.ndarray
    different: int
    pairs: np.ndarray


class Duplicates:
    """Which of some texts are the same or nearly so: searched for once, and then told of any part of them.

    Texts belong together if their `duplicate_key` is the same, if their sets of word pairs overlap by `NEAR` (Jaccard),
    or if they are of one known group; and so on along chains. A word put for another ("good" for "bad") is too much
    below ten words, and a word more is too much below five. Of scripts without blanks each letter counts as a word.

    The search is exact up to shingles shared by very many texts (`_candidates`), and the same for the same input. While
    it searches, keys and shingles are in temporary files, mapped into memory; of each text 12 bytes stay.

    Args:
        texts: Any strings; nothing is searched for before it is asked for.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._texts = texts

    @cached_property
    def _found(self) -> _Found:
        with tempfile.TemporaryFile() as file:
            whole, keys = _stored(map(duplicate_key, self._texts), file)
            numbers, repeated = _numbers(whole), later(whole)
            order = pc.sort_indices(keys).to_numpy()  # alphabetical
            order = order[~repeated[order]].astype(np.uint32)
            pairs = near_pairs(_read(keys, order))
        return _Found(whole, numbers, len(order), numbers[order][pairs])

    @property
    def keys(self) -> np.ndarray:
        """The number of each text's `duplicate_key`; shape (texts,)."""
        return self._found.numbers

    @property
    def hashes(self) -> np.ndarray:
        """A hash for each text, the same for equal keys; shape (texts,), uint64."""
        return self._found.hashes

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
        keys, near = self.keys if part is None else self.keys[part], self._found.pairs
        if not len(keys):
            return np.empty(0, dtype=np.int32)
        present = np.zeros(self._found.different, dtype=bool)
        present[keys] = True
        # Nodes: all keys, then the known groups. Edges: near keys, and each key to the groups of its texts.
        edges, nodes = [near[present[near].all(axis=1)]], len(present)
        if known is not None:
            numbers = {group: i for i, group in enumerate(dict.fromkeys(known)) if group is not None}
            linked = [(keys[i], nodes + numbers[group]) for i, group in enumerate(known) if group is not None]
            edges.append(np.array(linked, dtype=np.int32).reshape(-1, 2))
            nodes += len(numbers) + 1
        pairs = np.concatenate(edges)
        graph = sparse.coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
        # Components are numbered as the graph is walked: here by the first text of each.
        return _numbers(connected_components(graph, directed=False)[1][keys])


def _stored(keys: Iterator[str], file: IO[bytes]) -> tuple[np.ndarray, pa.LargeBinaryArray]:
    """The hash of each key, and the keys as bytes that stay in a file."""
    hashes, sizes = [np.empty(0, dtype=np.uint64)], [np.zeros(1, dtype=np.int64)]
    while part := list(islice(keys, _KEYS)):
        hashes.append(key_hashes(part))
        encoded = [key.encode("utf-8", "surrogatepass") for key in part]
        sizes.append(np.fromiter(map(len, encoded), dtype=np.int64, count=len(part)))
        file.write(b"".join(encoded))
    file.write(b"\0")  # an empty file cannot be mapped
    file.flush()
    mapped = pa.py_buffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    ends, whole = np.cumsum(np.concatenate(sizes)), np.concatenate(hashes)
    return whole, pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(whole), [None, pa.py_buffer(ends), mapped])


def _read(keys: pa.LargeBinaryArray, order: np.ndarray) -> Iterator[list[str]]:
    """Keys in some order, some thousand at a time."""
    for start in range(0, len(order), _KEYS):
        batch = keys.take(pa.array(order[start : start + _KEYS])).to_pylist()
        yield [key.decode("utf-8", "surrogatepass") for key in batch]


def key_hashes(keys: Iterable[str]) -> np.ndarray:
    """A hash for each key, uint64: among a million, another key is mistaken for one of them once in 10^13."""
    digests = (blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_BYTES).digest() for key in keys)
    return np.frombuffer(b"".join(digests), dtype="<u8")


def later(*columns: np.ndarray) -> np.ndarray:
    """Whether each row repeats an earlier one in all of some integer columns; all of shape (n,)."""
    import pandas as pd

    return pd.Series(numbered(*columns)).duplicated().to_numpy()


def _numbers(values: np.ndarray) -> np.ndarray:
    """A number for each value, from 0 in order of first appearance; int32, of the same shape."""
    import pandas as pd

    return pd.factorize(values)[0].astype(np.int32)


def numbered(*columns: np.ndarray) -> np.ndarray:
    """A number for each row of some columns of integers from 0 on, the same for equal rows; shape (n,)."""
    numbers = columns[0]
    for column in columns[1:]:
        numbers = numbers * (np.int64(column.max(initial=0)) + 1) + column
    return numbers


def _shingles(key: str) -> list[str]:
    """The pairs of neighbouring words of a key."""
    return [f"{left} {right}" for left, right in pairwise(key.split())]


def near_pairs(keys: Iterable[list[str]]) -> np.ndarray:
    """Pairs (i, j), i < j, of keys whose shingle sets have a Jaccard similarity of `NEAR` or more; shape (m, 2).

    Args:
        keys: Different ones in alphabetical order, in lists of any length.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=_shingles, n_features=2**31 - 1, binary=True, norm=None, alternate_sign=False, dtype=np.float32
    )
    # How many keys have a shingle, or one that is counted in the same place: that tells the rare ones.
    frequency, sizes = np.zeros(_PLACES, dtype=np.uint32), [np.zeros(1, dtype=np.int64)]
    with tempfile.TemporaryFile() as shingles, tempfile.TemporaryFile() as entries:
        # One row a key, one column a word pair: the columns of each key, ascending, and how many it has. 2^31 columns
        # make collisions too rare to matter.
        for bags in map(hashing.transform, keys):
            sizes.append(np.diff(bags.indptr))
            shingles.write(bags.indices.tobytes())
            places, counts = np.unique(bags.indices % _PLACES, return_counts=True)
            frequency[places] += counts.astype(np.uint32)
        ends = np.cumsum(np.concatenate(sizes))
        if not ends[-1]:
            return np.empty((0, 2), dtype=np.int64)
        columns = np.memmap(shingles, dtype=np.int32, mode="r")
        marks = np.zeros(len(ends) - 1, dtype=np.uint64)
        for first in range(0, len(ends) - 1, _KEYS):
            of_part = ends[first : first + _KEYS + 1]
            part, sizes_of_part = columns[of_part[0] : of_part[-1]], np.diff(of_part)
            entries.write(_prefixes(part, sizes_of_part, frequency, first).tobytes())
            keys_of_part = np.repeat(np.arange(first, first + len(sizes_of_part)), sizes_of_part)
            np.bitwise_or.at(marks, keys_of_part, np.uint64(1) << (part % 64).astype(np.uint64))
        prefixes = np.memmap(entries, dtype=np.uint64, mode="r+")
        prefixes.sort()
        batches = [
            _confirmed(columns, ends, pairs) for pairs in _candidates(prefixes, np.diff(ends).astype(np.int32), marks)
        ]
    return np.concatenate(batches) if batches else np.empty((0, 2), dtype=np.int64)


def _prefixes(columns: np.ndarray, sizes: np.ndarray, frequency: np.ndarray, first: int) -> np.ndarray:
    """The rarest shingles of each of some keys, as numbers `column << 32 | key`; `first` is that of the first key."""
    # Two sets of Jaccard similarity t share an element among the first n - ⌈t·n⌉ + 1 of each, in any order common to
    # all sets (prefix filtering: Chaudhuri, Ganti & Kaushik 2006; Bayardo, Ma & Srikant 2007). Rarest first, those are
    # few, and hardly any texts share them.
    key = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((columns, frequency[columns % _PLACES], key))  # within each key the rarest first
    place = np.arange(len(key)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    prefix = (sizes - np.ceil(NEAR * sizes - _ROUNDING).astype(np.int64) + 1)[key]
    chosen = order[place < prefix]
    return columns[chosen].astype(np.uint64) << np.uint64(32) | (key[chosen] + first).astype(np.uint64)


def _candidates(prefixes: np.ndarray, sizes: np.ndarray, marks: np.ndarray) -> Iterator[np.ndarray]:
    """Batches of pairs that may be near, `[m, 2]`.

    Args:
        prefixes: Of all keys, as `_prefixes` gives them, sorted.
        sizes: The shingles of each key.
        marks: Of each key, 64 bits in which each of its shingles sets one.
    """
    # Within a run of one column the rows ascend: pair each with the one `step` places on. So a shingle in more than
    # `_FREQUENT` prefixes (template text) links a text to its next neighbours in alphabetical order only, which keeps
    # the work linear; a chain of neighbours still joins them all.
    batch: list[np.ndarray] = []
    waiting = 0
    for start in range(0, len(prefixes), _ENTRIES):
        block = prefixes[start : start + _ENTRIES + _FREQUENT]
        column, row = (block >> np.uint64(32)).astype(np.uint32), (block & np.uint64(2**32 - 1)).astype(np.uint32)
        # Beside each entry what is asked of its key: pairs lie near each other here, and anywhere among all keys.
        size, mark = sizes[row], marks[row]
        left = np.arange(min(_ENTRIES, len(block)))
        for step in range(1, _FREQUENT + 1):
            left = left[: np.searchsorted(left, len(block) - step)]
            left = left[column[left] == column[left + step]]  # what is in another run now will be so at every step
            if not len(left):
                break
            # |A ∩ B| is at most the smaller set, |A ∪ B| at least the larger: sizes alone rule most pairs out.
            ours, theirs = size[left], size[left + step]
            alike = left[np.minimum(ours, theirs) >= NEAR * np.maximum(ours, theirs) - _ROUNDING]
            # A bit that one alone has is of a shingle that one alone has, of which near sets have few.
            most = (1 - NEAR) / (1 + NEAR) * (size[alike] + size[alike + step]) + _ROUNDING
            alike = alike[np.bitwise_count(mark[alike] ^ mark[alike + step]) <= most]
            batch.append(row[alike].astype(np.int64) * len(sizes) + row[alike + step])
            waiting += len(batch[-1])
            if waiting > _BATCH:
                yield _as_pairs(batch, len(sizes))
                batch, waiting = [], 0
    if waiting:
        yield _as_pairs(batch, len(sizes))


def _as_pairs(batch: list[np.ndarray], rows: int) -> np.ndarray:
    """Distinct pairs out of their numbers `left * rows + right`; shape (m, 2)."""
    numbers = np.sort(np.concatenate(batch))  # `np.unique` hashes: ten times as slow for millions
    return np.column_stack(np.divmod(numbers[np.append(True, numbers[1:] != numbers[:-1])], rows))


def _confirmed(columns: np.ndarray, ends: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The candidate pairs that are near indeed, by the columns of all keys, and where those of each end."""
    near = np.zeros(len(pairs), dtype=bool)
    for start in range(0, len(pairs), _ROWS):
        left, right = (_bags(columns, ends, rows) for rows in pairs[start : start + _ROWS].T)
        # Jaccard: shared / (left + right - shared), without a division.
        shared = np.asarray(left.multiply(right).sum(axis=1), dtype=np.int64)
        whole = np.diff(left.indptr) + np.diff(right.indptr) - shared
        near[start : start + _ROWS] = shared >= NEAR * whole - _ROUNDING
    return pairs[near]


def _bags(columns: np.ndarray, ends: np.ndarray, rows: np.ndarray) -> sparse.csr_array:
    """Some keys, a row each, and their shingles."""
    firsts, sizes = ends[rows], ends[rows + 1] - ends[rows]
    places = np.concatenate([[0], np.cumsum(sizes)])
    chosen = columns[np.arange(places[-1]) + np.repeat(firsts - places[:-1], sizes)]
    return sparse.csr_array((np.ones(len(chosen), np.int8), chosen, places), shape=(len(rows), 2**31 - 1))
