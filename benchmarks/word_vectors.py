"""Claim: training only the word vectors that occur takes less time and memory, and ends at the same weights.

    python benchmarks/word_vectors.py --steps 30 --repeats 3

The starter's MiniLM (30,522 words) and multilingual-e5-small (250,037), on film snippets and on Chinese reviews of up
to 128 tokens. Both sides are what `hf-sentiment train` does with 256 texts, without lexicon and head first, for some
steps in float32 on one thread, without weight decay, from which words that do not occur are spared. Each is a process
of its own, and they take turns. Seconds are CPU seconds of the steps, without the first two; memory is the peak of the
process. A hash tells whether all weights are equal. Rows are appended as they come; what is there is not done again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peers import data_of, rows_of, run_command, write_row
from transformers import TrainerCallback

from hf_sentiment.training import run as training
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.assemble import assemble

OUTPUT = Path(__file__).parent / "results" / "word_vectors.jsonl"
CELLS = (("starter", "movie-2"), ("starter:multilingual", "movie-2"), ("starter:multilingual", "chinese-2"))
SIDES = ("all", "occurring")
TEXTS = 256
WARM = 2


class Clock(TrainerCallback):
    """CPU seconds of all steps but the first ones."""

    def __init__(self) -> None:
        self.began = self.seconds = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == WARM:
            self.began = time.process_time()
        self.seconds = time.process_time() - self.began


def measure(encoder: str, name: str, side: str, steps: int) -> dict[str, Any]:
    """One side, in this process: seconds a step, peak memory in MiB, and a hash of the weights."""
    torch.set_num_threads(1)
    if side == "all":
        vars(training)["only_occurring"] = lambda *_: False
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentimentArguments(model_name_or_path=encoder, lexicon=False, head_first=False, validation_share=0)
        said = {"output_dir": folder, "max_steps": steps, "bf16": False, "weight_decay": 0.0, "save_strategy": "no"}
        made = assemble(arguments, {**said, "report_to": [], "disable_tqdm": True}, data_of(name, TEXTS, 0))
        made.trainer.add_callback(clock := Clock())
        made.fit()
    digest = hashlib.sha256()
    for tensor in made.model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {"seconds": clock.seconds / (steps - WARM), "memory": memory, "weights": digest.hexdigest()}


def work(options: argparse.Namespace) -> None:
    """Do what is not done, each side in a process of its own."""
    if options.side:
        print(json.dumps(measure(options.encoder, options.task, options.side, options.steps)))
        sys.exit()
    keys = ("encoder", "task", "side", "steps", "repeat")
    done = {tuple(row[key] for key in keys) for row in rows_of(options.output)}
    cells = [
        (*cell, side, options.steps, again) for again in range(options.repeats) for cell in CELLS for side in SIDES
    ]
    for cell in (cell for cell in cells if cell not in done):
        words = ["--encoder", cell[0], "--task", cell[1], "--side", cell[2], "--steps", str(options.steps)]
        answer = subprocess.run([sys.executable, __file__, *words], check=True, stdout=subprocess.PIPE, text=True)
        write_row(options.output, dict(zip(keys, cell, strict=True)) | json.loads(answer.stdout.splitlines()[-1]))


def report(path: Path) -> None:
    """The table in Markdown."""
    print("| encoder | texts | ms a step: all, occurring | ratio | MiB: all, occurring | same weights |")
    print("| --- " * 6 + "|")
    rows = rows_of(path)
    for encoder, name in CELLS:
        here = [row for row in rows if (row["encoder"], row["task"]) == (encoder, name)]
        of = {side: [row for row in here if row["side"] == side] for side in SIDES}
        times = {side: [1000 * row["seconds"] for row in of[side]] for side in SIDES}
        ratios = [whole / some for whole, some in zip(*times.values(), strict=True)]
        memory = ", ".join(f"{median(row['memory'] for row in of[side]):,.0f}" for side in SIDES)
        same = len({row["weights"] for side in SIDES for row in of[side]}) == 1
        middle = ", ".join(f"{median(times[side]):.0f}" for side in SIDES)
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"| {encoder} | {name} | {middle} | {spread} | {memory} | {'yes' if same else 'no'} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--encoder", default=CELLS[0][0])
    parser.add_argument("--task", default=CELLS[0][1])
    parser.add_argument("--side", choices=SIDES, help="be one side, and print its result")
    run_command(parser, OUTPUT, work, report)


if __name__ == "__main__":
    main()
