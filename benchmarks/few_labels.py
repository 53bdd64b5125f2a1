"""Accuracy and log loss from few labels, beside four peers: the whole table, a row a training, and its plot.

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
- frozen: logistic regression (C = 10) on the frozen encoder's mean-pooled, normalised features
- tfidf: logistic regression on TF-IDF of words and characters, the report's own baseline
- trainer: stock BertForSequenceClassification and Trainer, lr 1e-4, batch 32, the best of 10 epochs by the loss of a
  fifth of the texts
- setfit: the package setfit with its defaults (`pip install --no-deps setfit`), on the same encoder
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from scipy.stats import pearsonr
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.data.sources import starter_model
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.evaluation.baselines import tfidf_probabilities
from hf_sentiment.evaluation.metrics import classification_metrics, softmax
from hf_sentiment.head.features import frozen_features
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assemble import assemble

TASKS = {"movie-2": ("starter", 2), "movie-3": ("starter", 3), "amazon-2": ("starter:amazon", 2)}
TASKS |= {"amazon-3": ("starter:amazon", 3)}
SIZES = (16, 64, 256, 1000, 4000)
PEERS = ("frozen", "tfidf", "trainer", "setfit")
OUTPUT = Path(__file__).parent / "results" / "few_labels.jsonl"
_METRICS = ("accuracy", "log_loss")
Rows: TypeAlias = "dict[int, dict[str, Any]]"
"""A cell's rows by seed."""
_VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "": ({}, {}),
    "-plain": ({"lexicon": False}, {}),
    "-head": ({"validation_share": 0}, {"num_train_epochs": 0}),
    "-held": ({"validation_share": 0.1, "fine_tuned_share": 1.0}, {}),
    "-float32": ({}, {"bf16": False}),
    "-unlabelled": ({}, {}),
}
"""Of `ours`: the package's own arguments, and the Trainer's."""
_UNLABELED = 500
_LONGEST = 128


@cache
def task(name: str) -> tuple[Dataset, Dataset, list[str]]:
    """Texts to draw from, test texts, and the labels' names."""
    source, num_labels = TASKS[name]
    share = 0.1 if source == "starter" else 0.25
    data = prepare_data(source, num_labels=num_labels, validation_share=0, test_share=share, seed=0)
    return data.splits["train"], data.splits["test"], list(data.rule.labels)


def draw_rows(name: str, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`size` rows of the pool and their labels, each label with its share."""
    labels = np.asarray(task(name)[0]["label"])
    rows, _ = train_test_split(np.arange(len(labels)), train_size=size, stratify=labels, random_state=seed)
    return rows, labels[rows]


def draw(name: str, size: int, seed: int) -> tuple[list[str], np.ndarray]:
    """The texts of `draw_rows`, and their labels."""
    rows, labels = draw_rows(name, size, seed)
    return task(name)[0].select(rows)["text"][:], labels


def _table(texts: list[str], labels: np.ndarray, names: list[str]) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return Dataset.from_dict({"text": texts, "label": labels.tolist()}, features=features)


def ours(name: str, size: int, seed: int, variant: str = "") -> tuple[np.ndarray, float]:
    """Probabilities of the test texts, and seconds of training, by the package's own path."""
    pool, test, names = task(name)
    texts, labels = draw(name, max(size, 2 * len(names)), seed)
    options, training = ({"augment": variant[1:]}, {}) if variant.startswith("+") else _VARIANTS[variant]
    with tempfile.TemporaryDirectory() as folder:
        dataset: Any = DatasetDict(
            train=_table(texts, labels, names), test=_table(test["text"][:8], np.asarray(test["label"][:8]), names)
        )
        if size == 0:
            options = options | {"max_train_samples": 0}
        if variant == "-unlabelled":
            file = Path(folder) / "texts.jsonl"
            pool.shuffle(seed=seed).select(range(_UNLABELED)).select_columns("text").to_json(file)
            options, dataset = {"unlabeled_file": str(file), "labels": names}, None
        began = time.perf_counter()
        quiet = {"output_dir": f"{folder}/run", "report_to": [], "disable_tqdm": True, "seed": seed}
        run = assemble(SentimentArguments(**options), quiet | training, dataset)
        run.fit()
        run.calibrate()
        seconds = time.perf_counter() - began
        features = frozen_features(run.model, run.tokenizer, tokenize(test, run.tokenizer, _LONGEST))
    weight, bias = run.model.classifier.weight.detach().numpy(), run.model.classifier.bias.detach().numpy()
    return softmax(features @ weight.T + bias), seconds


@cache
def _frozen(name: str, part: str) -> np.ndarray:
    """Normalised features of the pool or the test texts."""
    from transformers import AutoTokenizer

    from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

    pool, test, _ = task(name)
    path = starter_model()
    model, tokenizer = BertForSentimentAnalysis.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    split = pool if part == "pool" else test
    features = frozen_features(model, tokenizer, tokenize(split, tokenizer, _LONGEST))
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def frozen(name: str, size: int, seed: int) -> tuple[np.ndarray, float]:
    """Logistic regression on frozen features."""
    rows, labels = draw_rows(name, size, seed)
    features, test = _frozen(name, "pool")[rows], _frozen(name, "test")
    began = time.perf_counter()
    model = LogisticRegression(C=10.0, max_iter=1000).fit(features, labels)
    return model.predict_proba(test), time.perf_counter() - began


def tfidf(name: str, size: int, seed: int) -> tuple[np.ndarray, float]:
    """Logistic regression on TF-IDF."""
    _, test, names = task(name)
    texts, labels = draw(name, size, seed)
    began = time.perf_counter()
    return tfidf_probabilities(texts, labels.tolist(), test["text"][:], len(names)), time.perf_counter() - began


def trainer(name: str, size: int, seed: int) -> tuple[np.ndarray, float]:
    """The standard script, tuned by hand."""
    from transformers import (
        AutoTokenizer,
        BertForSequenceClassification,
        DataCollatorWithPadding,
        Trainer,
        TrainingArguments,
        set_seed,
    )

    _, test, names = task(name)
    texts, labels = draw(name, size, seed)
    held = max(len(names), round(0.2 * size))
    shared = labels if np.bincount(labels).min() > 1 else None
    train_rows, held_rows = train_test_split(np.arange(size), test_size=held, stratify=shared, random_state=seed)
    set_seed(seed)
    path = starter_model()
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = BertForSequenceClassification.from_pretrained(path, num_labels=len(names))
    tokens = tokenize(_table(texts, labels, names), tokenizer, _LONGEST)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            learning_rate=1e-4,
            per_device_train_batch_size=32,
            num_train_epochs=10,
            eval_strategy="epoch",
            save_strategy="epoch",
            save_total_limit=1,
            save_only_model=True,
            load_best_model_at_end=True,
            metric_for_best_model="loss",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=seed,
        )
        made = Trainer(
            model,
            arguments,
            data_collator=DataCollatorWithPadding(tokenizer),
            train_dataset=tokens.select(train_rows),
            eval_dataset=tokens.select(held_rows),
        )
        began = time.perf_counter()
        made.train()
        seconds = time.perf_counter() - began
        output = made.predict(tokenize(test, tokenizer, _LONGEST))
    return softmax(np.asarray(output.predictions)), seconds


def setfit(name: str, size: int, seed: int) -> tuple[np.ndarray, float]:
    """SetFit with its defaults."""
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


def run(method: str, name: str, size: int, seed: int) -> tuple[np.ndarray, float]:
    """Probabilities of the test texts and seconds of training of a method."""
    if method.startswith("ours"):
        return ours(name, size, seed, method[len("ours") :])
    methods: dict[str, Callable[[str, int, int], tuple[np.ndarray, float]]] = {
        "frozen": frozen,
        "tfidf": tfidf,
        "trainer": trainer,
        "setfit": setfit,
    }
    return methods[method](name, size, seed)


def rows_of(path: Path) -> list[dict[str, Any]]:
    """What is done."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


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
        probabilities, seconds = run(method, name, size, seed)
        metrics = classification_metrics(probabilities, np.asarray(task(name)[1]["label"]))
        row = {"method": method, "task": name, "n": size, "seed": seed, "seconds": round(seconds, 2)}
        row |= {key: round(metrics[key], 5) for key in ("accuracy", "macro_f1", "log_loss")}
        row["threads"] = torch.get_num_threads()
        options.output.parent.mkdir(exist_ok=True)
        with options.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(f"{number}/{len(todo)} {json.dumps(row)}", flush=True)


def grouped(path: Path) -> dict[tuple[str, int, str], Rows]:
    """Rows by task, size and method, then seed."""
    found: dict[tuple[str, int, str], Rows] = defaultdict(dict)
    for row in rows_of(path):
        found[row["task"], row["n"], row["method"]][row["seed"]] = row
    return found


def mean(rows: Rows, metric: str) -> float:
    """Over the seeds."""
    return float(np.mean([row[metric] for row in rows.values()]))


def paired(first: Rows, second: Rows, metric: str) -> tuple[float, float, int]:
    """Mean difference over common seeds, half the width of its 95 % t interval (0 with one seed), and the seeds."""
    seeds = sorted(first.keys() & second.keys())
    differences = np.array([first[seed][metric] - second[seed][metric] for seed in seeds])
    if len(seeds) < 2:
        return float(differences.mean()) if seeds else float("nan"), 0.0, len(seeds)
    half = student.ppf(0.975, len(seeds) - 1) * differences.std(ddof=1) / np.sqrt(len(seeds))
    return float(differences.mean()), float(half), len(seeds)


def report(path: Path) -> None:
    """The tables in Markdown, and the plot."""
    found = grouped(path)
    methods = list(dict.fromkeys(method for _, _, method in found))
    order = [method for method in ("ours", *PEERS) if method in methods]
    print("| task | n | " + " | ".join(order) + " | ours - best peer |\n" + "| --- " * (len(order) + 3) + "|")
    for name in TASKS:
        for size in (0, *SIZES):
            here = {method: found[name, size, method] for method in order if (name, size, method) in found}
            if "ours" not in here:
                continue
            print(f"| {name} | {size} | " + " | ".join(_cell(here.get(method)) for method in order) + _against(here))
    _summary(found, order[1:])
    others = [method for method in methods if method not in order]
    if others:
        print(
            "\n| variant | task | n | accuracy | log loss | accuracy - ours | log loss - ours |\n" + "| --- " * 7 + "|"
        )
    for method in others:
        for (name, size, of), rows in sorted(found.items()):
            if of == method:
                against = _differences(rows, found.get((name, size, "ours"), {}))
                accuracy, loss = mean(rows, "accuracy"), mean(rows, "log_loss")
                print(f"| {method} | {name} | {size} | {100 * accuracy:.1f} | {loss:.3f} | {against} |")
    plot(found, order, path.with_suffix(".png"))


def _summary(found: dict[tuple[str, int, str], Rows], peers: list[str]) -> None:
    """Beside each peer, over the cells that both have: mean differences, and where its spread over seeds is smaller.

    The p of two spreads is of the Pitman-Morgan test, for pairs (Pitman 1939, Morgan 1939, both in Biometrika 31).
    """
    print("\n| peer | cells | accuracy | log loss | smaller SD than ours |\n" + "| --- " * 5 + "|")
    for peer in peers:
        common = [(name, size) for name, size, method in found if method == peer and (name, size, "ours") in found]
        both = {(n, size): (found[n, size, "ours"], found[n, size, peer]) for n, size in sorted(common)}
        gains = [[mean(ours, metric) - mean(theirs, metric) for ours, theirs in both.values()] for metric in _METRICS]
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


def _cell(rows: Rows | None) -> str:
    if not rows:
        return ""
    accuracies = 100 * np.array([row["accuracy"] for row in rows.values()])
    spread = f" ± {accuracies.std(ddof=1):.1f}" if len(rows) > 1 else ""
    return f"{accuracies.mean():.1f}{spread}; {mean(rows, 'log_loss'):.3f} ({len(rows)})"


def _against(here: dict[str, Rows]) -> str:
    peers = {method: rows for method, rows in here.items() if method != "ours"}
    if not peers:
        return " |  |"
    best = max(peers, key=lambda method: mean(peers[method], "accuracy"))
    difference, half, _ = paired(here["ours"], peers[best], "accuracy")
    interval = f" ± {100 * half:.1f}" if half else ""
    return f" | {100 * difference:+.1f}{interval} ({best}) |"


def plot(found: dict[tuple[str, int, str], Rows], order: list[str], path: Path) -> None:
    """Accuracy against the number of labels, a panel a task, with a band of a standard deviation over seeds."""
    from matplotlib.figure import Figure

    titles = {"ours": "hf-sentiment", "frozen": "frozen features + LR", "tfidf": "TF-IDF + LR", "setfit": "SetFit"}
    titles["trainer"] = "Trainer, tuned by hand"
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for panel, name in zip(figure.subplots(2, 2, sharex=True).flat, TASKS, strict=True):
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
    figure.legend(handles, names, loc="outside upper center", ncols=len(order), frameon=False)
    figure.savefig(path, dpi=130)
    print(f"\n{path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["ours", *PEERS])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--report", action="store_true", help="print the tables and make the plot, and train nothing")
    options = parser.parse_args()
    if not options.report:
        work(options)
    report(options.output)


if __name__ == "__main__":
    main()
