"""`publish --stock` and of exported folders, against the loopback Hub: what needs no code of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import family_checkpoint
from huggingface_hub import HfApi, snapshot_download
from publish_support import hashes_only, lora_folder, publish_there, run_folder  # noqa: F401
from safetensors.torch import load_file, save_file
from without_package import BLOCKED

from hf_sentiment import SentimentClassifier, export
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.card import check_card
from hf_sentiment.hub.messages import HubError
from hf_sentiment.hub.scan import check_files

# ruff: noqa: F811  # fixtures that are imported

Publish = Callable[..., Any]
TEXTS = ["An absolute delight.", "the film was never very bad , but the plot was dull ."]

_STOCK = """
import json, sys
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, texts = sys.argv[1], json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=False).eval()
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
print(json.dumps([type(model).__name__, model.config.id2label, model.config.classifier_dropout,
                  model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.tolist()]))
"""


def download(hub: Any, folder: Path) -> Path:
    return Path(
        snapshot_download("me/reviews", local_dir=folder, endpoint=hub.endpoint, token=hub.tokens.write, max_workers=1)
    )


def without_our_code(script: str, folder: Path, place: Path) -> Any:
    """What a script says of a folder and `TEXTS` in its last line, where this package cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + script, str(folder), json.dumps(TEXTS)],
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(place), "OMP_NUM_THREADS": "1", "PATH": ""},
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def copy_of(run: Path, target: Path, **config: Any) -> Path:
    shutil.copytree(run, target, ignore=shutil.ignore_patterns("checkpoint-*"))
    said = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(said | config))
    return target


def test_a_stock_class_says_what_the_run_says_without_any_code(
    hub: Any, publish_there: Publish, run_folder: Path, tmp_path: Path
) -> None:
    publish_there()
    published = publish_there(stock=True)
    assert published.changed and published.largest_difference <= 1e-5
    folder = download(hub, tmp_path / "there")
    assert not list(folder.rglob("*.py"))  # those of the model before are gone too
    kind, labels, dropout, logits = without_our_code(_STOCK, folder, tmp_path)
    assert (kind, dropout) == ("BertForSequenceClassification", 0.3)
    assert labels == {"0": "negative", "1": "positive"}
    ours, stock = (SentimentClassifier.from_pretrained(place) for place in (run_folder, folder))
    whole = SentimentClassifier.from_pretrained(run_folder, long_texts="cut")
    assert torch.tensor(logits).numpy() == pytest.approx(whole.logits(TEXTS), abs=1e-5)
    assert stock.logits(TEXTS) == pytest.approx(ours.logits(TEXTS), abs=1e-5)  # by the rule for long texts
    card = (folder / "README.md").read_text()
    assert "trust_remote_code" not in card and "find stock `BertForSequenceClassification` there" in card
    assert not publish_there(stock=True).changed


_CARD = """
import json, os, sys
os.chdir(sys.argv[1])
card = open("README.md").read().split("```python\\n")[1].split("```")[0]
exec(card.replace('"me/reviews"', '"."').replace(", revision=revision", ""))
print(json.dumps([names, model.encode(json.loads(sys.argv[2])).tolist()]))
"""


def test_a_mean_of_tokens_is_a_folder_of_sentence_transformers(
    hub: Any, publish_there: Publish, run_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("sentence_transformers")
    run = copy_of(run_folder, tmp_path / "mean", pooling="mean")
    publish_there(run)
    published = publish_there(run, stock=True)
    assert published.changed and published.largest_difference <= 1e-5
    folder = download(hub, tmp_path / "there")
    assert not list(folder.rglob("*.py"))
    # By the code of the card.
    said, logits = without_our_code(_CARD, folder, tmp_path)
    assert said == {"0": "negative", "1": "positive"}
    whole = SentimentClassifier.from_pretrained(run, long_texts="cut")
    assert np.array(logits) == pytest.approx(whole.logits(TEXTS), abs=1e-5)
    # This package reads it, with the run's own rule for long texts.
    ours, stock = (SentimentClassifier.from_pretrained(place) for place in (run, folder))
    assert stock.logits(TEXTS) == pytest.approx(ours.logits(TEXTS), abs=1e-5)
    card = (folder / "README.md").read_text()
    assert check_card(card)["library_name"] == "sentence-transformers"
    assert 'ask it with `"normalize": false`' in card and 'Not by `pipeline("text-classification")`' in card
    assert not publish_there(run, stock=True).changed
    publish_there(run)  # with our code again: no module is left that sentence-transformers would take for it
    there = HfApi(endpoint=hub.endpoint, token=hub.tokens.write).list_repo_files("me/reviews")
    assert not [name for name in there if "modules" in name or "_Dense/" in name]
    with pytest.raises(CallError, match="is a folder of sentence-transformers: publish the run"):
        publish_there(folder, stock=True)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("bert", {"pooling": "max"}),
        ("bert", {"pooling": "cls", "normalize": True}),
        ("roberta", {"pooling": "mean", "text_prefix": "the film : "}),
        ("modernbert", {"pooling": "cls"}),
    ],
)
def test_every_pooling_and_encoder_has_its_modules(family: str, options: dict[str, Any], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from hf_sentiment.hub.bundle import build_bundle
    from hf_sentiment.hub.verification import expect
    from hf_sentiment.inference.text_prefix import with_text_prefix
    from hf_sentiment.model.modeling_encoder_sentiment import sentiment_model_class

    pytest.importorskip("sentence_transformers")
    checkpoint, run, there = family_checkpoint(family, tmp_path / "checkpoint"), tmp_path / "run", tmp_path / "there"
    torch.manual_seed(0)
    labels = ["bad", "so-so", "good"]
    model = sentiment_model_class(checkpoint).from_pretrained(checkpoint, labels=labels, **options)
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(run)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    with_text_prefix(tokenizer, options.get("text_prefix", ""), "").save_pretrained(run)
    there.mkdir()
    bundle = build_bundle(run, there, repo_id="me/reviews", stock=True)
    assert "2_Normalize/config.json" in bundle.files() or not options.get("normalize")
    expect(bundle, run)  # the same logits, by sentence-transformers
    assert json.loads((there / "config.json").read_text())["model_type"] == family
    ours, read = (SentimentClassifier.from_pretrained(folder) for folder in (run, there))
    assert read.labels == labels
    assert read.logits(TEXTS) == pytest.approx(ours.logits(TEXTS), abs=1e-5)
    assert any("Not by text-embeddings-inference" in line for line in bundle.can_load) == (
        options["pooling"] == "max" or "normalize" in options
    )


def test_what_has_no_stock_form_is_refused(
    publish_there: Publish, run_folder: Path, lora_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = copy_of(run_folder, tmp_path / "normalized", normalize=True)
    with pytest.raises(CallError, match="--stock: no library has the encoder's own pooler as a module"):
        publish_there(changed, stock=True)
    with pytest.raises(CallError, match="--stock: an adapter"):
        publish_there(lora_folder, stock=True, adapter=True)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(CallError, match="sentence-transformers is not here: `pip install --constraint"):
        publish_there(changed, stock=True)


def test_a_stock_class_with_other_logits_is_not_sent(
    hub: Any, publish_there: Publish, run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hf_sentiment.hub import publish as publishing

    build = publishing.build_bundle

    def with_another_head(*arguments: Any, **options: Any) -> Any:
        bundle = build(*arguments, **options)
        path = bundle.folder / "model.safetensors"
        tensors = load_file(path)
        tensors["classifier.bias"] += 0.1
        save_file(tensors, path, metadata={"format": "pt"})
        return bundle

    monkeypatch.setattr(publishing, "build_bundle", with_another_head)
    with pytest.raises(HubError, match=r"the stock class's logits differ by 0\.1"):
        publish_there(stock=True)
    assert not hub.log.find("POST", "/api/repos/create")


@pytest.fixture(scope="module")
def exported(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run as ONNX. Read-only."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export(str(run_folder), folder)
    return folder


def test_an_exported_folder_is_published_as_it_is(
    hub: Any, publish_there: Publish, run_folder: Path, exported: Path, tmp_path: Path
) -> None:
    publish_there()
    published = publish_there(exported, license="mit")
    assert published.changed and published.largest_difference is None
    folder = download(hub, tmp_path / "there")
    files = [path for path in folder.rglob("*") if path.is_file() and ".cache" not in path.parts]
    assert {path.relative_to(folder).as_posix() for path in files} - {".gitattributes"} == {
        *("README.md", "config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"),
        *("handler.py", "pieces.py", "requirements.txt", "records/export.json"),
    }
    card = (folder / "README.md").read_text()
    said = check_card(card)
    assert (said["library_name"], said["pipeline_tag"], said["license"]) == ("onnx", "text-classification", "mit")
    assert {"onnx", "transformers.js"} <= set(said["tags"])
    assert "hf download me/reviews" in card and "hf-sentiment predict me/reviews FILE.csv --backend onnx" in card
    found = SentimentClassifier.from_pretrained(folder, backend="onnx", num_threads=1).logits(TEXTS)
    assert found == pytest.approx(SentimentClassifier.from_pretrained(run_folder).logits(TEXTS), abs=1e-4)
    assert not publish_there(exported, license="mit").changed
    publish_there()  # the run again: what ran the graph would serve the older model
    there = HfApi(endpoint=hub.endpoint, token=hub.tokens.write).list_repo_files("me/reviews")
    assert "model.safetensors" in there and not {"onnx/model.onnx", "handler.py"} & set(there)


def test_what_an_exported_folder_must_not_have(
    publish_there: Publish, exported: Path, hashes_only: None, tmp_path: Path
) -> None:
    for option in ("stock", "adapter"):
        with pytest.raises(CallError, match=f"is an exported folder: leave out --{option}"):
            publish_there(exported, **{option: True})
    folder = Path(shutil.copytree(exported, tmp_path / "changed"))
    graph = folder / "onnx" / "model.onnx"
    # As 8-bit weights look.
    (folder / "onnx" / "model_quantized.onnx").write_bytes(b"Y:\\MFOQF\\OQh ~/A /tmp/TX:U sk-JHRKWOQhVZKVEFSVKGKFTC")
    check_files(folder)
    graph.write_bytes(graph.read_bytes() + b'\x00File "/home/somebody/model/modeling.py", line 1\x00')
    with pytest.raises(SentimentError, match=r"onnx/model\.onnx holds a folder of some machine"):
        publish_there(folder)
    graph.unlink()
    with pytest.raises(CallError, match=r"model\.onnx is missing: export the model again"):
        publish_there(folder)
