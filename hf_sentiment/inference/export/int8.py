"""Rounding to 8 bits: the weights once, what they are multiplied with in each call."""

from __future__ import annotations

from pathlib import Path

from hf_sentiment.inference.backends import FILES
from hf_sentiment.inference.export.graph import silence


def write_int8(folder: Path) -> None:
    """Write the ONNX graph anew, with the weights of its layers and embeddings in 8 bits.

    Each column of a weight matrix has its own scale. Weights take 7 of the 8 bits, as older processors without VNNI
    overflow otherwise. The classifier stays in float32: it is small, and its logits are what is compared.

    Args:
        folder: The exported folder, with the graph in float32.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    graph = onnx.load(folder / FILES["onnx"])
    constants = {weights.name for weights in graph.graph.initializer}
    # Said of weights, shapes are in the way when some of them are transposed.
    shapes = [value for value in graph.graph.value_info if value.name not in constants]
    del graph.graph.value_info[:]
    graph.graph.value_info.extend(shapes)
    with silence():
        quantize_dynamic(
            graph,
            folder / FILES["onnx-int8"],
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            extra_options={"MatMulConstBOnly": True},
        )
