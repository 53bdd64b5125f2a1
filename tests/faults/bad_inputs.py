"""Bad inputs, made up and damaged, and the judge of what the command line answers to them."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from hf_sentiment.cli import main

SECONDS = 60  # after which a call hangs, also beside other processes


class Hangs(BaseException):
    """No handler takes it for an error."""


_ODD_WORDS = (
    *(
        "",
        " ",
        "\x00",
        "\ufeff",
        "\u2028",
        "\ud7ff",
        "é",
        "好",
        "🙂",
        '"',
        "'",
        ",",
        "\t",
        ";",
        "\n",
        "\r\n",
        "\\",
        "-",
        "--",
    ),
    *(
        "NA",
        "nan",
        "inf",
        "-inf",
        "1e999",
        "1e-5",
        "0",
        "-1",
        "1",
        "2",
        "5",
        "10",
        "99999999999999999999",
        "true",
        "null",
    ),
    *("{}", "[]", "[1]", "{", "]", "~", "*", "&a", "!!python/object", "positive", "negative", "neutral", "good film"),
    *(
        "text",
        "label",
        "../x",
        "/",
        ".",
        "..",
        "a/b",
        "http://",
        "hf://x",
        "file:///etc/passwd",
        "{{ 7*7 }}",
        "%s",
        "<b>",
    ),
)
words = st.sampled_from(_ODD_WORDS) | st.text(max_size=12)


def judge(words: Sequence[str], output: Path | None = None) -> tuple[int, str, str]:
    """What `hf-sentiment WORDS` answers: a result, or one line and 1 or 2; and nothing half-written.

    Args:
        words: Of the command line.
        output: What the command is to write: there if it succeeded, and not there otherwise.
    """
    out, err = io.StringIO(), io.StringIO()

    def hangs(number: int, frame: object) -> None:
        raise Hangs(words)

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(words))
        raise AssertionError("main returned")
    except SystemExit as ended:
        code = ended.code
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    said = err.getvalue()
    errors = [line for line in said.split("\n") if line.startswith("error: ")]
    assert code in (0, 1, 2), code
    assert "Traceback" not in said and "--debug shows where" not in said, said
    if code == 0 or (words[0] == "audit" and code == 1 and not errors):
        assert not errors, said
        assert output is None or output.exists()
    else:
        assert len(errors) == 1 and len(errors[0]) > 10, said
        assert said.rstrip("\n").split("\n")[-1] == errors[0], said  # nothing after it, not even its second line
        assert len(errors[0]) < 2_000, said
        assert output is None or not output.exists()
    return code, out.getvalue(), said


@st.composite
def damaged(draw: DrawFn, content: bytes) -> bytes:
    """The content with a few bytes changed, cut, doubled or put in."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from((1, 1, 2, 7, 40, 400)))
        piece = content[start : start + length]
        new = draw(
            st.sampled_from((b"", piece * 2, piece[::-1], b"\x00" * len(piece), b"\xff" * max(len(piece), 1)))
            | st.binary(max_size=8)
            | words.map(lambda word: word.encode("utf-8"))
        )
        content = content[:start] + new + content[start + length :]
        if draw(st.integers(0, 9)) == 0:
            content = content[: draw(st.integers(0, len(content)))]
    return content


json_values: SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def changed(draw: DrawFn, value: Any) -> Any:
    """Plain JSON with a few values, anywhere in it, changed, removed or added."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        where = value
        while isinstance(where, dict | list) and where:
            key = draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            if isinstance(where[key], dict | list) and where[key] and draw(st.booleans()):
                where = where[key]
                continue
            action = draw(st.sampled_from(("replace", "replace", "remove", "near")))
            if action == "remove":
                del where[key]
            elif action == "near" and isinstance(where[key], int | float):
                where[key] = draw(st.sampled_from((0, -1, where[key] + 1, where[key] * 2, str(where[key]), 0.5, None)))
            else:
                where[key] = draw(json_values)
            break
    if isinstance(value, dict) and draw(st.integers(0, 5)) == 0:
        value[draw(words)] = draw(json_values)
    return value


@st.composite
def tables(draw: DrawFn) -> bytes:
    """A made-up delimited file."""
    separator = draw(st.sampled_from((",", ",", "\t", ";", "|", " ")))
    cell = words | st.sampled_from(("good film", "bad film", "positive", "negative", '"a, b"', '"a""b"', '"', "1", "5"))
    header = draw(
        st.sampled_from((["text", "label"], ["label", "text"], ["text"], ["review", "stars"])) | st.lists(cell)
    )
    columns = len(header)
    row = st.lists(cell, min_size=columns, max_size=columns) | st.lists(cell, max_size=4)
    lines = [header, *draw(st.lists(row, max_size=12))]
    end = draw(st.sampled_from(("\n", "\n", "\r\n", "\r", "\n\n")))
    encoding = draw(st.sampled_from(("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "gb18030", "cp037")))
    return end.join(separator.join(line) for line in lines).encode(encoding, errors="replace")


@st.composite
def json_lines(draw: DrawFn) -> bytes:
    """A made-up file of JSON lines, or of one value."""
    row = st.fixed_dictionaries({"text": words | json_values, "label": words | json_values}) | json_values
    rows = draw(st.lists(row, max_size=10))
    if draw(st.integers(0, 3)) == 0:
        return json.dumps(rows).encode()
    ascii_only = draw(st.booleans())
    return b"\n".join(json.dumps(line, ensure_ascii=ascii_only).encode("utf-8", "replace") for line in rows)


def copied(folder: Path, to: Path) -> Path:
    """A copy of a model's folder to damage."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    return to


def fields_of(*kinds: Any) -> Iterator[str]:
    """The names of the fields of dataclasses."""
    for kind in kinds:
        yield from (field.name for field in dataclasses.fields(kind) if field.init)


def put(path: Path, content: bytes | None) -> None:
    """Make a file hold this, or be gone."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
