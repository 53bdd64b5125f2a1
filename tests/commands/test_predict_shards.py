"""`predict` of a folder into a folder: on one process and by Ray, whole shards, each row once, gone on with."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from hf_sentiment.commands.predict import predict
from hf_sentiment.errors import CallError, DataError
from hf_sentiment.inference.scoring import score, shards

Cli = Callable[..., tuple[int, str, str]]
WORDS = ["the", "film", "was", "not", "very", "good", "great", "fine", "bad", "awful", "dull", "boring"]
RECORDS = "_hf_sentiment"
WRITERS = {"output": "copyfile", "on the way": "fetched"}


def texts(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(count)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Parquet file of three shards, in groups of rows that do not fit them, a CSV and a JSONL file, and others."""
    monkeypatch.setattr(shards, "SHARD_ROWS", 400)
    folder = tmp_path / "in"
    (folder / "day=1").mkdir(parents=True)
    pq.write_table(pa.table({"id": range(1_000), "text": texts(1_000, 0)}), folder / "day=1" / "a.parquet", 300)
    (folder / "b.csv").write_text("id,text\n1,good film\n2,\n3,=bad\n")
    (folder / "c.jsonl").write_text('{"text": "bad film", "stars": 2}\n{"text": 7}\n')
    (folder / "d.csv").write_text("id,text\n")
    (folder / "_log").mkdir()
    (folder / "_log" / "1.json").write_text('{"text": "of the table"}')
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """The output without its records."""
    paths = (path for path in folder.rglob("*") if path.is_file() and RECORDS not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_both_engines_write_what_is_predicted_of_each_file(folder: Path, tiny_folder: Path, run_cli: Cli) -> None:
    here, by_ray = folder.with_name("here"), folder.with_name("by_ray")
    done = predict(str(tiny_folder), folder, output=here)
    assert (done.rows, done.unlabeled) == (1_005, {"empty text": 1, "not a text": 1})
    code, out, err = run_cli("predict", tiny_folder, folder, "--output", by_ray, "--engine", "ray")
    assert (code, out) == (0, "")
    lines = [
        line for line in err.replace("\r", "\n").splitlines() if line.strip() and not line.startswith("Predicting")
    ]
    assert len(lines) == 3 and "processes of 1 threads" in err, err  # the rest is the bar
    assert lines[1] == f"{folder}: 6 shards"
    assert lines[2].startswith(f"1,005 rows in {by_ray}: 1,003 labelled, 2 without a label")
    assert files(here) == files(by_ray)
    assert sorted(files(here)) == ["b.csv", "c.jsonl", *(f"day=1/a-0000{i}-of-00003.parquet" for i in range(3))]
    for name in ("b.csv", "c.jsonl"):
        predict(str(tiny_folder), folder / name, output=folder.with_name(name))
        assert files(here)[name] == folder.with_name(name).read_bytes()
    parts = [pq.read_table(path) for path in sorted((here / "day=1").iterdir())]
    assert [len(part) for part in parts] == [400, 400, 200]
    whole = pa.concat_tables(parts)
    assert whole["id"].to_pylist() == list(range(1_000)) and whole["text"].to_pylist() == texts(1_000, 0)
    assert whole.schema.field("id").type == pa.int64() and whole["label"].null_count == 0


def test_only_what_is_missing_is_made(folder: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    output = folder.with_name("out")
    predict(str(tiny_folder), folder, output=output)
    before = files(output)
    (output / "day=1" / "a-00001-of-00003.parquet").unlink()  # as one that was never finished
    (output / RECORDS / "b.csv.json").unlink()
    times = {name: (output / name).stat().st_mtime_ns for name in before if (output / name).exists()}
    (folder / "e.csv").write_text("text\nvery good\n")
    caplog.clear()
    with caplog.at_level("INFO"):
        assert predict(str(tiny_folder), folder, output=output).rows == 1_006
    assert "7 shards, 4 of them finished already" in caplog.text
    assert {name: content for name, content in files(output).items() if name != "e.csv"} == before
    changed = {name for name, at in times.items() if (output / name).stat().st_mtime_ns != at}
    assert changed == {"b.csv"}
    with pytest.raises(CallError, match="files of another call are there \\(another columns\\)"):
        predict(str(tiny_folder), folder, output=output, columns="id")


def test_a_file_that_was_only_written_again_is_the_same(
    folder: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output, made = folder.with_name("out"), folder.with_name("out") / "c.jsonl"
    predict(str(tiny_folder), folder, output=output)
    for path in folder.rglob("*.*"):
        os.utime(path, (1, 1))
    with caplog.at_level("INFO"):
        assert predict(str(tiny_folder), folder, output=output).rows == 1_005
    assert "6 shards, 5 of them finished already" in caplog.text  # of a file without rows nothing is kept
    (folder / "c.jsonl").write_text((folder / "c.jsonl").read_text().replace("bad", "BAD"))
    with pytest.raises(CallError, match=f"^c.jsonl has changed since {made} was made of it: remove {made} to"):
        predict(str(tiny_folder), folder, output=output)
    made.unlink()
    (folder / "d.csv").write_text("id,text\n1,fine\n")
    (folder / "b.csv").unlink()
    caplog.clear()
    assert predict(str(tiny_folder), folder, output=output).rows == 1_003
    assert f"{output}: the input of b.csv is not there any more; it is kept" in caplog.text
    assert (output / "b.csv").is_file() and '"BAD film"' in made.read_text()


def test_a_call_that_came_to_nothing_is_replaced_and_damaged_records_are_said(folder: Path, tiny_folder: Path) -> None:
    output = folder.with_name("out")
    for wrong, message in (
        ({"columns": "nosuch"}, r'^--columns: b\.csv has no column "nosuch"$'),
        ({"text_column": "nosuch"}, r'^[^/]*\bb\.csv.* no column "nosuch"[^/]*$'),
        ({"backend": "onnx"}, "^(?!.*all others are done)"),
    ):
        with pytest.raises(CallError, match=message):
            predict(str(tiny_folder), folder, output=output, **wrong)
        assert not output.exists()
    call = output / RECORDS / "call.json"
    call.parent.mkdir(parents=True)
    call.write_text('{"columns": "nosuch"}')  # as a kill before the first file leaves it
    assert predict(str(tiny_folder), folder, output=output, columns="text").rows == 1_005
    for content in ("{", ""):
        (output / RECORDS / "b.csv.json").write_text(content)
        assert predict(str(tiny_folder), folder, output=output, columns="text").rows == 1_005
        assert json.loads((output / RECORDS / "b.csv.json").read_text())["rows"] == 3
    call.write_text("{")
    with pytest.raises(CallError, match=f"^--output {output}: {call} is damaged, .*: name another folder, or remove"):
        predict(str(tiny_folder), folder, output=output, columns="text")


@pytest.mark.parametrize("where", ["output", "on the way"])
def test_a_full_disk_stops_at_once_and_names_the_place(
    where: str, folder: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, run_cli: Cli
) -> None:
    tries = []

    def full(*_: object, **__: object) -> None:
        tries.append(1)
        error = OSError(errno.ENOSPC, "No space left on device")
        if where == "output":
            raise error
        cause = ValueError("cannot be read")
        cause.__context__, error.__cause__ = error, cause  # a circle, as `datasets` makes one
        raise DataError("cannot be read") from cause

    output = folder.with_name("out")
    with monkeypatch.context() as patched:
        patched.setattr(shards.shutil if where == "output" else score, WRITERS[where], full)
        code, _, err = run_cli("predict", tiny_folder, folder, "--output", output)
    place = output if where == "output" else tempfile.gettempdir()
    assert code == 1 and err.splitlines()[-1] == (
        f"error: {place}: No space left on device: make room there, or name another place"
    )
    assert len(tries) == 1 and files(output) == {} and "the same command again goes on" in err
    assert predict(str(tiny_folder), folder, output=output).rows == 1_005


def test_a_file_that_cannot_be_read_stops_no_other(folder: Path, tiny_folder: Path) -> None:
    (folder / "a.parquet").write_bytes(b"PAR1 and no more")
    (folder / "z.csv").write_text("a,b\n1,2\n")
    output = folder.with_name("out")
    message = r"^a\.parquet: cannot be read: .*; nor can 1 more be used: all others are done"
    with pytest.raises(DataError, match=message):
        predict(str(tiny_folder), folder, output=output)
    assert len(files(output)) == 5
    for name in ("a.parquet", "z.csv"):
        (folder / name).unlink()
    assert predict(str(tiny_folder), folder, output=output).rows == 1_005


def test_folders_may_be_of_any_file_system(folder: Path, tiny_folder: Path) -> None:
    here, there = folder.with_name("out"), MemoryFileSystem()
    predict(str(tiny_folder), f"file://{folder}", output=here)
    there.put(f"{folder}/", "/in/", recursive=True)
    for _ in range(2):
        assert predict(str(tiny_folder), "memory://in", output="memory://out").rows == 1_005
    found = {path.removeprefix("/out/") for path in there.find("/out") if RECORDS not in path}
    assert {name: there.cat_file(f"/out/{name}") for name in found} == files(here)
    with pytest.raises(CallError, match="zzz://a: cannot be opened"):
        predict(str(tiny_folder), "zzz://a", output=here)


def test_a_file_url_is_the_path_and_other_urls_are_no_single_file(
    folder: Path, tiny_folder: Path, run_cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    for url, path in (
        (f"file://{folder.parent}/u.csv", "u.csv"),
        (f"file://localhost{folder.parent}/a%20b.csv", "a b.csv"),
    ):
        assert run_cli("predict", tiny_folder, f"file://{folder}/b.csv", "--output", url)[0] == 0
        assert folder.with_name(path).is_file()
    assert predict(str(tiny_folder), f"file://{folder}", output="w.csv").rows == 1_005
    assert predict(str(tiny_folder), folder, output=f"file://localhost{folder.parent}/u4").rows == 1_005
    assert files(folder.with_name("u4"))
    for command in ("predict", "evaluate"):
        words = (
            [tiny_folder, folder / "b.csv"] if command == "predict" else [tiny_folder, "--test_file", folder / "b.csv"]
        )
        code, _, err = run_cli(command, *words, "--output", "s3://bucket/scored.csv")
        assert code == 2 and "s3://bucket/scored.csv: a single file is written on this machine alone" in err
    for wrong in ("file://elsewhere/x.csv", Path("s3://bucket/scored.csv")):
        with pytest.raises(CallError, match=r"is a file on the machine elsewhere|written on this machine alone"):
            predict(str(tiny_folder), folder / "b.csv", output=wrong)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["a b.csv", "in", "u.csv", "u4", "w.csv"]
    with pytest.raises(CallError, match="memory://in: a file's URL has its extension"):
        predict(str(tiny_folder), "memory://in", output="p.csv")
    monkeypatch.chdir(folder)
    assert "1,005 rows in memory://dot: " in str(predict(str(tiny_folder), ".", output="memory://dot"))
    with pytest.raises(CallError, match="is in the folder that is read"):
        predict(str(tiny_folder), "memory://dot", output="memory://dot/out")


def test_the_same_files_are_passed_over_whatever_the_output_and_named(
    folder: Path, tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (".hidden.csv", "~$lock.xlsx", "note.pdf"):
        (folder / name).write_text("?")
    (folder / "linked").symlink_to(folder / "day=1")
    for output in ("out", "p.csv"):
        caplog.clear()
        with caplog.at_level("INFO"):
            assert predict(str(tiny_folder), folder, output=folder.with_name(output)).rows == 1_005
        line = (
            f"{folder}: passed over _log/1.json, linked, note.pdf (other types, names with _ in front, linked folders)"
        )
        assert line in caplog.messages


def test_wrong_calls_are_said_before_any_work(folder: Path, tiny_folder: Path) -> None:
    with pytest.raises(CallError, match="--engine must be one of local, ray, got 'dask'"):
        predict(str(tiny_folder), folder, output=folder.with_name("out"), engine="dask")
    with pytest.raises(CallError, match="--engine ray reads a folder and writes one"):
        predict(str(tiny_folder), folder / "b.csv", output=folder.with_name("p.csv"), engine="ray")
    with pytest.raises(CallError, match="is in the folder that is read"):
        predict(str(tiny_folder), folder, output=folder / "out")
    other = folder.with_name("other")
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    with pytest.raises(CallError, match="exists and is not overwritten"):
        predict(str(tiny_folder), folder, output=other)
    with pytest.raises(CallError, match="exists and is not overwritten"):
        predict(str(tiny_folder), folder / "day=1", output=folder)
    assert not list(folder.parent.rglob(RECORDS))
    (folder / "b.txt").write_text("fine\n")
    (folder / "b.txt.csv").write_text("text\nfine\n")
    with pytest.raises(CallError, match=r"two files in it would both be b\.txt\.csv"):
        predict(str(tiny_folder), folder, output=folder.with_name("out"))


@pytest.mark.faults
def test_each_row_is_there_once_after_a_process_was_killed(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for part in range(2):
        ids = range(part * 100_000, (part + 1) * 100_000)
        pq.write_table(pa.table({"id": ids, "text": texts(100_000, part)}), tmp_path / "in" / f"{part}.parquet")
    output = tmp_path / "out"
    command = [sys.executable, "-m", "hf_sentiment", "predict", tiny_folder, tmp_path / "in", "--output", output]
    with subprocess.Popen([*command, "--engine", "ray", "--columns", "id"], stderr=subprocess.PIPE) as driver:
        while not list(output.glob("*.parquet")):  # a first shard is done, others are under way
            assert driver.poll() is None
            time.sleep(0.1)
        children = psutil.Process(driver.pid).children(recursive=True)
        scorers = [child for child in children if "ShardScorer" in " ".join(child.cmdline())]
        os.kill(scorers[0].pid, signal.SIGKILL)
        assert driver.wait() == 0, driver.stderr.read() if driver.stderr else ""
    table = pa.concat_tables([pq.read_table(path) for path in sorted(output.glob("*.parquet"))])
    assert table["id"].to_pylist() == list(range(200_000)) and table["label"].null_count == 0
    assert not [path for path in output.rglob("*") if ".part" in path.name or path.name.startswith(".")]
    records = [json.loads(path.read_text()) for path in (output / RECORDS).glob("*.parquet.json")]
    assert sum(record["rows"] for record in records) == 200_000
    whole = tmp_path / "whole"
    predict(str(tiny_folder), tmp_path / "in", output=whole, columns="id")
    assert files(output) == files(whole)
