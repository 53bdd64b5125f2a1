"""What Windows lacks, no module needs to be imported."""

from __future__ import annotations

import subprocess
import sys

import psutil
import torch

from hf_sentiment.compute.hardware import memory_bytes, peak_memory_bytes

_IMPORT_ALL = """
import builtins, importlib, pkgutil

unix_only, real = {"resource", "fcntl", "pwd", "grp", "termios"}, builtins.__import__

def guarded(name, globals=None, *args, **options):
    if name in unix_only and (globals or {}).get("__name__", "").startswith("hf_sentiment"):
        raise ModuleNotFoundError(f"{globals['__name__']} imports {name}, which Windows lacks")
    return real(name, globals, *args, **options)

builtins.__import__ = guarded
import hf_sentiment
for module in pkgutil.walk_packages(hf_sentiment.__path__, "hf_sentiment."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


def test_every_module_can_be_imported_without_what_only_unix_has() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_memory_is_in_bytes() -> None:
    total = memory_bytes(torch.device("cpu"))
    assert psutil.Process().memory_info().rss / 2 < peak_memory_bytes() < total
    assert total > 2**29
