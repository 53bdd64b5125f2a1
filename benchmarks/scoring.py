"""Claim: `predict --engine ray` scores a folder 1.7 times as fast on two cores as one process does, and says the same.

    python benchmarks/scoring.py --model RUN --rows 20480 --repeats 3

The folder has 512 movie snippets a Parquet file. Both engines take turns, each as a command of its own, with one thread
a process. Two times are told: that of the whole command, in which Ray has to begin and each process to import torch and
load the model, and the rate while files are finished, which is what a long run has. For the latter the rows of the
first file of each process are left out, as their time is not known. A machine that does anything else beside spoils the
ratio: the load before and after is told. `--backend onnx` takes an exported folder.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

RESULTS = Path(__file__).parent / "results"
_ROWS = 512  # of a file


def main() -> None:
    """Score by turns, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="A trained run, or what was exported of it.")
    parser.add_argument("--backend", default="torch")
    parser.add_argument("--rows", type=int, default=20_480)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, Any] = {"rows": options.rows, "backend": options.backend, "cores": os.cpu_count(), "turns": []}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        _write(place / "in", options.rows)
        for turn in range(options.repeats):
            row: dict[str, Any] = {"load_before": os.getloadavg()[0]}
            for engine, processes in (("local", 1), ("ray", os.cpu_count() or 1)):
                output = place / f"{engine}-{turn}"
                row[engine] = _score(options.model, options.backend, place / "in", output, engine, processes)
            row["load_after"] = os.getloadavg()[0]
            row["same"] = _same(place / f"local-{turn}", place / f"ray-{turn}")
            for name in ("seconds", "rows_a_second"):
                ratio = row["local"][name] / row["ray"][name]
                row[f"ratio_{name}"] = ratio if name == "seconds" else 1 / ratio
            found["turns"].append(row)
            print(
                f"local {row['local']['seconds']:.1f} s, {row['local']['rows_a_second']:.0f} rows a second; ray "
                f"{row['ray']['seconds']:.1f} s, {row['ray']['rows_a_second']:.0f}; ratio {row['ratio_seconds']:.2f} "
                f"of the whole, {row['ratio_rows_a_second']:.2f} while scoring; same files: {row['same']}; load "
                f"{row['load_before']:.1f} to {row['load_after']:.1f}",
                flush=True,
            )
            RESULTS.mkdir(parents=True, exist_ok=True)
            (RESULTS / f"scoring_{options.backend}.json").write_text(json.dumps(found, indent=1) + "\n")
    ratios = [row["ratio_rows_a_second"] for row in found["turns"]]
    print(f"median ratio while scoring: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def _write(folder: Path, rows: int) -> None:
    from hf_sentiment.data.sources import starter_data

    snippets = starter_data().shuffle(seed=0)["text"][:]
    texts = [snippets[row % len(snippets)] for row in range(rows)]
    folder.mkdir()
    for number, start in enumerate(range(0, rows, _ROWS)):
        part = texts[start : start + _ROWS]
        pq.write_table(pa.table({"id": range(start, start + len(part)), "text": part}), folder / f"{number:04}.parquet")


def _score(model: str, backend: str, folder: Path, output: Path, engine: str, processes: int) -> dict[str, float]:
    command = [sys.executable, "-m", "hf_sentiment", "predict", model, str(folder), "--output", str(output)]
    began = time.monotonic()
    options = ["--backend", backend, "--engine", engine, "--num_threads", "1"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    seconds = time.monotonic() - began
    finished = sorted(path.stat().st_mtime for path in (output / "_hf_sentiment").glob("*.parquet.json"))
    counted = _ROWS * (len(finished) - processes)
    return {"seconds": seconds, "rows_a_second": counted / (finished[-1] - finished[0])}


def _same(one: Path, other: Path) -> bool:
    names = sorted(path.name for path in one.glob("*.parquet"))
    equal, _, _ = filecmp.cmpfiles(one, other, names, shallow=False)
    return sorted(equal) == names


if __name__ == "__main__":
    main()
