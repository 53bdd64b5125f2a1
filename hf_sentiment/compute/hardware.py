"""What the machine has: its memory and its number formats."""

from __future__ import annotations

import os

import torch


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device has bfloat16 of its own: to emulate it is slower than float32. A CPU's may be slower too."""
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def memory_bytes(device: torch.device) -> int:
    """Bytes of the accelerator's memory, or of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
