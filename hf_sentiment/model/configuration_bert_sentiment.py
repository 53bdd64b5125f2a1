"""Configuration of `BertForSentimentAnalysis`, and what the configs of all sentiment models share.

This file travels with every saved model, so it imports nothing but torch and transformers.
"""

from __future__ import annotations

import json
import os
from typing import Any

from transformers import BertConfig, PreTrainedConfig
from transformers.utils import cached_file

POOLINGS = ("pooler", "cls", "mean", "max")
DEFAULT_CLASSIFIER_DROPOUT = 0.3
DEFAULT_LABELS = {2: ("negative", "positive"), 3: ("negative", "neutral", "positive")}

_NAMED_PROBLEM_TYPES = (None, "single_label_classification")
HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "token", "revision", "subfolder")
_HEAD_OPTIONS = (
    "pooling",
    "classifier_dropout",
    "class_weights",
    "label_smoothing",
    "label_rule",
    "long_texts",
    "problem_type",
    "id2label",
    "label2id",
)
# What belongs to one trained head, and goes when a head of another size takes its place.
_OF_ONE_HEAD = ("id2label", "label2id", "class_weights", "label_rule", "long_texts", "problem_type")
# Names of prompts, the one that fits best first.
_PROMPTS = ("classification", "query")
# How sentence-transformers named its poolings before version 6; the names since then are the values.
_SENTENCE_TRANSFORMERS_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}


def label_maps(labels: list[str] | tuple[str, ...]) -> dict[str, dict[Any, Any]]:
    """`id2label` and `label2id` of label names in index order.

    Raises:
        ValueError: No list or tuple, fewer than one name, a name twice, or something that is not a non-empty string.
    """
    # A set has no order, and the order of a dictionary's keys need not be that of its label ids.
    if not isinstance(labels, (list, tuple)) or not all(isinstance(name, str) and name.strip() for name in labels):
        raise ValueError(
            "labels must be a list of names in index order, "
            f"got {labels!r}: labels={_likely_labels(labels) or ['negative', 'positive']!r}"
        )
    if not labels or len(set(labels)) != len(labels):
        distinct = list(dict.fromkeys(labels)) or ["negative", "positive"]
        raise ValueError(f"labels must be distinct names, got {list(labels)!r}: labels={distinct!r}")
    return {"id2label": dict(enumerate(labels)), "label2id": {name: index for index, name in enumerate(labels)}}


def _likely_labels(labels: Any) -> list[str] | None:
    """The list that a caller of `labels=` probably meant, for the message that refuses what was passed."""
    if isinstance(labels, dict):
        by_index = labels if all(isinstance(key, int) for key in labels) else {i: name for name, i in labels.items()}
        if by_index and all(isinstance(index, int) for index in by_index):
            return [str(by_index[index]) for index in sorted(by_index)]
    if isinstance(labels, int) and not isinstance(labels, bool) and labels in DEFAULT_LABELS:
        return list(DEFAULT_LABELS[labels])
    return None


class SentimentConfig(PreTrainedConfig):
    """The options of the sentiment head, for a config of any encoder.

    Args:
        classifier_dropout (float): Dropout between the pooled output and the linear head; 0.3 by default. `None`, which
            stock BERT checkpoints store, means the default as well.
        pooling (str): How token states become one vector: `"pooler"` (the encoder's own pre-trained layer on the first
            token), `"cls"` (the first token's state), `"mean"` or `"max"` (over the unmasked tokens). Only `"pooler"`
            builds the pre-trained pooler, so that no weight is stored or trained that is never used.
        class_weights (list[float]): One weight a label for the training loss of single-label models: the loss is the
            mean over examples of weight[label] * cross-entropy. Weights whose mean over the training examples is 1
            (scikit-learn's "balanced") keep the learning rate's meaning.
        label_smoothing (float): Label smoothing of the training loss, in [0, 1); 0 by default. The smoothed part has no
            class weight. The Trainer's own `label_smoothing_factor` knows no class weights: leave it at 0.
        label_rule (dict): How the labels of the training data were read; for the record only.
        long_texts (dict): How a text that is longer than those of the training is predicted from its pieces; `None` is
            as a whole, cut where the model cannot read more.
        sentence_encoder (bool): Whether the encoder was made for sentence embeddings, whatever its pooling, so that its
            frozen features are good; for the record only.
        normalize (bool): Whether the pooled vector is divided by its length before dropout; False by default.
        text_prefix (str): What the tokenizer puts before every text, such as "query: "; for the record only.

    Without names, 2 labels are negative/positive and 3 negative/neutral/positive.

    Raises:
        ValueError: An unknown pooling or a value out of range, at construction.
    """

    # What `register_for_auto_class()` sets: saving this config saves this file beside it.
    _auto_class = "AutoConfig"

    classifier_dropout: float | int | None = DEFAULT_CLASSIFIER_DROPOUT
    pooling: str = "cls"
    class_weights: list[float] | None = None
    label_smoothing: float | int = 0.0
    label_rule: dict[str, Any] | None = None
    long_texts: dict[str, Any] | None = None
    sentence_encoder: bool = False
    normalize: bool = False
    text_prefix: str = ""

    def __post_init__(self, **kwargs: Any) -> None:
        if self.classifier_dropout is None:
            self.classifier_dropout = DEFAULT_CLASSIFIER_DROPOUT
        super().__post_init__(**kwargs)
        self._name_default_labels()
        self._check_head_options()

    def _name_default_labels(self) -> None:
        """Replace transformers' LABEL_0, LABEL_1, … by the names of a 2- or 3-class sentiment task."""
        count = self.num_labels or 0
        generic = {index: f"LABEL_{index}" for index in range(count)}
        if self.id2label == generic and count in DEFAULT_LABELS and self.problem_type in _NAMED_PROBLEM_TYPES:
            maps = label_maps(DEFAULT_LABELS[count])
            self.id2label, self.label2id = maps["id2label"], maps["label2id"]
        elif self.id2label and not self.label2id:
            self.label2id = {str(name): int(index) for index, name in self.id2label.items()}

    def _check_head_options(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {', '.join(POOLINGS)}, got {self.pooling!r}")
        if not _below_one(self.classifier_dropout):
            raise ValueError(f"classifier_dropout must be in [0, 1), got {self.classifier_dropout!r}")
        if not _below_one(self.label_smoothing):
            raise ValueError(f"label_smoothing must be in [0, 1), got {self.label_smoothing!r}")
        weights = self.class_weights
        if weights is None:
            return
        if (
            not isinstance(weights, (list, tuple))
            or len(weights) != self.num_labels
            or not all(isinstance(weight, (int, float)) and 0 < weight < float("inf") for weight in weights)
        ):
            raise ValueError(f"class_weights must be {self.num_labels} positive numbers, one a label, got {weights!r}")

    @property
    def has_default_labels(self) -> bool:
        """Whether the labels have the names that they have where nobody has given any."""
        names = list((self.id2label or {}).values())
        generic = [f"LABEL_{index}" for index in range(len(names))]
        return names == generic or tuple(names) == DEFAULT_LABELS.get(len(names))

    def set_labels(self, labels: list[str]) -> None:
        """Take these label names, in index order; another number of them means a new head.

        Raises:
            ValueError: Not a list of distinct names, or the present names in another order.
        """
        maps = label_maps(labels)
        _check_label_order(self.name_or_path or "this config", self.id2label, maps["id2label"])
        if self.num_labels != len(labels):
            self.class_weights = self.label_rule = self.long_texts = self.problem_type = None
        self.id2label, self.label2id = maps["id2label"], maps["label2id"]

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read a checkpoint's config, of ours or of an encoder that it takes, as a config of ours.

        What a sentence-transformers folder says of itself is taken over: that it is one, its prompt, and its pooling,
        unless the caller names one.

        Raises:
            ValueError: The checkpoint is of another type (the message names it), or pools in a way that this model
                does not.
        """
        locate = {key: kwargs[key] for key in HUB_ARGUMENTS if key in kwargs}
        config_dict, kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if config_dict.get("model_type") == cls.model_type:
            return config_dict, kwargs
        # The commit that the config came from, should the repository move on in between.
        locate["revision"] = config_dict.get("_commit_hash") or locate.get("revision")
        config_dict = cls._of_encoder(str(pretrained_model_name_or_path), config_dict)
        declared = _sentence_transformers(pretrained_model_name_or_path, locate, "pooling" not in kwargs)
        return config_dict | declared, kwargs

    def to_diff_dict(self) -> dict[str, Any]:
        """What differs from the defaults, and whether it is a sentence encoder, which older configs do not say."""
        return super().to_diff_dict() | {"sentence_encoder": self.sentence_encoder}

    @classmethod
    def _of_encoder(cls, name: str, config_dict: dict[str, Any]) -> dict[str, Any]:
        """The config of a checkpoint of another type as one of ours; the checkpoint's name is for errors."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Make a config of a dictionary, with options given as keywords in place of its own.

        Options of the head and label names are merged before construction, so that they are checked there. Where they
        ask for a head of another size, what the dictionary says about its own head is dropped.

        Raises:
            ValueError: A value out of range, or label names that are the dictionary's own in another order.
        """
        config_dict = _without_foreign_code(config_dict)
        if "sentence_encoder" not in config_dict:  # an older one of ours: their pooling told
            config_dict["sentence_encoder"] = config_dict.get("pooling") in ("mean", "max")
        stored, asked = config_dict.get("id2label"), kwargs.get("id2label")
        if _may_have_head(config_dict.get("architectures")):
            _check_label_order(kwargs.get("name_or_path") or "the checkpoint", stored, asked)
        count = kwargs.get("num_labels") if asked is None else len(asked)
        # Configs of 2 labels with generic names are stored without names.
        if count not in (None, len(stored) if stored else 2):
            for key in _OF_ONE_HEAD:
                config_dict.pop(key, None)
        if asked is not None:
            config_dict.pop("label2id", None)
        config_dict.update({key: kwargs.pop(key) for key in _HEAD_OPTIONS if key in kwargs})
        return super().from_dict(config_dict, **kwargs)


def _below_one(value: Any) -> bool:
    """Whether it is a number from 0 on and less than 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


class BertSentimentConfig(SentimentConfig, BertConfig):
    """A `BertConfig` with the options of the sentiment head.

    Args:
        classifier_dropout (float): As in `SentimentConfig`.
        pooling (str): `"pooler"` by default (the pre-trained layer on [CLS]), `"cls"`, `"mean"` or `"max"`.
        class_weights (list[float]): As in `SentimentConfig`.
        label_smoothing (float): As in `SentimentConfig`.
        label_rule (dict): As in `SentimentConfig`.
        long_texts (dict): As in `SentimentConfig`.
        sentence_encoder (bool): As in `SentimentConfig`.
        normalize (bool): As in `SentimentConfig`.
        text_prefix (str): As in `SentimentConfig`.

    Every other option is stock BERT's.

    Examples:
        >>> BertSentimentConfig(pooling="mean", num_labels=3).id2label
        {0: 'negative', 1: 'neutral', 2: 'positive'}
    """

    model_type = "bert_sentiment"

    pooling: str = "pooler"

    @classmethod
    def _of_encoder(cls, name: str, config_dict: dict[str, Any]) -> dict[str, Any]:
        if config_dict.get("model_type") != "bert":
            raise ValueError(
                f"{name} is a checkpoint of type {config_dict.get('model_type')!r}, and BertForSentimentAnalysis loads "
                "BERT checkpoints only: load it with EncoderForSentimentAnalysis"
            )
        if config_dict.get("is_decoder"):  # of its tokens the first would see nothing but itself
            raise ValueError(f"{name} is a decoder (is_decoder in config.json): choose an encoder's checkpoint")
        # Saying our type here spares users a warning about it; the weights have the same names in both.
        return config_dict | {"model_type": cls.model_type}


def _without_foreign_code(config_dict: dict[str, Any]) -> dict[str, Any]:
    """A config without what sends the Auto classes to other people's code, at any depth."""
    kept = {
        key: _without_foreign_code(value) if isinstance(value, dict) and key != "auto_map" else value
        for key, value in config_dict.items()
        if key != "trust_remote_code"
    }
    if isinstance(kept.get("auto_map"), dict):  # "repository--file.Class" is a class of another repository
        kept["auto_map"] = {key: value for key, value in kept["auto_map"].items() if "--" not in str(value)}
    return kept


def _may_have_head(architectures: list[str] | None) -> bool:
    """Whether the classes that a checkpoint names have a head for labels; where it names none, it may have one."""
    kinds = ("Classification", "SentimentAnalysis")
    return not architectures or any(kind in str(name) for name in architectures for kind in kinds)


def _check_label_order(checkpoint: str, stored: dict[Any, str] | None, asked: dict[Any, str] | None) -> None:
    """Refuse the checkpoint's own label names in another order: its trained head would answer the opposite."""
    if not stored or not asked:
        return
    before = [str(stored[key]) for key in sorted(stored, key=int)]
    after = [str(asked[key]) for key in sorted(asked, key=int)]
    # "NEGATIVE" and "negative" are the same label to whoever trained with one and asks for the other.
    old, new = [name.strip().casefold() for name in before], [name.strip().casefold() for name in after]
    if old != new and sorted(old) == sorted(new):
        raise ValueError(f"{checkpoint} was trained with its labels in another order: labels={before!r}")


def read_beside(name: str | os.PathLike[str], file: str, locate: dict[str, Any], kind: type[Any] = dict) -> Any:
    """A JSON file that lies beside a checkpoint's config; empty where there is none.

    Args:
        name: A Hub id, a folder, or its config.json itself.
        file: Its path in there.
        locate: `revision`, `token` and the like.
        kind: What it holds: a `dict`, or a `list` of them.

    Raises:
        ValueError: It holds something else.
    """
    if os.path.isfile(name):
        name = os.path.dirname(os.path.abspath(name))
    path = cached_file(str(name), file, _raise_exceptions_for_missing_entries=False, **locate)
    if path is None:
        return kind()
    try:
        with open(path, encoding="utf-8") as opened:
            content = json.load(opened)
    except ValueError:
        content = None
    if not isinstance(content, kind) or (kind is list and not all(isinstance(item, dict) for item in content)):
        raise ValueError(f"{name}: {file} is not as sentence-transformers writes it: fetch the checkpoint again")
    return content


def sentence_transformers_modules(name: str | os.PathLike[str], locate: dict[str, Any]) -> dict[str, Any]:
    """The modules of a sentence-transformers checkpoint by the names of their classes, with the folder of each.

    Args:
        name: As in `read_beside`.
        locate: As in `read_beside`.

    Raises:
        ValueError: As in `read_beside`.
    """
    places = {}
    for module in read_beside(name, "modules.json", locate, list):
        path = module.get("path")
        places[str(module.get("type")).rpartition(".")[2]] = path.strip("/") if isinstance(path, str) else path
    return places


def _sentence_transformers(
    name: str | os.PathLike[str], locate: dict[str, Any], with_pooling: bool = True
) -> dict[str, Any]:
    """What a sentence-transformers folder says of itself, as options of ours.

    Raises:
        ValueError: It declares a pooling, or a concatenation of several, that this model does not have.
    """
    places = sentence_transformers_modules(name, locate)
    folder = places.get("Pooling", "1_Pooling")
    declared = read_beside(name, f"{folder}/config.json", locate)
    if not declared:
        if "Pooling" in places:
            raise ValueError(f"{name}: modules.json names {folder}/config.json, which is missing: fetch it again")
        return {"sentence_encoder": False}
    said = read_beside(name, "config_sentence_transformers.json", locate)
    prompts = said.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise ValueError(f"{name}: prompts of config_sentence_transformers.json are no names with texts: mend them")
    # What stands before every text by default, or else before what is classified or asked for.
    names = {str(key).lower(): text for key, text in prompts.items()} | prompts
    default = said.get("default_prompt_name")
    if default is not None and not (isinstance(default, str) and default in prompts):
        raise ValueError(f"{name}: default_prompt_name in config_sentence_transformers.json is no prompt: mend it")
    prompt = next((names[key] for key in (default, *_PROMPTS) if key in names), "")
    options: dict[str, Any] = {"sentence_encoder": True, "text_prefix": prompt if isinstance(prompt, str) else ""}
    if with_pooling:
        options["pooling"] = _declared_pooling(str(name), declared)
    return options


def _declared_pooling(name: str, declared: dict[str, Any]) -> str:
    """The pooling of a sentence-transformers folder's Pooling module; its name is for the error."""
    modes = declared.get("pooling_mode")  # a name or a list of names, since sentence-transformers 6
    if modes is None:
        flags = [key for key, value in declared.items() if key.startswith("pooling_mode_") and value]
        modes = [_SENTENCE_TRANSFORMERS_FLAGS.get(flag, flag) for flag in flags] or "mean"  # its own default
    modes = modes if isinstance(modes, list) else [modes]
    if len(modes) == 1 and modes[0] in _SENTENCE_TRANSFORMERS_FLAGS.values():
        return str(modes[0])
    raise ValueError(
        f"{name} pools by {' + '.join(map(str, modes))} (1_Pooling/config.json), which this model does not have: name "
        f'one of {", ".join(POOLINGS)}, for example pooling="mean"'
    )


__all__ = ["BertSentimentConfig", "SentimentConfig"]
