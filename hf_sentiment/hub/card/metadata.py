"""The metadata of a card, by huggingface_hub's classes; what is plainly wrong in them is found before the Hub is asked.

The Hub itself knows its licences, languages and tasks: `HfApi.create_commit` lets it look at README.md before a byte of
any file is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.utils import validate_repo_id

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.records.schema import Measurement

if TYPE_CHECKING:
    from hf_sentiment.hub.card.data_facts import DataFacts
    from hf_sentiment.hub.card.facts import ModelFacts, ResultFacts

# The form of an identifier; which ones there are is for the Hub to say.
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
# ISO 639-1, 639-2 or 639-3, and what the Hub has beside them.
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")
# What somebody may have set on the Hub's page, and a new card that says nothing of it keeps.
_KEPT = ("license", "license_name", "license_link", "language", "thumbnail")
# The questions that a gated repository asks of whoever wants it.
_GATE = "extra_gated_"


def make_metadata(model: ModelFacts, data: DataFacts, results: ResultFacts, tested: Measurement | None) -> str:
    """The YAML block of a card, without its fences; nothing in it is null.

    Args:
        model: Of the card.
        data: Of the card.
        results: Of the card.
        tested: The evaluation, if it is of a test split.
    """
    kind = "adapter" if model.adapter else "finetune"
    card = ModelCardData(
        base_model=model.base_model,
        base_model_relation=None if model.base_model is None else kind,
        datasets=None if data.dataset_id is None else [data.dataset_id],
        language=data.language,
        library_name="peft" if model.adapter else "sentence-transformers" if model.embeds else "transformers",
        license=model.license,
        metrics=None if tested is None else ["accuracy", "f1", "matthews_correlation"],
        pipeline_tag="text-classification",
        tags=["sentiment-analysis", "text-classification", "hf-sentiment", *(["lora"] if model.adapter else [])],
        model_name=model.name,
        eval_results=None if tested is None else _results(data, tested),
        widget=[{"text": row.text, "example_title": row.label} for row in results.examples] or None,
    )
    # `ModelCardData` leaves out what is `None`, and makes of the results the model index.
    return str(card.to_yaml())


def _results(data: DataFacts, tested: Measurement) -> list[EvalResult]:
    """The test split's figures; every one names the data that it was measured on."""
    measured: dict[str, Any] = {
        "task_type": "text-classification",
        "task_name": "Sentiment analysis",
        "dataset_type": data.dataset_id or "custom",
        "dataset_name": data.source or data.dataset_id or "the test texts",
        "dataset_config": data.dataset_config,
        "dataset_revision": data.dataset_revision,
        "dataset_split": tested.split,
    }
    figures = (
        ("accuracy", "accuracy", None, tested.model.accuracy),
        ("f1", "macro-F1", {"average": "macro"}, tested.model.macro_f1),
        ("matthews_correlation", "Matthews correlation", None, tested.model.mcc),
    )
    return [
        EvalResult(
            **measured,
            metric_type=kind,
            metric_name=name,
            metric_args=arguments,
            metric_value=round(figure.value, 4),
        )
        for kind, name, arguments, figure in figures
    ]


def split_card(card: str) -> tuple[str | None, str]:
    """The YAML block of a card, without its fences, and the text below; `None` where there is no block."""
    card = card.removeprefix("\ufeff")
    found = REGEX_YAML_BLOCK.search(card)
    return (None, card) if found is None else (found.group(2), card[found.end() :])


def check_license(license: str) -> None:
    """Refuse what cannot be an identifier of the Hub's list.

    Raises:
        CallError: It is none.
    """
    if not _LICENSE.fullmatch(license):
        raise CallError(f"--license {license}: not in the Hub's list: apache-2.0, mit, cc-by-4.0, … or other")


def check_language(language: str) -> None:
    """Refuse what is no language code.

    Raises:
        CallError: It is none.
    """
    if not _LANGUAGE.fullmatch(language):
        raise CallError(f"--language {language}: not a code of ISO 639, such as en, de or multilingual")


def check_card(card: str) -> dict[str, Any]:
    """The metadata of a card, if nothing in it is plainly wrong.

    Raises:
        SentimentError: There is none, or something in it that the Hub refuses; the message names the field.
    """
    block, _ = split_card(card)
    if block is None:
        raise SentimentError(
            "README.md has no metadata: begin it with ---, {{ metadata }} and --- on lines of their own"
        )
    try:
        metadata = yaml.safe_load(block)
    except yaml.YAMLError as error:
        raise SentimentError(f"README.md: its metadata is no YAML ({' '.join(str(error).split())})") from error
    if not isinstance(metadata, dict):
        raise SentimentError("README.md: its metadata is no mapping of names to values")
    for problem in _problems(metadata):
        raise SentimentError(f"README.md, metadata: {problem}")
    return metadata


def _problems(metadata: dict[str, Any]) -> Iterator[str]:
    for path, value in _leaves(metadata, ""):
        if value is None:
            yield f"{path} is null: leave it out"
    if not _LICENSE.fullmatch(str(metadata.get("license", "mit"))):
        yield f"license {metadata['license']!r} is not in the Hub's list: apache-2.0, mit, cc-by-4.0, … or other"
    for language in _as_list(metadata.get("language")):
        if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
            yield f"language {language!r} is not a code of ISO 639, such as en"
    for field in ("base_model", "datasets"):
        for name in _as_list(metadata.get(field)):
            if not is_repo_id(name):
                yield f"{field} {name!r} is no Hub id such as google-bert/bert-base-uncased"
    # The client reads the model index when it reads a card, so that what it cannot read would be lost.
    try:
        ModelCardData(**metadata)
    except (ValueError, TypeError) as error:
        yield f"model-index is not in the Hub's form ({error.__cause__ or error.__context__ or error!r})"


def keep_metadata(card: str, present: str) -> str:
    """A new card with the licence, the language and the tags that the present one has and the new one does not name.

    Args:
        card: The new card, whose metadata is right.
        present: The card that is on the Hub now; where its metadata can't be read, nothing is kept.
    """
    if split_card(present)[0] is None or split_card(card)[0] is None:
        return card
    new = ModelCard(card)
    # What is there now may be anybody's: nothing of it is worth a failure.
    try:
        before = ModelCard(present, ignore_metadata_errors=True).data.to_dict()
    except (ValueError, TypeError, yaml.YAMLError):
        return card
    kept = {name: value for name, value in before.items() if name in _KEPT or name.startswith(_GATE)}
    kept = {name: value for name, value in kept.items() if new.data.get(name) is None}
    own = new.data.get("tags", [])
    tags = [tag for tag in _as_list(before.get("tags")) if isinstance(tag, str) and tag not in own]
    if not kept and not tags:
        return card
    for name, value in (kept | ({"tags": [*own, *tags]} if tags else {})).items():
        new.data[name] = value
    return str(new)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from _leaves(entry, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for entry in value:
            yield from _leaves(entry, path)
    else:
        yield path, value


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def is_repo_id(name: Any) -> bool:
    """Whether a name has the form of a Hub id."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def is_hub_id(name: Any) -> bool:
    """Whether a name is one of the Hub; a relative path of two parts looks like one."""
    return isinstance(name, str) and is_repo_id(name) and not Path(name).exists()
