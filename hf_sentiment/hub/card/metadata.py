"""The metadata of a card: made in huggingface_hub's form, and checked here before a byte is sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCardData
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_sentiment.errors import CallError, SentimentError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# https://huggingface.co/docs/hub/repositories-licenses, November 2026
LICENSES = _words(
    """
    apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bigscience-bloom-rail-1.0 bigcode-openrail-m
    afl-3.0 artistic-2.0 bsl-1.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda cc cc0-1.0 cc-by-2.0
    cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nd-4.0
    cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl
    gpl gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc h-research intel-research lppl-1.3c ms-pl mpl-2.0 odc-by odbl
    openrail++ osl-3.0 postgresql ofl-1.1 ncsa unlicense zlib pddl lgpl-lr deepfloyd-if-license
    fair-noncommercial-research-license llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 grok2-community gemma
    unknown other
    """
)
# ISO 639-1; the Hub also takes the three letters of ISO 639-2 and 639-3, "code" and "multilingual".
_LANGUAGES = _words(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el
    en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu
    ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na
    nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so
    sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu code
    multilingual
    """
)
_RELATIONS = ("finetune", "adapter", "merge", "quantized")
# What somebody may have set on the Hub's page, and a new card that says nothing of it keeps.
_KEPT = ("license", "license_name", "license_link", "language", "thumbnail")
_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?$\n?", re.DOTALL | re.MULTILINE)


def make_metadata(facts: Mapping[str, Any], evaluation: Mapping[str, Any] | None) -> str:
    """The YAML block of a card, without its fences; nothing in it is null.

    Args:
        facts: As `hf_sentiment.hub.card.facts.card_facts` makes them.
        evaluation: The evaluation record.
    """
    card = ModelCardData(
        base_model=facts["base_model"],
        base_model_relation=None if facts["base_model"] is None else "adapter" if facts["adapter"] else "finetune",
        datasets=None if facts["dataset_id"] is None else [facts["dataset_id"]],
        language=facts["language"],
        library_name="peft" if facts["adapter"] else "transformers",
        license=facts["license"],
        metrics=None if evaluation is None else ["accuracy", "f1", "matthews_correlation"],
        pipeline_tag="text-classification",
        tags=["sentiment-analysis", "text-classification", "hf-sentiment", *(["lora"] if facts["adapter"] else [])],
        model_name=facts["name"],
        eval_results=None if evaluation is None else _results(facts, evaluation),
        widget=[{"text": row["text"], "example_title": row["label"]} for row in facts["examples"]] or None,
    )
    return str(card.to_yaml())


def _results(facts: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[EvalResult]:
    """The test split's figures; every one names the data that it was measured on."""
    measured = {
        "task_type": "text-classification",
        "task_name": "Sentiment analysis",
        "dataset_type": facts["dataset_id"] or "custom",
        "dataset_name": facts["source"] or facts["dataset_id"] or "the test texts",
        "dataset_config": facts["dataset_config"],
        "dataset_revision": facts["dataset_revision"],
        "dataset_split": evaluation.get("split", "test"),
    }
    named = {
        "accuracy": ("accuracy", "accuracy", None),
        "macro_f1": ("f1", "macro-F1", {"average": "macro"}),
        "mcc": ("matthews_correlation", "Matthews correlation", None),
    }
    return [
        EvalResult(
            **measured,
            metric_type=kind,
            metric_name=name,
            metric_args=arguments,
            metric_value=round(evaluation["model"][metric]["value"], 4),
        )
        for metric, (kind, name, arguments) in named.items()
    ]


def split_card(card: str) -> tuple[str | None, str]:
    """The YAML block of a card, without its fences, and the text below; `None` where there is no block."""
    found = _FRONT_MATTER.match(card.removeprefix("\ufeff"))
    return (None, card) if found is None else (found.group(1), card.removeprefix("\ufeff")[found.end() :])


def check_license(license: str) -> None:
    """Refuse a licence that the Hub would refuse.

    Raises:
        CallError: It is not in the Hub's list.
    """
    if license not in LICENSES:
        near = sorted(name for name in LICENSES if name.startswith(license.lower()[:3]))
        hint = f" ({', '.join(near[:6])})" if near else ""
        raise CallError(f"--license {license}: not in the Hub's list{hint}: apache-2.0, mit, cc-by-4.0, … or other")


def check_language(language: str) -> None:
    """Refuse what is no language code.

    Raises:
        CallError: It is none.
    """
    if language not in _LANGUAGES and not re.fullmatch(r"[a-z]{3}", language):
        raise CallError(f"--language {language}: not a code of ISO 639, such as en, de or multilingual")


def check_card(card: str) -> dict[str, Any]:
    """The metadata of a card, if the Hub will take it.

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
    if metadata.get("license", "mit") not in LICENSES:
        yield f"license {metadata['license']!r} is not in the Hub's list: apache-2.0, mit, cc-by-4.0, … or other"
    for language in _as_list(metadata.get("language")):
        if language not in _LANGUAGES and not (isinstance(language, str) and re.fullmatch(r"[a-z]{3}", language)):
            yield f"language {language!r} is not a code of ISO 639, such as en"
    for field in ("base_model", "datasets"):
        for name in _as_list(metadata.get(field)):
            if not is_repo_id(name):
                yield f"{field} {name!r} is no Hub id such as google-bert/bert-base-uncased"
    if metadata.get("base_model_relation", "finetune") not in _RELATIONS:
        yield f"base_model_relation must be one of {', '.join(_RELATIONS)}"
    if not all(isinstance(tag, str) and tag for tag in _as_list(metadata.get("tags"))):
        yield "tags must be words"
    if not isinstance(metadata.get("pipeline_tag", ""), str):
        yield "pipeline_tag must be a task such as text-classification"
    yield from _index_problems(metadata.get("model-index"))


def _index_problems(index: Any) -> Iterator[str]:
    if index is None:
        return
    try:
        for model in index:
            for result in model["results"]:
                if not (model["name"] and result["task"]["type"] and result["dataset"]["name"]):
                    yield "model-index: a result has no name, task or data set"
                if not result["dataset"]["type"] or not all("type" in m and "value" in m for m in result["metrics"]):
                    yield "model-index: a result has no data set type, or a metric without type or value"
    except (KeyError, TypeError) as error:
        yield f"model-index is not in the Hub's form ({error})"


def keep_metadata(card: str, present: str) -> str:
    """A new card with the licence, the language and the tags that the present one has and the new one does not name.

    Args:
        card: The new card, whose metadata is right.
        present: The card that is on the Hub now; where its metadata can't be read, nothing is kept.
    """
    new, below = split_card(card)
    old, _ = split_card(present)
    if new is None or old is None:
        return card
    try:
        before, after = yaml.safe_load(old), yaml.safe_load(new)
    except yaml.YAMLError:
        return card
    if not isinstance(before, dict):
        return card
    kept = {name: before[name] for name in before if name in _KEPT or name.startswith("extra_gated_")}
    added = {name: value for name, value in kept.items() if name not in after and value is not None}
    tags = [tag for tag in _as_list(before.get("tags")) if isinstance(tag, str) and tag not in after.get("tags", [])]
    if not added and not tags:
        return card
    merged = after | added | ({"tags": after.get("tags", []) + tags} if tags else {})
    text = yaml.dump(merged, sort_keys=False, allow_unicode=True)
    return f"---\n{text}---\n{below}"


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
