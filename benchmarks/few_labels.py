"""Accuracy and log loss from few labels, beside five peers: the whole table, a row a training, and its plot.

    python benchmarks/few_labels.py --methods ours frozen tfidf --sizes 16 64 256 --seeds 10
    python benchmarks/few_labels.py --methods ours+typos ours+joining --sizes 256 1000 --seeds 3
    python benchmarks/few_labels.py --report

The starter model on both starter corpora, in two and three classes. The test texts are always the same (Amazon's are of
other documents than those trained on); `n` texts in total are drawn from the rest by the seed, each label with its
share, and every method makes of them what it needs, validation texts included. Rows are appended to `--output` as
they come; what is there is not done again. Methods:

- ours: what `hf-sentiment train` does; `ours-plain` without the lexicon; `ours-head` never fine-tunes; `ours-held` has
  a tenth held out for a temperature and goes all the way; `ours-float32` without mixed precision; `ours-unlabelled` has
  500 unlabelled texts and no label (n = 0); `ours+KIND` has the augmentation KIND
- frozen: logistic regression (C = 10) on the frozen encoder's mean-pooled, normalised features; frozen-cv: on
  standardised ones, C by cross-validation
- tfidf: logistic regression on TF-IDF of words and characters, the report's own baseline
- trainer: stock BertForSequenceClassification and Trainer, lr 1e-4, batch 32, the best of 10 epochs by the loss of a
  fifth of the texts
- setfit: the package setfit with its defaults (`pip install --no-deps setfit`), on the same encoder
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from peers import (
    METRICS,
    Made,
    Rows,
    against,
    append,
    cell,
    draw,
    draw_rows,
    features_of,
    frozen_cv,
    grouped,
    mean,
    ours,
    paired,
    rows_of,
    run_command,
    task,
    tfidf,
    trainer,
)
from scipy.stats import pearsonr
from sklearn.linear_model import LogisticRegression

from hf_sentiment.data.sources import starter_model

ENGLISH = ("movie-2", "movie-3", "amazon-2", "amazon-3")
SIZES = (16, 64, 256, 1000, 4000)
PEERS = ("frozen", "frozen-cv", "tfidf", "trainer", "setfit")
OUTPUT = Path(__file__).parent / "results" / "few_labels.jsonl"
_LONGEST = 128


@cache
def _frozen(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Features of the pool and the test texts."""
    return features_of(starter_model(), "minilm", name)


def frozen(name: str, size: int, seed: int) -> Made:
    """Logistic regression on frozen features."""
    rows, labels = draw_rows(name, size, seed)
    features, test = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in _frozen(name))
    began = time.perf_counter()
    model = LogisticRegression(C=10.0, max_iter=1000).fit(features[rows], labels)
    return model.predict_proba(test), time.perf_counter() - began


def setfit(name: str, size: int, seed: int) -> Made:
    """SetFit with its defaults."""
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from setfit import SetFitModel, Trainer, TrainingArguments

    _, test, _ = task(name)
    texts, labels = draw(name, size, seed)
    word = Transformer(str(starter_model()), max_seq_length=_LONGEST)
    body = SentenceTransformer(modules=[word, Pooling(word.get_word_embedding_dimension())], device="cpu")
    model = SetFitModel(body, LogisticRegression())
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(folder, report_to="none", seed=seed, show_progress_bar=False)
        columns = Dataset.from_dict({"text": texts, "label": labels.tolist()})
        began = time.perf_counter()
        Trainer(model, arguments, train_dataset=columns).train()
        seconds = time.perf_counter() - began
    return np.asarray(model.predict_proba(test["text"][:])), seconds


def run(method: str, name: str, size: int, seed: int) -> Made:
    """Probabilities of the test texts and seconds of training of a method."""
    if method.startswith("ours"):
        return ours(name, size, seed, method[len("ours") :])
    methods: dict[str, Callable[[str, int, int], Made]] = {
        "frozen": frozen,
        "frozen-cv": lambda *cell: frozen_cv(_frozen(name), *cell),
        "tfidf": tfidf,
        "trainer": lambda *cell: trainer(starter_model(), *cell),
        "setfit": setfit,
    }
    return methods[method](name, size, seed)


def cells(options: argparse.Namespace) -> Iterator[tuple[str, str, int, int]]:
    """Method, task, size and seed of everything that is asked for and can be drawn; seed by seed."""
    for seed in range(options.first_seed, options.seeds):
        for size in options.sizes:
            for method in options.methods:
                if (size == 0) > method.startswith("ours") or (method == "ours-unlabelled") > (size == 0):
                    continue
                yield from ((method, name, size, seed) for name in options.tasks if size <= len(task(name)[0]) - 500)


def work(options: argparse.Namespace) -> None:
    """Do what is not done, and append each row."""
    done = {(row["method"], row["task"], row["n"], row["seed"]) for row in rows_of(options.output)}
    todo = [cell for cell in cells(options) if cell not in done]
    for number, (method, name, size, seed) in enumerate(todo, start=1):
        row = {"method": method, "task": name, "n": size, "seed": seed}
        row = append(options.output, row, run(method, name, size, seed))
        print(f"{number}/{len(todo)} {row}", flush=True)


def report(path: Path) -> None:
    """The tables in Markdown, and the plot."""
    found = grouped(rows_of(path))
    methods = list(dict.fromkeys(method for _, _, method in found))
    order = [method for method in ("ours", *PEERS) if method in methods]
    print("| task | n | " + " | ".join(order) + " | ours - best peer |\n" + "| --- " * (len(order) + 3) + "|")
    for name in ENGLISH:
        for size in (0, *SIZES):
            here = {method: found[name, size, method] for method in order if (name, size, method) in found}
            if "ours" not in here:
                continue
            print(
                f"| {name} | {size} | "
                + " | ".join(cell(here.get(method)) for method in order)
                + f" | {against(here)} |"
            )
    _summary(found, order[1:])
    others = [method for method in methods if method not in order]
    if others:
        print(
            "\n| variant | task | n | accuracy | log loss | accuracy - ours | log loss - ours |\n" + "| --- " * 7 + "|"
        )
    for method in others:
        for (name, size, of), rows in sorted(found.items()):
            if of == method:
                beside = _differences(rows, found.get((name, size, "ours"), {}))
                accuracy, loss = mean(rows, "accuracy"), mean(rows, "log_loss")
                print(f"| {method} | {name} | {size} | {100 * accuracy:.1f} | {loss:.3f} | {beside} |")
    plot(found, order, path.with_suffix(".png"))


def _summary(found: dict[tuple[str, int, str], Rows], peers: list[str]) -> None:
    """Beside each peer, over the cells that both have: mean differences, and where its spread over seeds is smaller.

    The p of two spreads is of the Pitman-Morgan test, for pairs (Pitman 1939, Morgan 1939, both in Biometrika 31).
    """
    print("\n| peer | cells | accuracy | log loss | smaller SD than ours |\n" + "| --- " * 5 + "|")
    for peer in peers:
        common = [(name, size) for name, size, method in found if method == peer and (name, size, "ours") in found]
        both = {(n, size): (found[n, size, "ours"], found[n, size, peer]) for n, size in sorted(common)}
        gains = [[mean(ours, metric) - mean(theirs, metric) for ours, theirs in both.values()] for metric in METRICS]
        steadier = [f"{name} {size}{_spread(*pair)}" for (name, size), pair in both.items() if _steadier(*pair)]
        points, nats = 100 * np.mean(gains[0]), np.mean(gains[1])
        print(f"| {peer} | {len(both)} | {points:+.1f} | {nats:+.3f} | {', '.join(steadier)} |")


def _steadier(ours: Rows, theirs: Rows) -> bool:
    """Whether the peer's accuracy varies less over seeds; one seed has no spread."""
    spreads = [np.std([row["accuracy"] for row in rows.values()], ddof=1) for rows in (ours, theirs) if len(rows) > 1]
    return len(spreads) == 2 and spreads[1] < spreads[0]


def _spread(ours: Rows, theirs: Rows) -> str:
    """p of the difference between two spreads, where there are seeds enough to test it."""
    seeds = sorted(ours.keys() & theirs.keys())
    if len(seeds) < 4:
        return f" ({len(seeds)} seeds)"
    first, second = (np.array([rows[seed]["accuracy"] for seed in seeds]) for rows in (ours, theirs))
    return f" (p {pearsonr(first + second, first - second).pvalue:.2f})"


def _differences(rows: Rows, reference: Rows) -> str:
    """Of accuracy in points and of log loss, with their intervals; empty without a common seed."""
    points, half, seeds = paired(rows, reference, "accuracy")
    nats, reach, _ = paired(rows, reference, "log_loss")
    if not seeds:
        return " | "
    if seeds == 1:
        return f"{100 * points:+.1f} (1) | {nats:+.3f} (1)"
    return f"{100 * points:+.1f} ± {100 * half:.1f} ({seeds}) | {nats:+.3f} ± {reach:.3f} ({seeds})"


def plot(found: dict[tuple[str, int, str], Rows], order: list[str], path: Path) -> None:
    """Accuracy against the number of labels, a panel a task, with a band of a standard deviation over seeds."""
    from matplotlib.figure import Figure

    titles = {"ours": "hf-sentiment", "frozen": "frozen features + LR", "tfidf": "TF-IDF + LR", "setfit": "SetFit"}
    titles |= {"frozen-cv": "the same, tuned", "trainer": "Trainer, tuned by hand"}
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for panel, name in zip(figure.subplots(2, 2, sharex=True).flat, ENGLISH, strict=True):
        for index, method in enumerate(order):
            sizes = [size for size in SIZES if (name, size, method) in found]
            values = [[100 * row["accuracy"] for row in found[name, size, method].values()] for size in sizes]
            means, spread = [np.mean(value) for value in values], [np.std(value) for value in values]
            style = {"linewidth": 2.5, "zorder": 3} if method == "ours" else {"linewidth": 1.3}
            panel.plot(sizes, means, marker="o", color=f"C{index}", label=titles[method], **style)
            low, high = np.subtract(means, spread), np.add(means, spread)
            panel.fill_between(sizes, low, high, color=f"C{index}", alpha=0.15, linewidth=0)
        panel.set_xscale("log")
        panel.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
        panel.minorticks_off()
        corpus, labels = name.split("-")
        panel.set_title({"movie": "Film reviews", "amazon": "Product reviews"}[corpus] + f", {labels} classes")
        panel.grid(alpha=0.3)
    figure.supxlabel("labelled texts, in total")
    figure.supylabel("accuracy on the test texts, %")
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["ours", *PEERS])
    parser.add_argument("--tasks", nargs="+", default=list(ENGLISH), choices=list(ENGLISH))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first_seed", type=int, default=0)
    run_command(parser, OUTPUT, work, report)


if __name__ == "__main__":
    main()
