"""Long texts in pieces: where they are split, and what is made of the pieces' answers."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hf_sentiment import SentimentClassifier
from hf_sentiment.errors import CallError
from hf_sentiment.inference.pieces import check_rule, count_words, default_rule, pieces_of, pool, split

RULE = {"least": 4, "longest": 8, "shift": [0.5, -0.5], "scale": 3.0}
LONG = "a very good film . i loved the plot and the cast . this was never boring . it was great fun . not bad at all ."
SHORT = "a very good film . i loved it"


def test_pieces_end_where_sentences_end() -> None:
    text = 'Dr. No was fine. "Was it?" he asked!  It was (really...) dull.\n\nThe end'
    assert split(text, 1, 9) == [
        "Dr.",
        "No was fine.",
        '"Was it?"',
        "he asked!",
        "It was (really...)",
        "dull.",
        "The end",
    ]
    # Short ones are joined, and so is what is left over at the end.
    assert split(text, 3, 9) == [
        "Dr. No was fine.",
        '"Was it?"  he asked!'.replace("  ", " "),
        "It was (really...)",
        "dull.\n\nThe end",
    ]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        (
            "这部电影很好。我很喜欢！但是结尾不好？“是的。”",
            ["这部电影很好。", "我很喜欢！", "但是结尾不好？", "“是的。”"],
        ),
        ("यह अच्छी है। मुझे पसंद है।", ["यह अच्छी है।", "मुझे पसंद है।"]),
        ("هل هو جيد؟ نعم هو جيد.", ["هل هو جيد؟", "نعم هو جيد."]),
        ("« C'est bon ! » Oui. Version 3.5 est là", ["« C'est bon !", "» Oui.", "Version 3.5 est là"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_sentences_of_many_languages(text: str, pieces: list[str]) -> None:
    assert split(text, 1, 20) == pieces


def test_nothing_is_lost_and_no_piece_is_too_long() -> None:
    draw = np.random.default_rng(0)
    for _ in range(200):
        text = "".join(draw.choice(list('ab好  .!?。…\n")”»'), int(draw.integers(0, 120))))
        least, longest = sorted(draw.integers(1, 9, 2).tolist())
        pieces = split(text, least, longest)
        assert re.sub(r"\s", "", "".join(pieces)) == re.sub(r"\s", "", text)
        assert all(0 < count_words(piece) <= longest for piece in pieces), pieces


def test_no_letter_is_cut_from_its_marks() -> None:
    text = "หนังเรื่องนี้ดีมากที่สุดในปีนี้" * 4
    pieces = split(text, 2, 20)
    assert "".join(pieces) == text and len(pieces) > 2
    assert not [piece for piece in pieces if unicodedata.category(piece[0]) == "Mn"]
    assert split("កខគ។ ចឆជ។", 1, 4) == ["កខគ។", "ចឆជ។"]


def test_a_long_sentence_is_cut_between_words_into_equal_parts() -> None:
    assert split("one two three four five six seven", 1, 3) == ["one two", "three four", "five six seven"]


@pytest.mark.parametrize("text", [" " * 10**5, "." * 10**5, ".)" * 10**5, "\n" * 10**5, "好。" * 10**5])
def test_odd_texts_take_no_longer_than_others(text: str) -> None:
    assert sum(map(len, split(text, 5, 20))) <= len(text)  # in quadratic time it would not end


def test_a_text_of_a_learned_length_is_one_piece() -> None:
    whole = "a. b. c. d.\n e. f. g. h. i. j. k. l."
    assert pieces_of(whole, RULE) == [whole]
    assert len(pieces_of(whole + " m.", RULE)) == 3


def test_the_pool_is_the_shifted_mean_times_the_scale() -> None:
    assert pool(np.array([[0.0, 1.0], [1.0, 4.0]]), RULE).tolist() == [0.0, 9.0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([1], "a dictionary is wanted"),
        (RULE | {"least": 9}, "least and longest must be numbers of words"),
        (RULE | {"longest": 8.5}, "least and longest must be numbers of words"),
        (RULE | {"scale": 0}, "scale must be a number above 0, got 0"),
        (RULE | {"scale": float("nan")}, "scale must be a number above 0, got nan"),
        (RULE | {"shift": [0.0]}, r"shift must be 2 numbers, one a label, got \[0.0\]"),
        ({}, "least and longest must be numbers of words"),
    ],
)
def test_what_is_no_rule_is_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rule(wrong, 2)
    check_rule(default_rule(2), 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_tiny: Any, tiny_tokenizer: Any) -> Path:
    """A saved tiny model with a rule."""
    folder = tmp_path_factory.mktemp("pieces") / "model"
    make_tiny(long_texts=RULE).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def test_a_long_text_is_what_its_pieces_make(folder: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(folder)
    cut = SentimentClassifier.from_pretrained(folder, long_texts="cut")
    expected = 3 * (cut.logits(split(LONG, 4, 8)).mean(axis=0) - np.array([0.5, -0.5]))
    found = classifier.logits([SHORT, LONG, SHORT])
    np.testing.assert_allclose(found[1], expected, atol=1e-5)
    np.testing.assert_allclose(found[[0, 2]], cut.logits([SHORT, SHORT]), atol=1e-6)
    assert [one.get("note") for one in classifier.predict([SHORT, LONG, ""])] == [None, "in pieces (5)", "empty text"]


def test_texts_of_learned_lengths_are_predicted_as_without_a_rule(folder: Path, tiny_folder: Path) -> None:
    texts = [SHORT, "good", "bad film ."]
    with_rule, without = (SentimentClassifier.from_pretrained(one) for one in (folder, tiny_folder))
    assert (with_rule.logits(texts) == without.logits(texts)).all()


def test_what_is_said_wins_over_what_the_model_records(folder: Path, tiny_folder: Path, caplog: Any) -> None:
    long = LONG.replace(" .", ". ") * 9  # more than the model reads
    note = "cut (at 48 tokens)"
    assert SentimentClassifier.from_pretrained(folder, long_texts="cut").predict([long])[0]["note"] == note
    assert "long_texts" not in caplog.text
    assert SentimentClassifier.from_pretrained(tiny_folder).predict([long])[0]["note"] == note
    assert "1 of 1 texts are longer than 48 tokens and were cut: --long_texts pieces would read" in caplog.text
    pieces = SentimentClassifier.from_pretrained(tiny_folder, long_texts="pieces").predict([long])[0]["note"]
    assert pieces.startswith("in pieces (")
    with pytest.raises(CallError, match="--long_texts must be pieces or cut, got 'windows'"):
        SentimentClassifier.from_pretrained(folder, long_texts="windows")


def test_a_piece_that_is_too_long_is_cut_and_noted(folder: Path) -> None:
    endless = " ".join(["good" + "ed" * 20] * 9)  # a piece has more tokens than the model reads
    assert SentimentClassifier.from_pretrained(folder).predict([endless])[0]["note"] == "cut (at 48 tokens)"


def test_a_wrong_rule_in_a_config_is_one_line(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["long_texts"]["scale"] = -1
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(CallError, match=r"^long_texts in the model's config.json: scale must be a number above 0, got"):
        SentimentClassifier.from_pretrained(tmp_path)
    assert SentimentClassifier.from_pretrained(tmp_path, long_texts="cut").predict([SHORT])


def test_progress_counts_texts_and_not_pieces(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    SentimentClassifier.from_pretrained(folder).predict([LONG, SHORT, LONG], progress=True)
    assert "3/3" in capsys.readouterr().err
