"""Claim: `predict` is faster than `pipeline` with its defaults, with every backend, and says the same.

    python benchmarks/prediction_speed.py --texts 1024 --repeats 5 --threads 1

All sides score the same movie snippets in one process, on as many threads, and take turns; the first turn of each is
not counted. The table has the ratio to the pipeline with its defaults, the share of the machine's float32 peak (a
matrix product of 1,024 x 1,024 by torch, in the same turns) that a side reaches by the operations that the texts need
without padding, and the largest difference of a logit from torch's. `--model` takes a trained run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoTokenizer, pipeline

from hf_sentiment import SentimentClassifier, export
from hf_sentiment.data.sources import starter_data, starter_model
from hf_sentiment.inference.backends import BACKENDS
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

RESULTS = Path(__file__).parent / "results"
_SIDE = 1024  # of the matrices whose product is the peak


def main() -> None:
    """Time all sides in turns."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", help="A trained run; by default the starter encoder with an untrained head.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    texts = starter_data().shuffle(seed=0).select(range(options.texts))["text"][:]
    with tempfile.TemporaryDirectory() as place:
        model = options.model or _untrained(Path(place, "model"))
        sides = _sides(str(model), Path(place), options.threads, texts)
        times = _turns(sides, texts, options.repeats)
        work = _operations(str(model), texts)
        logits = {name: sides[f"ours, {name}"](texts) for name in BACKENDS}
    peak = 2 * _SIDE**3 / min(times.pop("peak"))
    rows: dict[str, dict[str, Any]] = {}
    for name, turns in times.items():
        ratios = [base / own for base, own in zip(times["pipeline"], turns, strict=True)]
        rows[name] = {
            "seconds": turns,
            "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
            "share_of_peak": work / statistics.median(turns) / peak,
        }
        if (backend := name.removeprefix("ours, ")) in logits:
            rows[name]["largest_difference"] = float(np.abs(logits[backend] - logits["torch"]).max())
    result = {"texts": options.texts, "threads": options.threads, "peak": peak, "operations": work, "sides": rows}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"prediction_speed_{options.threads}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(f"peak: {peak / 1e9:.1f} billion operations a second; the texts need {work / 1e9:.1f} billion")
    for name, row in rows.items():
        ratio = row["ratio"]
        print(
            f"{name:<32} {statistics.median(row['seconds']):7.2f} s   x {ratio['median']:5.2f} "
            f"({ratio['min']:.2f} to {ratio['max']:.2f})   {row['share_of_peak']:5.0%} of the peak"
            + (f"   difference {row['largest_difference']:.1g}" if "largest_difference" in row else "")
        )


def _untrained(folder: Path) -> Path:
    model = BertForSentimentAnalysis.from_pretrained(starter_model(), labels=["negative", "positive"])
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(starter_model()).save_pretrained(folder)
    return folder


def _sides(model: str, place: Path, threads: int, texts: list[str]) -> dict[str, Callable[[list[str]], Any]]:
    """What is timed, by name; the peak is one of them, so that it is measured beside the others."""
    given = place / "texts.jsonl"
    given.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts[:100]))
    for form in ("onnx", "openvino"):
        export(model, place / form, format=form, int8=True, force=True, text_file=str(given))
    pipe = pipeline("text-classification", model, trust_remote_code=False)
    encoder = SentenceTransformer(str(starter_model()), device="cpu")
    square = torch.randn(_SIDE, _SIDE)
    sides: dict[str, Callable[[list[str]], Any]] = {
        "peak": lambda texts: square @ square,
        "pipeline": lambda texts: pipe(list(texts)),
        "pipeline, batch_size=32": lambda texts: pipe(list(texts), batch_size=32),
        "sentence-transformers, encode": lambda texts: encoder.encode(texts, show_progress_bar=False),
        "onnxruntime, a text at a time": _raw_loop(place / "onnx", threads),
    }
    for kind in BACKENDS:
        path = model if kind == "torch" else place / kind.partition("-")[0]
        sides[f"ours, {kind}"] = SentimentClassifier.from_pretrained(path, kind, threads, long_texts="cut").logits
    sides["ours, the tokenizer of onnx alone"] = SentimentClassifier.from_pretrained(
        place / "onnx", "onnx", threads
    ).backend.tokenize
    return sides


def _raw_loop(folder: Path, threads: int) -> Callable[[list[str]], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = [entry.name for entry in session.get_inputs()]

    def run(texts: list[str]) -> list[Any]:
        found = []
        for text in texts:
            one = tokenizer.encode(text)
            values = {"input_ids": one.ids, "attention_mask": one.attention_mask, "token_type_ids": one.type_ids}
            found.append(session.run(["logits"], {name: np.array([values[name]]) for name in names})[0])
        return found

    return run


def _turns(sides: dict[str, Callable[[list[str]], Any]], texts: list[str], repeats: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            began = time.perf_counter()
            side(texts)
            if turn:
                times[name].append(time.perf_counter() - began)
    return times


def _operations(model: str, texts: list[str]) -> float:
    """Multiplications and additions of the encoder's matrix products, for the tokens that the texts have."""
    classifier = SentimentClassifier.from_pretrained(model)
    config = classifier.config
    lengths = np.array([len(ids) for ids in classifier.backend.tokenize(texts).columns["input_ids"]], dtype=float)
    width, inner = config["hidden_size"], config["intermediate_size"]
    # Four square matrices and two of the feed-forward part a token; scores and their sum for each pair of tokens.
    layer = 2 * (4 * width**2 + 2 * width * inner) * lengths.sum() + 4 * width * (lengths**2).sum()
    return float(config["num_hidden_layers"] * layer)


if __name__ == "__main__":
    main()
