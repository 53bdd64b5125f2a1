"""Duplicates stay together, labels keep their shares, the same seed gives the same rows."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from hf_sentiment.data.prepare import PreparedData, prepare_data
from hf_sentiment.data.splits import NEAR, Duplicates, duplicate_key, duplicates, make_splits, usual_shares
from hf_sentiment.data.splits.make import _take
from hf_sentiment.errors import CallError, DataError

WORDS = [f"w{i}" for i in range(400)]


def duplicate_groups(texts: list[str], known: list[str | None] | None = None) -> np.ndarray:
    return Duplicates(texts).groups(known=known)


def split(table: Dataset, seed: int, label_names: list[str] | None = None, **shares: float) -> dict[str, Dataset]:
    known = table["group"][:] if "group" in table.column_names else None
    groups = Duplicates(table["text"][:]).groups(known=known)
    shares = shares or {"test": 0.1, "validation": 0.1}
    parts = make_splits(np.asarray(table["label"]), groups, shares, seed=seed, label_names=label_names)
    return {name: table.select(rows) for name, rows in parts.items()}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Good  film!", "good film"),
        ("\uff27ood film", "Good film"),
        ("It\u2019s fine.", "its fine"),
        ("STRASSE", "straße"),
        ("ok\u200b then", "ok then"),
        ("\u2764\ufe0f", "\u2764"),
        ("well - made", "well-made"),
        ("很好 ， 推荐！", "很好，推荐"),
        ("ﾊﾟｿｺﾝ", "パソコン"),
    ],
)
def test_same_key(one, other):
    assert duplicate_key(one) == duplicate_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (":)", ":("),
        ("fun :)", "fun :("),
        ("fun:)", "fun:("),
        ("fun (:", "fun ):"),
        ("fun :)", "fun"),
        ("fun :-D", "fun :-("),
        ("fun :D", "fun :/"),
        ("film <3", "film </3"),
        ("хорошо)))", "хорошо((("),
        ("좋아요^^", "좋아요--"),
        ("+1", "-1"),
        ("Grade: A+", "Grade: A-"),
        ("stock ↑", "stock ↓"),
        ("5/5", "5.5"),
        ("1/5 stars", "1.5 stars"),
        ("film <3", "film"),
        ("\U0001f600", "\U0001f622"),
        ("so \U0001f44d", "so \U0001f44e"),
        ("good", "bad"),
        ("not good", "good"),
        ("9/10", "1/10"),
        ("!!!", "???"),
        ("कि", "का"),
    ],
)
def test_different_keys_and_groups(one, other):
    assert duplicate_key(one) != duplicate_key(other)
    assert len(set(duplicate_groups([one, other]))) == 2


def sentence(generator: random.Random, length: int) -> list[str]:
    return [generator.choice(WORDS) for _ in range(length)]


def test_near_duplicates_agree_with_brute_force():
    generator = random.Random(0)
    texts = []
    for _ in range(60):
        base = sentence(generator, generator.randint(3, 30))
        texts.append(" ".join(base))
        for _ in range(generator.randint(0, 3)):
            copy = list(base)
            for _ in range(generator.randint(0, 3)):
                copy[generator.randrange(len(copy))] = generator.choice(WORDS)
            texts.append(" ".join(copy))
    generator.shuffle(texts)
    bags = [set(pairwise(text.split())) for text in texts]
    linked = {i: {i} for i in range(len(texts))}
    for i, left in enumerate(bags):
        for j, right in enumerate(bags[:i]):
            same = texts[i] == texts[j]
            if same or (left and right and len(left & right) >= NEAR * len(left | right)):
                merged = linked[i] | linked[j]
                for member in merged:
                    linked[member] = merged
    groups = duplicate_groups(texts)
    for i in range(len(texts)):
        assert set(np.flatnonzero(groups == groups[i])) == linked[i], texts[i]


def test_similarity_at_the_threshold_counts():
    # Four word pairs of five are shared: 0.8 exactly. Three of four are too few.
    assert len(set(duplicate_groups(["a b c d e", "a b c d e f"]))) == 1
    assert len(set(duplicate_groups(["a b c d", "a b c d e"]))) == 2


def test_a_text_without_blanks_is_not_one_word():
    long = "键盘手感很好屏幕也清晰电池可以用五个半小时价格便宜值得推荐给朋友"
    texts = [
        long,
        long.replace("朋友", "大家"),
        long.replace("很好", "很差").replace("值得", "不值"),
        "房间太小",
        "房间太吵",
        "フロントの対応がとても丁寧で朝食もおいしくまた泊まりたいと思いました",
        "フロントの対応がとても丁寧で朝食もおいしくまた泊まりたいと思います",
    ]
    assert duplicate_groups(texts).tolist() == [0, 0, 1, 2, 3, 4, 4]


def test_group_numbers_and_given_groups():
    texts = ["a b", "c", "A b.", "d", "e", "f"]
    assert duplicate_groups(texts).tolist() == [0, 1, 0, 2, 3, 4]
    assert duplicate_groups(texts, ["x", "y", None, None, "y", "x"]).tolist() == [0, 1, 0, 2, 1, 0]
    assert duplicate_groups([]).tolist() == []
    assert duplicate_groups(["one", "two"]).tolist() == [0, 1]


def test_template_text_is_linked_beyond_the_window():
    fixed = " ".join(WORDS[:30])
    texts = [f"order {i:04d} {fixed}" for i in range(900)]
    assert len(set(duplicate_groups(texts))) == 1


def corpus(labeled, rows=600, seed=0, share=0.3, groups=False):
    generator = random.Random(seed)
    texts, labels = [], []
    while len(texts) < rows:
        text = " ".join(sentence(generator, 12))
        copies = generator.choice([1, 1, 1, 2, 4])
        label = int(generator.random() < share)
        texts += [text + "!" * i for i in range(copies)]
        labels += [label] * copies
    ids = [f"d{i // 7}" for i in range(len(texts))] if groups else None
    return labeled(texts, labels, ids)


@pytest.mark.parametrize("rows", [600, 2500])
def test_made_splits(labeled, rows):
    table = corpus(labeled, rows)
    splits = split(table, 3)
    assert list(splits) == ["test", "validation", "train"]
    numbers = [row for part in splits.values() for row in part["row"]]
    assert sorted(numbers) == table["row"][:]
    for name in ("validation", "test"):
        assert abs(len(splits[name]) / len(table) - 0.1) < 0.02
        assert splits[name]["row"][:] == sorted(splits[name]["row"])
    whole = np.mean(table["label"])
    assert all(abs(np.mean(part["label"]) - whole) < 0.04 for part in splits.values())
    groups = Duplicates([text for part in splits.values() for text in part["text"]]).groups()
    parts = np.split(groups, np.cumsum([len(part) for part in splits.values()])[:-1])
    assert not any(set(one) & set(other) for one, other in combinations(parts, 2))
    assert split(table, 3)["test"]["row"][:] == splits["test"]["row"][:]
    assert split(table, 4)["test"]["row"][:] != splits["test"]["row"][:]


def test_known_groups_stay_together(labeled):
    splits = split(corpus(labeled, groups=True), 0)
    held = [set(part["group"]) for part in splits.values()]
    assert not held[0] & held[1] and not held[0] & held[2] and not held[1] & held[2]


def test_a_part_of_the_texts_is_grouped_as_if_it_were_all():
    generator = random.Random(1)
    base = [sentence(generator, 14) for _ in range(30)]
    texts = [" ".join([*words, *generator.choices(WORDS, k=generator.randint(0, 3))]) for words in base * 4]
    whole = Duplicates(texts)
    for size in (0, 1, 40, 119):
        part = np.sort(np.random.default_rng(size).choice(len(texts), size, replace=False))
        assert whole.groups(part).tolist() == duplicate_groups([texts[i] for i in part]).tolist()
    # A chain is broken where its middle is left out.
    chain = Duplicates(["a b c d e", "a b c d e f", "a b c d e f g"])
    assert chain.groups().tolist() == [0, 0, 0] and chain.groups(np.array([0, 2])).tolist() == [0, 1]


def test_how_many_are_looked_at_together_changes_nothing(monkeypatch):
    generator = random.Random(2)
    base = [sentence(generator, 12) for _ in range(40)]
    texts = [" ".join([*words, *generator.choices(WORDS, k=generator.randint(0, 2))]) for words in base * 3]
    whole = Duplicates(texts)
    monkeypatch.setattr(duplicates, "_KEYS", 7)
    monkeypatch.setattr(duplicates, "_PLACES", 5)
    monkeypatch.setattr(duplicates, "_ENTRIES", 11)
    parts = Duplicates(texts)
    assert 1 < whole.groups().max() < 100 and parts.groups().tolist() == whole.groups().tolist()
    assert parts.keys.tolist() == whole.keys.tolist() and parts.hashes.tolist() == whole.hashes.tolist()


def named(table: Dataset) -> Dataset:
    names = [("negative", "positive")[label] for label in table["label"]]
    return Dataset.from_dict({"text": table["text"][:], "label": names})


def test_given_splits_are_kept_and_their_overlap_is_counted(labeled, caplog):
    train = corpus(labeled)
    test = labeled([train["text"][5] + " ?", "something else"], [0, 1])

    def prepare(**splits: Dataset) -> tuple[PreparedData, dict[str, int]]:
        data = prepare_data(DatasetDict({name: named(table) for name, table in splits.items()}), validation_share=0.2)
        leaks = [finding for finding in data.findings if finding.name == "leakage"]
        return data, {finding.facts["splits"]: finding.count for finding in leaks}

    with caplog.at_level("WARNING"):
        data, shared = prepare(train=train, test=test)
    assert data.splits["test"]["text"][:] == test["text"][:]
    assert data.origin["test"] == "given" and data.origin["validation"] == "made from train: seed 42, share 0.2"
    assert abs(len(data.splits["validation"]) / len(train) - 0.2) < 0.03
    assert shared["train/test"] + shared["validation/test"] == 1 and shared["train/validation"] == 0
    assert "near-duplicate" in caplog.text
    data, shared = prepare(train=train, validation=test, test=test)
    assert data.splits["train"]["text"][:] == train["text"][:] and data.seed is None
    assert shared["validation/test"] == 2


@pytest.mark.parametrize("size", [3, 4, 5, 8, 20])
def test_small_data_have_every_label_in_every_split(labeled, size):
    generator = random.Random(size)
    texts = [" ".join(sentence(generator, 8)) for _ in range(2 * size)]
    for seed in range(5):
        splits = split(labeled(texts, [0, 1] * size), seed)
        assert all(set(part["label"]) == {0, 1} for part in splits.values())
        assert sum(map(len, splits.values())) == 2 * size


def test_a_rare_label_reaches_every_split_or_is_named(labeled):
    generator = random.Random(0)
    texts = [" ".join(sentence(generator, 8)) for _ in range(200)]
    splits = split(labeled(texts, [0, 1] * 98 + [2] * 4), 0)
    assert all(set(part["label"]) == {0, 1, 2} for part in splits.values())
    with pytest.raises(DataError, match='label "mixed" has only 2 training rows'):
        split(labeled(texts, [0, 1] * 99 + [2] * 2), 0, ["negative", "positive", "mixed"])
    texts[-4:] = ["the same text"] * 4
    with pytest.raises(DataError, match="label 2 has only 4 training rows, 1 of them different"):
        split(labeled(texts, [0, 1] * 98 + [2] * 4), 0)


def test_folds_are_chosen_for_the_labels_still_lacking():
    held = [{0, 1}, {0, 1}, {0, 1}, {2}, {2}, {0, 2}]
    assert _take([0, 1, 2, 3, 4, 5], held, {0, 1, 2}, 1, 2) == [0, 3]
    assert _take([0, 1, 2, 3, 4, 5], held, {0, 1, 2}, 3, 2) == [0, 3, 1]
    assert _take([1, 3, 5], held, {0, 1, 2}, 2, 2) == [1]


def test_a_share_of_0_makes_no_split(labeled):
    table = named(corpus(labeled, 100))
    data = prepare_data(table, validation_share=0, test_share=0)
    assert list(data.splits) == ["train"] and data.splits["train"]["text"][:] == table["text"][:]
    assert data.origin == {"train": "given"} and not [f for f in data.findings if f.name == "leakage"]
    data = prepare_data(table, validation_share=0, test_share=0.2)
    assert list(data.splits) == ["train", "test"] and abs(len(data.splits["test"]) / len(table) - 0.2) < 0.02


def test_a_small_share_is_small():
    labels, groups = np.arange(200) % 2, np.arange(200)
    for shares, sizes in (
        ({"test": 0.02, "validation": 0.01}, [4, 2, 194]),
        ({"test": 0.001, "validation": 0.1}, [2, 20, 178]),
        ({"test": 0.15, "validation": 0.1}, [30, 20, 150]),
    ):
        assert [len(rows) for rows in make_splits(labels, groups, shares, seed=0).values()] == sizes


def test_thousands_of_groups_stay_whole_and_each_split_has_its_share_of_every_label():
    draw = np.random.default_rng(0)
    sizes = np.concatenate([[400, 90], draw.integers(1, 4, size=6_000)])  # two large groups, and two thousand each
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = draw.permutation(3)[groups % 3]
    labels[:400] = draw.integers(0, 3, size=400)
    order = draw.permutation(len(groups))
    groups, labels = groups[order], labels[order]
    parts = make_splits(labels, groups, {"validation": 0.1, "test": 0.15}, seed=0)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(groups)))
    assert sum(len(np.unique(groups[rows])) for rows in parts.values()) == len(sizes)
    for name, share in {"validation": 0.1, "test": 0.15}.items():
        assert np.bincount(labels[parts[name]]) / np.bincount(labels) == pytest.approx(share, abs=0.005)


def test_the_usual_share_is_a_fifth_of_little_data():
    assert [usual_shares(texts).test for texts in (2, 999, 1000, 50_000, 2_000_000)] == [0.2, 0.2, 0.1, 0.1, 0.025]
    assert usual_shares(999).validation == 0.2


def test_wrong_calls(labeled):
    table = named(corpus(labeled, 50))
    with pytest.raises(CallError, match="no split to train on"):
        prepare_data(DatasetDict(test=table))
    with pytest.raises(CallError, match=r"between 0 and 0\.5"):
        prepare_data(table, test_share=0.7)
