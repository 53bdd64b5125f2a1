"""Claim: `predict` is faster than `pipeline` with its defaults, and says the same.

    python benchmarks/prediction_speed.py --texts 1000 --repeats 5 --threads 2

Both sides score the same movie snippets in one process and take turns; the first turn of each is not counted. The
table has the ratio of each turn's times, and the largest difference of a score.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch
from transformers import pipeline

from hf_sentiment.data.sources import starter_data, starter_model
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

RESULTS = Path(__file__).parent / "results" / "prediction_speed.json"


def main() -> None:
    """Time both sides in turns."""
    from transformers import AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    texts = starter_data().shuffle(seed=0).select(range(options.texts))["text"][:]
    with tempfile.TemporaryDirectory() as folder:
        model = BertForSentimentAnalysis.from_pretrained(starter_model(), labels=["negative", "positive"])
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(starter_model()).save_pretrained(folder)
        ours = SentimentClassifier.from_pretrained(folder)
        theirs = pipeline("text-classification", folder)
    turns = []
    for turn in range(options.repeats + 1):
        began = time.perf_counter()
        expected = theirs(list(texts))
        middle = time.perf_counter()
        found = ours.predict(texts)
        ended = time.perf_counter()
        if turn:
            turns.append({"pipeline": middle - began, "predict": ended - middle})
    pairs = list(zip(expected, found, strict=True))
    differences = [abs(theirs_["score"] - ours_["score"]) for theirs_, ours_ in pairs]
    ratios = [turn["pipeline"] / turn["predict"] for turn in turns]
    result = {
        "texts": options.texts,
        "threads": options.threads,
        "turns": turns,
        "ratio": {"min": min(ratios), "median": statistics.median(ratios), "max": max(ratios)},
        "largest_score_difference": max(differences),
        "equal_labels": all(theirs_["label"] == ours_["label"] for theirs_, ours_ in pairs),
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(f"pipeline / predict: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"largest difference of a score: {max(differences):.1e}; equal labels: {result['equal_labels']}")


if __name__ == "__main__":
    main()
