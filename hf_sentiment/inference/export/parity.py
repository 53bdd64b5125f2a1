"""Whether an exported model says what it said in torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hf_sentiment.errors import SentimentError
from hf_sentiment.inference.backends import load_backend
from hf_sentiment.inference.classifier import SentimentClassifier

# Of a logit. Where the largest is beyond 26 it grows in proportion: that is 32 roundings of float32, of which engines
# differ by some ten.
TOLERANCE, _LARGE = 1e-4, 26

# Of many lengths, with what tokenizers treat in many ways.
PROBES = (
    "Good.",
    "It was not bad at all, but I would not watch it twice.",
    "DREADFUL acting; the plot (if there is one) goes nowhere for 2 1/2 hours...",
    "déjà vu – naïve, and yet \N{SMILING FACE WITH HEART-SHAPED EYES} \N{THUMBS UP SIGN}",
    "这部电影很好看。 Это хорошо. とても良い",
    " ".join(["The first half drags, the second one is a joy, and the ending makes up for all of it."] * 4),
    " ".join(["I have seen worse films, though I could not name one right now."] * 9),
)


def check_parity(torch: SentimentClassifier, folder: str, kind: str, texts: Sequence[str]) -> float:
    """The largest difference of a logit between torch and the exported model, as it is loaded from its folder.

    Args:
        torch: The model that was exported.
        folder: Where it was written.
        kind: The backend that reads it.
        texts: Any.

    Raises:
        SentimentError: It has other tokens, or logits that differ by more than `TOLERANCE`.
    """
    exported = load_backend(kind, folder, 1)
    long = " ".join(PROBES) * (1 + torch.backend.max_length // 100)
    given, found = (backend.tokenize([*texts, long]) for backend in (torch.backend, exported))
    if given.columns["input_ids"] != found.columns["input_ids"]:
        raise SentimentError("the exported tokenizer gives other tokens than the model's: nothing was written")
    logits = torch.logits(texts)
    difference = float(np.abs(logits - SentimentClassifier(exported).logits(texts)).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(logits).max()) / _LARGE)
    if not difference <= allowed:  # NaN is none either
        raise SentimentError(
            f"the exported model's logits differ by up to {difference:.2g} from torch's, and {allowed:.2g} is allowed: "
            "nothing was written"
        )
    return difference
