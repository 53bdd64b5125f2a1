"""Claim: what `train` does with data costs time in proportion to the rows, and memory that a laptop has.

    python benchmarks/scaling.py --rows 10000 100000 1000000

The texts are made up: the beginning of one snippet of the starter's product reviews and the end of another with the
same label, as Parquet. Each size is a process that runs the whole of `hf-sentiment train`, with a tiny random BERT and
`--max_steps 20`: what is left is the work on the data. A stage is some functions of the package. Its time is its own,
without the stages within it, in seconds of one thread's CPU, as the machine may be busy; `clock` is the wall's. Memory
is sampled from outside, fifty times a second: what the process has for itself (`RssAnon`), and all of it (`VmRSS`), in
which pages of mapped files count that the system takes back when it needs them.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

RESULTS = Path(__file__).parent / "results"
_BLOCK = 50_000
_EVERY = 0.02  # seconds
# Stage → the functions that are it.
_STAGES = {
    "read": ("data.prepare:load_data",),
    "labels": ("data.prepare:labels_of", "data.prepare:infer_label_rule", "data.rows:examine_rows"),
    "rows": ("data.prepare:Rows.read", "data.prepare:Rows.labeled", "data.prepare:Rows.check"),
    "near-duplicates": ("data.splits.duplicates:near_pairs",),
    "splits": ("data.prepare:make_splits", "data.prepare:Rows.assigned"),
    "audit": ("data.prepare:row_findings", "data.prepare:PreparedData.audit"),
    "plan": ("training.assemble:TextSample.draw", "training.assemble:gather_facts", "training.assemble:timed_facts"),
    "tokenise": ("training.assemble:tokenize",),
    "train 20 steps": ("training.run:Run._fine_tune",),
    "calibrate": ("training.run:Run.calibrate",),
    "long texts": ("training.run:Run.fit_long_texts",),
    "predict the test split": ("inference.classifier:SentimentClassifier.logits",),
    "baselines": ("evaluation.report:tfidf_probabilities",),
    "evaluate": ("commands.train:evaluate_split",),
    "cards and report": ("commands.train:end_records", "commands.train:render_card", "commands.train:report_html"),
}


def recombined(rows: int, seed: int = 0) -> Iterator[pa.Table]:
    """So many made-up texts with their labels, some thousand at a time: one's beginning and another's end."""
    from hf_sentiment.data.sources import starter_data

    draw = random.Random(seed)
    snippets = starter_data("starter:amazon")
    by_label: dict[str, list[list[str]]] = {"positive": [], "negative": []}
    for text, rating in zip(snippets["text"], snippets["rating"], strict=True):
        if rating and len(text.split()) > 3:
            by_label["positive" if rating > 0 else "negative"].append(text.split())
    for start in range(0, rows, _BLOCK):
        labels = draw.choices(list(by_label), k=min(_BLOCK, rows - start))
        texts = []
        for label in labels:
            first, second = draw.sample(by_label[label], 2)
            texts.append(" ".join(first[: draw.randint(1, len(first))] + second[draw.randint(0, len(second) - 1) :]))
        yield pa.table({"text": texts, "label": labels})


def _write(path: Path, rows: int) -> None:
    tables = recombined(rows)
    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        for table in (first, *tables):
            writer.write_table(table)


def _tiny_encoder(folder: Path) -> None:
    """A random BERT, 16 wide, that knows the words of the texts."""
    from transformers import BertConfig, BertModel, BertTokenizer

    words = {word for table in recombined(_BLOCK, 1) for text in table["text"].to_pylist() for word in _split(text)}
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words)]
    tokenizer = BertTokenizer(vocab={piece: row for row, piece in enumerate(pieces)}, model_max_length=128)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    BertModel(BertConfig(vocab_size=len(pieces), max_position_embeddings=128, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _split(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.lower())


class _Stages:
    """The CPU seconds of each stage, and when it was under way."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.began: list[tuple[float, str]] = [(time.monotonic(), "other")]
        self._inner = [0.0]  # seconds of the stages within each that is under way
        self._names = ["other"]

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*values: Any, **named: Any) -> Any:
            start = time.process_time()
            self.began.append((time.monotonic(), stage))
            self._inner.append(0.0)
            self._names.append(stage)
            try:
                return function(*values, **named)
            finally:
                end = time.process_time()
                self._names.pop()
                own = end - start - self._inner.pop()
                self._inner[-1] += end - start
                self.seconds[stage] = self.seconds.get(stage, 0.0) + own
                self.began.append((time.monotonic(), self._names[-1]))

        return timed


def _instrument(stages: _Stages) -> None:
    """Put a watch on the functions of each stage, where they are called."""
    for stage, places in _STAGES.items():
        for place in places:
            module, _, name = place.partition(":")
            holder: Any = importlib.import_module(f"hf_sentiment.{module}")
            *owners, last = name.split(".")
            for owner in owners:
                holder = getattr(holder, owner)
            found = vars(holder)[last]
            if isinstance(found, classmethod):
                setattr(holder, last, classmethod(stages.wrap(stage, found.__func__)))
            elif isinstance(found, staticmethod):
                setattr(holder, last, staticmethod(stages.wrap(stage, found.__func__)))
            else:
                setattr(holder, last, stages.wrap(stage, found))


# A process of its own: a thread would wait where the interpreter is held.
_SAMPLER = f"""
import sys, time
pid = sys.argv[1]
while True:
    try:
        fields = dict(line.split(":", 1) for line in open(f"/proc/{{pid}}/status"))
        print(time.monotonic(), fields["RssAnon"].split()[0], fields["VmRSS"].split()[0], flush=True)
    except (OSError, KeyError):
        break
    time.sleep({_EVERY})
"""


def _child(data: str, encoder: str, place: str) -> None:
    """Run `train` in this process, and print what each stage took."""
    import os

    from hf_sentiment.commands.flags import quieten_libraries
    from hf_sentiment.commands.train import train
    from hf_sentiment.compute.threads import wait_briefly

    quieten_libraries()
    wait_briefly()
    samples = Path(place, "samples")
    stages = _Stages()
    _instrument(stages)
    with (
        samples.open("w") as file,
        subprocess.Popen([sys.executable, "-c", _SAMPLER, str(os.getpid())], stdout=file) as sampler,
    ):
        before, before_cpu = time.monotonic(), time.process_time()
        try:
            train(
                train_file=data,
                model_name_or_path=encoder,
                output_dir=str(Path(place, "run")),
                max_steps=20,
                disable_tqdm=True,
            )
        finally:
            total, total_cpu = time.monotonic() - before, time.process_time() - before_cpu
            sampler.terminate()
    peaks: dict[str, list[int]] = {}
    marks, at = stages.began, 0
    for line in samples.read_text().splitlines():
        moment, anonymous, resident = line.split()
        while at + 1 < len(marks) and marks[at + 1][0] <= float(moment):
            at += 1
        peak = peaks.setdefault(marks[at][1], [0, 0])
        peak[:] = max(peak[0], int(anonymous)), max(peak[1], int(resident))
    stages.seconds["other"] = total_cpu - sum(stages.seconds.values())
    rows = {
        name: {"seconds": round(stages.seconds.get(name, 0), 2), "own_MiB": own // 1024, "all_MiB": everything // 1024}
        for name, (own, everything) in peaks.items()
    }
    rows["total"] = {
        "seconds": round(total_cpu, 2),
        "own_MiB": max(row["own_MiB"] for row in rows.values()),
        "all_MiB": max(row["all_MiB"] for row in rows.values()),
    }
    rows["clock"] = {"seconds": round(total, 2), "own_MiB": 0, "all_MiB": 0}
    print(json.dumps(rows))


def main() -> None:
    """Run every size in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--place", help="A folder to keep the data in; by default a temporary one.")
    parser.add_argument("--output", type=Path, default=RESULTS / "scaling.json")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*options.child)
        return
    found: dict[int, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(options.place or temporary)
        encoder = place / "encoder"
        if not encoder.exists():
            _tiny_encoder(encoder)
        for rows in options.rows:
            data = place / f"{rows}.parquet"
            if not data.exists():
                _write(data, rows)
            with tempfile.TemporaryDirectory(dir=place) as work:
                command = [sys.executable, __file__, "--child", str(data), str(encoder), work]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[rows] = json.loads(done.stdout.splitlines()[-1])
            options.output.parent.mkdir(parents=True, exist_ok=True)
            options.output.write_text(json.dumps(found, indent=1) + "\n")
            print(f"{rows:,} rows")
            for stage, row in found[rows].items():
                print(
                    f"  {stage:<24} {row['seconds']:9.2f} s {row['own_MiB']:7,} MiB own {row['all_MiB']:7,} MiB in all"
                )


if __name__ == "__main__":
    main()
