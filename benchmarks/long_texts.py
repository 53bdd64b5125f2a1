"""How a model that learned from sentences answers for whole reviews, and how one is trained on long texts.

    python benchmarks/long_texts.py --reading movie-190-1 movie-1500-0 amazon-0 --training amazon-head-0 amazon-tuned-0
    python benchmarks/long_texts.py --report

The long texts are the documents of the Amazon snippets: the sentences of each joined in their order, neutral ones too,
labelled by the sign of their mean rating. `--reading` compares ways to read those of more than 40 words. `movie-N-SEED`
is trained on N movie snippets, another domain; `amazon-SEED` on the sentences of one half of the documents, and
measured on the other half. Both labels weigh the same in accuracy and log loss. Ways:

- cut: whole, cut at what the model reads
- one-window: the first 150 words
- MIN-MAX: the mean logits of pieces of that many words; `x2` multiplies them by 2, and `best` by what is best in
  hindsight; `shifted` takes off the mean logits of fragments of three words of the training texts first
- probabilities, median, by-length: of 9-40, what else could be averaged

`--training` compares three ways to train on long texts of which about half is read: cut there, windows (pieces that
fit, each with the label of its document), and head-and-tail (the first and the last 45 words). Names are
CORPUS-HOW-SEED. `amazon` is one half of the documents, of which 128 tokens are read, measured on the other half;
`chinese` 300 reviews of more than 120 letters, of which 64 tokens are read, by the multilingual encoder, measured on
200 others. `head` is the head alone, as the plan has it of so few texts, and `tuned` four epochs of all weights. Each
model reads whole texts, cut where it can read no more; pieces by the rule that the run recorded; and head and tail.

Runs are kept in `--runs`; rows are appended to `--output` as they come, and what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers import rows_of
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from hf_sentiment import SentimentClassifier, train
from hf_sentiment.data.sources import load_data
from hf_sentiment.data.sources.starter.corpora import starter_data
from hf_sentiment.inference.pieces import count_words, split

OUTPUT = Path(__file__).parent / "results" / "long_texts.jsonl"
LONG = 40
SIZES = ((1, 40), (9, 40), (18, 40), (150, 160))
READ = {"amazon": 128, "chinese": 64}  # tokens
HALF = 45  # words or letters, of head and tail
Documents = list[dict[str, Any]]


def documents() -> Documents:
    """Each with its sentences, their ratings, its text and its label."""
    rows = defaultdict(list)
    for row in starter_data("starter:amazon"):
        rows[row["document"]].append((row["text"], row["rating"]))
    found = []
    for name, of in rows.items():
        texts, ratings = zip(*of, strict=True)
        found.append({"name": name, "sentences": texts, "ratings": ratings, "text": " ".join(texts)})
        found[-1]["label"] = int(np.mean(ratings) > 0)
    return found


def halves(seed: int) -> tuple[Documents, Documents]:
    """The documents to train on, and the others."""
    every = documents()
    order = np.random.default_rng(seed).permutation(len(every))
    return tuple([every[row] for row in rows] for rows in np.array_split(order, 2))  # type: ignore[return-value]


def table(texts: list[str], labels: list[int]) -> Any:
    """For `train`."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "label": ClassLabel(names=["negative", "positive"])})
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)


def trained(folder: Path, data: Any = None, **arguments: Any) -> SentimentClassifier:
    """The model of a run, which is made where it is not there yet."""
    if not (folder / "records" / "report.html").exists():
        quiet = {"report_to": "none", "disable_tqdm": True, "use_cpu": True}
        train(data, output_dir=str(folder), **quiet, **arguments)
    return SentimentClassifier.from_pretrained(folder, long_texts="cut")


def figures(margins: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Of log-odds `[texts]`: accuracy and log loss, of which each label is a half, and the area under the curve."""
    weights = np.where(labels == 1, 0.5 / labels.mean(), 0.5 / (1 - labels.mean()))
    loss = np.average(np.logaddexp(0, -np.where(labels == 1, margins, -margins)), weights=weights)
    accuracy = np.average((margins > 0) == labels, weights=weights)
    return {"accuracy": float(accuracy), "log_loss": float(loss), "auroc": float(roc_auc_score(labels, margins))}


def best_scaled(margins: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The log-odds times the number that makes their log loss least."""

    def cost(logarithm: float) -> float:
        return figures(np.exp(logarithm) * margins, labels)["log_loss"]

    return float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded").x)) * margins


def ways(model: SentimentClassifier, of: Documents, fragments: list[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Each way to read long texts, with the log-odds that it gives them, `[texts]`."""

    def margins(texts: list[str]) -> np.ndarray:
        logits = model.logits(texts).astype(np.float64)
        return logits[:, 1] - logits[:, 0]

    texts = [document["text"] for document in of]
    yield "cut", margins(texts)
    yield "one-window", margins([" ".join(text.split()[:150]) for text in texts])
    nothing = margins(fragments).mean()
    for least, longest in SIZES:
        pieces = [split(text, least, longest) for text in texts]
        every = margins([piece for one in pieces for piece in one])
        parts = np.split(every, np.cumsum([len(one) for one in pieces])[:-1])
        name, means = f"{least}-{longest}", np.array([part.mean() for part in parts])
        yield name, means
        yield f"{name} x2", 2 * means
        yield f"{name} best", best_scaled(means, np.array([document["label"] for document in of]))
        yield f"{name} shifted x2", 2 * (means - nothing)
        if (least, longest) == (9, 40):
            shares = np.array([expit(part).mean() for part in parts])
            yield "probabilities", np.log(shares / (1 - shares))
            yield "median x2", 2 * np.array([np.median(part) for part in parts])
            lengths = [[count_words(piece) for piece in one] for one in pieces]
            by_length = [np.average(part, weights=words) for part, words in zip(parts, lengths, strict=True)]
            yield "by-length x2", 2 * np.array(by_length)
            counts = np.array([len(one) for one in pieces])
            yield "x pieces^0.3", counts**0.3 * means


def fragments_of(texts: list[str], labels: np.ndarray) -> list[str]:
    """Three words each, of as many negative as positive texts."""
    draw = np.random.default_rng(0)
    rows = np.concatenate([draw.permutation(np.flatnonzero(labels == label))[:400] for label in (0, 1)])
    words = [texts[row].split() for row in rows]
    firsts = [int(draw.integers(max(1, len(of) - 2))) for of in words]
    return [" ".join(of[first : first + 3]) for of, first in zip(words, firsts, strict=True)]


def reading(name: str, runs: Path) -> Iterator[dict[str, Any]]:
    """The rows of one model."""
    domain, *numbers = name.split("-")
    if domain == "movie":
        size, seed = map(int, numbers)
        model = trained(runs / name, dataset_name="starter", max_train_samples=size, seed=seed)
        data, of = load_data("starter").splits["train"], documents()
        ratings, texts = np.asarray(data["label"]), data["text"][:]
    else:
        ours, of = halves(int(numbers[0]))
        pairs = [pair for one in ours for pair in zip(one["sentences"], one["ratings"], strict=True)]
        ratings, texts = np.array([rating for _, rating in pairs]), [text for text, _ in pairs]
        clear = np.abs(ratings) > 0.5
        texts, ratings = [text for text, kept in zip(texts, clear, strict=True) if kept], ratings[clear]
        model = trained(runs / name, table(texts, (ratings > 0).astype(int).tolist()), seed=int(numbers[0]))
    few = fragments_of(texts, np.where(ratings < -0.5, 0, np.where(ratings > 0.5, 1, -1)))
    of = [one for one in of if count_words(one["text"]) > LONG]
    labels = np.array([one["label"] for one in of])
    for way, margins in ways(model, of, few):
        yield {"part": "reading", "model": name, "way": way, "texts": len(of)} | figures(margins, labels)


def head_and_tail(text: str, by_letters: bool) -> str:
    """The first and the last words of a text, or letters."""
    of, between = (list(text), "") if by_letters else (text.split(), " ")
    return text if len(of) <= 2 * HALF else between.join(of[:HALF] + of[-HALF:])


def chinese(seed: int) -> tuple[Documents, Documents]:
    """Long reviews to train on, and others; half of each are positive."""
    data = starter_data("starter:chinese")
    rows = zip(data["text"][:], data["label"][:], strict=True)
    every = [{"text": text, "label": int(label == "positive")} for text, label in rows if count_words(text) > 120]
    draw = np.random.default_rng(seed)
    found: tuple[Documents, Documents] = [], []
    for label in (0, 1):
        drawn = draw.permutation([row for row, one in enumerate(every) if one["label"] == label])
        found[0].extend(every[row] for row in drawn[:150])
        found[1].extend(every[row] for row in drawn[150:250])
    return found


def training(name: str, runs: Path) -> Iterator[dict[str, Any]]:
    """The rows of one division of the documents."""
    corpus, how, number = name.split("-")
    seed, by_letters = int(number), corpus == "chinese"
    ours, others = (chinese if by_letters else halves)(seed)
    asked, labels = [one["text"] for one in others], np.array([one["label"] for one in others])
    made = {
        "cut": ([one["text"] for one in ours], [one["label"] for one in ours]),
        "head-and-tail": ([head_and_tail(one["text"], by_letters) for one in ours], [one["label"] for one in ours]),
    }
    windows = [(piece, one["label"]) for one in ours for piece in split(one["text"], 60, 90)]
    made["windows"] = [text for text, _ in windows], [label for _, label in windows]
    arguments: dict[str, Any] = {"num_train_epochs": 0 if how == "head" else 4, "max_length": READ[corpus]}
    arguments |= {"seed": seed, "test_share": 0.0, "validation_share": 0.0}
    if by_letters:
        arguments["model_name_or_path"] = "starter:multilingual"
    for way, (texts, of) in made.items():
        folder = runs / f"{name}-{way}"
        cut = trained(folder, table(texts, of), **arguments)
        pieces = SentimentClassifier.from_pretrained(folder, long_texts="pieces")
        readings = {"whole": cut.logits(asked), "pieces": pieces.logits(asked)}
        readings["head-and-tail"] = cut.logits([head_and_tail(text, by_letters) for text in asked])
        for read, logits in readings.items():
            margins = (logits[:, 1] - logits[:, 0]).astype(np.float64)
            row = {"part": "training", "model": name, "trained": way, "read": read, "texts": len(others)}
            least = figures(best_scaled(margins, labels), labels)["log_loss"]
            yield row | {"examples": len(texts)} | figures(margins, labels) | {"best_log_loss": least}


def report(rows: list[dict[str, Any]]) -> None:
    """Print the means as tables."""
    print("| read | model | accuracy | log loss | AUROC |\n| --- | --- | --- | --- | --- |")
    for row in rows:
        if row["part"] == "reading":
            values = [f"{row[name]:.3f}" for name in ("accuracy", "log_loss", "auroc")]
            print("| " + " | ".join([row["way"], row["model"], *values]) + " |")
    print(f"\n| model | trained | read | seeds | accuracy | log loss | its least by a factor |\n|{' --- |' * 7}")
    groups: dict[tuple[str, ...], list[list[float]]] = defaultdict(list)
    for row in rows:
        if row["part"] == "training":
            of = groups[row["model"].rpartition("-")[0], row["trained"], row["read"]]
            of.append([row[name] for name in ("accuracy", "log_loss", "best_log_loss")])
    for names, of in groups.items():
        means = [f"{value:.3f}" for value in np.mean(of, axis=0)]
        print("| " + " | ".join([*names, str(len(of)), *means]) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reading", nargs="*", default=[])
    parser.add_argument("--training", nargs="*", default=[])
    parser.add_argument("--runs", type=Path, default=Path("runs/long_texts"))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--report", action="store_true")
    arguments = parser.parse_args()
    rows = rows_of(arguments.output)
    if arguments.report:
        return report(rows)
    done = {(row["part"], row["model"]) for row in rows}
    for part, names, make in (("reading", arguments.reading, reading), ("training", arguments.training, training)):
        for name in names:
            if (part, name) in done:
                continue
            found = list(make(name, arguments.runs))
            with arguments.output.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
            print(part, name, "done", flush=True)


if __name__ == "__main__":
    main()
