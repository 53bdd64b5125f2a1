"""The facts of a model card, all from the run's records; what is not known is `None`, and left out of the card."""

from __future__ import annotations

import re
from dataclasses import dataclass

from hf_sentiment.data.sources import base_of, license_of
from hf_sentiment.evaluation.report import report_rows
from hf_sentiment.hub.card.limits import limit_sentences
from hf_sentiment.hub.card.metadata import is_hub_id
from hf_sentiment.hub.card.options import CardOptions
from hf_sentiment.hub.card.package_source import install_command
from hf_sentiment.hub.scan import is_quotable
from hf_sentiment.records.read import RunRecords
from hf_sentiment.records.schema import Example, Measurement, Mistake, PlanRecord, TrainingRecord

_POOLING_WORDS = {
    "pooler": "pooled [CLS] output",
    "cls": "[CLS] state",
    "mean": "mean token state",
    "max": "maximum over token states",
}
_LICENSE_WORDS = {"apache-2.0": "Apache-2.0", "mit": "MIT"}
# Where no text of the evaluation may be quoted.
_EXAMPLE = "An absolute delight from start to finish."
# What a CPU core that computes without a pause takes, with its share of memory and power supply: the mean of the
# 65 to 125 W of today's desktop and server chips over their 8 to 16 cores.
WATTS_PER_CORE = 10


@dataclass(frozen=True)
class ModelFacts:
    """What the model is, where it will be, and who can load it.

    Attributes:
        repo: The repository, or ".", the folder that the card lies in; without one there is no `url` either.
        citation_key: For BibTeX.
        install: The command that installs this package, where there is one for everybody.
        can_load: Who can load the model and who cannot, in sentences.
        license: An identifier of the Hub; `base_license` is in words.
        base_model: The Hub id of the base; a folder of some machine is nobody's business.
        is_ours: Whether its source files travel with it.
        sources: These files.
        code: The class in them, as transformers loads it from a repository.
        stock_class: The class of transformers that loads it, where there is one.
        embeds: Whether sentence-transformers loads it, and its embedding of a text is the logits.
        pooling_words: What the head looks at.
        text_prefix: What the tokenizer puts before every text.
    """

    name: str
    repo: str
    published: bool
    url: str | None
    citation_key: str
    install: str | None
    can_load: list[str]
    adapter: bool
    labels: list[str]
    license: str | None
    base_model: str | None
    base_license: str | None
    is_ours: bool
    sources: tuple[str, ...]
    code: str | None
    stock_class: str | None
    embeds: bool
    pooling_words: str | None
    text_prefix: str
    parameters: int | None
    adapter_parameters: int | None


def model_facts(records: RunRecords, options: CardOptions, repo_id: str | None, adapter: bool) -> ModelFacts:
    """The facts of the model.

    Args:
        records: Of the run.
        options: What the publisher says.
        repo_id: Where the model will be; without it, the card is for the folder that it lies in.
        adapter: The card is an adapter's.
    """
    kind = records.kind
    named = None if records.arguments is None else records.arguments.model_name_or_path
    base = options.base_model or _base_model(records)
    base_license = license_of(named) or license_of(base)
    # A run is called after its folder, which `publish RUN me/NAME` need not be.
    name = (repo_id or records.folder.resolve().name).rpartition("/")[2]
    return ModelFacts(
        name=name,
        repo=repo_id or ".",
        published=repo_id is not None,
        url=None if repo_id is None else f"https://huggingface.co/{repo_id}",
        citation_key=re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "model",
        install=install_command(options.package_source),
        can_load=loaders(records, adapter),
        adapter=adapter,
        labels=records.labels or [],
        license=options.license or base_license,
        base_model=base,
        base_license=None if base_license is None else _LICENSE_WORDS[base_license],
        is_ours=kind is not None,
        sources=() if kind is None else kind.sources,
        code=None if kind is None else kind.auto_map["AutoModel"],
        stock_class=kind.stock_class if kind is not None and records.stock_loads else None,
        embeds=bool(records.modules),
        pooling_words=None if kind is None else _POOLING_WORDS[records.pooling],
        text_prefix=records.text_prefix,
        parameters=records.count_parameters(adapter=False),
        adapter_parameters=records.count_parameters(adapter=True),
    )


def _base_model(records: RunRecords) -> str | None:
    """The Hub id of the base, by the run or by the adapter."""
    named = None if records.arguments is None else records.arguments.model_name_or_path
    named = None if named is None else base_of(named)
    return next((name for name in (named, records.adapter_base) if is_hub_id(name)), None)


def loaders(records: RunRecords, adapter: bool = False) -> list[str]:
    """Who can load a model of ours and who cannot, in sentences; of another architecture's adapter nothing."""
    if records.exported is not None:
        form = records.exported.format
        engines = "OpenVINO" if form == "openvino" else "onnxruntime, transformers.js"
        return [f"It loads by {engines} and the package hf-sentiment (`--backend {form}`). Not by torch: no weights."]
    if records.modules:
        lacks = "max pooling" if records.modules["Pooling"].get("pooling_mode_max_tokens") else ""
        lacks = lacks or ("normalized vectors before a linear layer" if "Normalize" in records.modules else "")
        return [
            "It loads by sentence-transformers and the package hf-sentiment, without remote code: a text's embedding "
            "is its logits.",
            f"Not by text-embeddings-inference, which has no {lacks}."
            if lacks
            else 'text-embeddings-inference reads such folders; ask it with `"normalize": false`. It was not tried.',
            'Not by `pipeline("text-classification")` and `AutoModelForSequenceClassification`, which would make up a '
            "head.",
        ]
    if records.kind is None:
        named = (records.config or {}).get("architectures")
        if adapter or not named:
            return []
        how = "It loads by `pipeline`, the Auto classes and the package hf-sentiment, without remote code."
        return [how, f"Servers that go by the names in `config.json` find stock `{named[0]}` there."]
    stock = records.kind.stock_class
    classes = "PEFT on the class that is here" if adapter else "`pipeline` and the Auto classes"
    consent = "" if adapter else " with `trust_remote_code=True`"
    lines = [f"It loads by {classes}{consent}, and by the package hf-sentiment without remote code."]
    if stock is None:
        lines.append("Not by the encoder's own class of transformers, which has another head.")
    elif not records.stock_loads:
        lines.append(f"Not by stock `{stock}`, which has no {records.pooling} pooling and makes up a pooler.")
    elif not adapter:
        lines.append(f"It loads by stock `{stock}`, with the same logits.")
    return [*lines, "Not by servers that go by the names in `config.json`, such as text-embeddings-inference."]


@dataclass(frozen=True)
class ResultFacts:
    """What was measured.

    Attributes:
        evaluation: All of it; `None` where nothing was.
        rows: The table of results.
        unmeasured: Why a run of ours has no figures; `None` where it has some, or where nothing is known of the run.
        unseen_accuracy: On texts that the model has not seen, where it has seen some.
        examples: Texts that may be quoted, at most one a label.
        errors: The most confident ones whose texts may be quoted.
        example: A text for the card's code.
        limits: Where the model is weak, in sentences.
    """

    evaluation: Measurement | None
    rows: list[dict[str, str]]
    unmeasured: str | None
    unseen_accuracy: str | None
    examples: list[Example]
    errors: list[Mistake]
    example: str
    limits: list[str]


def result_facts(records: RunRecords, quote_texts: bool) -> ResultFacts:
    """The facts of the results.

    Args:
        records: Of the run.
        quote_texts: Whether texts that it was measured on may be quoted.
    """
    evaluation = records.measured
    # Metrics on the texts that the model has not seen; there are none where it has seen none, or all.
    unseen = None if evaluation is None or evaluation.seen is None else evaluation.seen.unseen.model
    examples, errors = quoted_texts(evaluation) if quote_texts else ([], [])
    return ResultFacts(
        evaluation=evaluation,
        rows=[] if evaluation is None else report_rows(evaluation),
        unmeasured=_unmeasured(records),
        unseen_accuracy=None if unseen is None else str(unseen.accuracy),
        examples=examples,
        errors=errors,
        # The last label's, as it is the positive one where there is an order.
        example=examples[-1].text if examples else _EXAMPLE,
        limits=limit_sentences(records),
    )


def quoted_texts(evaluation: Measurement | None) -> tuple[list[Example], list[Mistake]]:
    """The examples and errors that a card may quote: none with an address, a path or a key of somebody in it."""
    if evaluation is None:
        return [], []
    examples = [row for row in evaluation.examples if is_quotable(row.text)]
    return examples, [row for row in evaluation.errors if is_quotable(row.text)]


def _unmeasured(records: RunRecords) -> str | None:
    """Why there are no figures."""
    if records.measured is not None or records.audit is None or records.evaluation is None:
        return None
    used, training = records.audit.used, records.evaluation.training
    if training is None or used.get("train") or used.get("test"):
        return "No text was held out for a test."
    # No label at all: a head that was made of the lexicon and, where they could be used, of unlabelled texts.
    rests_on, given = training.unlabeled_texts, records.audit.unlabeled or 0
    made = f"and of {rests_on:,} texts without labels" if rests_on else "alone"
    unused = f"; the {given:,} texts without labels that were given could not be used" if given and not rests_on else ""
    return f"There was no labelled text to measure it on: it is made of a sentiment lexicon {made}{unused}."


@dataclass(frozen=True)
class TrainingFacts:
    """How the model was made.

    Attributes:
        trained: Whether anything is known of it.
        run: The record of it.
        plan: What was decided, and why.
        without_labels: Whether no label was seen.
        head_alone: Whether the head is all that was trained on labels.
        lora: The rank of the adapters.
        curves: Path of the picture.
        watt_hours: What a CPU took, if a busy core takes `watts_per_core`; of a GPU nobody knows its power.
    """

    trained: bool
    run: TrainingRecord | None
    plan: PlanRecord
    without_labels: bool
    head_alone: bool
    lora: int | None
    curves: str | None
    watt_hours: float | None
    watts_per_core: int = WATTS_PER_CORE


def training_facts(records: RunRecords) -> TrainingFacts:
    """The facts of the training."""
    plan = records.plan or PlanRecord({}, {}, None)
    training = None if records.evaluation is None else records.evaluation.training
    # Of a run its record, of another folder the adapter's own config.
    rank = records.rank if training is None else training.lora
    cores = training.threads * training.processes if training is not None and training.device == "cpu" else None
    return TrainingFacts(
        trained=training is not None or rank is not None,
        run=training,
        plan=plan,
        without_labels=records.audit is not None and records.audit.used.get("train") == 0,
        head_alone=plan.value("num_train_epochs") == 0 and not (training and training.steps),
        lora=rank,
        curves=next((name for name in records.curves if name.endswith(".png")), None),
        watt_hours=training.seconds / 3600 * cores * WATTS_PER_CORE if training and cores else None,
    )
