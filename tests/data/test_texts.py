"""Texts that stay in Arrow: the same as a list of them, whatever part is taken."""

from __future__ import annotations

import numpy as np
import pytest
from datasets import Dataset

from hf_sentiment.data import texts as module
from hf_sentiment.data.texts import Texts, numbers


def test_they_are_as_a_list_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)
    first = Dataset.from_dict({"text": ["a", None, "c", "d"], "label": [0, 1, 0, 1]})
    second = Dataset.from_dict({"text": ["é", "", "g", "h", "i"]}).select([4, 3, 2, 0])
    whole = ["a", "", "c", "d", "i", "h", "g", "é"]
    texts = Texts([first, second])
    assert len(texts) == 8 and list(texts) == texts.tolist() == whole
    assert [texts[i] for i in range(8)] == whole and texts[np.int64(7)] == texts[-1] == "é"
    mask = np.array([text > "b" for text in whole])
    assert list(texts[mask]) == [text for text in whole if text > "b"]
    assert list(texts[mask][1:4]) == ["d", "i", "h"] and texts[mask][0] == "c"
    assert list(texts[np.array([7, 0, 5])]) == ["é", "a", "h"]
    assert list(Texts([])) == [] and len(texts[np.zeros(8, dtype=bool)]) == 0


def test_a_column_of_numbers_is_an_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)
    whole = Dataset.from_dict({"text": [""] * 8, "label": range(8)})
    assert numbers(whole, "label").tolist() == list(range(8))
    assert numbers(whole.select([7, 0, 5, 5]), "label").tolist() == [7, 0, 5, 5]
    nothing = numbers(whole.select([]), "label")
    assert nothing.tolist() == [] and nothing.dtype == np.int64
