"""A file in parts: whole or not there, gone on with by the same call alone, and by one process at a time."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hf_sentiment.errors import CallError
from hf_sentiment.records.resumable import resumable_file

CALL = {"input": "a", "model": "m"}


class Killed(BaseException):
    pass


def write(path: Path, call: dict[str, str] | None, *, killed: bool, error: BaseException | None = None) -> list[object]:
    """Write one part and commit it, and another that is not committed if it is killed; what was there before."""
    with resumable_file(path, call) as part:
        before = [part.file.tell(), dict(part.progress)]
        part.file.write(b"kept\n")
        part.commit({"rows": 1})
        part.file.write(b"lost\n" if killed else b"end\n")
        if killed:
            raise error or Killed
    return before


def test_the_same_call_goes_on_after_the_last_commit(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "deep" / "p.csv"
    with pytest.raises(Killed):
        write(path, CALL, killed=True)
    assert [entry.name for entry in path.parent.iterdir()] == [".p.csv.part"] and "goes on with it" in caplog.text
    assert write(path, CALL, killed=False) == [5, {"rows": 1}]
    assert path.read_bytes() == b"kept\nkept\nend\n" and list(path.parent.iterdir()) == [path]


def test_the_part_of_another_call_is_not_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        write(tmp_path / "p.csv", CALL, killed=True)
    with pytest.raises(CallError, match=r"part of it is there from another call \(another model\): .* or remove"):
        write(tmp_path / "p.csv", CALL | {"model": "n"}, killed=False)
    with pytest.raises(CallError, match="another input, model"):
        write(tmp_path / "p.csv", None, killed=False)
    assert write(tmp_path / "p.csv", CALL, killed=False) == [5, {"rows": 1}]


@pytest.mark.parametrize("call", [None, CALL])
def test_what_was_never_committed_leaves_nothing(call: dict[str, str] | None, tmp_path: Path) -> None:
    with pytest.raises(OSError) as full, resumable_file(tmp_path / "p.csv", call) as part:
        if call is None:
            part.commit({"rows": 1})  # what cannot be read again cannot be gone on with
        part.file.write(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(tmp_path / "p.csv") and list(tmp_path.iterdir()) == []


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with resumable_file(tmp_path / "p.csv", CALL) as part:
        part.file.write(b"mine")
        with pytest.raises(CallError, match="another process is writing it"), resumable_file(tmp_path / "p.csv", CALL):
            raise AssertionError
    assert (tmp_path / "p.csv").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("written", "kep"),
        ("state.json", "{"),
        ("state.json", "{}"),
        ("state.json", "[]"),
        ("state.json", '{"call": 1}'),
    ],
)
def test_a_damaged_part_is_not_gone_on_with(name: str, content: str, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        write(tmp_path / "p.csv", CALL, killed=True)
    (tmp_path / ".p.csv.part" / name).write_text(content)
    with pytest.raises(CallError, match=r"the part of it that is there is damaged: remove .*\.p\.csv\.part"):
        write(tmp_path / "p.csv", CALL, killed=False)
    assert not (tmp_path / "p.csv").exists() and (tmp_path / ".p.csv.part" / name).read_text() == content


@pytest.mark.parametrize("call", [None, CALL])
def test_what_somebody_else_made_meanwhile_is_not_overwritten(call: dict[str, str] | None, tmp_path: Path) -> None:
    path, folder = tmp_path / "p.csv", tmp_path / ".p.csv.part"
    with (
        pytest.raises(CallError, match=r"is not overwritten: .*part/written: move"),
        resumable_file(path, call) as part,
    ):
        part.file.write(b"mine\n")
        path.write_text("precious")
    assert path.read_text() == "precious" and (folder / "written").read_bytes() == b"mine\n"
    with pytest.raises(CallError, match="exists and is not overwritten"):
        write(path, call, killed=False)
    path.unlink()
    if call is None:  # nobody can read the stream again
        with pytest.raises(CallError, match="from another call"):
            write(path, call, killed=False)
        assert (folder / "written").read_bytes() == b"mine\n"
