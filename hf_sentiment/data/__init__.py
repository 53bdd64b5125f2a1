"""The data room: from a source to labelled, checked, split and tokenised data.

`prepare_data` does all but the last of `load_data` → `infer_label_rule` → `apply_rule` → `make_splits` → `tokenise`.
The names below are imported on first use, so that `import hf_sentiment.data` costs nothing and pulls in neither torch
nor datasets.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "AugmentedDataset": "augmentation",
    "Augmenter": "augmentation",
    "LabelRule": "labels",
    "PreparedData": "prepare",
    "RawData": "sources",
    "RowReport": "checks",
    "SplitReport": "splits",
    "UnknownLabel": "labels",
    "apply_rule": "checks",
    "duplicate_groups": "duplicates",
    "duplicate_key": "duplicates",
    "human_agreement": "starter",
    "infer_label_rule": "labels",
    "is_starter": "starter",
    "load_data": "sources",
    "make_splits": "splits",
    "prepare_data": "prepare",
    "sort_by_length": "tokenisation",
    "starter_data": "starter",
    "starter_model": "starter",
    "tokenise": "tokenisation",
    "truncated_share": "tokenisation",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return __all__
