"""`hf-sentiment audit --fix`: its copies are trained on by the very command that it prints."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Cli = Callable[..., tuple[int, str, str]]
Rows = Sequence[tuple[Any, ...]]

BRIEF = ("--max_steps", "1", "--use_cpu", "true", "--disable_tqdm", "true", "--lexicon", "false", "--alarm", "off")


def delimited(path: Path, header: Sequence[str], rows: Rows, separator: str, encoding: str) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows([header, *rows])
    path.write_bytes(text.getvalue().encode(encoding))


def json_lines(path: Path, header: Sequence[str], rows: Rows) -> None:
    path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))


def json_array(path: Path, header: Sequence[str], rows: Rows) -> None:
    path.write_text(json.dumps([dict(zip(header, row, strict=True)) for row in rows]))


def parquet(path: Path, header: Sequence[str], rows: Rows) -> None:
    pq.write_table(
        pa.table({name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}), path
    )


def excel(path: Path, header: Sequence[str], rows: Rows) -> None:
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        book.active.append(row)
    book.save(path)


def packed(path: Path, header: Sequence[str], rows: Rows) -> None:
    delimited(path, header, rows, ",", "utf-8")
    path.write_bytes(gzip.compress(path.read_bytes()))


FORMATS: dict[str, Callable[[Path, Sequence[str], Rows], None]] = {
    "r.csv": lambda path, header, rows: delimited(path, header, rows, ",", "utf-8-sig"),
    "r.tsv": lambda path, header, rows: delimited(path, header, rows, "\t", "utf-8"),
    "semi.csv": lambda path, header, rows: delimited(path, header, rows, ";", "utf-8"),
    "u16.txt": lambda path, header, rows: delimited(path, header, rows, "\t", "utf-16"),
    "r.jsonl": json_lines,
    "r.json": json_array,
    "r.parquet": parquet,
    "r.xlsx": excel,
    "r.csv.gz": packed,
    "in truth excel.csv": excel,
}


# Training takes seconds; what remains of the others is what an audit sees.
TRAINED = ("r.csv", "r.tsv", "r.jsonl", "r.parquet", "r.xlsx")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a space in its name."""
    folder = tmp_path / "my data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def messy(reviews: list[tuple[str, str]]) -> tuple[Rows, Rows]:
    """Training and test rows of id, text and label with a fault of every kind."""
    good = reviews[::3]
    rows: list[tuple[str, str]] = [*good, good[0], (good[1][0].upper(), good[1][1])]
    rows += [("a film of two minds", "positive"), ("A film of two minds!", "negative")]
    rows += [("", "negative"), ("  \u200b ", "positive"), ("the plot was fine", ""), ("the cast was fine", "N/A")]
    rows += [("broken \ufffd bytes", "positive"), ("a film with a slip", "postive"), ("seen before", "negative")]
    test = [*reviews[1::12], ("seen before", "negative"), ("the book was so so", "meh"), ("", "positive")]
    return [(str(i), *row) for i, row in enumerate(rows)], [(str(i), *row) for i, row in enumerate(test)]


def printed(err: str) -> list[str]:
    """The words of the command that was printed, after the program's name."""
    (line,) = [line for line in err.splitlines() if line.startswith("Train on the copies: ")]
    words = shlex.split(line.removeprefix("Train on the copies: "))
    assert words[:2] == ["hf-sentiment", "train"]
    assert "cannot be trained on" not in err, err
    return words[1:]


@pytest.mark.parametrize("name", list(FORMATS))
def test_what_is_mended_is_trained_on_by_the_command_that_is_printed(
    name: str, here: Path, messy: tuple[Rows, Rows], tiny_checkpoint: Path, run_cli: Cli
) -> None:
    train, test = messy
    header = ("id", "what they said", "verdict")
    FORMATS[name](here / name, header, train)
    FORMATS[name](here / f"test {name}", header, test)
    before = {path: path.read_bytes() for path in here.iterdir()}
    said = ("--model_name_or_path", tiny_checkpoint, "--labels", "negative,positive", "--no_label_errors")
    said += ("--text_column", "what they said", "--label_column", "verdict", *BRIEF)
    call = ("--train_file", name, "--test_file", f"test {name}", *said)
    code, out, err = run_cli("audit", *call, "--fix", "clean copies", "--json")
    assert code == 1, err
    report = json.loads(out)
    assert {path: path.read_bytes() for path in before} == before
    removed = {copy["split"]: copy["removed"] for copy in report["written"]}
    assert removed["train"] == {
        **{"empty": 4, "broken": 1, "unknown_labels": 1, "conflicts": 2, "leakage": 1, "duplicates": 2}
    }
    assert removed["test"] == {"empty": 1, "unknown_labels": 1}
    words = printed(err)
    code, out, err = run_cli("audit", *words[1:], "--no_label_errors", "--json")
    assert code == 0, err
    assert [finding["name"] for finding in json.loads(out)["findings"] if finding["fixable"]] == []
    if name not in TRAINED:
        return
    code, _, err = run_cli(*words)
    assert code == 0, err
    output = words[words.index("--output_dir") + 1]
    audit = json.loads((here / output / "records" / "audit.json").read_text())
    assert audit["used"]["train"] + audit["used"].get("validation", 0) == 80 and audit["used"]["test"] == 21
    assert audit["label_rule"]["labels"] == ["negative", "positive"]


def labeled(path: Path, rows: Rows, separator: str = ",") -> Path:
    delimited(path, ("text", "label"), rows, separator, "utf-8")
    return path


def test_slips_and_a_second_header_go_without_a_word_about_the_labels(
    here: Path, reviews: list[tuple[str, str]], tiny_checkpoint: Path, run_cli: Cli
) -> None:
    polarity = {"negative": 0, "positive": 1}
    rows: list[tuple[Any, Any]] = [(text, polarity[label]) for text, label in reviews[::3]]
    rows[40:40] = [("text", "label"), ("the plot was lost", "#N/A"), ("the cast was lost", "-"), ("Total", "80")]
    labeled(here / "r.csv", rows)
    said = ("--model_name_or_path", tiny_checkpoint, "--no_label_errors", *BRIEF, "--output_dir", "out/run")
    (here / "out" / "run").mkdir(parents=True)
    code, _, err = run_cli("audit", "--train_file", "r.csv", *said, "--fix", "clean")
    assert code == 1, err
    assert "80 rows kept, 4 removed (2 without text or label, 2 with an unknown label)" in err
    words = printed(err)
    assert words[words.index("--output_dir") + 1] == "out/run-2"  # nothing that is there is gone on with
    code, _, err = run_cli(*words)
    assert code == 0, err
    record = json.loads((here / "out" / "run-2" / "records" / "audit.json").read_text())
    assert record["label_rule"]["labels"] == ["negative", "positive"] and record["rows"]["train"]["bad"] == 0


def test_stars_that_are_dropped_stay_in_the_copy_and_the_flag_that_keeps_them_is_named(
    here: Path, reviews: list[tuple[str, str]], tiny_checkpoint: Path, run_cli: Cli
) -> None:
    stars = {"negative": (1, 2, 3), "positive": (4, 5, 3)}
    rows = [(text, stars[label][i % 3]) for i, (text, label) in enumerate(reviews[::2])] + [("", 4)]
    labeled(here / "r.csv", rows)
    call = ("audit", "--train_file", "r.csv", "--model_name_or_path", tiny_checkpoint, "--no_label_errors")
    _, _, err = run_cli(*call, "--fix", "two")
    assert "of which the label rule drops 40 (--num_labels 3 keeps them as neutral)" in err
    assert "120 rows kept, 1 removed" in err and "--num_labels" not in printed(err)
    _, _, err = run_cli(*call, "--fix", "three", "--num_labels", "3")
    words = printed(err)
    assert words[words.index("--num_labels") + 1] == "3" and "drops" not in err


def test_what_the_copies_still_lack_is_said_with_the_command(
    here: Path, reviews: list[tuple[str, str]], tiny_checkpoint: Path, run_cli: Cli
) -> None:
    labeled(here / "r.csv", [*reviews[::3], ("a film like no other", "mixed"), ("", "mixed")])
    call = ("audit", "--train_file", "r.csv", "--model_name_or_path", tiny_checkpoint, "--no_label_errors")
    code, out, err = run_cli(*call, "--fix", "clean", "--json")
    assert code == 1
    assert 'The copies cannot be trained on yet: label "mixed" has only 1 training rows' in err
    assert "Train on the copies: hf-sentiment train --train_file clean/r.csv" in err
    assert json.loads(out)["obstacle"].startswith('label "mixed"')


def test_copies_are_replaced_only_when_asked_and_nothing_else_ever(
    here: Path, reviews_file: Path, tiny_checkpoint: Path, run_cli: Cli
) -> None:
    data = here / "data"
    data.mkdir()
    (data / "r.csv").write_bytes(reviews_file.read_bytes())
    call = ("audit", "--model_name_or_path", tiny_checkpoint, "--no_label_errors", "--train_file", data / "r.csv")
    assert run_cli(*call, "--fix", "clean")[0] == 0
    (here / "clean" / "old.csv").write_text("of an earlier audit")
    code, _, err = run_cli(*call, "--fix", "clean")
    assert code == 2 and err.splitlines()[-1].endswith("name another folder, or say --overwrite")
    assert len(err.splitlines()) == 1  # before any work
    assert run_cli(*call, "--fix", "clean", "--overwrite")[0] == 0
    assert [path.name for path in (here / "clean").iterdir()] == ["r.csv"]
    (here / "runs").mkdir()
    (here / "runs" / "notes.md").touch()
    for folder, why in (
        ("data", "r.csv, which is to be copied"),
        ("runs", "notes.md, which is no copy"),
        (".", "is the working directory"),
    ):
        code, _, err = run_cli(*call, "--fix", folder, "--overwrite")
        assert code == 2 and why in err, err
    assert (data / "r.csv").is_file() and (here / "runs" / "notes.md").is_file()


def test_a_data_set_keeps_the_order_of_its_labels(
    here: Path, reviews: list[tuple[str, str]], tiny_checkpoint: Path, run_cli: Cli
) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    from hf_sentiment.commands.audit import audit

    names = ["Zufrieden", "Ärger, groß", "-"]
    rows = [(text, i % 3) for i, (text, _) in enumerate(reviews[::2])]
    columns = {"body": [text for text, _ in rows], "stars": [index for _, index in rows]}
    features = Features({"body": Value("string"), "stars": ClassLabel(names=names)})
    options = {"model_name_or_path": str(tiny_checkpoint), "text_column": "body", "label_column": "stars"}
    result = audit(Dataset.from_dict(columns, features=features), label_errors=False, fix="clean", **options)
    assert result.obstacle is None and result.command is not None
    assert "'Ärger, groß'" in result.command and "text_column" not in result.command
    words = shlex.split(result.command)
    at = words.index("--labels")
    assert words[at + 1 : at + 4] == names


@pytest.mark.parametrize(
    "arguments",
    [
        {"labels": ["-1", "1"], "num_labels": 2},
        {"labels": ["not good", "it's fine", "a,b"], "calibrate": False, "lora": True},
        {"text_column": "-text-", "label_column": "$HOME", "test_share": 0.25, "max_train_samples": 0},
        {"train_file": "-odd name;rm.csv", "seed": 7, "learning_rate": 3e-5, "report_to": "none"},
    ],
)
def test_the_words_are_read_as_they_were_meant(arguments: dict[str, Any]) -> None:
    from hf_sentiment.commands.copies import flags
    from hf_sentiment.training.arguments import parse_call

    words = [word for name, value in arguments.items() for word in flags(name, value)]
    parsed = parse_call(shlex.split(shlex.join(words)))
    if len(parsed.get("labels", ())) == 1:
        parsed["labels"] = parsed["labels"][0].split(",")
    assert parsed == arguments
