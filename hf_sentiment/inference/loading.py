"""Checks of what was loaded: what transformers fills in silently, a prediction must not be made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import cached_file

from hf_sentiment.errors import CallError, first_line
from hf_sentiment.records.read import ADAPTER_FILES
from hf_sentiment.records.serialization import read_json

# Two are the special ones.
FEWEST_TOKENS = 4
# A tokenizer that knows no length says a number far beyond this one.
_MOST_TOKENS, _TOKENS = 10_000_000, 512


def load_tokenizer(name: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer of a checkpoint; where there is none, transformers would fail obscurely or make up an empty one.

    Raises:
        CallError: The checkpoint `name` has no tokenizer files.
    """
    missing = f"{name} has no tokenizer: save it beside the model with tokenizer.save_pretrained({name!r})"
    try:
        # Without this, transformers asks at a terminal whether to run the code of an architecture that it lacks.
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    except ValueError as error:
        raise CallError(missing) from error
    except Exception as error:  # of a damaged one transformers raises any kind
        raise CallError(
            f"{name}: its config.json or tokenizer cannot be read ({first_line(error)}): fetch them again"
        ) from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise CallError(missing)
    if tokenizer.pad_token is None:
        raise CallError(f"{name}: its tokenizer has no pad_token: say it in tokenizer_config.json")
    if not isinstance(tokenizer.model_max_length, int | float) or not tokenizer.model_max_length >= FEWEST_TOKENS:
        raise CallError(
            f"{name}: model_max_length is {tokenizer.model_max_length!r} in tokenizer_config.json: write the number of "
            "tokens there that the model reads"
        )
    return tokenizer


def find_file(name: str, file: str, revision: str | None = None) -> str | None:
    """Where a file of a checkpoint is on this machine, fetched if it has to be; `None` where there is none.

    Args:
        name: A folder or a Hub id.
        file: Its path in there.
        revision: Branch, tag or commit of a Hub repository.
    """
    found: str | None = cached_file(name, file, revision=revision, _raise_exceptions_for_missing_entries=False)
    return found


def is_adapter(name: str, revision: str | None = None) -> bool:
    """Whether a checkpoint is an adapter, whose base is elsewhere or beside it.

    Args:
        name: A folder or a Hub id.
        revision: Branch, tag or commit of a Hub repository.

    Raises:
        CallError: It is one with other weights than safetensors, which may hold code.
    """
    config, weights = ADAPTER_FILES
    if find_file(name, config, revision) is None:
        return False
    if find_file(name, weights, revision) is None:
        raise CallError(
            f"{name} is an adapter without {weights}, and other weights may hold code: save it anew where you trust it"
        )
    return True


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, name: str) -> None:
    """Refuse a tokenizer that knows words which the model has no vectors of.

    Args:
        tokenizer: Beside the model.
        model: Of any architecture.
        name: The checkpoint.

    Raises:
        CallError: It is of another checkpoint.
    """
    if (words := _word_table(model)) is None:
        return
    vectors: int = len(words.weight)  # type: ignore[arg-type]
    # Ids need not be without gaps.
    known = max(len(tokenizer), 1 + max(tokenizer.get_vocab().values(), default=0))
    if known > vectors:
        raise CallError(
            f"{name}: its tokenizer knows {known:,} words, and its model {vectors:,}: they are of two checkpoints, "
            "fetch both again"
        )


def loading_error(error: BaseException, name: str) -> str:
    """What kept a checkpoint's weights from being read, and what to do."""
    if isinstance(error, SafetensorError):
        return f"its weights are damaged ({first_line(error)}): fetch them again"
    if "no file named model.safetensors" in str(error):
        if exported := read_json(Path(name, "records", "export.json")):
            how = f"give `predict` or `evaluate` --backend {exported['format']}"
            return f"it is an exported folder, which torch does not read: {how}"
        return (
            "it has no safetensors weights, and others may hold code: save it anew (save_pretrained) where you trust it"
        )
    if not isinstance(error, OSError | ValueError | ImportError):
        return f"its config.json or weights are damaged ({first_line(error)}): fetch them again"
    return first_line(error)


def readable_tokens(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> int:
    """How many tokens of a text the model reads: what its tokenizer says, or fewer, if it has fewer positions.

    512, BERT's number, where neither says one, as with relative positions.

    Args:
        tokenizer: Of the model.
        model: Of any architecture.
    """
    limit = tokenizer.model_max_length
    positions = getattr(model.config, "max_position_embeddings", None) or limit
    positions = positions if positions > 0 else limit  # XLNet's is -1
    words = _word_table(model)
    # I-BERT's tables are of a class of its own.
    for table in model.modules():
        weights, padding = getattr(table, "weight", None), getattr(table, "padding_idx", None)
        # One with a place for padding begins after that: RoBERTa's 514 positions are for 512 tokens.
        if weights is not None and padding is not None and len(weights) == positions and table is not words:
            positions -= padding + 1
            break
    said = min(limit, positions)
    return int(said) if said <= _MOST_TOKENS else _TOKENS


def _word_table(model: PreTrainedModel) -> nn.Module | None:
    """The table of its words; `None` where it has none, such as CANINE."""
    try:
        return model.get_input_embeddings()
    except NotImplementedError:
        return None


def check_head(loading_info: dict[str, Any], name: str) -> None:
    """Refuse a model with weights that were not in the checkpoint but drawn at random.

    Raises:
        CallError: The checkpoint `name` has no trained classification head.
    """
    missing = sorted(loading_info["missing_keys"])
    if missing:
        raise CallError(
            f"{name} has no trained classifier ({', '.join(missing[:3])} missing): train it first, "
            f"hf-sentiment train --model_name_or_path {name} --train_file FILE --output_dir DIR"
        )
