"""The model card of a run: a Jinja template filled from the run's records, with metadata that the Hub reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hf_sentiment.hub.card.facts import card_facts, slug
from hf_sentiment.hub.card.metadata import make_metadata, split_card
from hf_sentiment.hub.card.templates import fill
from hf_sentiment.records.read import RunRecords


def render_card(
    folder: str | Path,
    evaluation: dict[str, Any] | None = None,
    *,
    repo_id: str | None = None,
    adapter: bool = False,
    template: str | Path | None = None,
    license: str | None = None,
    language: str | None = None,
    base_model: str | None = None,
    quote_texts: bool = True,
    package_source: str | None = None,
    arguments: dict[str, Any] | None = None,
) -> str:
    """The text of `README.md` for a run folder, or for any folder with a trained classifier.

    Everything in it is from the folder's records; what they do not say is left out.

    Args:
        folder: The run folder.
        evaluation: The evaluation, where its record is not written yet.
        repo_id: Where the model will be published; without it, the card's code loads the folder that the card lies in.
        adapter: The card of the run's adapter instead of its merged model.
        template: A Jinja template of one's own; it may extend `sentiment.md` or `adapter.md`, and import `sections.md`.
        license: Of the model, an identifier of the Hub's list. Default: the base model's, where it is known.
        language: Of the texts, an ISO 639 code. Default: what the texts say, where that is certain.
        base_model: The Hub id of the base model, where the run does not say it.
        quote_texts: Whether the card may quote texts that it was measured on (an example a label, the worst errors).
        package_source: From where others can install this package: a wheel's address, or `git+https://…@COMMIT`.
        arguments: `SentimentArguments` as a dictionary, where the folder has no record of them.

    Raises:
        CallError: There is no such folder or template, or the template uses a variable that there is not.
    """
    records = RunRecords.read(folder, evaluation)
    if records.arguments is None and arguments is not None:
        records = replace(records, arguments=arguments)
    facts = card_facts(
        records,
        repo_id=repo_id,
        adapter=adapter,
        license=license,
        language=language,
        base_model=base_model,
        quote_texts=quote_texts,
        package_source=package_source,
    )
    facts["metadata"] = make_metadata(facts, records.tested).strip()
    facts["citation_key"] = slug(facts["name"])
    chosen: str | Path = ("adapter.md" if adapter else "sentiment.md") if template is None else Path(template)
    text = fill(chosen, facts)
    if split_card(text)[0] is None:  # a template of prose alone
        text = f"---\n{facts['metadata']}\n---\n\n{text}"
    return text
