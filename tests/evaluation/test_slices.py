"""Slices: every text is in one of each column, and one is called worse only where chance does not explain it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact

from hf_sentiment.evaluation.slices import sliced


def right_at(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `[texts, 2]` and references of a model that is right with these probabilities."""
    generator = np.random.default_rng(0)
    references = np.arange(len(rates)) % 2
    predictions = np.where(generator.random(len(rates)) < rates, references, 1 - references)
    return np.where(np.eye(2)[predictions] > 0, 0.9, 0.1), references


def test_a_worse_slice_is_marked_and_no_other_one() -> None:
    shops = np.repeat(["here", "there", "online", "abroad"], [200, 200, 90, 12])
    probabilities, references = right_at(np.where(shops == "online", 0.6, 0.9))
    coins = ["heads" if i % 3 else "tails" for i in range(len(shops))]
    found = {row.value: row for row in sliced({"shop": shops.tolist(), "coin": coins}, probabilities, references)}
    assert list(found) == ["here", "there", "online", "abroad", "heads", "tails"]
    assert [value for value, row in found.items() if row.worse] == ["online"]
    of_online = shops == "online"
    right = probabilities.argmax(axis=1) == references
    assert found["online"].accuracy is not None
    assert found["online"].accuracy.value == pytest.approx(right[of_online].mean())
    assert (found["abroad"].texts, found["abroad"].accuracy, found["abroad"].p_value) == (12, None, None)
    assert sum(row.texts for row in found.values() if row.column == "shop") == len(shops)


def test_the_p_values_are_corrected_for_all_slices_together() -> None:
    generator = np.random.default_rng(1)
    columns = {name: generator.integers(3, size=300).tolist() for name in ("a", "b")}
    probabilities, references = right_at(np.full(300, 0.8))
    right = probabilities.argmax(axis=1) == references
    found = sliced(columns, probabilities, references)
    plain = []
    for row in found:
        texts = np.array(columns[row.column]) == int(row.value)
        table = [[np.sum(right & of), np.sum(~right & of)] for of in (texts, ~texts)]
        plain.append(fisher_exact(table, alternative="less").pvalue)
    expected, most = {}, 0.0
    for place, i in enumerate(np.argsort(plain)):
        most = max(most, min(1.0, (len(plain) - place) * plain[i]))
        expected[int(i)] = most
    assert [row.p_value for row in found] == pytest.approx([expected[i] for i in range(len(found))])


def test_numbers_are_in_quarters_few_of_them_as_they_are_and_rare_words_together() -> None:
    probabilities, references = right_at(np.full(240, 0.9))
    columns = {
        "words": [str(i + 1) for i in range(240)],
        "stars": [i % 3 + 1 for i in range(240)],
        "name": [f"n{i % 30:02d}" for i in range(240)],
        "price": ["", None, *["2,5"] * 238],
        "long": ["x" * 1000] * 240,
    }
    found: dict[str, dict[str, int]] = {}
    for row in sliced(columns, probabilities, references):
        found.setdefault(row.column, {})[row.value] = row.texts
    assert found["words"] == {"1 to 60": 60, "61 to 120": 60, "121 to 180": 60, "181 to 240": 60}
    assert found["stars"] == {"1": 80, "2": 80, "3": 80}
    assert len(found["name"]) == 21 and found["name"]["10 other values"] == 80
    assert found["long"] == {"x" * 57 + "...": 240}
    assert found["price"] == {"2,5": 238, "(empty)": 2}


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["4006381333931", "4006381333948"], {"4006381333931": 60, "4006381333948": 60}),
        ([4006381333931.0, 4006381333948.0], {"4006381333931": 60, "4006381333948": 60}),
        ([12345678901234567891, 12345678901234567892], {"12345678901234567891": 60, "12345678901234567892": 60}),
        (["007", "7"], {"007": 60, "7": 60}),
        (["1.1", "1.10"], {"1.1": 60, "1.10": 60}),
        (["(empty)", ""], {"(empty)": 60, "((empty))": 60}),
        ([f"{i:05d}" for i in range(12)], {f"{i:05d}": 10 for i in range(12)}),
        ([10**12 + i for i in range(60)], {f"{10**12 + i} to {10**12 + i + 14}": 30 for i in range(0, 60, 15)}),
        (["5 other values", *map("n{}".format, range(24))], {"(5 other values)": 20, "5 other values": 5}),
    ],
)
def test_values_are_shown_as_written_and_none_takes_another_place(
    cells: list[object], expected: dict[str, int]
) -> None:
    probabilities, references = right_at(np.full(120, 0.9))
    column = [cells[i % len(cells)] for i in range(120)]
    found = sliced({"code": column}, probabilities, references)
    counts = {row.value: row.texts for row in found}
    assert sum(counts.values()) == 120 and len(counts) == len(found)
    assert counts | expected == counts and (len(counts) == len(expected) or len(cells) == 25)


def test_a_slice_that_lacks_a_label_has_no_macro_f1() -> None:
    probabilities, references = right_at(np.full(100, 0.9))
    only, both = (
        sliced({"label": references.tolist()}, probabilities, references),
        sliced({"all": ["x"] * 100}, probabilities, references),
    )
    assert all(row.macro_f1 is None and row.accuracy is not None for row in only)
    assert both[0].macro_f1 is not None and both[0].p_value is None and not both[0].worse
