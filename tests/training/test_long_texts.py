"""The rule for long texts that `train` records: lengths that were learned from, and what held-out long texts say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

from hf_sentiment import SentimentClassifier
from hf_sentiment.head.long_texts import fit_rule, lengths_rule
from hf_sentiment.inference.pieces import default_rule, pieces_of, pool

WORDS = {"good": 1.5, "bad": -1.5, "it": -0.6}  # what a made-up model says of them: what says nothing, it finds bad


def logits_of(texts: Sequence[str]) -> np.ndarray:
    """Of a made-up model, `[texts, 2]`."""
    margins = np.array([np.mean([WORDS[word] for word in text.split()]) for text in texts])
    return np.stack([-margins / 2, margins / 2], axis=1)


def reviews(number: int, words: int, seed: int) -> tuple[list[str], list[int]]:
    """Made-up reviews of so many words, most of which say nothing, and their labels."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, number)
    shares = [[0.15, 0.1, 0.75] if label else [0.1, 0.15, 0.75] for label in labels]
    return [" ".join(draw.choice(list(WORDS), words, p=share)) for share in shares], labels.tolist()


def loss(rule: dict[str, Any], texts: Sequence[str], labels: Sequence[int]) -> float:
    logits = np.array([pool(logits_of(pieces_of(text, rule)), rule) for text in texts])
    return float((logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean())


RULE = default_rule(2) | {"least": 5, "longest": 10}


def test_a_fitted_rule_is_better_on_other_long_texts() -> None:
    before, other = RULE, reviews(400, 100, seed=1)
    after = fit_rule(logits_of, *reviews(200, 100, seed=0), before)
    assert loss(after, *other) < loss(before, *other) - 0.1
    assert after["shift"][0] > 0.1  # it is too often negative
    assert json.loads(json.dumps(after)) == after


def test_few_long_texts_change_little_and_short_ones_nothing() -> None:
    few = fit_rule(logits_of, *reviews(4, 100, seed=0), RULE)
    assert few["scale"] == pytest.approx(RULE["scale"], rel=0.2) and few["shift"] == pytest.approx([0, 0], abs=0.2)
    assert fit_rule(logits_of, *reviews(50, 10, seed=0), RULE) == RULE


def test_pieces_are_as_long_as_what_was_learned_from() -> None:
    texts = ["good " * 10] * 97 + ["good " * 30] * 3
    rule = lengths_rule(texts, [12] * 97 + [32] * 3, 256, 2)
    assert rule == default_rule(2) | {"least": 5, "longest": 30}
    # Of texts that were cut after 12 tokens, some ten words were read.
    assert lengths_rule(["good " * 10] * 50 + ["good " * 500] * 50, [11] * 50 + [12] * 50, 12, 3)["longest"] == 11
    assert lengths_rule([], [], 256, 3) == default_rule(3)


@pytest.fixture(scope="module")
def trained(finish: Callable[..., Path], tmp_path_factory: Any, tiny_checkpoint: Path, reviews_file: Path) -> Path:
    """A finished run."""
    call = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--use_cpu", "true"]
    return finish([*call, "--max_steps", "1", "--disable_tqdm", "true"], tmp_path_factory.mktemp("runs") / "long")


def test_train_records_the_rule_with_which_the_model_is_loaded(trained: Path, tmp_path: Path) -> None:
    rule = json.loads((trained / "config.json").read_text(encoding="utf-8"))["long_texts"]
    classifier = SentimentClassifier.from_pretrained(trained)
    # What says little of any label is not guessed at: it made some models better, and others worse.
    assert classifier.rule == rule and rule["longest"] < 20 and rule["shift"] == [0, 0]
    assert classifier.predict(["a good film . " * 30])[0]["note"].startswith("in pieces (")
    # Saved again, as publishing does, it is still there.
    classifier.backend.model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["long_texts"] == rule


def test_commands_and_a_further_training_take_what_is_said(
    trained: Path, tmp_path: Path, run_cli: Callable[..., tuple[int, str, str]], reviews_file: Path
) -> None:
    long = tmp_path / "long.csv"
    long.write_text("text\n" + "a good film . " * 30 + "\n", encoding="utf-8")
    code, out, err = run_cli("predict", trained, long, "--long_texts", "cut")
    assert code == 0 and json.loads(out)["note"] == "cut (at 48 tokens)" and "1 cut" in err
    code, _, err = run_cli("evaluate", trained, "--test_file", reviews_file, "--long_texts", "windows")
    assert code == 2 and "--long_texts must be pieces or cut, got 'windows'" in err
    words = ["train", "--model_name_or_path", trained, "--train_file", reviews_file, "--output_dir", tmp_path / "cut"]
    code, _, err = run_cli(*words, "--max_steps", "1", "--use_cpu", "true", "--long_texts", "cut")
    assert code == 0, err
    assert not json.loads((tmp_path / "cut" / "config.json").read_text(encoding="utf-8")).get("long_texts")
