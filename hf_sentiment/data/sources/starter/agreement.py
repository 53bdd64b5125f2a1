"""Agreement of human raters, the row beside a classifier's accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_sentiment.errors import CallError
from hf_sentiment.records.schema import HumanAgreement

# Mean ratings within +-0.5 are neutral: the corpora's own rule (Hutto & Gilbert, ICWSM 2014; scale -4...4).
NEUTRAL_BAND = 0.5


def human_agreement(ratings: Sequence[Sequence[int]], neutral_band: float = NEUTRAL_BAND) -> HumanAgreement:
    """Agreement of one rater with the mean of the others: the human row beside a classifier's accuracy.

    A rater's own class is the sign of the rating. The reference is the class of the mean of the *other* raters. The
    share of agreeing raters is taken within a text, then averaged over texts, so that a text with more raters does not
    count for more. Binary figures keep the texts whose overall mean is outside the band, and in them the raters for
    whom the others' mean is outside it too.

    Args:
        ratings: One sequence of ratings a text, centred on 0, at least two a text.
        neutral_band: Means in [-band, band] are neutral.
    """
    shares: dict[str, list[float]] = {"decided": [], "half": [], "strict": [], "ternary": []}
    texts = 0
    for values in ratings:
        scores = np.asarray(values, dtype=float)  # one rating a rater
        if scores.size < 2:
            raise CallError("human_agreement needs at least two ratings a text; leave the others out")
        total = scores.sum()
        # For each rater the own class, and that of the mean of the others: -1, 0 or 1.
        own = np.sign(scores)
        others = _polarity((total - scores) / (scores.size - 1), neutral_band)
        shares["ternary"].append(float(np.mean(own == others)))
        # Binary: raters whose others decide, in texts whose mean does.
        counted = others != 0
        if not _polarity(total / scores.size, neutral_band) or not counted.any():
            continue
        texts += 1
        right = float(np.sum((own == others) & counted))
        zeros = float(np.sum((own == 0) & counted))
        raters = float(counted.sum())
        shares["strict"].append(right / raters)
        shares["half"].append((right + 0.5 * zeros) / raters)
        if raters > zeros:
            shares["decided"].append(right / (raters - zeros))
    means = {name: float(np.mean(values)) if values else float("nan") for name, values in shares.items()}
    return HumanAgreement(texts=texts, **means)


def _polarity(mean: Any, band: float) -> Any:
    """-1, 0 or 1 for a mean (scalar or array) below, within or above the neutral band."""
    return np.where(mean > band, 1, np.where(mean < -band, -1, 0))
