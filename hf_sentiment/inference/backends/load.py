"""Which engine runs a model."""

from __future__ import annotations

from hf_sentiment.errors import CallError
from hf_sentiment.inference.backends.protocol import Backend

# Beside torch those of `exported.FILES`, said here as that module imports its tokenizer.
BACKENDS = ("torch", "onnx", "onnx-int8", "openvino", "openvino-bf16", "openvino-int8")


def load_backend(kind: str, name: str, num_threads: int | None = None, revision: str | None = None) -> Backend:
    """Load a model to be run by an engine.

    Args:
        kind: One of `BACKENDS`.
        name: What `find_checkpoint` gave.
        num_threads: CPU threads; by default the engine's own choice.
        revision: Branch, tag or commit of a Hub repository.

    Raises:
        CallError: An unknown engine, or a model that it cannot load.
    """
    if kind not in BACKENDS:
        raise CallError(f"backend must be one of {', '.join(BACKENDS)}, got {kind!r}")
    if num_threads is not None and num_threads < 1:
        raise CallError(f"--num_threads must be at least 1, got {num_threads}")
    if kind == "torch":
        from hf_sentiment.inference.backends.with_torch import TorchBackend

        return TorchBackend.load(name, num_threads, revision)
    from hf_sentiment.inference.backends.exported import FILES, ExportedBackend, exported_folder

    folder = exported_folder(name, kind, revision)
    if kind.startswith("openvino"):
        from hf_sentiment.inference.backends.with_openvino import openvino_engine

        return ExportedBackend(folder, openvino_engine(folder / FILES[kind], num_threads, kind != "openvino"))
    from hf_sentiment.inference.backends.with_onnx import onnx_engine

    return ExportedBackend(folder, onnx_engine(folder / FILES[kind], num_threads), alone=kind == "onnx-int8")
