"""What a validation file does to the model: accuracy and log loss with 100 and 400 validation texts, beside none.

    python benchmarks/validation.py --sizes 256 1000 --seeds 2
    python benchmarks/validation.py --report

The weights along a training are the same whatever the validation texts are: only which of them are kept, and the
temperature, follow from those. So each training is made once, on all `n` texts, as `hf-sentiment train` does it. From
2,000 texts on it is made twice: with enough validation texts for a temperature, labels are not smoothed. At every
evaluation the logits of 600 other texts and of the test texts are taken. Then validation texts are drawn from the 600
again and again, and what the package would keep is told by its own `Monitor`, with patience, with the comparison with
the head alone and with a temperature.

Rules:

- none: the last weights, without a temperature: what `train` does without a validation file
- last: the last weights, with a temperature
- 1se: the last weights that the texts do not tell from the best, by one standard error; 2se: by two
- smoothed: from 2,000 texts on, the labels smoothed in spite of enough validation texts; otherwise as 2se
- best: the best of the evaluations, the head alone among them, by their mean loss (the rule before)

Rows, with the means over the draws, are appended to `--output` as they come; what is there is not done again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peers import LONGEST, TASKS, data_of, draw_rows, rows_of, run_command, task, write_row
from transformers import TrainerCallback

from hf_sentiment.callbacks.early_stopping.monitor import Margin, Monitor, Seen
from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.compute.temperature import calibrated_losses, fit_temperature
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.evaluation.metrics import classification_metrics, softmax
from hf_sentiment.head.features import frozen_features
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assemble import assemble
from hf_sentiment.training.interpolation import copy_weights, interpolate_weights
from hf_sentiment.training.plan.rules import MANY_TEXTS
from hf_sentiment.training.run import Run

OUTPUT = Path(__file__).parent / "results" / "validation.jsonl"
RESERVE = 600
VALIDATION = (100, 400)
RULES = ("last", "1se", "2se", "best")
DRAWS = 50
PATIENCE = 2
# A rate and a length at which fine-tuning overfits and the best is early.
HOT = {"learning_rate": 4e-4, "num_train_epochs": 8.0, "label_smoothing_factor": 0.0}


class Course(TrainerCallback):
    """The logits at every evaluation, `[texts, labels]` by split: of the weights as they are, and as they would end."""

    def __init__(self, run: Run, splits: dict[str, Dataset]) -> None:
        self.run, self.splits = run, splits
        self.start: dict[str, Any] = {}
        self.plain: list[np.ndarray] = []
        self.ending: list[dict[str, np.ndarray]] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.start = copy_weights(self.run.model)
        self._take()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._take()

    def _take(self) -> None:
        model, share = self.run.model, self.run.plan.fine_tuned_share.value
        training, now = model.training, copy_weights(model)
        with untouched_random_state():
            if share < 1:
                self.plain.append(self._logits(self.splits["reserve"]))
                interpolate_weights(model, self.start, share)
            self.ending.append({name: self._logits(split) for name, split in self.splits.items()})
            if share == 1:
                self.plain.append(self.ending[-1]["reserve"])
        interpolate_weights(model, now, 0.0)
        model.train(training)

    def _logits(self, split: Dataset) -> np.ndarray:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.run.trainer.args.bf16):  # as the Trainer does
            features = frozen_features(self.run.model, self.run.tokenizer, split)
        head = self.run.model.classifier
        return features @ head.weight.detach().numpy().T + head.bias.detach().numpy()


def train(name: str, size: int, seed: int, training: dict[str, Any]) -> tuple[Course, np.ndarray, np.ndarray]:
    """The course of a training, and the labels of the reserve and of the test texts."""
    pool, test, _ = task(name)
    rows, _ = draw_rows(name, size, seed)
    rest = np.setdiff1d(np.arange(len(pool)), rows)
    reserve = pool.select(np.random.default_rng(seed).permutation(rest)[:RESERVE])
    with tempfile.TemporaryDirectory() as folder:
        quiet = {"output_dir": folder, "report_to": [], "disable_tqdm": True, "seed": seed, "save_strategy": "no"}
        run = assemble(SentimentArguments(validation_share=0.0), quiet | training, data_of(name, size, seed))
        splits = {
            part: tokenize(split, run.tokenizer, LONGEST) for part, split in (("reserve", reserve), ("test", test))
        }
        course = Course(run, splits)
        run.trainer.add_callback(course)
        run.fit()
    return course, np.asarray(reserve["label"]), np.asarray(test["label"])


def seen(logits: np.ndarray, labels: np.ndarray) -> Seen:
    """What the package's early stopping sees of an evaluation."""
    values = calibrated_losses(logits, labels)
    return Seen(float(values.mean()), values)


def kept(course: Course, rows: np.ndarray, labels: np.ndarray, rule: str, plain: list[Seen]) -> int:
    """Which evaluation a rule keeps by the validation texts `rows` of the reserve; 0 is the head alone."""
    if rule == "last":
        return len(plain) - 1
    tolerance = None if rule == "best" else Margin(float(rule[0]), True)
    monitor = Monitor("eval_calibrated_loss", False, Margin(0.0, False), tolerance)
    # Where the end is a mixture with the head, that is compared with the end, and not with what stands in between.
    mixed = tolerance is not None and course.run.plan.fine_tuned_share.value < 1
    best: Seen | None = None
    choice = counter = 0
    for number in range(1 if mixed else 0, len(course.plain)):
        worse = best is not None and monitor.is_worse(plain[number], best)
        if best is None or monitor.beats(plain[number].value, best.value):
            best = plain[number]
        choice, counter = (choice, counter + 1) if worse else (number, 0)
        if counter == PATIENCE:
            break
    if mixed:
        end = seen(course.ending[choice]["reserve"][rows], labels[rows])
        if monitor.is_worse(end, plain[0]):  # at the start both are the head alone
            return 0
    return choice


def figures(
    courses: dict[int, Course], labels: np.ndarray, references: np.ndarray, seed: int
) -> dict[str, dict[str, float]]:
    """By rule and validation texts: means over draws of accuracy and log loss, and how often the last stays."""
    generator = np.random.default_rng(seed)
    found = {"none 0": _measured(courses[0].ending[-1]["test"], references) | {"last": 1.0}}
    for texts in VALIDATION:
        course = courses[texts]
        last = len(course.plain) - 1
        rows: dict[str, list[dict[str, float]]] = {rule: [] for rule in RULES}
        for _ in range(DRAWS):
            drawn = generator.permutation(len(labels))[:texts]
            plain = [seen(logits[drawn], labels[drawn]) for logits in course.plain]
            choices = {rule: kept(course, drawn, labels, rule, plain) for rule in RULES}
            ends = {}
            for choice in set(choices.values()):
                logits = course.ending[choice]
                temperature = fit_temperature(logits["reserve"][drawn], labels[drawn])
                ends[choice] = _measured(logits["test"] / temperature, references) | {"last": float(choice == last)}
            for rule, choice in choices.items():
                rows[rule].append(ends[choice])
        for rule, measured in rows.items():
            found[f"{rule} {texts}"] = {key: float(np.mean([row[key] for row in measured])) for key in measured[0]}
    return found


def _measured(logits: np.ndarray, references: np.ndarray) -> dict[str, float]:
    metrics = classification_metrics(softmax(logits), references)
    return {key: metrics[key] for key in ("accuracy", "log_loss")}


def work(options: argparse.Namespace) -> None:
    """Do what is not done, and append each row."""
    done = {(row["task"], row["n"], row["seed"], row["hot"]) for row in rows_of(options.output)}
    cells = [(name, n, seed) for seed in range(options.seeds) for n in options.sizes for name in options.tasks]
    for name, size, seed in cells:
        if (name, size, seed, options.hot) in done or size > len(task(name)[0]) - RESERVE:
            continue
        began = time.process_time()
        course, labels, references = train(name, size, seed, HOT if options.hot else {})
        courses = dict.fromkeys((0, *VALIDATION), course)
        if size >= MANY_TEXTS and not options.hot:
            courses[400] = train(name, size, seed, {"label_smoothing_factor": 0.0})[0]
        row: dict[str, Any] = {"task": name, "n": size, "seed": seed, "hot": options.hot}
        found = figures(courses, labels, references, seed)
        if courses[400] is not course:
            smoothed = figures(dict.fromkeys(courses, course), labels, references, seed)
            found["smoothed 400"] = smoothed["2se 400"]
        for rule, values in found.items():
            row[rule] = {key: round(value, 5) for key, value in values.items()}
        row["seconds"] = round(time.process_time() - began, 1)
        write_row(options.output, row)
        print(json.dumps(row), flush=True)


def report(path: Path) -> None:
    """The table in Markdown: means over the trainings of each size, paired differences, and their standard errors."""
    print(
        "| training | n | trainings | rule, validation texts | accuracy | log loss | accuracy - none | log loss - none "
        "| worst of a training | last kept |\n" + "| --- " * 10 + "|"
    )
    rows = rows_of(path)
    for hot, size in sorted({(row["hot"], row["n"]) for row in rows}):
        here = [row for row in rows if (row["hot"], row["n"]) == (hot, size)]
        rules = ("none 0", *(f"{one} {texts}" for texts in VALIDATION for one in RULES), "smoothed 400")
        for rule in (rule for rule in rules if all(rule in row for row in here)):
            means = {key: 100 * np.mean([row[rule][key] for row in here]) for key in ("accuracy", "log_loss", "last")}
            line = (
                f"| {'overfits' if hot else 'planned'} | {size:,} | {len(here)} | {rule} | {means['accuracy']:.1f} | "
            )
            line += f"{means['log_loss'] / 100:.3f} | "
            if rule != "none 0":
                gains = {key: [row[rule][key] - row["none 0"][key] for row in here] for key in ("accuracy", "log_loss")}
                points, nats = 100 * np.array(gains["accuracy"]), np.array(gains["log_loss"])
                errors = [one.std(ddof=1) / np.sqrt(len(here)) if len(here) > 1 else 0.0 for one in (points, nats)]
                line += f"{points.mean():+.2f} ± {errors[0]:.2f} | {nats.mean():+.4f} ± {errors[1]:.4f} | "
                line += f"{points.min():+.2f}, {nats.max():+.4f} | "
            else:
                line += " |  |  | "
            print(f"{line}{means['last']:.0f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=["movie-2", "movie-3", "amazon-3"], choices=list(TASKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[256, 1000, 4000])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--hot", action="store_true", help="train at a rate and a length at which it overfits")
    run_command(parser, OUTPUT, work, report)


if __name__ == "__main__":
    main()
