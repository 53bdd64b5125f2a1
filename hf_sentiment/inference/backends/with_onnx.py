"""onnxruntime, on the CPU."""

from __future__ import annotations

from pathlib import Path

from hf_sentiment.compute.quiet import unreported
from hf_sentiment.errors import CallError, missing_extra
from hf_sentiment.inference.backends.exported import Engine


def onnx_engine(path: Path, num_threads: int | None = None) -> Engine:
    """A graph of ONNX.

    Args:
        path: Of the graph.
        num_threads: Threads of one batch, of this graph alone; by default as many as there are cores.

    Raises:
        CallError: There is no onnxruntime, or it cannot read the graph.
    """
    with unreported():
        try:
            import onnxruntime
        except ImportError as error:
            raise missing_extra("onnx", "onnxruntime is not installed") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no class in common
        raise CallError(f"{path} cannot be read by onnxruntime: export the model again") from error
    return Engine([entry.name for entry in session.get_inputs()], lambda batch: session.run(["logits"], batch)[0])
