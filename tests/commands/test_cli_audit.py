"""`hf-sentiment audit` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_sentiment.data.audit import DEFAULT_TEXTS, MAX_EXAMPLES

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def messy(tmp_path: Path, reviews: list[tuple[str, str]]) -> Path:
    """Made-up reviews with a duplicate, a contradiction, an empty row, an unlabelled row and a zebra."""
    rows = [*reviews[::4], ("The film was great!", "positive"), ("the film was great", "positive"), ("", "negative")]
    rows += [("the plot was moving", "positive"), ("The plot was moving.", "negative"), ("the zebra", "positive")]
    path = tmp_path / "messy.csv"
    path.write_text("text,label\n" + "".join(f'"{text}",{label}\n' for text, label in [*rows, ("dull", "")]))
    return path


def test_the_report_the_fix_and_the_audit_of_the_fixed(
    run_cli: Cli, messy: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    model = ("--model_name_or_path", tiny_checkpoint)
    call = ("audit", "--train_file", messy, *model, "--fix", tmp_path / "fixed", "--output", tmp_path / "report.json")
    code, out, err = run_cli(*call, "--json")
    assert code == 1, err
    report = json.loads(out)
    assert report == json.loads((tmp_path / "report.json").read_text())
    findings = {finding["name"]: finding for finding in report["findings"]}
    counts = {name: findings[name]["count"] for name in ("empty", "duplicates", "conflicts", "unknown_tokens")}
    assert counts == {"empty": 2, "duplicates": 1, "conflicts": 2, "unknown_tokens": 1}
    assert report["severity"] == "error" and report["rows"] == {"train": 67}
    assert "severity" in err and "what to do" in err and "messy.csv, row 64: empty text" in err
    fixed = tmp_path / "fixed" / "messy.csv"
    assert f"--train_file {fixed}" in err
    code, out, err = run_cli("audit", "--train_file", fixed, *model, "--json")
    assert code == 0, err
    again = json.loads(out)
    assert sum(finding["fixable"] for finding in again["findings"]) == 0 and again["rows"] == {"train": 62}
    assert "--fix" not in err.split("\n\n")[-1]


def test_label_errors_are_looked_for_on_request(run_cli: Cli, reviews_file: Path, tiny_checkpoint: Path) -> None:
    call = ("audit", "--train_file", reviews_file, "--model_name_or_path", tiny_checkpoint, "--json")
    totals = []
    for flag in ("--label_errors", "--no_label_errors"):
        code, out, err = run_cli(*call, flag)
        assert code == 0, err
        totals.append(next(f["total"] for f in json.loads(out)["findings"] if f["name"] == "label_errors"))
        assert ("forward pass over 240 texts" in err) == (flag == "--label_errors")
    assert totals == [240, 0]


def test_a_recipe_is_taken(run_cli: Cli, reviews_file: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"model_name_or_path: {tiny_checkpoint}\ntrain_file: {reviews_file}\nlearning_rate: 1e-4\nmax_length: 8\n"
    )
    code, out, err = run_cli("audit", recipe, "--no_label_errors", "--json")
    assert code == 0, err
    assert next(f for f in json.loads(out)["findings"] if f["name"] == "truncated")["title"] == "cut at 8 tokens"


def test_wrong_calls(run_cli: Cli, messy: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for words, message in (
        (("--train_file", messy, "--fix", tmp_path / "full"), "is not overwritten"),
        (("--train_file", messy, "--output", messy), "is not overwritten"),
        (("--train_file", messy, "--fix", ""), "--fix '' is the working directory: name another folder"),
        (("--train_file", tmp_path / "none.csv"), "no such file"),
        (("--train_fiel", messy), "did you mean --train_file"),
        (("--unlabeled_file", messy), "an audit needs labels"),
    ):
        code, out, err = run_cli("audit", *words)
        assert (code, out) == (2, "")
        assert message in err.splitlines()[-1] and "Traceback" not in err


def test_a_file_without_a_usable_row_is_audited_too(run_cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('[{"text": "", "label": false}]')
    code, out, err = run_cli("audit", "--train_file", tmp_path / "one.json")
    assert code == 1 and "row 1: empty text" in out + err and "--debug" not in err, (out, err)


def test_help(run_cli: Cli) -> None:
    code, out, _ = run_cli("audit", "--help")
    assert code == 0 and "--fix" in out and "--train_file" in out and "Exit code" in out
    said = " ".join(out.split())
    assert f"up to {DEFAULT_TEXTS:,} texts" in said and f"{MAX_EXAMPLES:,} rows" in said


def test_an_encoding_goes_through_every_command(run_cli: Cli, tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes("text,label\ngreat café,positive\nbad film,negative\n".encode("cp1252"))
    calls = (
        ("audit", "--train_file", path, "--model_name_or_path", tiny_folder),
        ("plan", "--train_file", path, "--model_name_or_path", tiny_folder),
        ("evaluate", tiny_folder, "--test_file", path),
        ("predict", tiny_folder, path),
    )
    for call in calls:
        code, _, err = run_cli(*call)
        assert code == 1 and "latin.csv, row 2: not UTF-8" in err and "--encoding windows-1252" in err, call
        code, _, err = run_cli(*call, "--encoding", "windows-1252")
        assert "not UTF-8" not in err, call
        code, _, err = run_cli(*call, "--encoding", "latin-99")
        assert code == 2 and "--encoding latin-99: no such encoding" in err, call
