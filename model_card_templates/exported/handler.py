"""What an Inference Endpoint calls: the exported model, by onnxruntime, without torch and without hf-sentiment."""

import json
import os
import sys
from pathlib import Path

import numpy as np

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when it is imported
import onnxruntime
from tokenizers import Tokenizer

sys.path.insert(0, str(Path(__file__).parent))  # the endpoint imports this file by its path
from pieces import pieces_of, pool

BATCH = 32


class EndpointHandler:
    """Labels texts with their probabilities.

    Args:
        path: The folder of the model; by default that of this file.
    """

    def __init__(self, path=""):
        folder = Path(path or Path(__file__).parent)
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        said = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(said["model_max_length"], direction=said["truncation_side"])
        pad = said["pad_token"]
        self.tokenizer.enable_padding(
            pad_id=self.tokenizer.token_to_id(pad), pad_token=pad, direction=said["padding_side"]
        )
        self.session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])

    def __call__(self, data):
        """`{"inputs": text or texts, "parameters": {"top_k": 1}}` → label and score of each label, likeliest first."""
        texts = data.get("inputs")
        given = [texts] if isinstance(texts, str) else texts
        if not isinstance(given, list) or not all(isinstance(one, str) and one.strip() for one in given):
            raise ValueError('inputs must be a text or a list of texts, none of them empty: {"inputs": "A good film."}')
        top_k = (data.get("parameters") or {}).get("top_k")
        rows = [self._ranked(text)[:top_k] for text in given]
        return rows[0] if isinstance(texts, str) else rows

    def _ranked(self, text):
        rule = self.config.get("long_texts")
        logits = self._logits([text] if rule is None else pieces_of(text, rule))
        pooled = (pool(logits, rule) if len(logits) > 1 else logits[0]).astype(np.float64)
        if self.config.get("problem_type") == "multi_label_classification":
            scores = 0.5 + 0.5 * np.tanh(0.5 * pooled)
        else:
            scores = np.exp(pooled - pooled.max())
            scores /= scores.sum()
        labels = self.config["id2label"]
        order = np.argsort(-scores, kind="stable")
        return [{"label": labels[str(index)], "score": float(scores[index])} for index in order]

    def _logits(self, pieces):
        """`[pieces, labels]`."""
        return np.concatenate([self._batch(pieces[first : first + BATCH]) for first in range(0, len(pieces), BATCH)])

    def _batch(self, pieces):
        found = self.tokenizer.encode_batch(pieces)
        columns = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
        wanted = [entry.name for entry in self.session.get_inputs()]
        feed = {name: np.array([getattr(one, columns[name]) for one in found], dtype=np.int64) for name in wanted}
        return self.session.run(["logits"], feed)[0]
