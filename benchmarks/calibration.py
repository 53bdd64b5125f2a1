"""What a temperature of few validation texts does to log loss, beside none and beside the plain fit.

    python benchmarks/calibration.py --draws 50

Starter models are trained by the package's own path on few labels and on many, without a temperature, and their logits
of all texts that they were not trained on are computed once (`--logits` keeps them). Then 16, 64 or 256 of these texts
are drawn as validation texts again and again, a temperature is fitted on them, and the log loss of the rest is compared
with what it is at a temperature of 1. `plain` is the maximum of the likelihood (Guo et al. 2017). `folds` are
heads alone on that many labels, with a temperature of what each fifth gets from the head of the others.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from datasets import DatasetDict
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn.model_selection import train_test_split

from hf_sentiment.compute.temperature import fit_temperature
from hf_sentiment.data.prepare import prepare_data
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.head.features import frozen_features
from hf_sentiment.head.lexicon import LexiconPrior, prepare_encoder
from hf_sentiment.head.solve import linear_probe, out_of_fold_logits
from hf_sentiment.records.atomic import write_json
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assemble import assemble
from hf_sentiment.training.run import Run

TASKS = {"movie-2": ("starter", 2), "amazon-2": ("starter:amazon", 2)}
LABELED = (16, 256, 1000, 2000)
VALIDATION = (16, 64, 256)
FOLDS = (16, 64, 192)
# The plan looks at how many validation texts there are: as many as are drawn in the middle.
_HELD = 64
_LONGEST = 128


def assembled(source: str, num_labels: int, size: int, folder: str) -> tuple[Run, Any]:
    """A run on `size` labelled texts with validation texts, and the texts that it does not see."""
    data = prepare_data(source, num_labels=num_labels, validation_share=0, test_share=0, seed=0)
    labels = np.asarray(data.splits["train"]["label"])
    rows = np.arange(len(labels))
    rows, rest = train_test_split(rows, train_size=size + _HELD, stratify=labels, random_state=0)
    known, held = train_test_split(rows, train_size=size, stratify=labels[rows], random_state=0)
    split = data.splits["train"].select_columns(["text", "label"])
    dataset = DatasetDict(train=split.select(known), validation=split.select(held), test=split.select(rest[:8]))
    quiet = {"output_dir": folder, "report_to": [], "disable_tqdm": True, "save_strategy": "no"}
    return assemble(SentimentArguments(alarm="off"), quiet, dataset), split.select(rest)


def logits_of(name: str, size: int) -> dict[str, np.ndarray]:
    """Logits and labels of the texts that a run on `size` labelled texts does not see."""
    with tempfile.TemporaryDirectory() as folder:
        run, rest = assembled(*TASKS[name], size, folder)
        run.fit()
        features = frozen_features(run.model, run.tokenizer, tokenize(rest, run.tokenizer, _LONGEST))
    weight, bias = run.model.classifier.weight.detach().numpy(), run.model.classifier.bias.detach().numpy()
    return {"logits": features @ weight.T + bias, "labels": np.asarray(rest["label"])}


def features_of(name: str) -> dict[str, np.ndarray]:
    """Frozen features of a corpus after the lexicon, the prior's direction, and labels."""
    with tempfile.TemporaryDirectory() as folder:
        run, rest = assembled(*TASKS[name], 16, folder)
        prior = prepare_encoder(run.model, run.tokenizer)
        features = frozen_features(run.model, run.tokenizer, tokenize(rest, run.tokenizer, _LONGEST))
    return {
        "features": features,
        "labels": np.asarray(rest["label"]),
        "weight": prior.weight,
        "bias": np.asarray(prior.bias),
    }


def kept(path: Path) -> dict[str, np.ndarray]:
    """All logits and features by `task/size/what`, from the file as far as it has them; what is made is added to it."""
    found = dict(np.load(path)) if path.is_file() else {}
    for name in TASKS:
        for size in (0, *LABELED):
            if f"{name}/{size}/labels" in found:
                continue
            made = logits_of(name, size) if size else features_of(name)
            found |= {f"{name}/{size}/{what}": np.asarray(value) for what, value in made.items()}
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, **found)
            print(f"{name}, {size} labels: done", flush=True)
    return found


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> float:
    """Nats a text at a temperature."""
    scaled = logits / temperature
    return float((logsumexp(scaled, axis=1) - scaled[np.arange(len(labels)), labels]).mean())


def plain_fit(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the greatest likelihood, between 0.25 and 10."""
    best = minimize_scalar(
        lambda log: log_loss(logits, labels, np.exp(log)), bounds=(np.log(0.25), np.log(10)), method="bounded"
    )
    return float(np.exp(best.x))


def compared(fitted_on: tuple[np.ndarray, np.ndarray], logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """What a temperature fitted on some texts does to the log loss of others, by how it is fitted."""
    before = log_loss(logits, labels)
    temperatures = {"ours": fit_temperature(*fitted_on), "plain": plain_fit(*fitted_on)}
    return {name: log_loss(logits, labels, found) - before for name, found in temperatures.items()} | {
        "temperature": temperatures["ours"]
    }


def of_validation(logits: np.ndarray, labels: np.ndarray, size: int, seed: int) -> dict[str, float]:
    """One draw of `size` validation texts."""
    order = np.random.default_rng(seed).permutation(len(labels))
    held, rest = order[:size], order[size:]
    return compared((logits[held], labels[held]), logits[rest], labels[rest])


def of_folds(parts: dict[str, np.ndarray], size: int, seed: int) -> dict[str, float]:
    """One draw of `size` labelled texts for a head alone, whose temperature is that of its folds."""
    features, labels = parts["features"], parts["labels"]
    prior = LexiconPrior(parts["weight"], float(parts["bias"]))
    rows, rest = train_test_split(np.arange(len(labels)), train_size=size, stratify=labels, random_state=seed)
    many = len(np.unique(labels))
    folded = out_of_fold_logits(features[rows], labels[rows], many, prior, False, seed)
    assert folded is not None
    logits = linear_probe(features[rows], labels[rows], many, prior).logits(features[rest])
    return compared((folded, labels[rows]), logits, labels[rest])


def summary(draws: list[dict[str, float]], **what: Any) -> dict[str, Any]:
    """Means and standard errors of draws."""
    row = dict(what)
    for name in ("ours", "plain"):
        values = np.array([draw[name] for draw in draws])
        row[name] = round(float(values.mean()), 4)
        row[f"{name}_se"] = round(float(values.std(ddof=1) / len(values) ** 0.5), 4)
    return row | {"temperature": round(float(np.median([draw["temperature"] for draw in draws])), 3)}


def main() -> None:
    """Make what is missing, draw, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--logits", type=Path, default=Path(".cache/calibration.npz"))
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "calibration.json")
    arguments = parser.parse_args()
    found, rows = kept(arguments.logits), []
    for name in TASKS:
        for size in LABELED:
            logits, labels = (found[f"{name}/{size}/{what}"] for what in ("logits", "labels"))
            best, before = plain_fit(logits, labels), log_loss(logits, labels)
            for texts in VALIDATION:
                draws = [of_validation(logits, labels, texts, seed) for seed in range(arguments.draws)]
                what = {"task": name, "labelled": size, "validation": texts}
                rows.append(summary(draws, **what, uncalibrated=round(before, 4), best=round(best, 3)))
                print(rows[-1], flush=True)
        parts = {what: found[f"{name}/0/{what}"] for what in ("features", "labels", "weight", "bias")}
        for size in FOLDS:
            draws = [of_folds(parts, size, seed) for seed in range(arguments.draws)]
            rows.append(summary(draws, task=name, labeled=size, validation="folds"))
            print(rows[-1], flush=True)
    write_json(arguments.output, {"draws": arguments.draws, "results": rows})


if __name__ == "__main__":
    main()
