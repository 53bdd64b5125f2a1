"""`hf-sentiment plan` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hf_sentiment.training.plan import RULES

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(tiny_sentence_encoder: Path, reviews_file: Path) -> list[str]:
    return ["plan", "--model_name_or_path", str(tiny_sentence_encoder), "--train_file", str(reviews_file)]


def test_every_rule_is_shown_with_its_reason_and_its_sources(call: list[str], run_cli: Cli, tmp_path: Path) -> None:
    code, out, err = run_cli(
        *call, "--validation_share", "0.2", "--num_train_epochs", "2", "--output_dir", tmp_path / "run"
    )
    assert code == 0, err
    lines = out.splitlines()
    for rule in RULES:
        (line,) = [line for line in lines if line.split()[:1] == [rule.name]]
        assert len(line.split()) > 3, line
        assert ("[" in line) == bool(rule.source and rule.name != "num_train_epochs"), line
    sources = {source for rule in RULES for source in rule.source.split("; ") if source}
    assert all(any(line.startswith("  [") and line.endswith(source) for line in lines) for source in sources)
    assert any(line.startswith("  About ") and "of training on this machine" in line for line in lines)
    assert not (tmp_path / "run").exists()  # nothing is trained


def test_json_is_all_that_is_on_stdout(call: list[str], run_cli: Cli) -> None:
    code, out, err = run_cli(*call, "--json", "--weight_decay", "0.9", "--num_train_epochs", "2")
    assert code == 0, err
    record = json.loads(out)
    assert record["facts"]["num_train"] == 192 and record["expected_seconds"] > 0
    decisions = record["decisions"]
    assert (decisions["weight_decay"]["value"], decisions["weight_decay"]["by"]) == (0.9, "user")
    assert decisions["learning_rate"]["by"] == "plan" and decisions["learning_rate"]["source"]
    assert err.count("--weight_decay 0.9 is outside 0 to 0.3") == 1


def test_what_train_would_refuse_is_refused(call: list[str], run_cli: Cli, tmp_path: Path) -> None:
    german = tmp_path / "german.csv"
    rows = [f"Der Film war heute wieder einmal wirklich {word},{word}" for word in ("gut", "schlecht")] * 8
    german.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    code, _, err = run_cli(*call[:-1], german, "--augment", "typos", "--num_train_epochs", "1")
    assert code == 2 and "--augment typos: typos would change polarity words of these texts, which are in 'de'" in err


def test_without_labels_there_is_no_learning_rate(
    call: list[str], run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_SENTIMENT_CACHE", str(tmp_path))  # in which no test has taught the encoder
    code, out, err = run_cli(*call, "--max_train_samples", "0")
    assert code == 0, err
    shown = {line.split()[0] for line in out.splitlines() if line.strip()}
    assert "lexicon" in shown and not shown & {"learning_rate", "weight_decay", "warmup_steps", "logging_strategy"}
    assert "the lexicon included, which this encoder learns once if it has to" in out


def test_a_recipe_is_taken_and_flags_win(call: list[str], run_cli: Cli, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(f"model_name_or_path: {call[2]}\ntrain_file: {call[4]}\nlearning_rate: 3e-5\nlexicon: false\n")
    code, out, err = run_cli("plan", recipe, "--learning_rate", "4e-5", "--json")
    assert code == 0, err
    decisions = json.loads(out)["decisions"]
    assert decisions["learning_rate"]["value"] == 4e-5 and decisions["lexicon"]["value"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--train_fiel", "x"], "did you mean --train_file"),
        (["--max_train_samples", "0", "--lexicon", "false"], "no labelled texts, and no lexicon"),
        (["--unlabeled_file", "u.csv"], "u.csv"),
        (["--push_to_hub"], "--push_to_hub: "),
    ],
)
def test_wrong_calls(words: list[str], message: str, call: list[str], run_cli: Cli) -> None:
    code, out, err = run_cli(*call, *words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1] and "Traceback" not in err


def test_help(run_cli: Cli) -> None:
    code, out, _ = run_cli("plan", "--help")
    assert code == 0 and "hf-sentiment plan [RECIPE.yaml]" in out
    assert "plan" in run_cli("--help")[1]
