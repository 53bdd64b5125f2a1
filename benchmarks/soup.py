"""What an average over seeds is worth: of the weights (a model soup), and of the probabilities, beside one seed.

    python benchmarks/soup.py
    python benchmarks/soup.py --report

`--seeds` trainings, as `hf-sentiment train` makes them, have the same labelled texts and other seeds. Their weights are
averaged, as Wortsman et al. (2022) do it, and so are their probabilities. One seed's figures are the mean of all: which
of them is best is not known beforehand. Tasks and draws are those of `few_labels.py`. Rows are appended to `--output`
as they come; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import TASKS, data_of, rows_of, run_command, task, test_probabilities, write_row

from hf_sentiment.evaluation.metrics import classification_metrics
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assemble import assemble

OUTPUT = Path(__file__).parent / "results" / "soup.jsonl"
WAYS = ("one", "soup", "probabilities")
METRICS = ("accuracy", "log_loss")


def train(name: str, size: int, draws: int, seed: int) -> Any:
    """A run on texts that are drawn by `draws`, with a seed of its own."""
    with tempfile.TemporaryDirectory() as folder:
        training = {"output_dir": folder, "report_to": [], "disable_tqdm": True, "seed": seed, "save_strategy": "no"}
        run = assemble(SentimentArguments(validation_share=0.0), training, data_of(name, size, draws))
        run.fit()
    return run


def measure(name: str, size: int, draws: int, seeds: int) -> dict[str, dict[str, float]]:
    """Accuracy and log loss of each way."""
    references = np.asarray(task(name)[1]["label"])
    found: list[np.ndarray] = []
    mean: dict[str, Any] = {}
    for seed in range(seeds):
        run = train(name, size, draws, seed)
        found.append(test_probabilities(run, name))
        for key, tensor in run.model.state_dict().items():
            mean[key] = mean.get(key, 0) + tensor.double() / seeds
    run.model.load_state_dict({key: tensor.float() for key, tensor in mean.items()})
    singles = [classification_metrics(one, references) for one in found]
    ways: dict[str, Any] = {"one": {key: np.mean([one[key] for one in singles]) for key in METRICS}}
    ways["soup"] = classification_metrics(test_probabilities(run, name), references)
    ways["probabilities"] = classification_metrics(np.mean(found, axis=0), references)
    return {way: {key: round(float(ways[way][key]), 5) for key in METRICS} for way in WAYS}


def work(options: argparse.Namespace) -> None:
    """Do what is not done, and append each row."""
    torch.set_num_threads(1)
    done = {(row["task"], row["n"], row["draw"]) for row in rows_of(options.output)}
    for draws in range(options.draws):
        for size in options.sizes:
            for name in options.tasks:
                if (name, size, draws) not in done:
                    row = {"task": name, "n": size, "draw": draws, "seeds": options.seeds}
                    row |= measure(name, size, draws, options.seeds)
                    write_row(options.output, row)
                    print(json.dumps(row), flush=True)


def report(path: Path) -> None:
    """The table in Markdown: accuracy in %; log loss."""
    print("| task | n | draw | one seed | soup | probabilities |\n" + "| --- " * 6 + "|")
    rows = rows_of(path)
    for row in rows:
        cells = [f"{100 * row[way]['accuracy']:.1f}; {row[way]['log_loss']:.4f}" for way in WAYS]
        print(f"| {row['task']} | {row['n']:,} | {row['draw']} | {' | '.join(cells)} |")
    for way in WAYS[1:]:
        points, nats = (np.array([row[way][key] - row["one"][key] for row in rows]) for key in METRICS)
        print(f"{way} - one seed: {100 * points.mean():+.2f} points, {nats.mean():+.4f} nats")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=list(TASKS)[:4], choices=list(TASKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 1000])
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=3)
    run_command(parser, OUTPUT, work, report)


if __name__ == "__main__":
    main()
