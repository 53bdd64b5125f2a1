"""`predict` is killed while it writes, and the same call goes on: no row is lost or doubled."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hf_sentiment.commands.predict import predict
from hf_sentiment.errors import CallError
from hf_sentiment.inference import outputs
from hf_sentiment.inference.scoring import writing

ROWS = 4_200
WORDS = ["the", "film", "was", "not", "very", "good", "great", "fine", "bad", "awful", "dull", "boring"]
# One process a name, by a fork after the imports; each is killed once it has committed a part.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from typing import Any
from hf_sentiment.commands.predict import predict
model, file, *names = sys.argv[1:]
for name in names:
    child = os.fork()
    if child == 0:
        predict(model, file, output=name)
        os._exit(0)
    output = Path(name)
    while not (output.with_name(f".{output.name}.part") / "state.json").exists():
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
NAMES = ("p.csv", "p.jsonl", "p.parquet", "p.xlsx")


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("long") / "f.csv"
    texts = ("" if i % 50 == 0 else "good " + " ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for i in range(ROWS))
    path.write_text("id,text\n" + "".join(f'{i:05},"{text}"\n' for i, text in enumerate(texts)))
    return path


def test_a_killed_prediction_is_gone_on_with(long_file: Path, tiny_folder: Path, tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in NAMES]
    subprocess.run([sys.executable, "-c", KILLED, tiny_folder, long_file, *names], check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f".{name}.part" for name in NAMES)
    moved = tmp_path / "the same under another name.csv"
    moved.write_bytes(long_file.read_bytes())
    (tmp_path / "whole").mkdir()
    for name in NAMES:
        done = predict(str(tiny_folder), moved, output=tmp_path / name)
        if name != "p.xlsx":  # a workbook has its time in it
            whole = predict(str(tiny_folder), long_file, output=tmp_path / "whole" / name)
            assert (done.rows, done.unlabeled) == (whole.rows, whole.unlabeled) == (ROWS, {"empty text": ROWS // 50})
            assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert pq.read_table(tmp_path / "p.parquet")["id"].to_pylist() == [f"{i:05}" for i in range(ROWS)]
    assert sorted(path.name for path in tmp_path.glob("*p.*")) == sorted(NAMES)


def test_what_is_there_is_not_predicted_again(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "f.csv").write_text("id,text\n" + "".join(f"{i},good film\n" for i in range(10)))
    monkeypatch.setattr(writing, "_TOGETHER", 4)
    written, stop = [], 6
    write = outputs.Delimited.write

    def stopping(self: outputs.Delimited, row: Any, prediction: Any) -> None:
        if len(written) == stop:
            raise KeyboardInterrupt
        written.append(row.number)
        write(self, row, prediction)

    monkeypatch.setattr(outputs.Delimited, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        predict(str(tiny_folder), tmp_path / "f.csv", output=tmp_path / "p.csv")
    state = json.loads((tmp_path / ".p.csv.part" / "state.json").read_text())
    assert state["progress"]["rows"] == 4
    caplog.clear()
    with pytest.raises(CallError, match="from another call \\(another columns\\)"):
        predict(str(tiny_folder), tmp_path / "f.csv", output=tmp_path / "p.csv", columns="id")
    assert "goes on with it" not in caplog.text
    stop = 100
    assert predict(str(tiny_folder), tmp_path / "f.csv", output=tmp_path / "p.csv").rows == 10
    assert written == [2, 3, 4, 5, 6, 7, *range(6, 12)]
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["id", *map(str, range(10))]


@pytest.mark.faults
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_a_prediction_that_is_killed_again_and_again_ends(name: str, tiny_folder: Path, tmp_path: Path) -> None:
    draw = random.Random(name)
    lines = (f"{i},{' '.join(draw.choices(WORDS, k=draw.randint(1, 40)))}\n" for i in range(30_000))
    (tmp_path / "f.csv").write_text("id,text\n" + "".join(lines))
    state = tmp_path / f".{name}.part" / "state.json"
    command = [sys.executable, "-m", "hf_sentiment", "predict", tiny_folder, tmp_path / "f.csv"]
    rows = 0
    for _ in range(3):  # killed at any moment after the first part that a process adds
        with subprocess.Popen([*command, "--output", tmp_path / name], stderr=subprocess.DEVNULL) as process:
            while not state.exists() or (now := json.loads(state.read_text())["progress"]["rows"]) == rows:
                assert process.poll() is None
                time.sleep(0.01)
            rows = now
            time.sleep(draw.random())
            process.kill()
        assert process.returncode == -9 and not (tmp_path / name).exists()
    for output in (tmp_path / name, tmp_path / f"whole_{name}"):
        assert predict(str(tiny_folder), tmp_path / "f.csv", output=output).rows == 30_000
    assert (tmp_path / name).read_bytes() == (tmp_path / f"whole_{name}").read_bytes()
