"""Claim: training to the reference's accuracy takes a fraction of its time, and no more memory.

    python benchmarks/training_speed.py --sizes 2000 8000 --repeats 3 1

Reference: what transformers' text-classification example does in its documented form: the same checkpoint as
`BertForSequenceClassification`, every text padded to 128 tokens, batches of 32, learning rate 2e-5, 3 epochs, all else
the Trainer's defaults. Ours: `hf-sentiment train --num_train_epochs 1`, all else as planned. Both begin as a new
process, on the same splits of the movie snippets, and take turns. The clock is the process's CPU time, on one thread
the same as the wall clock of an idle machine and deaf to what else the machine does. It runs from the start of the
process to the end of training; for ours, to the first look at the test split (at each quarter of the epoch, with the
clock stopped) that is as accurate as the reference ends. Results are written as they come; a run that was stopped goes
on where it was.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "training_speed.json"


def main() -> None:
    """Drive the two sides in turns, or be one of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 8000], help="training texts")
    parser.add_argument("--repeats", type=int, nargs="+", default=[3, 1], help="pairs of runs at each size")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--side", choices=("reference", "ours"), help="be one side, and print its result")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.side:
        side = run_reference if options.side == "reference" else run_ours
        print(json.dumps(side(options.sizes[0], options.seed)))
        return
    done = json.loads(options.output.read_text()) if options.output.is_file() else []
    for size, repeats in zip(options.sizes, options.repeats, strict=True):
        for seed in range(repeats):
            for name in ("reference", "ours") if seed % 2 == 0 else ("ours", "reference"):
                key = {"side": name, "size": size, "seed": seed}
                if not any(key.items() <= entry.items() for entry in done):
                    done.append(key | _run_side(name, size, seed))
                    options.output.parent.mkdir(parents=True, exist_ok=True)
                    options.output.write_text(json.dumps(done, indent=1) + "\n")
    print_table(done)


def _run_side(name: str, size: int, seed: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", name, "--sizes", str(size), "--seed", str(seed)]
    print(f"{name}, {size} texts, seed {seed} …", file=sys.stderr, flush=True)
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(answer.stdout.splitlines()[-1]))


def run_reference(size: int, seed: int) -> dict[str, Any]:
    """The documented form: pad to 128, batch 32, learning rate 2e-5, 3 epochs."""
    import numpy as np
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        Trainer,
        TrainingArguments,
        default_data_collator,
        set_seed,
    )

    from hf_sentiment.data.prepare import prepare_data
    from hf_sentiment.data.sources import starter_model

    torch.set_num_threads(1)
    set_seed(seed)
    splits = prepare_data("starter", max_train_samples=size, seed=seed).splits
    tokenizer = AutoTokenizer.from_pretrained(starter_model())
    model = AutoModelForSequenceClassification.from_pretrained(starter_model(), num_labels=2, dtype=torch.float32)

    def encode(batch: dict[str, Any]) -> Any:
        return tokenizer(batch["text"], padding="max_length", truncation=True, max_length=128)

    tokens = {name: split.map(encode, batched=True) for name, split in splits.items()}
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=32,
            learning_rate=2e-5,
            num_train_epochs=3,
            seed=seed,
            dataloader_pin_memory=False,
        )
        trainer = Trainer(
            model=model, args=arguments, train_dataset=tokens["train"], data_collator=default_data_collator
        )
        trainer.train()
        seconds = time.process_time()
        memory = _peak_mebibytes()
        output = trainer.predict(tokens["test"])
    accuracy = float((np.asarray(output.predictions).argmax(axis=1) == output.label_ids).mean())
    return {"seconds": seconds, "memory": memory, "accuracy": accuracy}


def run_ours(size: int, seed: int) -> dict[str, Any]:
    """One epoch of `hf-sentiment train`, with looks at the test split for which the clock stops."""
    import torch
    from transformers import TrainerCallback

    from hf_sentiment.inference.classifier import SentimentClassifier
    from hf_sentiment.training.arguments import SentimentArguments
    from hf_sentiment.training.assemble import assemble

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentimentArguments(max_train_samples=size, lexicon=False)  # the reference has none either
        run = assemble(arguments, {"output_dir": folder, "seed": seed, "num_train_epochs": 1})
        test = run.data.splits["test"]
        looks: list[dict[str, float]] = []
        stopped = 0.0

        class Look(TrainerCallback):
            """Measures the model at every quarter of the run."""

            def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                self.take(state)

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if state.global_step % (state.max_steps // 4) == 0:
                    self.take(state)

            def take(self, state: Any) -> None:
                nonlocal stopped
                at = time.process_time()
                with torch.random.fork_rng():
                    logits = SentimentClassifier(run.model, run.tokenizer).logits(test["text"][:])
                run.model.train()
                hits = logits.argmax(axis=1) == torch.tensor(test["label"][:]).numpy()
                looks.append({"seconds": at - stopped, "epoch": state.epoch or 0.0, "accuracy": float(hits.mean())})
                stopped += time.process_time() - at

        run.trainer.add_callback(Look())
        run.fit()
        seconds = time.process_time() - stopped
        memory = _peak_mebibytes()
        logits = SentimentClassifier(run.model, run.tokenizer).logits(test["text"][:])
        accuracy = float((logits.argmax(axis=1) == torch.tensor(test["label"][:]).numpy()).mean())
    return {"seconds": seconds, "memory": memory, "accuracy": accuracy, "looks": looks}


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def print_table(done: list[dict[str, Any]]) -> None:
    """A row a pair of runs."""
    print(
        "| texts | seed | reference: s, accuracy, MiB | ours to that accuracy: s | ratio "
        "| ours to the end: s, accuracy, MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    pairs: dict[tuple[int, int], dict[str, Any]] = {}
    for entry in done:
        pairs.setdefault((entry["size"], entry["seed"]), {})[entry["side"]] = entry
    for (size, seed), pair in sorted(pairs.items()):
        if len(pair) == 2:
            reference, ours = pair["reference"], pair["ours"]
            reached = next((look for look in ours["looks"] if look["accuracy"] >= reference["accuracy"]), None)
            to_it = (
                "not reached | –"
                if reached is None
                else f"{reached['seconds']:.0f} | {reference['seconds'] / reached['seconds']:.1f}"
            )
            print(
                f"| {size} | {seed} | {reference['seconds']:.0f}, {reference['accuracy']:.3f}, "
                f"{reference['memory']:.0f} "
                f"| {to_it} | {ours['seconds']:.0f}, {ours['accuracy']:.3f}, {ours['memory']:.0f} |"
            )


if __name__ == "__main__":
    main()
