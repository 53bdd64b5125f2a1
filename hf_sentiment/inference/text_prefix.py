"""What an encoder wants before every text ("query: "), put into the tokenizer, so that no caller has to know of it."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_sentiment.errors import CallError

# Texts that a tokenizer has many ways to treat: case, accents, spaces, signs, letters of several scripts.
_ODD_TEXTS = (
    "A plain text.",
    "  NOT so GOOD,  but\tall right\n",
    "déjà vu – naïve, e\u0301 ﬁ ① ½ İ",
    "1/10 :( 😀👍🏽 #bad @me http://a.b/c?d=e",
    "这部电影很好看。 とても良い 좋아요",
    "'quoted' \"twice\" «thrice» don't",
    "Ѐто хорошо ممتاز नमस्ते",
)


def with_text_prefix(tokenizer: PreTrainedTokenizerBase, prefix: str, recorded: str) -> PreTrainedTokenizerBase:
    """A tokenizer that gives the tokens of prefix + text for each text that is not empty.

    The prefix is the first step of the normalisation in tokenizer.json. Classes of a family build that anew when they
    are loaded, so the result is of the general class, which takes it as it is. After a special token that stands in a
    text in full, the prefix comes once more.

    Args:
        tokenizer: Of the model.
        prefix: With the space at its end, if there is one; empty for none.
        recorded: The prefix that the model's config has, which the tokenizer may carry already.

    Raises:
        CallError: The tokenizer cannot carry it.
    """
    refused = (
        f"--text_prefix {prefix!r}: this tokenizer gives other tokens than for prefix and text in one: leave it out "
        '(--text_prefix "") and put it before your texts'
    )
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        if prefix:
            raise CallError(refused)
        return tokenizer
    steps = _steps(json.loads(backend.to_str()))
    carries = bool(recorded) and steps[:1] == [_prepend(recorded)]
    if prefix == (recorded if carries else ""):
        return tokenizer
    plain = _with_steps(tokenizer, steps[1:]) if carries else tokenizer
    if not prefix:
        return plain
    changed = _with_steps(plain, [_prepend(prefix), *_steps(json.loads(plain.backend_tokenizer.to_str()))])
    tokens = len(plain.tokenize(prefix))
    if 2 * tokens > plain.model_max_length:
        raise CallError(
            f"--text_prefix has {tokens} tokens of {plain.model_max_length} that the model reads: shorten it"
        )
    if any(_ids(changed, text) != _ids(plain, prefix + text) for text in _ODD_TEXTS):
        raise CallError(refused)
    return changed


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, verbose=False)["input_ids"])  # whatever the model can read, of which it would warn


def _prepend(prefix: str) -> dict[str, Any]:
    return {"type": "Prepend", "prepend": prefix}


def _steps(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of the normalisation in a tokenizer.json."""
    normalizer = state.get("normalizer") or {"type": "Sequence", "normalizers": []}
    return list(normalizer["normalizers"]) if normalizer["type"] == "Sequence" else [normalizer]


def _with_steps(tokenizer: PreTrainedTokenizerBase, steps: list[dict[str, Any]]) -> PreTrainedTokenizerBase:
    """The same tokenizer, of the general class, with these steps."""
    with TemporaryDirectory() as folder:
        tokenizer.save_pretrained(folder)
        path = Path(folder, "tokenizer.json")
        state = json.loads(path.read_text(encoding="utf-8"))
        state["normalizer"] = {"type": "Sequence", "normalizers": steps}
        path.write_text(json.dumps(state), encoding="utf-8")
        changed = PreTrainedTokenizerFast.from_pretrained(
            folder, model_input_names=tokenizer.model_input_names, model_max_length=tokenizer.model_max_length
        )
    changed.name_or_path = tokenizer.name_or_path
    return changed
