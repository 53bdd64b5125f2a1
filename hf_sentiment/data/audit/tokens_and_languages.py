"""What a tokenizer and a language identifier say about texts; on a sample where there are very many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_sentiment.data.audit.findings import MAX_EXAMPLES, Finding, counted, graded
from hf_sentiment.data.audit.placeholders import is_placeholder
from hf_sentiment.data.language import SURE_WORDS, is_sure, languages_of
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.texts import Texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Texts that are looked at; a share of one percent is known to 0.14 points by then.
SAMPLE = 20_000

# Texts that a training run asks for their language: a tenth of a second.
RECORDED = 2_000


def placeholder_finding(rows: Rows) -> Finding:
    """Texts that stand for no text; they are read as texts all the same."""
    places = np.flatnonzero(np.fromiter(map(is_placeholder, rows.texts), dtype=bool, count=len(rows)))
    advice = "they are trained on as texts: empty the cells if nothing was written there"
    examples = tuple(rows.example(int(i)) for i in places[:MAX_EXAMPLES])
    return graded("placeholders", 'texts such as "N/A"', len(places), len(rows), advice, examples=examples)


def token_findings(rows: Rows, tokenizer: PreTrainedTokenizerBase, max_length: int, seed: int = 42) -> list[Finding]:
    """The share of texts that are cut, and of tokens that the vocabulary lacks.

    Args:
        rows: Usable ones.
        tokenizer: Of the model.
        max_length: In tokens, special ones included.
        seed: Of the sample.
    """
    sample = _sample(len(rows), seed)
    ids = tokenizer(rows.texts[sample].tolist(), truncation=False, verbose=False)["input_ids"] if len(sample) else []
    lengths = np.array([len(of_text) for of_text in ids], dtype=np.int64)
    unknown = np.array([of_text.count(tokenizer.unk_token_id) for of_text in ids], dtype=np.int64)
    return [_truncated(rows, sample, lengths, max_length), _unknown(rows, sample, lengths, unknown, tokenizer)]


def _truncated(rows: Rows, sample: np.ndarray, lengths: np.ndarray, max_length: int) -> Finding:
    cut = np.flatnonzero(lengths > max_length)
    longest = sorted(cut, key=lambda i: -lengths[i])[:MAX_EXAMPLES]
    more = "a larger --max_length, up to what the model reads, or put what matters first"
    return graded(
        "truncated",
        f"cut at {max_length} tokens",
        len(cut),
        len(sample),
        f"what is cut off is not read: {more}",
        examples=tuple(rows.example(int(sample[i]), f"{lengths[i]:,} tokens") for i in longest),
    )


def _unknown(
    rows: Rows, sample: np.ndarray, lengths: np.ndarray, unknown: np.ndarray, tokenizer: PreTrainedTokenizerBase
) -> Finding:
    # `lengths` and `unknown` are counts of tokens, `[sample]`; the count of this finding is of tokens, not of texts.
    affected = np.flatnonzero(unknown)
    words = _unknown_words(rows.texts[sample[affected[:2_000]]].tolist(), tokenizer) if len(affected) else Counter()
    common = ", ".join(word for word, _ in words.most_common(8))
    most = sorted(affected, key=lambda i: (-unknown[i] / lengths[i], i))[:MAX_EXAMPLES]
    return graded(
        "unknown_tokens",
        f"unknown tokens ({tokenizer.unk_token})",
        int(unknown.sum()),
        int((lengths - tokenizer.num_special_tokens_to_add()).sum()),
        f"the model cannot tell them apart (most often {common}): replace them by words, or take a checkpoint that "
        "knows them",
        examples=tuple(rows.example(int(sample[i]), f"{unknown[i]} of {lengths[i]} tokens") for i in most),
        facts={"words": dict(words.most_common(50)), "texts": len(affected)},
    )


def _unknown_words(texts: list[str], tokenizer: PreTrainedTokenizerBase) -> Counter[str]:
    """What the unknown tokens stand for; only fast tokenizers know."""
    words: Counter[str] = Counter()
    if not tokenizer.is_fast:
        return words
    encoded = tokenizer(texts, truncation=False, verbose=False, return_offsets_mapping=True)
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        words.update(text[a:b] for i, (a, b) in zip(ids, offsets, strict=True) if i == tokenizer.unk_token_id)
    return words


def language_finding(rows: Rows, seed: int = 42) -> Finding:
    """The languages of the texts that are long enough to tell; the count is of those not in the most common one."""
    by_row = languages_of(rows.texts, SAMPLE, seed)
    shares = _shares(by_row)
    main = next(iter(shares), None)
    others = [i for i, name in by_row.items() if name != main]
    shown = ", ".join(f"{name} {100 * share:.1f} %" for name, share in list(shares.items())[:5])
    short = sum(not is_sure(text) for text in rows.texts)
    advice = (
        f"{shown}: a model of one language reads the others badly: take a multilingual checkpoint, or one language; "
        f"{counted(short, 'text')} of fewer than {SURE_WORDS} words not asked"
    )
    return graded(
        "languages",
        f"texts not in {main}" if main else "languages (too short to tell)",
        len(others),
        len(by_row),
        advice,
        examples=tuple(rows.example(i, f"looks like {by_row[i]}") for i in others[:MAX_EXAMPLES]),
        facts={"languages": shares, "too_short": short},
    )


def language_record(texts: Texts, seed: int = 42) -> dict[str, Any]:
    """The languages of some of the texts, for the record of a run.

    Returns:
        `texts`, how many were asked, and `shares`, language (ISO 639-1) → its share of them, the most common first.
    """
    by_row = languages_of(texts, RECORDED, seed)
    return {"texts": len(by_row), "shares": _shares(by_row)}


def _shares(by_row: Mapping[int, str]) -> dict[str, float]:
    return {name: round(count / len(by_row), 4) for name, count in Counter(by_row.values()).most_common()}


def _sample(count: int, seed: int) -> np.ndarray:
    """Row numbers, all of them or `SAMPLE` at random, in order."""
    if count <= SAMPLE:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, SAMPLE, replace=False))
