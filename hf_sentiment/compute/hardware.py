"""What the machine has, and what of it this process has used: memory and number formats."""

from __future__ import annotations

import sys

import psutil
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
    return int(psutil.virtual_memory().total)


def peak_memory_bytes() -> int:
    """Peak resident memory of this process in bytes."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource  # there is none on Windows, and psutil knows no peak elsewhere

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts kibibytes
