"""`export`: what another engine says is what torch says, and nothing is left of what is not so."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from families import FAMILIES, family_checkpoint
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from hf_sentiment import SentimentClassifier, evaluate, export, train
from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.inference.backends import load_backend
from hf_sentiment.inference.export import PROBES, parity, write_int8
from hf_sentiment.model.modeling_encoder_sentiment import sentiment_model_class

pytest.importorskip("onnxruntime")

TEXTS = ["good", "the film was never very bad , but the plot was dull .", "i loved it . " * 30, "awful", *PROBES]


@pytest.fixture(scope="module")
def texts_file(tmp_path_factory: pytest.TempPathFactory, reviews: list[tuple[str, str]]) -> Path:
    """Reviews without labels, a text a row. Read-only."""
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.csv", [text for text, _ in reviews])


def write_texts(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    return path


@pytest.fixture(scope="module")
def exported(tiny_folder: Path, texts_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as ONNX, with its 8-bit twin. Read-only."""
    folder = tmp_path_factory.mktemp("exported") / "onnx"
    export(str(tiny_folder), folder, int8=True, force=True, text_file=str(texts_file))
    return folder


@pytest.fixture(scope="module", autouse=True)
def quiet() -> Iterator[None]:
    """Two threads of torch's own would take turns with two of onnxruntime's."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_onnx_says_what_torch_says(tiny_folder: Path, exported: Path) -> None:
    expected = SentimentClassifier.from_pretrained(tiny_folder)
    found = SentimentClassifier.from_pretrained(exported, backend="onnx", num_threads=1)
    assert found.labels == expected.labels
    assert found.logits(TEXTS) == pytest.approx(expected.logits(TEXTS), abs=1e-5)
    for ours, theirs in zip(found.predict([*TEXTS, None]), expected.predict([*TEXTS, None]), strict=True):
        assert (ours["label"], ours.get("note")) == (theirs["label"], theirs.get("note"))
        assert ours["scores"] == (None if theirs["scores"] is None else pytest.approx(theirs["scores"], abs=1e-5))


def test_8_bits_are_close_and_a_record_says_how_close(exported: Path, texts_file: Path) -> None:
    record = json.loads((exported / "records" / "export.json").read_text())
    assert record["largest_difference"] < 1e-4 and record["texts"] == len(PROBES) + 128
    assert record["int8"]["texts"] == 240 and record["int8"]["forced"] is True
    texts = [row["text"] for row in csv.DictReader(texts_file.open(encoding="utf-8"))]
    both = [SentimentClassifier.from_pretrained(exported, kind, 1).logits(texts) for kind in ("onnx", "onnx-int8")]
    assert float((both[0].argmax(1) != both[1].argmax(1)).mean()) == record["int8"]["changed"]
    assert 0 < np.abs(both[0] - both[1]).mean() < 0.1 * both[0].std()
    # What is said of a text does not depend on the others.
    classifier = SentimentClassifier.from_pretrained(exported, "onnx-int8", 1)
    alone = [classifier.logits([text])[0] for text in texts[:20]]
    assert np.array_equal(alone, both[1][:20])
    labels = [("negative", "positive")[index] for index in both[1].argmax(1)]
    labeled = texts_file.with_name("labeled.csv")
    rows = "".join(f'"{text}",{label}\n' for text, label in zip(texts, labels, strict=True))
    labeled.write_text(f"text,label\n{rows}")
    report = evaluate(str(exported), test_file=str(labeled), backend="onnx-int8", against=str(exported))
    assert report.model.accuracy.value == 1 and report.against is not None
    assert report.against.model.accuracy.value == pytest.approx(1 - record["int8"]["changed"])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
@pytest.mark.parametrize("content", [None, "", "{", "{}", "[]", "null"])
def test_a_damaged_file_of_an_exported_folder_is_one_line(
    exported: Path, tmp_path: Path, name: str, content: str | None
) -> None:
    folder = shutil.copytree(exported, tmp_path / "damaged")
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    with pytest.raises(CallError, match=r"missing or damaged|no such folder|no exported model"):
        SentimentClassifier.from_pretrained(folder, "onnx", 1)


@pytest.mark.parametrize("labels", [1, 3])
def test_another_number_of_labels_than_the_models_is_said(exported: Path, tmp_path: Path, labels: int) -> None:
    folder = shutil.copytree(exported, tmp_path / "labels")
    config = json.loads((folder / "config.json").read_text())
    names = {str(index): f"label {index}" for index in range(labels)}
    (folder / "config.json").write_text(json.dumps(config | {"id2label": names, "long_texts": None}))
    with pytest.raises(CallError, match=r"names 3 labels, and the model has 2|has no labels to predict"):
        SentimentClassifier.from_pretrained(folder, "onnx", 1).predict(["good"])


def test_threads_predict_at_once_with_onnx(exported: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(exported, "onnx", num_threads=1)
    expected = classifier.logits(TEXTS)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(classifier.logits, [TEXTS] * 40):
            assert found == pytest.approx(expected, abs=1e-6)


def test_predicting_with_onnx_imports_neither_torch_nor_transformers(exported: Path, tmp_path: Path) -> None:
    heavy = {"torch", "transformers", "datasets", "pandas", "sklearn", "scipy"}
    code = (
        "import sys\n"
        "from hf_sentiment.cli import main\n"
        "try: main()\n"
        f"finally: print(sorted({heavy} & set(sys.modules)), file=sys.stderr)\n"
    )
    words = [sys.executable, "-c", code, "predict", str(exported), "-", "--backend", "onnx", "--num_threads", "1"]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        words, input="a good film\n\nawful\n", capture_output=True, text=True, check=True, env=environment
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["label"] is None for row in rows] == [False, True, False]
    assert done.stderr.splitlines()[-1] == "[]"
    assert not (tmp_path / ".cache" / "Microsoft").exists()  # nor does onnxruntime tell its makers


def run_alone(code: str, folder: Path) -> Any:
    """What a script prints as JSON that can import neither this package nor torch, run in the folder."""
    refuse = "import sys\nfor name in ('hf_sentiment', 'torch', 'transformers'): sys.modules[name] = None\n"
    words = [sys.executable, "-I", "-c", refuse + code]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_an_inference_endpoint_gives_what_torch_gives(tiny_folder: Path, exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "endpoint")
    config = json.loads((folder / "config.json").read_text())
    rule = {"least": 3, "longest": 10, "shift": [0.1, -0.2], "scale": 1.5}
    (folder / "config.json").write_text(json.dumps(config | {"long_texts": rule}))
    expected = SentimentClassifier.from_pretrained(folder, "onnx", 1).predict(TEXTS)
    code = f"""
import importlib.util, json
spec = importlib.util.spec_from_file_location("endpoint", {str(folder / "handler.py")!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
handler = module.EndpointHandler({str(folder)!r})
texts = json.loads({json.dumps(TEXTS)!r})
one = handler({{"inputs": texts[1], "parameters": {{"top_k": 1}}}})
refused = []
for wrong in ({{}}, *({{"inputs": inputs}} for inputs in (None, " ", ["good", None], {{"text": "good"}}))):
    try:
        handler(wrong)
    except ValueError as error:
        refused.append(str(error).startswith("inputs must be a text"))
print(json.dumps([handler({{"inputs": texts}}), one, refused]))
"""
    found, one, refused = json.loads(run_alone(code, tmp_path))
    assert one == [found[1][0]] and refused == [True] * 5
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[0]["label"] == theirs["label"]
        assert {entry["label"]: entry["score"] for entry in ours} == pytest.approx(theirs["scores"], abs=1e-5)


def test_the_example_of_the_card_runs_without_this_package(exported: Path) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    example = card.partition("```python\n")[2].partition("```")[0]
    (expected,) = SentimentClassifier.from_pretrained(exported, "onnx", 1).predict(
        ["An absolute delight from start to finish."]
    )
    assert run_alone(example, exported).split()[0] == expected["label"]
    assert len(example.strip().splitlines()) <= 18 and "8 bits" in card


def test_torch_and_stock_loaders_are_told_that_there_are_no_weights(exported: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    with pytest.raises(
        CallError,
        match=r"is an exported folder, which torch does not read: give `predict` or `evaluate` --backend onnx$",
    ):
        SentimentClassifier.from_pretrained(exported)
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(exported)
    tokens = AutoTokenizer.from_pretrained(exported)(TEXTS, truncation=True)["input_ids"]
    assert tokens == load_backend("onnx", str(exported)).tokenize(TEXTS).columns["input_ids"]


def test_8_bits_that_change_labels_are_refused(
    tiny_folder: Path, exported: Path, tmp_path: Path, make_tiny: Any, tiny_tokenizer: Any, texts_file: Path
) -> None:
    text = "the film was good , moving plot great ."
    exact, rounded = (
        SentimentClassifier.from_pretrained(exported, kind, 1).logits([text])[0] for kind in ("onnx", "onnx-int8")
    )
    # The border between the labels goes right between what 32 and 8 bits say of this text.
    model = make_tiny()
    model.classifier.bias.data[0] -= float((exact + rounded)[0] - (exact + rounded)[1]) / 2
    model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    given = write_texts(tmp_path / "same.csv", [text] * 100)
    with pytest.raises(SentimentError, match=r"with 8 bits 100\.0% of 100 texts have another label"):
        export(str(tmp_path / "model"), tmp_path / "out", int8=True, text_file=str(given))
    few = write_texts(tmp_path / "few.csv", ["good", "bad"])
    with pytest.raises(CallError, match="2 texts do not tell what 8 bits cost: give 100, or say --force"):
        export(str(tiny_folder), tmp_path / "out", int8=True, text_file=str(few))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["few.csv", "model", "same.csv"]


def test_8_bits_of_a_run_are_measured_on_its_own_test_texts(
    tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copy(reviews_file, tmp_path / "reviews.csv"))
    run, call = tmp_path / "run", {"model_name_or_path": str(tiny_checkpoint), "train_file": str(data)}
    train(**call, test_share=0.2, seed=7, num_train_epochs=0, head_first=True, use_cpu=True, output_dir=str(run))
    evaluation = json.loads((run / "records" / "evaluation.json").read_text())
    weights = load_file(run / "model.safetensors")  # the tiny one's are so large that sums lose most digits
    scaled = {name: tensor * (0.01 if name.startswith("classifier") else 1) for name, tensor in weights.items()}
    save_file(scaled, run / "model.safetensors", metadata={"format": "pt"})
    record = export(str(run), tmp_path / "out", int8=True, force=True).int8
    assert record is not None and record.texts == evaluation["texts"] == 48
    assert record.accuracy_float32 == pytest.approx(evaluation["model"]["accuracy"]["value"])
    data.write_text(data.read_text().replace("great", "fine"))
    with pytest.raises(CallError, match=r"the test texts of .*run are others now: name texts: --test_file FILE"):
        export(str(run), tmp_path / "changed", int8=True)
    data.unlink()
    with pytest.raises(CallError, match=r"run cannot be read again \(.*reviews\.csv.*\): name texts: --test_file FILE"):
        export(str(run), tmp_path / "gone", int8=True)


def test_8_bits_of_several_labels_a_text(make_tiny: Any, tiny_tokenizer: Any, tmp_path: Path, texts_file: Path) -> None:
    model = make_tiny(num_labels=3, problem_type="multi_label_classification")
    texts = [row["text"] for row in csv.DictReader(texts_file.open(encoding="utf-8"))]
    # The first label is always the likeliest; half of the texts have each of the others.
    median = np.median(SentimentClassifier(model, tiny_tokenizer).logits(texts), axis=0)
    model.classifier.bias.data -= torch.tensor(median) - torch.tensor([99.0, 0.0, 0.0])
    model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    record = export(str(tmp_path / "model"), tmp_path / "out", int8=True, force=True, text_file=str(texts_file)).int8
    exact, rounded = (
        SentimentClassifier.from_pretrained(tmp_path / "out", kind, 1).logits(texts) > 0
        for kind in ("onnx", "onnx-int8")
    )
    assert record is not None and record.changed == float((exact != rounded).any(axis=1).mean()) > 0
    with pytest.raises(CallError, match="gives a text several labels: name texts without labels, --text_file FILE"):
        export(str(tmp_path / "model"), tmp_path / "other", int8=True, test_file=str(texts_file))


def test_other_logits_leave_nothing(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "TOLERANCE", 1e-12)
    with pytest.raises(SentimentError, match=r"logits differ by up to .* from torch's"):
        export(str(tiny_folder), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_of_large_logits_rounding_is_allowed_and_no_more(make_tiny: Any, tiny_tokenizer: Any, tmp_path: Path) -> None:
    model = make_tiny()
    model.classifier.weight.data *= 104_000 / np.abs(SentimentClassifier(model, tiny_tokenizer).logits(PROBES)).max()
    model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    assert export(str(tmp_path / "model"), tmp_path / "out").largest_difference < 0.4
    model.classifier.bias.data[0] += 1.0
    with pytest.raises(SentimentError, match=r"logits differ by up to 1 from torch's, and 0\.4. is allowed"):
        parity.check_parity(SentimentClassifier(model, tiny_tokenizer), str(tmp_path / "out"), "onnx", PROBES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name the folder to write: --output DIR"),
        (["--output", "{there}"], "exists and is not overwritten"),
        (["--output", "{new}", "--format", "coreml"], "--format must be one of onnx, openvino, got 'coreml'"),
        (
            ["--output", "{new}", "--int8"],
            "8 bits are kept where a measurement allows it: name texts: --test_file FILE",
        ),
        (["--output", "{new}", "--text_file", "a.csv", "--test_file", "b.csv"], "name one source of texts"),
    ],
)
def test_a_wrong_call_is_one_line(
    words: list[str], message: str, tiny_folder: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    (tmp_path / "there").mkdir()
    places = {"there": tmp_path / "there", "new": tmp_path / "new"}
    code, out, err = run_cli("export", tiny_folder, *(word.format(**places) for word in words))
    assert (code, out) == (2, "") and message in err and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        ("onnx", "onnx"),
        ("onnx-int8", "onnx --int8"),
        ("openvino-bf16", "openvino"),
        ("openvino-int8", "openvino --int8"),
    ],
)
def test_a_folder_without_the_graph_says_how_one_is_made(kind: str, flags: str, tiny_folder: Path) -> None:
    with pytest.raises(CallError, match=rf"has no o.*: hf-sentiment export RUN --format {flags} --output DIR writes"):
        SentimentClassifier.from_pretrained(tiny_folder, backend=kind)


def test_without_nncf_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(CallError, match=r'need nncf: `pip install --constraint constraints.txt "\.\[openvino-int8\]"`'):
        write_int8(tmp_path, "openvino", TEXTS)


def test_the_command_measures_on_labels(
    tiny_folder: Path, reviews_file: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]]
) -> None:
    words = ["--output", tmp_path / "out", "--int8", "--force", "--test_file", reviews_file, "--json"]
    code, out, err = run_cli("export", tiny_folder, *words)
    assert code == 0 and "and accuracy is" in err
    record = json.loads(out)
    assert record == json.loads((tmp_path / "out" / "records" / "export.json").read_text())
    classifier = SentimentClassifier.from_pretrained(tmp_path / "out", "onnx-int8", 1)
    rows = list(csv.DictReader(reviews_file.open(encoding="utf-8")))
    found = classifier.predict([row["text"] for row in rows])
    right = [one["label"] == row["label"] for one, row in zip(found, rows, strict=True)]
    assert record["int8"]["accuracy"] == pytest.approx(float(np.mean(right)))


def test_openvino_says_what_torch_says_to_several_threads(tiny_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    assert export(str(tiny_folder), tmp_path / "out", format="openvino").largest_difference < 1e-5
    expected = SentimentClassifier.from_pretrained(tiny_folder).logits(TEXTS)
    classifier = SentimentClassifier.from_pretrained(tmp_path / "out", "openvino", num_threads=1)
    in_bfloat16 = SentimentClassifier.from_pretrained(tmp_path / "out", "openvino-bf16", num_threads=1)
    assert np.abs(in_bfloat16.logits(["good film"]) - classifier.logits(["good film"])).max() < 0.05
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(classifier.logits, [TEXTS] * 12):
            assert found == pytest.approx(expected, abs=1e-5)
    assert not (tmp_path / "out" / "handler.py").exists()


@pytest.mark.engines
def test_8_bits_of_openvino_are_close_and_a_record_says_how_close(
    tiny_folder: Path, texts_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip("nncf", reason="no nncf: make install")
    out = tmp_path / "out"
    record = export(str(tiny_folder), out, format="openvino", int8=True, force=True, text_file=str(texts_file)).int8
    texts = [row["text"] for row in csv.DictReader(texts_file.open(encoding="utf-8"))]
    exact, rounded = (
        SentimentClassifier.from_pretrained(out, kind, 1).logits(texts) for kind in ("openvino", "openvino-int8")
    )
    assert record is not None and float((exact.argmax(1) != rounded.argmax(1)).mean()) == record.changed
    assert 0 < np.abs(exact - rounded).mean() < 0.1 * exact.std()
    assert "`openvino/openvino_model_int8.xml` has weights of 8 bits" in (out / "README.md").read_text(encoding="utf-8")


SIGNALLED = """
import os, signal, sys, threading
from pathlib import Path
from hf_sentiment.inference.backends.with_openvino import openvino_engine
held = [openvino_engine(Path(sys.argv[1]), 1)]
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_a_signal_is_handled_after_another_thread_has_dropped_an_openvino_graph(
    tiny_folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    export(str(tiny_folder), tmp_path / "out", format="openvino")
    graph = tmp_path / "out" / "openvino" / "openvino_model.xml"
    words = [sys.executable, "-c", SIGNALLED, str(graph)]
    environment = {**os.environ, "HOME": str(tmp_path), "CI": ""}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
    assert not (tmp_path / "intel").exists()  # where OpenVINO keeps the name by which its makers know it


JAVASCRIPT = """
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const [place, folder, texts] = process.argv.slice(2);
const { pipeline, env } = createRequire(place + "/")("@huggingface/transformers");
env.allowRemoteModels = false;
env.localModelPath = "";
const classify = await pipeline("text-classification", folder, { dtype: "fp32" });
const found = [];
for (const text of JSON.parse(readFileSync(texts, "utf8"))) found.push(await classify(text, { top_k: null }));
console.log(JSON.stringify(found));
"""


@pytest.mark.engines
def test_transformers_js_gives_what_torch_gives(tiny_folder: Path, exported: Path, tmp_path: Path) -> None:
    place = Path(os.environ.get("TRANSFORMERS_JS", Path(__file__).parents[2] / ".cache" / "transformers-js")).absolute()
    if shutil.which("node") is None or not (place / "node_modules" / "@huggingface" / "transformers").is_dir():
        how = "npm install --ignore-scripts --prefix .cache/transformers-js @huggingface/transformers"
        pytest.skip(f"no Node, or no transformers.js for it in {place}: {how}")
    (tmp_path / "run.mjs").write_text(JAVASCRIPT)
    # What it cuts lacks the last special token, so that no other engine has the same tokens.
    cut = load_backend("onnx", str(exported)).tokenize(TEXTS).cut
    texts = [text for text, is_cut in zip(TEXTS, cut, strict=True) if not is_cut]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    words = ["node", tmp_path / "run.mjs", place, exported, tmp_path / "texts.json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    expected = SentimentClassifier.from_pretrained(tiny_folder).predict(texts)
    for ours, theirs in zip(json.loads(done.stdout.splitlines()[-1]), expected, strict=True):
        assert {entry["label"]: entry["score"] for entry in ours} == pytest.approx(theirs["scores"], abs=1e-4)


def family_folder(family: str, folder: Path, pooling: str = "mean") -> Path:
    """A tiny classifier of this family, as a run leaves it."""
    checkpoint = family_checkpoint(family, folder / "checkpoint")
    model = sentiment_model_class(checkpoint).from_pretrained(
        checkpoint, labels=["negative", "neutral", "positive"], pooling=pooling
    )
    model.save_pretrained(folder / "model")
    AutoTokenizer.from_pretrained(checkpoint).save_pretrained(folder / "model")
    return folder / "model"


FEW = ("roberta",)
OTHERS = [pytest.param(family, marks=pytest.mark.engines) for family in FAMILIES if family not in FEW]


@pytest.mark.parametrize("family", [*FEW, *OTHERS])
def test_an_encoder_of_any_family_says_what_it_says_in_torch(family: str, tmp_path: Path) -> None:
    model = family_folder(family, tmp_path)
    record = export(str(model), tmp_path / "out")
    assert record.largest_difference < 1e-5
    kinds = {"torch": model, "onnx": tmp_path / "out"}
    expected, found = (SentimentClassifier.from_pretrained(place, kind, 1) for kind, place in kinds.items())
    # Together, so that the short ones are padded.
    assert found.logits(TEXTS) == pytest.approx(expected.logits(TEXTS), abs=1e-5)
