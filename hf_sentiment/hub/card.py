"""The model card of a run: a Jinja template filled from the run's records, with metadata that the Hub reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hf_sentiment.data.starter import STARTER_CHECKPOINT
from hf_sentiment.evaluation.report import report_rows
from hf_sentiment.hub.templates import template_folder

if TYPE_CHECKING:
    from hf_sentiment.data.prepare import PreparedData
    from hf_sentiment.training.arguments import SentimentArguments

_POOLING_WORDS = {
    "pooler": "pooled [CLS] output",
    "cls": "[CLS] state",
    "mean": "mean token state",
    "max": "maximum over token states",
}


def render_card(folder: Path, arguments: SentimentArguments, data: PreparedData, evaluation: dict[str, Any]) -> str:
    """The text of `README.md` for a run folder that has its model and its plan.

    Args:
        folder: The run folder.
        arguments: Model and data of the run.
        data: The prepared data.
        evaluation: The evaluation record.

    Raises:
        jinja2.UndefinedError: The template uses a variable that there is not.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    plan = json.loads((folder / "records" / "plan.json").read_text(encoding="utf-8"))["decisions"]
    training = evaluation["training"]
    base_model = STARTER_CHECKPOINT if arguments.model_name_or_path == "starter" else arguments.model_name_or_path
    is_local = Path(base_model).exists()
    environment = Environment(
        loader=FileSystemLoader(template_folder()),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters["cell"] = lambda value: str(value).replace("|", "\\|")  # of a Markdown table
    labels = list(data.rule.labels)
    return environment.get_template("sentiment.md").render(
        metadata=_metadata(folder.name, None if is_local else base_model, evaluation, data.description),
        title=folder.name,
        repo=folder.name,
        labels=labels,
        language_name="English" if arguments.model_name_or_path == "starter" else "the training data's",
        base_model="a local BERT" if is_local else f"[{base_model}](https://huggingface.co/{base_model})",
        pooling_words=_POOLING_WORDS[config["pooling"]],
        source=data.description,
        example="An absolute delight from start to finish.",
        evaluation=evaluation,
        rows=report_rows(evaluation, binary=len(labels) == 2),
        per_class=evaluation["per_class"],
        temperature=evaluation["temperature"],
        label_rule=data.rule.description,
        splits=[
            {"name": name, "texts": len(split), "origin": data.made.origin[name]} for name, split in data.splits.items()
        ],
        plan=[{"name": name, **decision} for name, decision in plan.items()],
        has_curves=(folder / "records" / "curves.png").is_file(),
        shared_with_train=data.made.duplicates_across.get("train/test", 0),
        reads=config["max_position_embeddings"],
        epochs=f"{training['epochs']:g} epochs in {training['steps']} steps",
        minutes=f"{training['seconds'] / 60:.1f}",
        best=None if training["best_epoch"] is None else f"{training['best_epoch']:g}",
        stopped=training["stopped"],
        alarms=training["alarms"],
        lora=training["lora"],
        max_length=plan["max_length"]["value"],
        versions=", ".join(f"{name} {number}" for name, number in training["versions"].items()),
    )


def _metadata(name: str, base_model: str | None, evaluation: dict[str, Any], description: str) -> str:
    """The YAML block, in the form of huggingface_hub."""
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type="custom",
            dataset_name=description,
            dataset_split=evaluation["split"],
            metric_type=metric,
            metric_value=round(evaluation["model"][metric]["value"], 4),
        )
        for metric in ("accuracy", "macro_f1")
    ]
    card = ModelCardData(
        base_model=base_model,
        library_name="transformers",
        pipeline_tag="text-classification",
        tags=["sentiment-analysis", "hf-sentiment"],
        model_name=name,
        eval_results=results,
    )
    return str(card.to_yaml())
