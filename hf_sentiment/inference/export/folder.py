"""What lies beside the graph: config, tokenizer, and what serves it without this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_sentiment.errors import CallError
from hf_sentiment.inference.backends import TorchBackend
from hf_sentiment.records.atomic import write_json

# Of the model's config: what its labels are, how they are read, and what it does with texts.
_KEPT = ("id2label", "label2id", "problem_type", "label_rule", "text_prefix", "long_texts", "pad_token_id")
_SPECIAL = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")


def write_folder(backend: TorchBackend, folder: Path) -> None:
    """Write config.json, tokenizer.json and tokenizer_config.json.

    transformers.js looks a class up by `model_type`, and takes all else from the graph: every encoder is said to be a
    BERT. There are no weights for torch in the folder, so that it takes it for none.

    Args:
        backend: The model and its tokenizer.
        folder: The exported folder.

    Raises:
        CallError: The tokenizer is a slow one, which has no tokenizer.json.
    """
    tokenizer, config = backend.tokenizer, backend.config
    if getattr(tokenizer, "backend_tokenizer", None) is None:
        raise CallError("the model's tokenizer has no tokenizer.json, which the exported folder needs")
    encoder = config.get("encoder_config") or {}
    exported: dict[str, Any] = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "exported_from": encoder.get("model_type", config["model_type"]),
        "max_position_embeddings": backend.max_length,
    }
    write_json(
        folder / "config.json", exported | {name: config[name] for name in _KEPT if config.get(name) is not None}
    )
    said = {name: getattr(tokenizer, name) for name in _SPECIAL if getattr(tokenizer, name) is not None}
    if "pad_token" not in said:
        raise CallError("the model's tokenizer has no pad_token, which batches need: name one in tokenizer_config.json")
    said |= {name: getattr(tokenizer, name) for name in ("padding_side", "truncation_side", "model_input_names")}
    # The general class takes tokenizer.json as it is, and so the prefix that may be in it.
    said |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": backend.max_length}
    write_json(folder / "tokenizer_config.json", said)
    fast = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
    fast.no_truncation()
    fast.no_padding()
    fast.save(str(folder / "tokenizer.json"))
