"""Every test of the data room has a cache of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import datasets
import pytest
from datasets import Dataset


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`datasets` caches below the test's folder."""
    folder = tmp_path / "datasets-cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", folder)
    return folder


@pytest.fixture
def labeled() -> Callable[..., Dataset]:
    """`labelled(texts, labels, groups=None)`: a data set of rows with class indices."""

    def make(texts: list[str], labels: list[int], groups: list[str] | None = None) -> Dataset:
        columns = {"text": texts, "label": labels, "row": list(range(1, len(texts) + 1))}
        return Dataset.from_dict(columns | ({"group": groups} if groups else {}))

    return make
