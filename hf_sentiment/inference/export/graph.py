"""The graph: traced by transformers' own exporters, with any number of texts of any length."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hf_sentiment.compute.quiet import at_level, unreported
from hf_sentiment.errors import CallError, first_line, missing_extra
from hf_sentiment.inference.backends import FILES

# Two texts of different lengths, so that no size is taken for a constant.
_SAMPLE = ["A fine film, and a moving one.", "Dull."]
# protobuf's limit; a larger graph needs a second file, which transformers.js looks for under yet another name.
_MOST_BYTES = 2**31


def write_graph(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, form: str) -> None:
    """Write the graph of a model from token ids to logits, `[texts, labels]`.

    Args:
        model: In float32, on the CPU.
        tokenizer: Its tokenizer.
        folder: The exported folder.
        form: `"onnx"` or `"openvino"`.

    Raises:
        CallError: A package is missing, or the exporter does not know the architecture.
    """
    if form == "onnx" and 4 * model.num_parameters() > _MOST_BYTES:
        raise CallError("a graph of more than 2 GB is not written as ONNX: --format openvino")
    with unreported():
        try:
            if form == "onnx":
                import onnx_ir
                from onnx_ir.passes.common import ClearMetadataAndDocStringPass
                from transformers.exporters import OnnxConfig, OnnxExporter
            else:
                import openvino
                from transformers.exporters import OpenVINOConfig, OpenVINOExporter
        except ImportError as error:
            raise missing_extra(_EXTRAS[form], f"{error.name} is not installed") from error
    sample = dict(tokenizer(_SAMPLE, padding=True, return_tensors="pt"))
    shapes = {name: dict.fromkeys((0, 1), torch.export.Dim.AUTO) for name in sample}
    path = folder / FILES[form]
    path.parent.mkdir(parents=True, exist_ok=True)
    with silence():
        try:
            if form == "onnx":
                graph = OnnxExporter().export(model, sample, config=OnnxConfig(dynamic_shapes=shapes)).program
                # Each node says from where in which file of this machine it came.
                onnx_ir.save(ClearMetadataAndDocStringPass()(graph).model, path)
            else:
                graph = OpenVINOExporter().export(model, sample, config=OpenVINOConfig(dynamic_shapes=shapes)).program
                openvino.save_model(graph, path, compress_to_fp16=False)
        except Exception as error:  # torch's and the exporters' own, which have no class in common
            kind = getattr(model.config, "encoder_config", model.config).model_type
            raise CallError(f"a {kind} cannot be exported to {form}: {first_line(error)}") from error


_EXTRAS = {"onnx": "export", "openvino": "openvino"}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Tracing prints its steps and warns of operators that no text encoder has; rounding advises what was done."""
    with (
        unreported(),
        at_level(logging.ERROR, "root", "torch.onnx", "transformers", "onnxscript", "nncf"),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(action="ignore"),
    ):
        yield
