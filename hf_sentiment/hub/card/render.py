"""The model card of a run: a Jinja template filled from the run's records, with metadata that the Hub reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from hf_sentiment.hub.card.data_facts import data_facts
from hf_sentiment.hub.card.facts import loaders, model_facts, result_facts, training_facts
from hf_sentiment.hub.card.metadata import make_metadata, split_card
from hf_sentiment.hub.card.options import CardOptions
from hf_sentiment.hub.card.templates import fill
from hf_sentiment.records.read import RunRecords
from hf_sentiment.records.schema import CallRecord, EvaluationRecord
from hf_sentiment.records.serialization import from_json


def render_card(
    folder: str | Path | RunRecords,
    evaluation: EvaluationRecord | None = None,
    *,
    repo_id: str | None = None,
    adapter: bool = False,
    options: CardOptions | None = None,
) -> str:
    """The text of `README.md` for a run folder, or for any folder with a trained classifier.

    Everything in it is from the folder's records; what they do not say is left out.

    Args:
        folder: The run folder, or its records as they are to be told.
        evaluation: The evaluation, where its record is not written yet.
        repo_id: Where the model will be published; without it, the card's code loads the folder that the card lies in.
        adapter: The card of the run's adapter instead of its merged model.
        options: What the publisher says.

    Raises:
        CallError: There is no such folder or template, or the template uses a variable that there is not.
    """
    options = options or CardOptions()
    records = folder if isinstance(folder, RunRecords) else RunRecords.read(folder, evaluation)
    if records.arguments is None and options.arguments is not None:
        records = replace(records, arguments=from_json(CallRecord, options.arguments))
    if records.exported is not None:
        return _exported_card(records, repo_id, options)
    model = model_facts(records, options, repo_id, adapter)
    data, results = data_facts(records, options.language), result_facts(records, options.quote_texts)
    metadata = make_metadata(model, data, results, records.tested).strip()
    # Templates know every fact by its own name alone.
    variables = {**vars(model), **vars(data), **vars(results), **vars(training_facts(records)), "metadata": metadata}
    ours = "adapter.md" if adapter else "sentiment.md"
    text = fill(ours if options.template is None else Path(options.template), variables)
    # A template of prose alone: without metadata the Hub would not know what the model is for.
    if split_card(text)[0] is None:
        text = f"---\n{metadata}\n---\n\n{text}"
    return text


def _exported_card(records: RunRecords, repo_id: str | None, options: CardOptions) -> str:
    config, record = records.config or {}, vars(records.exported)
    said: Any = {"license": options.license, "language": options.language, "base_model": options.base_model}
    tags = ["sentiment-analysis", "text-classification", "hf-sentiment", record["format"]]
    tags += ["transformers.js"] if record["format"] == "onnx" else []
    variables = {
        **record,
        "labels": records.labels,
        "length": config["max_position_embeddings"],
        "long_texts": config.get("long_texts"),
        "repo": repo_id or "FOLDER",
        "published": repo_id is not None,
        "can_load": loaders(records),
        "metadata": ModelCardData(library_name=tags[3], pipeline_tag=tags[1], tags=tags, **said).to_yaml().strip(),
    }
    return fill("exported.md" if options.template is None else Path(options.template), variables)
