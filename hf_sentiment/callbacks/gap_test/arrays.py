"""Losses and other values of texts, as arrays and as plain JSON."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def encode(row: Array) -> str:
    """Base64 of the row as little-endian 32-bit floats: what models give, in about 5 bytes a value."""
    return base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")


def decode(text: str) -> Array:
    """The row that `encode` was given."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)
