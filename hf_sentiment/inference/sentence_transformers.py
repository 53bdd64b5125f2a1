"""A classifier as a folder of sentence-transformers, whose embedding of a text is its logits; it needs no code of ours.

Encoder, pooling and head are modules that sentence-transformers has, with the names that its older versions and other
programs know. The names of the labels are in config.json.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file, save_file
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import cached_file

from hf_sentiment.compute.quiet import without_reports
from hf_sentiment.errors import CallError
from hf_sentiment.model.configuration_bert_sentiment import read_beside, sentence_transformers_modules
from hf_sentiment.model.modeling_bert_sentiment import SentimentModel
from hf_sentiment.model.modeling_encoder_sentiment import sentiment_model_class
from hf_sentiment.records.atomic import write_json
from hf_sentiment.records.read import OURS_ALONE

_IDENTITY = "torch.nn.modules.linear.Identity"
# What the encoder's config takes over from ours.
_KEPT = ("id2label", "label2id", "problem_type", "label_rule", "long_texts", "text_prefix")


def write_modules(model: SentimentModel, folder: Path, max_length: int) -> None:
    """Write all but the tokenizer.

    Args:
        model: In float32.
        folder: An empty folder.
        max_length: Tokens after which a text is cut.

    Raises:
        CallError: The model's pooling is none of sentence-transformers.
    """
    config, encoder, head = model.config, cast(PreTrainedModel, model.base_model), model.classifier
    if config.pooling == "pooler":
        raise CallError("--stock: no library has the encoder's own pooler as a module: leave out --stock")
    said: Any = getattr(config, "encoder_config", config).to_dict()
    said = {name: value for name, value in said.items() if name not in ("model_type", *OURS_ALONE)}
    # Its own class from here on: what is saved says so.
    own: Any = type(encoder).config_class
    encoder.config = own.from_dict(said | {name: getattr(config, name) for name in _KEPT})
    encoder.save_pretrained(folder)
    # Where the encoder would have a pooler, it has none here.
    pooler = "add_pooling_layer" in inspect.signature(type(encoder).__init__).parameters
    st: dict[str, Any] = {"max_seq_length": max_length, "do_lower_case": False}
    st |= {"model_args": {"add_pooling_layer": False}} if pooler else {}
    write_json(folder / "sentence_bert_config.json", st)
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "": "mean_sqrt_len_tokens"}
    pooling = {f"pooling_mode_{flag}": name == config.pooling for name, flag in flags.items()}
    kinds: dict[str, dict[str, Any]] = {
        "Transformer": {},
        "Pooling": {"word_embedding_dimension": head.in_features} | pooling,
        **({"Normalize": {}} if config.normalize else {}),
        "Dense": {
            "in_features": head.in_features,
            "out_features": head.out_features,
            "bias": True,
            "activation_function": _IDENTITY,
        },
    }
    modules, path = [], ""
    for number, (kind, options) in enumerate(kinds.items()):
        path = f"{number}_{kind}" if number else ""
        whole = f"sentence_transformers.models.{kind}"
        modules.append({"idx": number, "name": str(number), "path": path, "type": whole})
        if path:
            write_json(folder / path / "config.json", options)
    write_json(folder / "modules.json", modules)
    weights = {f"linear.{name}": tensor.detach().cpu() for name, tensor in head.named_parameters()}
    save_file(weights, folder / path / "model.safetensors", metadata={"format": "pt"})
    (folder / path / "model.safetensors").chmod(0o644)  # safetensors writes files that only their owner can read


def read_modules(name: str, revision: str | None = None, **options: Any) -> tuple[Any, dict[str, Any]] | None:
    """The model that `write_modules` wrote, and what its loading found; `None` where it is another one.

    Args:
        name: A folder or a Hub id.
        revision: Branch, tag or commit of a Hub repository.
        **options: As in `from_pretrained`.
    """
    place: dict[str, Any] = {"revision": revision}
    said = PreTrainedConfig.get_config_dict(name, **place)[0]
    if not any(str(kind).endswith("Model") for kind in said.get("architectures") or []):
        return None
    modules = sentence_transformers_modules(name, place)
    dense = read_beside(name, f"{modules['Dense']}/config.json", place) if "Dense" in modules else {}
    # A head is as wide as there are labels with names; other linear layers make embeddings of embeddings.
    labels = [name for _, name in sorted((said.get("id2label") or {}).items(), key=lambda item: int(item[0]))]
    if dense.get("activation_function") != _IDENTITY or dense.get("out_features") != len(labels):
        return None
    options |= place | {name: said[name] for name in _KEPT[2:] if said.get(name) is not None} | {"labels": labels}
    options |= {"normalize": "Normalize" in modules, "output_loading_info": True}
    with without_reports():  # the head is not where transformers looks for it
        loaded: Any = sentiment_model_class(name, **place).from_pretrained(name, **options)
    path = cached_file(name, f"{modules['Dense']}/model.safetensors", **place)
    head = {key.removeprefix("linear."): tensor for key, tensor in load_file(str(path)).items()}
    model, found = loaded
    model.classifier.load_state_dict(head)
    found["missing_keys"] = {key for key in found["missing_keys"] if not key.startswith("classifier.")}
    return model, found
