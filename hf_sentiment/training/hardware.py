"""What the machine can do: its memory, its number formats, and how long a text takes."""

from __future__ import annotations

import os
import time

import torch
from transformers import PreTrainedTokenizerBase

from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

# Texts whose forward pass is timed.
_TIMED = 16


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device computes bfloat16 itself: where it is emulated, it is slower than float32."""
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def memory_bytes(device: torch.device) -> int:
    """Bytes of the accelerator's memory, or of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def seconds_a_text(
    model: BertForSentimentAnalysis,
    tokenizer: PreTrainedTokenizerBase,
    sample: list[str],
    max_length: int,
    bfloat16: bool,
) -> float:
    """Seconds of a forward pass for a text, over a batch of the first texts; the second of two passes counts.

    Args:
        model: On the CPU.
        tokenizer: Of the model.
        sample: Texts, at least one.
        max_length: In tokens.
        bfloat16: Whether the pass is in mixed precision.
    """
    texts = sample[:_TIMED]
    batch = tokenizer(texts, truncation=True, max_length=max_length, padding=True, return_tensors="pt")
    was_training = model.training
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
        model(**batch)
        began = time.perf_counter()
        model(**batch)
        seconds = time.perf_counter() - began
    model.train(was_training)
    return seconds / len(texts)
