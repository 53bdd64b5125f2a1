"""OpenVINO, on the CPU."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from hf_sentiment.compute.quiet import unreported
from hf_sentiment.errors import CallError, missing_extra
from hf_sentiment.inference.backends.exported import Engine


def openvino_engine(path: Path, num_threads: int | None = None, bfloat16: bool = False) -> Engine:
    """A graph of OpenVINO.

    Args:
        path: Of the `.xml`, with its `.bin` beside it.
        num_threads: Threads of one batch, of this graph alone; by default OpenVINO's own choice.
        bfloat16: Whether to compute in bfloat16, where the processor has it.

    Raises:
        CallError: OpenVINO is not installed, or cannot read the graph.
    """
    with unreported():
        try:
            import openvino
        except ImportError as error:
            raise missing_extra("openvino", "openvino is not installed") from error
    # Left to itself it computes in bfloat16 where the processor has it, and gives other logits.
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32"}
    if num_threads is not None:
        options["INFERENCE_NUM_THREADS"] = str(num_threads)
    try:
        # OpenVINO gives the thread that first compiles a signal stack of its own, and unmaps it with the last graph,
        # whichever thread drops that: a signal with a handler of Python, such as Ctrl-C, would then end the process. So
        # it is a thread that ends at once.
        with ThreadPoolExecutor(1) as thread:
            model = thread.submit(openvino.Core().compile_model, path, "CPU", options).result()
    except RuntimeError as error:
        raise CallError(f"{path} cannot be read by OpenVINO: export the model again") from error
    own = threading.local()  # a request may not be used by two threads at once

    def run(batch: dict[str, np.ndarray]) -> np.ndarray:
        if not hasattr(own, "request"):
            own.request = model.create_infer_request()
        return np.array(own.request.infer(batch)["logits"])

    return Engine([name.get_any_name() for name in model.inputs], run)
