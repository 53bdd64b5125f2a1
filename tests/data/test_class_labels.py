"""Integers with names (`ClassLabel`) mean what their own split says, in whatever order and spelling."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from hf_sentiment.data.labels import canonical, fold
from hf_sentiment.data.prepare import PreparedData, prepare_data
from hf_sentiment.errors import CallError, DataError

SCHEMES = [
    ["negative", "positive"],
    ["neg", "neutral", "POS"],
    ["joy", "anger", "fear", "none"],
    ["0", "1"],
    ["-1", "0", "1"],
    ["1", "2", "3", "4", "5"],
    ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"],
    ["no", "yes"],
]
MEANING = {
    **dict.fromkeys(["neg", "negative", "-1", "no", "1 star", "2 stars"], "negative"),
    **dict.fromkeys(["pos", "positive", "yes", "4 stars", "5 stars"], "positive"),
}


def true_class(name: str, scheme: list[str]) -> str | None:
    """What the name stands for, said without the code that is tested; None where the rule drops it."""
    if scheme[-1] in ("5", "5 stars"):
        stars = int(name[0])
        return "negative" if stars < 3 else "positive" if stars > 3 else None
    if scheme == ["0", "1"]:
        return ("negative", "positive")[int(name)]
    if scheme == ["-1", "0", "1"]:
        return ("negative", "neutral", "positive")[int(name) + 1]
    return MEANING.get(name.lower(), name)


def spelled(name: str, generator: random.Random) -> str:
    """The name in some case, with white space and characters that nobody sees."""
    case = generator.choice([str, str.upper, str.lower, str.title])
    left, right = (generator.choice(["", "", " ", "\t", "\u200b", "\ufeff", "\xa0"]) for _ in range(2))
    return left + case(name) + right


def table(rows: list[str], names: list[str], generator: random.Random | None = None) -> Dataset:
    """A split: texts that say their class, and integers by its own names, in spellings of its own."""
    shown = {name: spelled(name, generator) if generator else name for name in names}
    features = Features({"text": Value("string"), "label": ClassLabel(names=[shown[name] for name in names])})
    texts = [f"text {i} is {name}" for i, name in enumerate(rows)]
    return Dataset.from_dict({"text": texts, "label": [names.index(name) for name in rows]}, features)


def accuracy(data: PreparedData, split: str, scheme: list[str]) -> float:
    """Of an oracle that knows what the texts say."""
    wanted = [true_class(text.split(" is ")[1], scheme) for text in data.splits[split]["text"]]
    assert None not in wanted
    named = [fold(canonical(data.rule.labels[index])) for index in data.splits[split]["label"]]
    return sum(a == b for a, b in zip(named, wanted, strict=True)) / len(named)


@pytest.mark.parametrize("seed", range(12))
def test_any_order_of_names_in_any_spelling_gives_an_oracle_every_text(seed: int) -> None:
    generator = random.Random(seed)
    scheme = SCHEMES[seed % len(SCHEMES)]
    splits = {}
    for split, size in (("train", 90), ("validation", 30), ("test", 30)):
        names = generator.sample(scheme, len(scheme))
        rows = [scheme[i % len(scheme)] for i in range(size)]
        generator.shuffle(rows)
        splits[split] = table(rows, names, generator)
    data = prepare_data(DatasetDict(splits))
    assert {split: accuracy(data, split, scheme) for split in splits} == dict.fromkeys(splits, 1.0)
    # The same rows as strings, each spelled on its own.
    for split, dataset in splits.items():
        texts = dataset["text"][:]
        labels = [spelled(text.split(" is ")[1], generator) for text in texts]
        splits[split] = Dataset.from_dict({"text": texts, "label": labels})
    data = prepare_data(DatasetDict(splits))
    assert {split: accuracy(data, split, scheme) for split in splits} == dict.fromkeys(splits, 1.0)


def test_files_have_their_own_names_and_the_training_files_order_stays(tmp_path: Path) -> None:
    scheme = ["positive", "negative"]
    files: dict[str, Any] = {}
    for split, names in (("train", scheme), ("validation", scheme[::-1]), ("test", ["negative", "positive"])):
        path = tmp_path / f"{split}.parquet"
        table(scheme * 10, names).to_parquet(path)
        files[f"{split}_file"] = str(path)
    data = prepare_data(**files)
    assert data.rule.labels == ("positive", "negative")
    assert {split: accuracy(data, split, scheme) for split in data.splits} == dict.fromkeys(data.splits, 1.0)


def test_a_class_that_training_lacks_is_named_and_never_shifts_the_others() -> None:
    train = table(["joy", "fear"] * 20, ["fear", "joy", "rage"])
    more = table(["rage", "joy", "fear", "joy"], ["joy", "rage", "fear"])
    with pytest.raises(DataError, match=r"split test, row 1: unknown label 'rage' \(known: fear, joy\)"):
        prepare_data(DatasetDict(train=train, test=more))
    data = prepare_data(DatasetDict(train=train, test=more), on_bad_rows="drop")
    assert data.rule.labels == ("fear", "joy")
    assert accuracy(data, "test", ["joy", "fear"]) == 1.0 and len(data.splits["test"]) == 3
    fewer = table(["joy", "joy", "joy"], ["joy"])
    assert accuracy(prepare_data(DatasetDict(train=train, test=fewer)), "test", ["joy", "fear"]) == 1.0


def test_plain_integers_beside_names_are_never_indices_of_these() -> None:
    plain = Dataset.from_dict({"text": ["text 0 is joy", "text 1 is fear"], "label": [0, 1]})
    for names in (["fear", "joy"], ["positive", "negative"]):
        with pytest.raises(DataError, match="unknown label '0'"):
            prepare_data(DatasetDict(train=table(names * 20, names), test=plain))


def test_placeholders_are_asked_for_and_named_by_number() -> None:
    train = table(["LABEL_1", "LABEL_0"] * 20, ["LABEL_1", "LABEL_0"])
    with pytest.raises(CallError, match="LABEL_0, LABEL_1 don't say what they mean"):
        prepare_data(train)
    data = prepare_data(train, labels=["praise", "complaint"])
    said = {
        text.split(" is ")[1]: i
        for text, i in zip(data.splits["train"]["text"], data.splits["train"]["label"], strict=True)
    }
    assert said == {"LABEL_0": 0, "LABEL_1": 1}


@pytest.mark.parametrize(
    "categories", [["positive", "negative"], ["negative", "positive", "unused"], ["1", "0"], [1, 0]]
)
def test_categories_of_a_frame_are_their_values(categories: list[Any], tmp_path: Path) -> None:
    values = categories[:2] * 20
    frame = pd.DataFrame({"text": [f"text {i} is {v}" for i, v in enumerate(values)]})
    frame["label"] = pd.Categorical(values, categories=categories)
    scheme = ["0", "1"] if "1" in map(str, categories) else ["negative", "positive"]
    frame.to_parquet(tmp_path / "frame.parquet")
    for data in (prepare_data(frame), prepare_data(train_file=str(tmp_path / "frame.parquet"))):
        assert data.rule.labels == ("negative", "positive")
        assert accuracy(data, "train", scheme) == 1.0
