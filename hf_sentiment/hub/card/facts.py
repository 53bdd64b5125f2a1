"""The facts of a model card, all from the run's records; what is not known is `None`, and left out of the card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_sentiment.data.sources import STARTER, STARTER_CHECKPOINT, is_starter
from hf_sentiment.evaluation.report import metric_cell, report_rows
from hf_sentiment.hub.card.limits import limit_sentences
from hf_sentiment.hub.card.metadata import is_repo_id
from hf_sentiment.hub.card.package_source import install_command
from hf_sentiment.hub.scan import is_quotable
from hf_sentiment.records.read import RunRecords

_POOLING_WORDS = {
    "pooler": "pooled [CLS] output",
    "cls": "[CLS] state",
    "mean": "mean token state",
    "max": "maximum over token states",
}
_LANGUAGE_NAMES = {
    **{"ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English"},
    **{"es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi"},
    **{"hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch"},
    **{"no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish"},
    **{"th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese"},
}
# A language is certain when so many texts were long enough to tell it, and so large a share of them says it.
_LEAST_TEXTS = 10
_LEAST_SHARE = 0.9
_EXAMPLE = "An absolute delight from start to finish."
# What a CPU core that computes without a pause takes, with its share of memory and power supply: the mean of the
# 65 to 125 W of today's desktop and server chips over their 8 to 16 cores.
WATTS_PER_CORE = 10


def card_facts(
    records: RunRecords,
    *,
    repo_id: str | None,
    adapter: bool = False,
    license: str | None = None,
    language: str | None = None,
    base_model: str | None = None,
    quote_texts: bool = True,
    package_source: str | None = None,
) -> dict[str, Any]:
    """Every variable that a card's template may use, but `metadata`.

    Args:
        records: Of the run.
        repo_id: Where the model will be; without it, the card is for the folder that it lies in.
        adapter: The card is an adapter's.
        license: Of the model, an identifier of the Hub; by default the base's, where that is known.
        language: Of the texts, an ISO 639 code; by default the one that the records are certain of.
        base_model: The Hub id of the base, where the records do not say it.
        quote_texts: Whether texts that it was measured on may be quoted.
        package_source: From where this package can be installed.
    """
    arguments, evaluation, audit = records.arguments or {}, records.measured, records.audit
    starter_model = arguments.get("model_name_or_path") == STARTER
    base = base_model or _base_model(records)
    from_starter = starter_model or base == STARTER_CHECKPOINT
    quoted = quoted_texts(evaluation, quote_texts)
    plan = records.plan or {}
    config = records.config or {}
    found = _language_facts(audit)
    language = language or ("en" if _is_starter_data(arguments) else found["language"])
    return {
        "name": (repo_id or records.folder.resolve().name).rpartition("/")[2],
        "repo": repo_id or ".",
        "published": repo_id is not None,
        "install": install_command(package_source),
        "can_load": loaders(records, adapter),
        "adapter": adapter,
        "labels": records.labels or [],
        "language": language,
        "language_name": None if language is None else _LANGUAGE_NAMES.get(language),
        "language_found": found["said"] if language == found["language"] else None,
        "license": license or ("apache-2.0" if from_starter else None),
        "base_model": base,
        "base_license": "Apache-2.0" if from_starter else None,
        "is_ours": records.is_ours,
        "stock_loads": _stock_loads(records),
        "pooling_words": _POOLING_WORDS[config.get("pooling", "pooler")] if records.is_ours else None,
        "parameters": records.count_parameters(adapter=False),
        "adapter_parameters": records.count_parameters(adapter=True),
        "reads": config.get("max_position_embeddings"),
        "example": quoted["examples"][-1]["text"] if quoted["examples"] else _EXAMPLE,
        **quoted,
        **_data_facts(records),
        **_result_facts(evaluation, len(records.labels or [])),
        **_training_facts(records.evaluation, records.adapter),
        **_head_facts(records),
        "unmeasured": _unmeasured(records),
        "plan": [{"name": name, **decision} for name, decision in plan.items()],
        "curves": next((name for name in records.curves if name.endswith(".png")), None),
        "limits": limit_sentences(
            evaluation, audit, plan.get("max_length", {}).get("value"), config.get("max_position_embeddings")
        ),
        "url": None if repo_id is None else f"https://huggingface.co/{repo_id}",
    }


def _base_model(records: RunRecords) -> str | None:
    """The Hub id of the base; a folder of some machine is nobody's business."""
    said = (records.arguments or {}).get("model_name_or_path")
    if said == STARTER:
        return STARTER_CHECKPOINT
    for name in (said, (records.adapter or {}).get("base_model_name_or_path")):
        if _is_hub_id(name):
            return name
    return None


def _is_hub_id(name: Any) -> bool:
    """Whether a name is one of the Hub; a relative path of two parts looks like one."""
    return isinstance(name, str) and is_repo_id(name) and not Path(name).exists()


def _is_starter_data(arguments: Mapping[str, Any]) -> bool:
    named = arguments.get("dataset_name")
    sources = ("train_file", "unlabeled_file")
    nothing = bool(arguments) and named is None and all(arguments.get(name) is None for name in sources)
    return is_starter(named) or nothing


def loaders(records: RunRecords, adapter: bool = False) -> list[str]:
    """Who can load a model of ours and who cannot, in sentences; of another architecture nothing is said."""
    if not records.is_ours:
        return []
    stock_loads, pooling = _stock_loads(records), (records.config or {}).get("pooling")
    classes = "PEFT on the class that is here" if adapter else "`pipeline` and the Auto classes"
    consent = "" if adapter else " with `trust_remote_code=True`"
    lines = [f"It loads by {classes}{consent}, and by the package hf-sentiment without remote code."]
    if not stock_loads:
        lines.append(
            f"Not by stock `BertForSequenceClassification`, which has no {pooling} pooling and makes up a pooler."
        )
    elif not adapter:
        lines.append("It loads by stock `BertForSequenceClassification`, with the same logits.")
    return [*lines, "Not by servers that go by the names in `config.json`, such as text-embeddings-inference."]


def _stock_loads(records: RunRecords) -> bool:
    return records.is_ours and (records.config or {}).get("pooling", "pooler") == "pooler"


def _language_facts(audit: Mapping[str, Any] | None) -> dict[str, Any]:
    """The language of the texts, where it is certain, and how it was found out."""
    record = (audit or {}).get("languages") or {"texts": 0, "shares": {}}
    name, share = next(iter(record["shares"].items()), (None, 0.0))
    if record["texts"] < _LEAST_TEXTS or share < _LEAST_SHARE:
        return {"language": None, "said": None}
    said = f"{name}, as {100 * share:.3g} % of {record['texts']:,} texts that were long enough to tell (py3langid)"
    return {"language": name, "said": said}


def quoted_texts(evaluation: Mapping[str, Any] | None, quote_texts: bool) -> dict[str, Any]:
    """The texts that the card quotes; one with an address, a path or a key of somebody in it is left out.

    Args:
        evaluation: The evaluation record.
        quote_texts: Whether any may be quoted.

    Returns:
        `examples`, one a label, and `errors`, the most confident ones.
    """
    return {
        name: [row for row in (evaluation or {}).get(name, []) if quote_texts and is_quotable(row["text"])]
        for name in ("examples", "errors")
    }


def _data_facts(records: RunRecords) -> dict[str, Any]:
    arguments, audit = records.arguments or {}, records.audit
    named = arguments.get("dataset_name")
    is_hub = not is_starter(named) and _is_hub_id(named)
    facts: dict[str, Any] = {
        # The starter's begins with the name that stands for it on the command line.
        "source": None if audit is None else re.sub(r"^(starter(:\w+)?|files): | \(MIT\)$", "", audit["source"]),
        "dataset_id": named if is_hub else None,
        "dataset_config": arguments.get("dataset_config_name") if is_hub else None,
        "dataset_revision": arguments.get("dataset_revision") if is_hub else None,
        "data_license": "MIT" if _is_starter_data(arguments) else None,
        "starter_data": _is_starter_data(arguments),
        "label_rule": None if audit is None else audit["label_rule"]["description"],
        "splits": [],
        "train_texts": None if audit is None else audit["used"].get("train"),
        "findings": [],
        "shared_with_train": 0,
    }
    if audit is not None:
        made = audit["splits"]
        labels = audit["label_rule"]["labels"]
        counts = made["label_counts"]
        facts["splits"] = [
            {
                "name": name,
                "texts": size,
                "counts": [counts[name].get(str(index), 0) for index in range(len(labels))] if name in counts else None,
                "origin": made["origin"][name],
            }
            for name, size in audit["used"].items()
        ]
        facts["findings"] = _findings(audit)
        facts["shared_with_train"] = _shared(audit).get("train/test", 0)
    return facts


def _findings(audit: Mapping[str, Any]) -> list[str]:
    """What the check of the data found, in plain words."""
    found = []
    for name, rows in audit["rows"].items():
        if rows["bad"]:
            found.append(f"{rows['bad']:,} rows of the {name} data had no text or no known label and were left out.")
        if rows["dropped_by_rule"]:
            found.append(
                f"{rows['dropped_by_rule']:,} rows of the {name} data lie between the labels and were left out."
            )
    shared = _shared(audit)
    for pair, count in shared.items():
        first, second = pair.split("/")
        if count:
            found.append(f"{count:,} texts of {second} repeat a text of {first}, exactly or nearly.")
    if shared and not any(shared.values()):
        found.append("No text is in two splits, not even nearly.")
    for finding in audit.get("findings", []):
        within = [f"{count:,} in {name}" for name, count in finding.get("repeats", {}).items() if count]
        if within:
            found.append(f"Texts that repeat another one of their own split: {', '.join(within)}.")
        if finding["name"] == "conflicts" and finding["count"]:
            found.append(f"{finding['count']:,} rows have the text of another row and another label.")
        if finding["name"] == "placeholders" and finding["count"]:
            found.append(f"{finding['count']:,} texts stand for no text, such as “N/A”, and were used as texts.")
        if finding["name"] == "contamination" and finding["data"]:
            found.append("SST-2, SST-5 and rotten_tomatoes have the same sentences, so figures on those mean nothing.")
        if finding["name"] == "contamination" and finding["model"]:
            found.append("The base model was, by its name, fine-tuned on sentences of SST or rotten_tomatoes.")
    return found


def _shared(audit: Mapping[str, Any]) -> dict[str, int]:
    """For each pair "train/test", the texts of the second that repeat one of the first, exactly or nearly."""
    return {finding["splits"]: finding["count"] for finding in audit["findings"] if finding["name"] == "leakage"}


def _result_facts(evaluation: Mapping[str, Any] | None, num_labels: int) -> dict[str, Any]:
    if evaluation is None:
        return {
            "evaluation": None,
            "rows": [],
            "per_class": [],
            "by_length": [],
            "confusion": None,
            "temperature": None,
            "unseen_accuracy": None,
        }
    unseen = ((evaluation.get("seen") or {}).get("unseen") or {}).get("model")
    return {
        "evaluation": evaluation,
        "rows": report_rows(evaluation, binary=num_labels == 2),
        "per_class": evaluation["per_class"],
        "by_length": [row | {"accuracy": metric_cell(row, "accuracy")} for row in evaluation.get("by_length", [])],
        "confusion": evaluation.get("confusion_matrix"),
        "temperature": evaluation.get("temperature"),
        "unseen_accuracy": None if unseen is None else metric_cell(unseen, "accuracy"),
    }


def _training_facts(evaluation: Mapping[str, Any] | None, adapter: Mapping[str, Any] | None) -> dict[str, Any]:
    training = (evaluation or {}).get("training")
    if training is None:
        lora = None if adapter is None else adapter.get("r")
        names = ("best", "epochs", "stopped", "alarms", "minutes", "compute", "versions", "year")
        return {"trained": lora is not None, "lora": lora, **dict.fromkeys(names)}
    date = training.get("date")
    return {
        "trained": True,
        "epochs": f"{training['epochs']:g} epoch{'' if training['epochs'] == 1 else 's'} in {training['steps']:,} steps"
        if training["steps"]
        else None,
        "minutes": f"{training['seconds'] / 60:.1f}",
        "best": None if training["best_epoch"] is None else f"{training['best_epoch']:g}",
        "stopped": training["stopped"],
        "alarms": training["alarms"],
        "lora": training["lora"],
        "compute": _compute(training),
        "versions": {"python": training["python"], **training["versions"]},
        "year": None if date is None else date[:4],
    }


def _head_facts(records: RunRecords) -> dict[str, Any]:
    """What was trained: whether a label was seen, whether the encoder was taught the lexicon, and which weights."""
    decisions = records.plan or {}
    counts = (records.audit or {}).get("used", {})
    steps = (records.evaluation or {}).get("training", {}).get("steps")
    return {
        "without_labels": counts.get("train") == 0,
        "unlabelled": (records.evaluation or {}).get("training", {}).get("unlabelled_texts") or 0,
        "lexicon": bool(decisions.get("lexicon", {}).get("value")),
        "head_alone": decisions.get("num_train_epochs", {}).get("value") == 0 and not steps,
        "imbalance": decisions.get("imbalance", {}).get("value"),
        "fine_tuned_share": decisions.get("fine_tuned_share", {}).get("value") or 1.0,
        "bf16": bool(decisions.get("bf16", {}).get("value")),
    }


def _unmeasured(records: RunRecords) -> str | None:
    """Why a run of ours has no figures; `None` where it has some, or where nothing is known of the run."""
    if records.measured is not None or records.audit is None or records.evaluation is None:
        return None
    used = records.audit["used"]
    if used.get("train") or used.get("test"):
        return "No text was held out for a test."
    rests_on, given = records.evaluation["training"]["unlabelled_texts"], records.audit["unlabelled"] or 0
    made = f"and of {rests_on:,} texts without labels" if rests_on else "alone"
    unused = f"; the {given:,} texts without labels that were given could not be used" if given and not rests_on else ""
    return f"There was no labelled text to measure it on: it is made of a sentiment lexicon {made}{unused}."


def _compute(training: Mapping[str, Any]) -> dict[str, Any]:
    """Time, machine and energy; of a GPU, whose power nobody measured, no energy."""
    threads = training.get("threads")
    watt_hours = None
    if training["device"] == "cpu" and threads:
        watt_hours = training["seconds"] / 3600 * threads * WATTS_PER_CORE
    return {
        "device": {"cpu": "CPU", "cuda": "GPU"}.get(training["device"], training["device"]),
        "threads": threads if training["device"] == "cpu" else None,
        "memory": f"{training['peak_memory_bytes'] / 1e9:.1f} GB" if training.get("peak_memory_bytes") else None,
        "watt_hours": None if watt_hours is None else f"{watt_hours:.2g}",
        "watts_per_core": WATTS_PER_CORE,
    }


def slug(name: str) -> str:
    """A name as a BibTeX key."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "model"
