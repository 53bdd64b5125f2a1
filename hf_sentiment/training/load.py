"""The data and the model that the arguments name."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, __version__

from hf_sentiment.callbacks.shared import weights_are_finite
from hf_sentiment.compute.quiet import without_reports
from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.data.prepare import PreparedData, prepare_data, prepare_unlabeled, read_unlabeled
from hf_sentiment.data.rows import Rows
from hf_sentiment.data.splits import Shares, no_shares, usual_shares
from hf_sentiment.errors import CallError, SentimentError, first_line
from hf_sentiment.inference.loading import (
    FEWEST_TOKENS,
    check_vocabulary,
    is_adapter,
    load_tokenizer,
    loading_error,
    readable_tokens,
)
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.inference.text_prefix import with_text_prefix
from hf_sentiment.model import SentimentModel
from hf_sentiment.model.configuration_bert_sentiment import read_beside, sentence_transformers_modules
from hf_sentiment.model.modeling_encoder_sentiment import sentiment_model_class
from hf_sentiment.training.arguments import SentimentArguments
from hf_sentiment.training.call import Call
from hf_sentiment.training.plan import holdout_shares

logger = logging.getLogger(__name__)

# Of a sentence-transformers checkpoint, what its pooled vector is made by. Its length says nothing here: measured, a
# head on normalised vectors is no better (benchmarks/README.md).
_MODULES = frozenset({"Transformer", "Pooling", "Normalize"})
# Tokens of the text that tells whether padding is read, and how much of the answer may be of it.
_READ, _OF_PADDING = 7, 1e-2


def load_splits(
    arguments: SentimentArguments, seed: int, dataset: Any = None, holdout: Callable[[int], Shares] = usual_shares
) -> PreparedData:
    """The data that the arguments name, or `dataset`, labelled, checked and split.

    Args:
        arguments: The data.
        seed: Of the splits.
        dataset: In place of the data that `arguments` names.
        holdout: As in `prepare_data`.

    Raises:
        CallError: The arguments name unlabelled texts, or as in `prepare_data`.
        DataError: As in `prepare_data`.
    """
    if arguments.unlabeled_file is not None:
        raise CallError(f"--unlabeled_file {arguments.unlabeled_file}: `hf-sentiment train` takes it, and nothing else")
    return prepare_data(
        arguments.dataset_name if dataset is None else dataset,
        **arguments.source(),
        labels=arguments.labels,
        num_labels=arguments.num_labels,
        on_bad_rows=arguments.on_bad_rows,  # type: ignore[arg-type]
        validation_share=arguments.validation_share,
        test_share=arguments.test_share,
        holdout=holdout,
        max_train_samples=arguments.max_train_samples,
        seed=seed,
    )


def load_planned_splits(call: Call, dataset: Any = None) -> PreparedData:
    """As `load_splits`, but few labels of a sentence encoder are not split, and there may be none.

    Args:
        call: Model and data, and what else asks for evaluations.
        dataset: In place of the data that the call names.

    Raises:
        CallError: As `load_splits`, or there is no such checkpoint.
        DataError: As `load_splits`.
    """
    arguments = call.arguments
    labeled = dataset is not None or arguments.dataset_name is not None or arguments.train_file is not None
    if arguments.unlabeled_file is not None and labeled:
        unlabeled = read_unlabeled(arguments.unlabeled_file, arguments.text_column, arguments.encoding)
        call = replace(call, arguments=replace(arguments, unlabeled_file=None))
        return replace(load_planned_splits(call, dataset), unlabeled=unlabeled)
    if arguments.unlabeled_file is not None:
        # Nothing is held out of texts without labels, and the labels' names are said, not found.
        return prepare_unlabeled(
            arguments.labels,
            arguments.test_file,
            arguments.unlabeled_file,
            text_column=arguments.text_column,
            encoding=arguments.encoding,
            label_column=arguments.label_column,
        )
    # How many texts are held out depends on the encoder, and the model's labels on the texts: so its config is read
    # first, and the model when the labels are known.
    sentence_encoder = _is_sentence_encoder(arguments)
    shares = partial(holdout_shares, sentence_encoder=sentence_encoder, watched=call.wants_evaluations)
    # Of folds every text is judged by a run that has not seen it.
    return load_splits(arguments, call.data_seed, dataset, no_shares if arguments.folds else shares)


def _is_sentence_encoder(arguments: SentimentArguments) -> bool:
    """Whether the checkpoint was made for sentence embeddings; no, where its config cannot be read."""
    path = checkpoint_of(arguments)  # a wrong name is said before files of any size are read
    revision = arguments.model_revision or "main"
    try:
        config_class: Any = sentiment_model_class(path, revision=revision).config_class
        config = config_class.from_pretrained(path, revision=revision, **_pooling(arguments))
    except Exception:  # of a damaged one transformers raises any kind: `load_model` says what is wrong with it
        return False
    return bool(config.sentence_encoder)


def _pooling(arguments: SentimentArguments) -> dict[str, str]:
    """The pooling, where one is said."""
    return {} if arguments.pooling is None else {"pooling": arguments.pooling}


def load_model(
    arguments: SentimentArguments, data: PreparedData | Rows
) -> tuple[SentimentModel, PreTrainedTokenizerBase]:
    """The named checkpoint with a head for the data's labels, in float32, and its tokenizer.

    The tokenizer's `model_max_length` is what the model can read.

    Args:
        arguments: The model.
        data: Whose label rule is saved with the model.

    Raises:
        CallError: The checkpoint does not exist, is no text encoder, or lacks its tokenizer.
    """
    name, path = arguments.model_name_or_path, checkpoint_of(arguments)
    place = {"revision": arguments.model_revision}
    try:
        modules = sentence_transformers_modules(path, place)
        _check_place(name, path, arguments.model_revision, modules)
        loaded: Any = _without_report(
            path,
            labels=list(data.rule.labels),
            revision=arguments.model_revision,
            classifier_dropout=arguments.classifier_dropout,
            label_rule=data.rule.to_dict(),
            # Half-precision weights would be trained as stored; mixed precision is --bf16 or --fp16.
            dtype=torch.float32,
            output_loading_info=True,
            **_pooling(arguments),
        )
        tokenizer = load_tokenizer(path, arguments.model_revision)
        tokenizer.padding_side = "right"  # from the left, the first token would be padding, and positions shifted
    except SentimentError:
        raise
    except Exception as error:  # of a damaged config transformers raises any kind
        raise CallError(f"--model_name_or_path {name}: {loading_error(error, name)}") from error
    model, info = loaded
    check_vocabulary(tokenizer, model, f"--model_name_or_path {name}")
    if not weights_are_finite(model):
        raise CallError(f"--model_name_or_path {name}: its weights are not finite: they are damaged, fetch them again")
    _check_reading(model, f"--model_name_or_path {name}")
    # Of a checkpoint that was fine-tuned before: its weights were for other texts, and it may have had another task.
    model.config.class_weights, model.config.problem_type = None, "single_label_classification"
    model.config.long_texts = None
    _say_what_is_lacking(name, model, info)
    said = read_beside(path, "sentence_bert_config.json", place)
    pooling = read_beside(path, f"{modules['Pooling']}/config.json", place) if "Pooling" in modules else {}
    _say_what_is_left_out(name, modules, said | pooling, tokenizer)
    # A length that is said may be more than the checkpoint was made for, as far as there are positions.
    longest = max(_longest(path, said.get("max_seq_length")), arguments.max_length or 0)
    tokenizer.model_max_length = int(min(readable_tokens(tokenizer, model), longest))
    own = model.config.text_prefix
    if own and arguments.text_prefix is None:
        logger.info('%r comes before every text, as %s asks for: --text_prefix "" leaves it out', own, name)
    prefix = own if arguments.text_prefix is None else arguments.text_prefix
    tokenizer = with_text_prefix(tokenizer, prefix, own)
    model.config.text_prefix = prefix
    return model, tokenizer


def _check_place(name: str, path: str, revision: str | None, modules: dict[str, Any]) -> None:
    """Refuse a folder whose weights are not all of an encoder, or are not in it."""
    if is_adapter(path, revision):
        raise CallError(
            f"--model_name_or_path {name}: it is an adapter: merge it into its base, "
            "PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(DIR), and name DIR"
        )
    if inner := modules.get("Transformer"):
        raise CallError(
            f"--model_name_or_path {name}: its encoder is in {inner}, as old versions of sentence-transformers had it: "
            f"save it anew, SentenceTransformer({name!r}).save(DIR), and name DIR"
        )


def _check_reading(model: SentimentModel, name: str) -> None:
    """Refuse an encoder that cannot read a text, or to which padding is a part of it."""
    words = torch.linspace(1, len(model.get_input_embeddings().weight) - 1, 2 * _READ).long()  # type: ignore[arg-type]
    pad = model.config.pad_token_id or 0
    words = words[words != pad][:_READ]
    turned = words[[0, *range(_READ - 1, 0, -1)]]  # in another order behind the first
    padded = torch.cat([words, torch.full_like(words, pad)])
    mask = (torch.arange(2 * _READ) < _READ).long()
    try:
        with torch.inference_mode(), untouched_random_state():
            alone, other = model(input_ids=torch.stack([words, turned])).logits
            beside = model(input_ids=padded[None], attention_mask=mask[None]).logits[0]
    except Exception as error:  # an option of its config that does not work may raise any kind
        raise CallError(f"{name}: it cannot read a text ({first_line(error)}): mend its config.json") from error
    # Beside what another order of the words makes.
    if not (alone - beside).abs().max() < _OF_PADDING * (alone - other).abs().max():
        raise CallError(
            f"{name}: to this encoder padding is a part of the text, or the text is nothing, so that its answers would "
            "depend on the other texts of a batch: choose another"
        )


def _say_what_is_lacking(name: str, model: SentimentModel, info: dict[str, Any]) -> None:
    """Warn of weights that were not in the checkpoint, and of those in its layers that nothing takes."""
    # A missing head is what is expected; a pooler may be missing too, which is worth a warning.
    lacking = sorted(name for name in info["missing_keys"] if not name.startswith("classifier."))
    if lacking:
        logger.warning("%s lacks weights, which begin at random: %s", name, ", ".join(lacking))
    if unused := _unused(info["unexpected_keys"], model):
        what = f"a {getattr(model.config, 'encoder_config', model.config).model_type} of transformers {__version__}"
        logger.warning("%s has weights in its layers that %s has no place for: %s", name, what, ", ".join(unused[:3]))


def _unused(unexpected: Iterable[str], model: SentimentModel) -> list[str]:
    """Weights of the encoder's layers that nothing takes; those of heads are not in layers."""
    ours = list(model.state_dict())
    layers = {key: re.search(r"\w+\.\d+\.", key) for key in sorted(unexpected)}
    return [key for key, layer in layers.items() if layer and any(layer.group() in name for name in ours)]


def _say_what_is_left_out(
    name: str, modules: dict[str, Any], said: dict[str, Any], tokenizer: PreTrainedTokenizerBase
) -> None:
    """Warn of what a sentence-transformers checkpoint does with a text beside encoding and pooling it."""
    found = sorted(set(modules) - _MODULES)
    if said.get("do_lower_case") and tokenizer("GOOD")["input_ids"] != tokenizer("good")["input_ids"]:
        found.append("do_lower_case")
    if not said.get("include_prompt", True):
        found.append("include_prompt false")
    if found:
        logger.warning("%s has modules or options which the head does without: %s", name, ", ".join(found))


def _longest(path: str, said: Any) -> float:
    """The tokens that a sentence-transformers checkpoint is made for; infinity where it does not say."""
    if said is None:
        return float("inf")
    if type(said) is not int or said < FEWEST_TOKENS:
        raise CallError(
            f"--model_name_or_path {path}: max_seq_length is {said!r} in sentence_bert_config.json: write a number of "
            "tokens there, or null"
        )
    return said


def _without_report(path: str, **options: Any) -> Any:
    """`from_pretrained` without transformers' table of missing weights: that the head is new is what we want."""
    with without_reports():
        model_class = sentiment_model_class(path, revision=options["revision"] or "main")
        return model_class.from_pretrained(path, **options)


def checkpoint_of(arguments: SentimentArguments) -> str:
    """The folder or Hub id of the checkpoint that the arguments name; the starter is fetched if it has to be.

    Args:
        arguments: The model.

    Raises:
        CallError: It does not exist.
    """
    try:
        return find_checkpoint(arguments.model_name_or_path, arguments.model_revision)
    except CallError as error:
        raise CallError(f"--model_name_or_path {error}") from error
