"""Names of metrics: as the Trainer writes them, and whether more or less of one is better."""

from __future__ import annotations

import re

# Last words of the names of metrics of which less is better. transformers looks for names that end in "loss" alone.
_LESS_IS_BETTER = (
    *("loss", "error", "errors", "perplexity", "ppl", "mse", "rmse", "mae", "mape", "brier", "ece", "nll", "entropy"),
    *("wer", "cer", "ter", "distance", "deviance", "fpr", "fnr"),
)
# Last words of the names of those of which more is better. Of any other name that is only supposed.
_MORE_IS_BETTER = ("accuracy", "f1", "precision", "recall", "auroc", "auc", "mcc", "kappa", "bleu")


def with_prefix(name: str) -> str:
    """The metric as the Trainer names it."""
    return name if name.startswith("eval_") else f"eval_{name}"


def less_is_better(name: str) -> bool:
    """Whether the metric is one of which less is better, by the last word of its name."""
    word = _last_word(name)
    return word in _LESS_IS_BETTER or word.endswith(("loss", "error"))


def more_is_better(name: str) -> bool:
    """Whether the metric is known to be one of which more is better, by the last word of its name."""
    return _last_word(name) in _MORE_IS_BETTER


def _last_word(name: str) -> str:
    return re.split(r"[_/.\- ]", name.lower())[-1]
