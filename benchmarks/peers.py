"""What benchmarks of few labels share: tasks and draws, ours and its peers, rows on disk, paired differences."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.evaluation.baselines import tfidf_probabilities
from hf_sentiment.evaluation.metrics import classification_metrics, softmax
from hf_sentiment.head.features import frozen_features
from hf_sentiment.head.solve import linear_probe
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assemble import assemble
from hf_sentiment.training.run import Run

# The data set, its labels, the share of test texts, and the texts to draw from (0: all).
TASKS: dict[str, tuple[str, int, float, int]] = {
    "movie-2": ("starter", 2, 0.1, 0),
    "movie-3": ("starter", 3, 0.1, 0),
    "amazon-2": ("starter:amazon", 2, 0.25, 0),
    "amazon-3": ("starter:amazon", 3, 0.25, 0),
    "chinese-2": ("starter:chinese", 2, 0.06, 5000),
}
LONGEST = 128
CACHE = Path(".cache/benchmarks")
METRICS = ("accuracy", "log_loss")
Rows: TypeAlias = "dict[int, dict[str, Any]]"
"""A cell's rows by seed."""
Made: TypeAlias = "tuple[np.ndarray, float]"
"""Probabilities of the test texts, and seconds of training."""
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


@cache
def task(name: str) -> tuple[Dataset, Dataset, list[str]]:
    """Texts to draw from, test texts, and the labels' names."""
    source, num_labels, share, most = TASKS[name]
    data = prepare_data(source, num_labels=num_labels, validation_share=0, test_share=share, seed=0)
    pool = data.splits["train"]
    if most:
        pool = pool.shuffle(seed=0).select(range(most))
    return pool, data.splits["test"], list(data.rule.labels)


def draw_rows(name: str, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`size` rows of the pool and their labels, each label with its share."""
    labels = np.asarray(task(name)[0]["label"])
    rows, _ = train_test_split(np.arange(len(labels)), train_size=size, stratify=labels, random_state=seed)
    return rows, labels[rows]


def draw(name: str, size: int, seed: int) -> tuple[list[str], np.ndarray]:
    """The texts of `draw_rows`, and their labels."""
    rows, labels = draw_rows(name, size, seed)
    return task(name)[0].select(rows)["text"][:], labels


def table(texts: list[str], labels: np.ndarray, names: list[str]) -> Dataset:
    """Texts and labels as `train` takes them."""
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return Dataset.from_dict({"text": texts, "label": labels.tolist()}, features=features)


def data_of(name: str, size: int, seed: int) -> DatasetDict:
    """The texts of `draw` to train on, and eight test texts: `train` wants some, and what is measured has all."""
    _, test, names = task(name)
    few = table(test["text"][:8], np.asarray(test["label"][:8]), names)
    return DatasetDict(train=table(*draw(name, size, seed), names), test=few)


def ours(name: str, size: int, seed: int, variant: str = "", encoder: str = "starter") -> Made:
    """The package's own path."""
    pool, _, names = task(name)
    options, training = ({"augment": variant[1:]}, {}) if variant.startswith("+") else _VARIANTS[variant]
    with tempfile.TemporaryDirectory() as folder:
        dataset: Any = data_of(name, size or 8 * len(names), seed)
        if size == 0:
            options = options | {"max_train_samples": 0}
        if variant == "-unlabelled":
            file = Path(folder) / "texts.jsonl"
            pool.shuffle(seed=seed).select(range(_UNLABELED)).select_columns("text").to_json(file)
            options, dataset = {"unlabeled_file": str(file), "labels": names}, None
        began = time.perf_counter()
        quiet = {"output_dir": f"{folder}/run", "report_to": [], "disable_tqdm": True, "seed": seed}
        run = assemble(SentimentArguments(model_name_or_path=encoder, **options), quiet | training, dataset)
        run.fit()
        run.calibrate()
        seconds = time.perf_counter() - began
    return test_probabilities(run, name), seconds


def test_probabilities(run: Run, name: str) -> np.ndarray:
    """Of the test texts, by the model as it is now; `[texts, labels]`."""
    weight, bias = run.model.classifier.weight.detach().numpy(), run.model.classifier.bias.detach().numpy()
    return softmax(_test_features(run, name) @ weight.T + bias)


_known: dict[tuple[str, str], np.ndarray] = {}


def _test_features(run: Run, name: str) -> np.ndarray:
    """Features of the test texts; known where another head was put on the same encoder."""
    digest = hashlib.sha256()
    for tensor in run.model.base_model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    key = digest.hexdigest(), name
    if key not in _known:
        _known[key] = frozen_features(run.model, run.tokenizer, tokenize(task(name)[1], run.tokenizer, LONGEST))
    return _known[key]


def features_of(encoder: Path, key: str, name: str, prefix: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Mean-pooled features of the pool and the test texts by the frozen encoder; kept in `CACHE`.

    Args:
        encoder: A folder.
        key: The encoder's name in the cache.
        name: The task.
        prefix: What the encoder wants before every text.
    """
    file = CACHE / f"{key}_{name}.npz"
    if not file.is_file():
        model = BertForSentimentAnalysis.from_pretrained(encoder, pooling="mean")
        tokenizer = AutoTokenizer.from_pretrained(encoder)
        parts = {}
        for part, split in zip(("pool", "test"), task(name), strict=False):
            texts = Dataset.from_dict({"text": [prefix + text for text in split["text"]]})
            parts[part] = frozen_features(model, tokenizer, tokenize(texts, tokenizer, LONGEST))
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, pool=parts["pool"], test=parts["test"])
    kept = np.load(file)
    return kept["pool"], kept["test"]


def frozen_cv(features: tuple[np.ndarray, np.ndarray], name: str, size: int, seed: int) -> Made:
    """Logistic regression on standardised frozen features, C by five-fold cross-validation of the log loss."""
    rows, labels = draw_rows(name, size, seed)
    began = time.perf_counter()
    folds = min(5, int(np.bincount(labels).min()))
    strengths = 10.0 ** np.arange(-5.0, 2.5, 0.5)
    if folds < 2:  # a label with one text
        model: Any = LogisticRegression(max_iter=1000)
    else:
        judge = StratifiedKFold(folds, shuffle=True, random_state=seed)
        model = LogisticRegressionCV(
            Cs=strengths, cv=judge, scoring="neg_log_loss", max_iter=1000, l1_ratios=(0,), use_legacy_attributes=False
        )
    pipeline = make_pipeline(StandardScaler(), model).fit(features[0][rows], labels)
    return pipeline.predict_proba(features[1]), time.perf_counter() - began


def head(features: tuple[np.ndarray, np.ndarray], name: str, size: int, seed: int) -> Made:
    """The package's head on frozen features, without a lexicon."""
    rows, labels = draw_rows(name, size, seed)
    began = time.perf_counter()
    solved = linear_probe(features[0][rows], labels, len(task(name)[2]))
    return softmax(solved.logits(features[1])), time.perf_counter() - began


def tfidf(name: str, size: int, seed: int) -> Made:
    """Logistic regression on TF-IDF of words and characters, the report's own baseline."""
    _, test, names = task(name)
    texts, labels = draw(name, size, seed)
    began = time.perf_counter()
    return tfidf_probabilities(texts, labels.tolist(), test["text"][:], len(names)), time.perf_counter() - began


def trainer(
    encoder: Path, name: str, size: int, seed: int, rate: float = 1e-4, epochs: int = 10, prefix: str = ""
) -> Made:
    """The standard script: stock classes, batch 32, the best epoch by the loss of a fifth of the texts."""
    _, test, names = task(name)
    texts, labels = draw(name, size, seed)
    held = max(len(names), round(0.2 * size))
    shared = labels if np.bincount(labels).min() > 1 else None
    train_rows, held_rows = train_test_split(np.arange(size), test_size=held, stratify=shared, random_state=seed)
    set_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    model = AutoModelForSequenceClassification.from_pretrained(encoder, num_labels=len(names))
    tokens = tokenize(table([prefix + text for text in texts], labels, names), tokenizer, LONGEST)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            learning_rate=rate,
            per_device_train_batch_size=32,
            num_train_epochs=epochs,
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
        tests = Dataset.from_dict({"text": [prefix + text for text in test["text"]]})
        output = made.predict(tokenize(tests, tokenizer, LONGEST))
    return softmax(np.asarray(output.predictions)), seconds


def rows_of(path: Path) -> list[dict[str, Any]]:
    """What is done."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []


def append(path: Path, row: dict[str, Any], made: Made) -> dict[str, Any]:
    """A row with its metrics, added to the file; `row` says what was done, `task` among it."""
    metrics = classification_metrics(made[0], np.asarray(task(row["task"])[1]["label"]))
    row = row | {"seconds": round(made[1], 2)}
    row |= {key: round(metrics[key], 5) for key in ("accuracy", "macro_f1", "log_loss")}
    row["threads"] = torch.get_num_threads()
    write_row(path, row)
    return row


def write_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a file of them."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def grouped(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, int, str], Rows]:
    """Rows by task, size and method, then seed."""
    found: dict[tuple[str, int, str], Rows] = defaultdict(dict)
    for row in rows:
        found[row["task"], row["n"], row["method"]][row["seed"]] = row
    return found


def mean(rows: Rows, metric: str) -> float:
    """Over the seeds."""
    return float(np.mean([row[metric] for row in rows.values()]))


def run_command(
    parser: argparse.ArgumentParser,
    output: Path,
    work: Callable[[argparse.Namespace], None],
    report: Callable[[Path], None],
) -> None:
    """A benchmark's command line: do what is not done and report, or with `--report` only that."""
    parser.add_argument("--output", type=Path, default=output)
    parser.add_argument("--report", action="store_true", help="print the tables and make the plot, and train nothing")
    options = parser.parse_args()
    if not options.report:
        work(options)
    report(options.output)


def paired(first: Rows, second: Rows, metric: str) -> tuple[float, float, int]:
    """Mean difference over common seeds, half the width of its 95 % t interval (0 with one seed), and the seeds."""
    seeds = sorted(first.keys() & second.keys())
    differences = np.array([first[seed][metric] - second[seed][metric] for seed in seeds])
    if len(seeds) < 2:
        return float(differences.mean()) if seeds else float("nan"), 0.0, len(seeds)
    half = student.ppf(0.975, len(seeds) - 1) * differences.std(ddof=1) / np.sqrt(len(seeds))
    return float(differences.mean()), float(half), len(seeds)


def cell(rows: Rows | None) -> str:
    """Accuracy in % ± standard deviation; log loss; seeds."""
    if not rows:
        return ""
    accuracies = 100 * np.array([row["accuracy"] for row in rows.values()])
    spread = f" ± {accuracies.std(ddof=1):.1f}" if len(rows) > 1 else ""
    return f"{accuracies.mean():.1f}{spread}; {mean(rows, 'log_loss'):.3f} ({len(rows)})"


def against(here: dict[str, Rows]) -> str:
    """Accuracy of "ours" less that of the best peer with common seeds, and its interval."""
    peers = {method: rows for method, rows in here.items() if method != "ours" and rows.keys() & here["ours"].keys()}
    if not peers:
        return ""
    best = max(peers, key=lambda method: mean(peers[method], "accuracy"))
    difference, half, _ = paired(here["ours"], peers[best], "accuracy")
    interval = f" ± {100 * half:.1f}" if half else ""
    return f"{100 * difference:+.1f}{interval} ({best})"
