"""torch: any checkpoint that `AutoModelForSequenceClassification` loads."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from hf_sentiment.compute.batching import pad_batch
from hf_sentiment.compute.quiet import without_reports
from hf_sentiment.errors import CallError
from hf_sentiment.inference.backends.protocol import Tokens
from hf_sentiment.inference.loading import (
    check_head,
    check_vocabulary,
    find_file,
    is_adapter,
    load_tokenizer,
    loading_error,
    readable_tokens,
)
from hf_sentiment.inference.sentence_transformers import read_modules
from hf_sentiment.model import SentimentModel
from hf_sentiment.records.read import ADAPTER_FILES


class TorchBackend:
    """A model in memory.

    Args:
        model: Of any architecture; it is put into evaluation mode.
        tokenizer: Its tokenizer.

    Attributes:
        config: As in `Backend`.
        max_length: As in `Backend`.
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        self.model, self.tokenizer = model.eval(), tokenizer
        self.config: Mapping[str, Any] = model.config.to_dict()
        self.max_length = readable_tokens(tokenizer, model)
        # A fast tokenizer holds how it cuts, and may not be told while another thread uses it.
        self._tokenizing = threading.Lock()

    @classmethod
    def load(cls, name: str, num_threads: int | None = None, revision: str | None = None) -> TorchBackend:
        """Load a folder or a Hub repository, onto a GPU where there is one.

        Args:
            name: What `find_checkpoint` gave.
            num_threads: CPU threads, of all that torch does in this process: it has one number.
            revision: Branch, tag or commit of a Hub repository.

        Raises:
            CallError: It is no trained classifier or has no tokenizer.
        """
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # A CPU computes half precision slowly, so a checkpoint stored in it is not loaded as stored there.
        dtype = torch.float32 if device == "cpu" else "auto"
        model: Any  # in whose class the library's types have no `to` of a device's name
        try:
            with without_reports():  # what is missing is an error below
                model, info, owner = _load(name, revision, dtype)
            tokenizer = load_tokenizer(name, revision)
        except Exception as error:  # of a damaged config or tokenizer transformers raises any kind
            if isinstance(error, CallError):
                raise
            raise CallError(f"{name} cannot be loaded as a text classifier: {loading_error(error, name)}") from error
        check_head(info, owner)
        check_vocabulary(tokenizer, model, name)
        if model.config.pad_token_id is None:  # by which decoders find the last token
            model.config.pad_token_id = tokenizer.pad_token_id
        return cls(model.to(device), tokenizer)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """As in `Backend`."""
        with self._tokenizing:
            encodings = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)
        # Only fast tokenizers keep what they cut off.
        cut = [bool(encoding.overflowing) for encoding in encodings.encodings or []]
        return Tokens(encodings.data, cut or [False] * len(texts))

    def logits(self, tokens: Tokens, rows: Sequence[int]) -> np.ndarray:
        """As in `Backend`.

        Args:
            tokens: What `tokenize` gave.
            rows: Which of its texts are the batch.
        """
        # Ours count positions, and look for the first token, from the left.
        side = "right" if isinstance(self.model, SentimentModel) else None
        batch = pad_batch(self.tokenizer, tokens.columns, list(rows), side)
        with torch.inference_mode():
            outputs = self.model(**{name: tensor.to(self.model.device) for name, tensor in batch.items()})
            return np.asarray(outputs.logits.float().cpu().numpy())


def _load(name: str, revision: str | None, dtype: Any) -> tuple[PreTrainedModel, dict[str, Any], str]:
    """The model, what its loading found, and the checkpoint that its head is from."""
    # Other files than safetensors are pickles, which run what they hold.
    safe = {"dtype": dtype, "output_loading_info": True, "use_safetensors": True, "trust_remote_code": False}
    if is_adapter(name, revision):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # peft asks for it
            return _adapted(name, revision, safe)
    if found := read_modules(name, revision, dtype=dtype):
        return *found, name
    return *AutoModelForSequenceClassification.from_pretrained(name, revision=revision, **safe), name


def _adapted(name: str, revision: str | None, safe: dict[str, Any]) -> tuple[PreTrainedModel, dict[str, Any], str]:
    """As `_load`, of an adapter on its base, whose class and options are those of the config beside the adapter."""
    from peft import PeftConfig, PeftModel, get_peft_model_state_dict

    above, beside = Path(name).parent, find_file(name, "config.json", revision) is not None
    if not beside and (above / "config.json").is_file():
        raise CallError(f"{name} is the adapter of a run: name the run's folder, {above}, which has the merged model")
    base = str(PeftConfig.from_pretrained(name, revision=revision).base_model_name_or_path)
    weights = load_file(str(find_file(name, ADAPTER_FILES[1], revision)))
    if beside:
        config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
        plain, info = AutoModelForSequenceClassification.from_pretrained(base, config=config, **safe)
        adapted = PeftModel.from_pretrained(plain, name, revision=revision)
        if strange := weights.keys() ^ get_peft_model_state_dict(adapted).keys():
            raise ValueError(f"the adapter does not fit its base {base} ({min(strange)})")
        model = adapted.merge_and_unload()
    else:  # transformers knows where the weights belong, whatever the class was that the adapter was trained in
        model = AutoModelForSequenceClassification.from_pretrained(name, revision=revision, **safe)[0]
        info = AutoModelForSequenceClassification.from_pretrained(base, **safe)[1]
    brought = {key.removeprefix("base_model.model.") for key in weights}
    return model, info | {"missing_keys": set(info["missing_keys"]) - brought}, base
