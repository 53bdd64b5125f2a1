"""How many flipped labels the audit flags, and how many of what it flags were flipped.

    python benchmarks/label_errors.py --seeds 10

A share of the labels of a starter corpus is flipped at random; the search of `hf-sentiment audit --label_errors` does
not know which. Beside confident learning stands the plain rule: rows whose out-of-fold prediction is not their label.
The corpora's own labels, the mean of fifteen and more people's ratings, count as right.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from datasets import concatenate_datasets

from hf_sentiment.data.audit import confident_disagreement, out_of_fold
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.head.features import frozen_features
from hf_sentiment.records.atomic import write_json
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.load import load_model, load_splits


def features_of(corpus: str) -> tuple[np.ndarray, np.ndarray]:
    """The starter model's frozen features of a corpus, in order, and the labels."""
    arguments = SentimentArguments(dataset_name=corpus)
    data = load_splits(arguments, seed=0)
    model, tokenizer = load_model(arguments, data)
    texts = tokenize(concatenate_datasets(list(data.splits.values())), tokenizer, tokenizer.model_max_length)
    return frozen_features(model, tokenizer, texts), np.asarray(texts["labels"][:])


def trial(features: np.ndarray, labels: np.ndarray, texts: int, share: float, seed: int) -> dict[str, float]:
    """Precision and recall with one draw of texts and flips."""
    generator = np.random.default_rng(seed)
    kept = generator.permutation(len(labels))[:texts]
    given, flipped = labels[kept].copy(), np.zeros(texts, dtype=bool)
    flipped[generator.choice(texts, round(share * texts), replace=False)] = True
    given[flipped] = 1 - given[flipped]
    probabilities = out_of_fold(features[kept], given, seed)
    found, _ = confident_disagreement(probabilities, given)
    plain = probabilities.argmax(axis=1) != given
    many = max(1, int(flipped.sum()))
    return {
        "flagged": len(found) / texts,
        "precision": float(flipped[found].mean()),
        "recall": float(flipped[found].sum() / many),
        "precision_of_first_20": float(flipped[found[:20]].mean()),
        "precision_of_as_many_as_flipped": float(flipped[found[:many]].mean()),
        "plain_precision": float(flipped[plain].mean()),
        "plain_recall": float(flipped[plain].sum() / many),
    }


def main() -> None:
    """Run all trials and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--share", type=float, default=0.05, help="of labels that are flipped")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "label_errors.json")
    arguments = parser.parse_args()
    results: list[dict[str, Any]] = []
    for corpus in ("starter", "starter:amazon"):
        features, labels = features_of(corpus)
        for texts in (500, 2000, len(labels)):
            trials = [trial(features, labels, texts, arguments.share, seed) for seed in range(arguments.seeds)]
            means = {name: round(float(np.mean([one[name] for one in trials])), 4) for name in trials[0]}
            spread = round(float(np.std([one["recall"] for one in trials], ddof=1)), 4) if len(trials) > 1 else None
            results.append({"corpus": corpus, "texts": texts, **means, "sd_of_recall": spread})
            print(results[-1], flush=True)
    write_json(arguments.output, {"share": arguments.share, "seeds": arguments.seeds, "results": results})


if __name__ == "__main__":
    main()
