"""The command line: exit codes, one-line errors, stdout for results alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hf_sentiment.commands.flags import COMMANDS

Cli = Callable[..., tuple[int, str, str]]


def only_error(err: str) -> str:
    """The error, which is one line and the last; fails where there is a traceback."""
    lines = [line for line in err.splitlines() if line.strip()]
    assert [line.startswith("error: ") for line in lines].count(True) == 1, err
    assert lines[-1].startswith("error: ") and "Traceback" not in err, err
    return lines[-1]


def test_help_lists_the_commands(run_cli: Cli) -> None:
    code, out, _ = run_cli("--help")
    assert code == 0
    assert all(name in out for name in ("train", "evaluate", "predict"))
    code, out, _ = run_cli("train", "--help")
    assert code == 0
    assert "--model_name_or_path" in out and "TrainingArguments" in out


def test_the_help_of_train_says_each_argument_once_and_no_default_that_says_nothing(run_cli: Cli) -> None:
    code, out, _ = run_cli("train", "--help")
    assert code == 0 and "(default: None)" not in out and "--train-file" not in out
    assert "--lora_rank" in out and "(default: 8)" in out
    assert "--no_calibrate        The same as --calibrate false." in out


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_a_help_imports_neither_torch_nor_transformers(command: str) -> None:
    script = (
        "import sys\nfrom hf_sentiment.cli import main\n"
        f"try:\n    main('{command} --help'.split())\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert f"hf-sentiment {command or 'COMMAND'}" in done.stdout and done.stdout.strip().endswith("set()")


def test_a_value_that_looks_like_a_flag_is_a_value(run_cli: Cli, tiny_folder: Path, labeled: Path) -> None:
    for value in ("--json", "--debug", "--help"):
        code, out, err = run_cli("evaluate", tiny_folder, "--test_file", labeled, f"--text_column={value}")
        assert (code, out) == (2, "") and value in only_error(err)


@pytest.mark.parametrize("spelling", ["--text_column", "--text-column"])
def test_both_spellings_are_taken_before_the_words_too(spelling: str, run_cli: Cli, tmp_path: Path) -> None:
    code, _, err = run_cli("predict", spelling, "t", tmp_path / "none", "-")
    assert code == 2 and "no such folder" in only_error(err)


def test_wrong_commands_and_options(run_cli: Cli) -> None:
    for words in (["trian"], ["predict"], ["predict", "m", "f", "--nope"], ["evaluate", "m", "--num_threads", "x"]):
        code, out, err = run_cli(*words)
        assert (code, out) == (2, "")
        only_error(err)


@pytest.fixture
def labeled(tmp_path: Path, reviews: list[tuple[str, str]]) -> Path:
    path = tmp_path / "test.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in reviews[::6]), encoding="utf-8")
    return path


def test_evaluate_prints_json_on_stdout_and_people_read_stderr(
    run_cli: Cli, tiny_folder: Path, labeled: Path, tmp_path: Path
) -> None:
    output = tmp_path / "report.json"
    code, out, err = run_cli("evaluate", tiny_folder, "--test_file", labeled, "--output", output, "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report == json.loads(output.read_text())
    accuracy = report["model"]["accuracy"]
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert report["texts"] == 40
    assert "accuracy" in err and "40 test texts" in err


def test_evaluate_agrees_with_predict(run_cli: Cli, tiny_folder: Path, labeled: Path) -> None:
    _, out, _ = run_cli("evaluate", tiny_folder, "--test_file", labeled, "--json")
    _, lines, _ = run_cli("predict", tiny_folder, labeled)
    labels = [line.rsplit(",", 1)[1] for line in labeled.read_text().splitlines()[1:]]
    hits = [json.loads(line)["label"] == label for line, label in zip(lines.splitlines(), labels, strict=True)]
    assert json.loads(out)["model"]["accuracy"]["value"] == pytest.approx(sum(hits) / len(hits))


def test_evaluate_wants_one_source_and_the_models_labels(run_cli: Cli, tiny_folder: Path, tmp_path: Path) -> None:
    code, _, err = run_cli("evaluate", tiny_folder)
    assert code == 2 and "--test_file FILE" in only_error(err)
    other = tmp_path / "other.csv"
    other.write_text("text,label\ngood film,spam\nbad film,ham\n")
    code, _, err = run_cli("evaluate", tiny_folder, "--test_file", other)
    assert code in (1, 2) and "spam" in only_error(err)


def test_bad_rows_are_named_or_dropped(run_cli: Cli, tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text("text,label\ngood film,positive\n,negative\nbad film,negative\n")
    code, _, err = run_cli("evaluate", tiny_folder, "--test_file", path)
    message = only_error(err)
    assert code == 1 and "row 3" in message and "--on_bad_rows drop" in message
    code, out, _ = run_cli("evaluate", tiny_folder, "--test_file", path, "--on_bad_rows", "drop", "--json")
    assert code == 0 and json.loads(out)["texts"] == 2


def test_predict_keeps_the_order_of_the_file(run_cli: Cli, tiny_folder: Path, labeled: Path, tmp_path: Path) -> None:
    output = tmp_path / "p.jsonl"
    code, out, err = run_cli("predict", tiny_folder, labeled, "--text_column", "text", "--output", output)
    assert (code, out) == (0, ""), err
    lines = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 40
    for line in lines:
        assert {"row", "text", "label", "score", "scores", "note"} <= line.keys()
        assert line["score"] == max(line["scores"].values())
    before = output.read_text()
    code, _, err = run_cli("predict", tiny_folder, labeled, "--output", output)
    assert code == 2 and "is not overwritten" in only_error(err)
    assert output.read_text() == before


def test_predict_reads_stdin(tiny_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hf_sentiment", "predict", str(tiny_folder), "-"],
        input="good film\nbad film\n",
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    assert [json.loads(line)["label"] in ("negative", "positive") for line in done.stdout.splitlines()] == [True, True]
    assert "error" not in done.stderr.lower()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "{folder}", "{tmp}/none.csv"], "none.csv"),
        (["predict", "{tmp}/none", "{file}"], "no such folder"),
        (["predict", "{folder}", "{file}", "--text_column", "txet"], "txet"),
        (["predict", "{folder}", "{file}", "--num_threads", "0"], "--num_threads must be at least 1, got 0"),
    ],
)
def test_wrong_calls_of_predict(
    words: list[str], message: str, run_cli: Cli, tiny_folder: Path, labeled: Path, tmp_path: Path
) -> None:
    filled = [word.format(folder=tiny_folder, tmp=tmp_path, file=labeled) for word in words]
    code, out, err = run_cli(*filled)
    assert (code, out) == (2, "")
    assert message in only_error(err)


def test_debug_shows_where(run_cli: Cli, tiny_folder: Path, tmp_path: Path) -> None:
    from hf_sentiment.cli import main
    from hf_sentiment.errors import CallError

    with pytest.raises(CallError):
        main(["predict", str(tiny_folder), str(tmp_path / "none.csv"), "--debug"])


def test_standard_input_is_utf_8_in_any_locale_and_a_bad_line_is_noted(tiny_folder: Path) -> None:
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "hf_sentiment", "predict", str(tiny_folder), "-"]
    options: dict[str, Any] = {"capture_output": True, "cwd": Path(__file__).parents[1], "env": environment}
    done = subprocess.run(command, input="é good film\n".encode() + b"\xff\xfe bad\n", check=True, **options)
    first, second = map(json.loads, done.stdout.decode().splitlines())
    assert (first["text"], first["note"], second["note"]) == ("é good film", None, "broken encoding")
    assert done.stderr.decode().endswith("2 rows: 2 labelled (1 broken encoding)\n")


def test_a_reader_that_has_had_enough_is_no_error(tiny_folder: Path) -> None:
    command = f"yes 'good film' | head -20000 | {sys.executable} -m hf_sentiment predict {tiny_folder} - | head -1"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}; echo codes ${{PIPESTATUS[@]}}"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.stdout.splitlines()[-1].split()[3] == "0", done.stderr
    assert "error" not in done.stderr.lower()


def test_ctrl_c_is_said_and_has_a_code(run_cli: Cli, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hf_sentiment.commands.predict.predict", interrupted)
    code, out, err = run_cli("predict", tiny_folder, "-")
    assert (code, out) == (1, "")
    assert only_error(err) == "error: stopped"


def test_what_cannot_be_written_is_said_with_its_place(run_cli: Cli, tiny_folder: Path, labeled: Path) -> None:
    code, _, err = run_cli("predict", tiny_folder, labeled, "--output", "/dev/null/p.jsonl")
    assert code == 1 and "/dev/null" in only_error(err)


def test_version(run_cli: Cli) -> None:
    import hf_sentiment

    assert run_cli("--version") == (0, f"hf-sentiment {hf_sentiment.__version__}\n", "")
