"""Question: which kind of `--augment` helps the starter model, at how many labels?

    python benchmarks/augmentation.py                      # hours on one core; goes on where it was stopped
    python benchmarks/augmentation.py --sizes 16 64 --seeds 10

`hf-sentiment train`'s own path (`assemble`, `fit`), movie and Amazon snippets in two labels, with and without each
kind; all else as planned, but at most four epochs, no evaluations in between and the last weights kept, so that nothing
but the edits differs. A seed draws the split, the training texts and their order for every kind alike; 1,000 texts of
the test split are the measure. The table shows differences to no augmentation, paired by seed, with 95 % intervals
(Student's t over seeds). `casing` is left out: this model's tokenizer lower-cases every text. `all` is every other kind
at once.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy import stats
from tqdm import tqdm
from transformers import PrinterCallback
from transformers.utils import logging

from hf_sentiment.data.augmentation import KINDS
from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.files import write_json
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assembly import assemble

RESULTS = Path(__file__).parent / "results" / "augmentation.json"
USEFUL = [kind for kind in KINDS if kind != "casing"]
VARIANTS = {"none": "none", **{kind: kind for kind in USEFUL}, "all": ",".join(USEFUL)}
# The test split holds at least 1,000 texts: a tenth of 10,043 movie and a little over a third of 2,943 Amazon snippets.
TEST_SHARES = {"movie": 0.1, "amazon": 0.36}
TEST_TEXTS, MOST_EPOCHS = 1000, 4


def main() -> None:
    """Make what is missing in the file, a run at a time, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", nargs="+", choices=list(TEST_SHARES), default=list(TEST_SHARES))
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64, 256, 1000], help="training texts")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    done: list[dict[str, Any]] = json.loads(options.output.read_text()) if options.output.is_file() else []
    cells = itertools.product(options.sizes, range(options.seeds), options.corpora, options.variants)
    keys = [dict(zip(("size", "seed", "corpus", "variant"), cell, strict=True)) for cell in cells]
    missing = [key for key in keys if not any(key.items() <= entry.items() for entry in done)]
    for key in tqdm(missing, unit="run", file=sys.stderr):
        done.append(key | measure(**key))
        write_json(options.output, done)
    print_table(done)


def measure(size: int, seed: int, corpus: str, variant: str) -> dict[str, float]:
    """Accuracy and log loss (nats) on the test texts after one training, and its CPU seconds."""
    arguments = SentimentArguments(
        dataset_name=f"starter:{corpus}",
        max_train_samples=size,
        test_share=TEST_SHARES[corpus],
        augment=VARIANTS[variant],
        alarm="off",
        calibrate=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        training = {"output_dir": folder, "seed": seed, "eval_strategy": "no", "save_strategy": "no"}
        training |= {"logging_strategy": "no", "disable_tqdm": True, "use_cpu": True}
        run = assemble(arguments, training)
        # Of the fewest labels the plan would fine-tune none, and there would be nothing to compare.
        run.trainer.args.num_train_epochs = min(run.trainer.args.num_train_epochs, MOST_EPOCHS) or MOST_EPOCHS
        run.trainer.pop_callback(PrinterCallback)
        begin = time.process_time()
        run.fit()
        seconds = time.process_time() - begin
        output = run.trainer.predict(run.splits["test"].select(range(TEST_TEXTS)))
    probabilities, labels = softmax(np.asarray(output.predictions)), np.asarray(output.label_ids)
    chosen = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "log_loss": float(-np.log(chosen).mean()),
        "seconds": seconds,
    }


def print_table(done: list[dict[str, Any]]) -> None:
    """A row for each corpus, size and kind."""
    print("| corpus | texts | seeds | kind | accuracy | difference, points | log loss | difference | CPU time, ratio |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    found = {(row["corpus"], row["size"], row["variant"], row["seed"]): row for row in done}
    for corpus, size, variant in itertools.product(
        sorted({row["corpus"] for row in done}), sorted({row["size"] for row in done}), VARIANTS
    ):
        pairs = [
            (found[corpus, size, "none", seed], row)
            for (*cell, seed), row in found.items()
            if cell == [corpus, size, variant] and (corpus, size, "none", seed) in found
        ]
        if not pairs:
            continue
        accuracy, loss, seconds = (
            np.array([[without[name], edited[name]] for without, edited in pairs])
            for name in ("accuracy", "log_loss", "seconds")
        )
        differences = [_interval(np.diff(accuracy)[:, 0] * 100, 1), _interval(np.diff(loss)[:, 0], 3)]
        if variant == "none":
            differences = ["", ""]
        ratio = seconds[:, 1].sum() / seconds[:, 0].sum()
        print(
            f"| {corpus} | {size} | {len(pairs)} | {variant} | {100 * accuracy[:, 1].mean():.1f} | {differences[0]} "
            f"| {loss[:, 1].mean():.3f} | {differences[1]} | {ratio:.2f} |"
        )


def _interval(differences: np.ndarray, digits: int) -> str:
    """Mean and 95 % interval over seeds; of one seed, no interval."""
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return f"{mean:+.{digits}f}"
    reach = float(stats.t.ppf(0.975, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    return f"{mean:+.{digits}f} [{mean - reach:+.{digits}f}, {mean + reach:+.{digits}f}]"


if __name__ == "__main__":
    main()
