"""`export.json`: what an exported model was compared with, and how it fared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Int8Record:
    """What rounding the weights to 8 bits changed.

    Attributes:
        texts: How many it was measured on.
        changed: Share of them that have another label than with 32 bits, in [0, 1].
        accuracy: With 8 bits; `None` where the texts have no labels.
        accuracy_float32: With 32 bits.
        forced: Whether it was kept in spite of its losses.
    """

    texts: int
    changed: float
    accuracy: float | None = None
    accuracy_float32: float | None = None
    forced: bool = False


@dataclass(frozen=True)
class ExportRecord:
    """An exported model.

    Attributes:
        format: "onnx" or "openvino".
        versions: Of the packages that wrote it.
        texts: How many it was compared with torch on.
        largest_difference: Of a logit.
        int8: Of the rounded model beside it, if there is one.
    """

    format: str
    versions: dict[str, str]
    texts: int
    largest_difference: float
    int8: Int8Record | None = None
