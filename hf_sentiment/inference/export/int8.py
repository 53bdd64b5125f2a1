"""Rounding to 8 bits: the weights once, and what they are multiplied with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hf_sentiment.errors import missing_extra
from hf_sentiment.inference.backends import FILES, ExportedBackend, load_backend
from hf_sentiment.inference.export.graph import silence

# By so many texts OpenVINO learns the ranges of what is computed.
_RANGES = 300


def write_int8(folder: Path, form: str, texts: Sequence[str]) -> None:
    """Write the graph anew, with the weights of its layers and embeddings in 8 bits.

    Each column of a weight matrix has its own scale. What it is multiplied with has a scale of each call with ONNX, and
    with OpenVINO one that the texts tell.

    Args:
        folder: The exported folder, with the graph in float32.
        form: `"onnx"` or `"openvino"`.
        texts: Of the kind that will be asked about.

    Raises:
        CallError: There is no nncf, which OpenVINO needs.
    """
    with silence():
        if form == "onnx":
            _write_onnx(folder)
        else:
            _write_openvino(folder, texts[:_RANGES])


def _write_onnx(folder: Path) -> None:
    """Weights take 7 of the 8 bits, as older processors without VNNI overflow otherwise.

    The classifier stays in float32: it is small, and its logits are what is compared.
    """
    import onnx
    from onnxruntime.quantization import quantize_dynamic

    graph = onnx.load(folder / FILES["onnx"])
    constants = {weights.name for weights in graph.graph.initializer}
    # Said of weights, shapes are in the way when some of them are transposed.
    shapes = [value for value in graph.graph.value_info if value.name not in constants]
    del graph.graph.value_info[:]
    graph.graph.value_info.extend(shapes)
    quantize_dynamic(
        graph,
        folder / FILES["onnx-int8"],
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=True,
        extra_options={"MatMulConstBOnly": True},
    )


def _write_openvino(folder: Path, texts: Sequence[str]) -> None:
    try:
        import nncf
    except ImportError as error:
        raise missing_extra("openvino-int8", "8 bits of OpenVINO need nncf") from error
    import openvino

    backend = load_backend("openvino", str(folder))
    assert isinstance(backend, ExportedBackend)
    tokens = backend.tokenize(texts)
    rounded = nncf.quantize(
        openvino.Core().read_model(folder / FILES["openvino"]),
        nncf.Dataset(range(len(texts)), lambda row: backend.batch(tokens, [row])),
        preset=nncf.QuantizationPreset.MIXED,
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=_RANGES,
    )
    openvino.save_model(rounded, folder / FILES["openvino-int8"], compress_to_fp16=False)
