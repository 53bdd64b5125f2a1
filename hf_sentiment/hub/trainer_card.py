"""Our card from a plain `transformers.Trainer`: two calls in a script, and `push_to_hub` has it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hf_sentiment.evaluation.metrics import softmax
from hf_sentiment.evaluation.report import evaluate_split
from hf_sentiment.files import write_atomically, write_json
from hf_sentiment.hub.card import render_card
from hf_sentiment.hub.handwritten import keep_handwritten

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import Trainer

    from hf_sentiment.data.prepare import PreparedData
    from hf_sentiment.training.arguments import SentimentArguments


def use_our_card(trainer: Trainer, arguments: SentimentArguments | None = None, **card: Any) -> None:
    """Let `trainer.create_model_card`, and with it `push_to_hub`, write our card into the output folder.

    What the card tells is in the folder's `records/` (`record_test`, `LearningCurveCallback`) and in `arguments`; the
    rest is left out. Hand-written sections of a README.md that is there are kept.

    Args:
        trainer: Any `transformers.Trainer`.
        arguments: Model and data of the script.
        **card: As in `hf_sentiment.hub.card.render_card`; what `push_to_hub` is told (`license`, `language`) wins.

    Example:
        >>> use_our_card(trainer, arguments)  # doctest: +SKIP
        >>> trainer.push_to_hub(license="apache-2.0")  # doctest: +SKIP
    """

    def create_model_card(license: str | None = None, language: str | None = None, **_: Any) -> None:
        if not trainer.is_world_process_zero():
            return
        folder = Path(str(trainer.args.output_dir))
        said = {name: value for name, value in (("license", license), ("language", language)) if value is not None}
        text = render_card(
            folder,
            repo_id=trainer.hub_model_id,
            adapter=not (folder / "config.json").is_file() and (folder / "adapter_config.json").is_file(),
            arguments=None if arguments is None else dataclasses.asdict(arguments),
            **{**card, **said},
        )
        path = folder / "README.md"
        present = path.read_text(encoding="utf-8") if path.is_file() else ""
        write_atomically(path, keep_handwritten(text, present))

    trainer.create_model_card = create_model_card  # type: ignore[method-assign, assignment]


def record_test(trainer: Trainer, data: PreparedData, test: Dataset) -> dict[str, float]:
    """Predict the test split, in every process, log its metrics, and write what the card tells of it into `records/`.

    Args:
        trainer: With the trained model.
        data: Labelled texts.
        test: Their tokenised test split.

    Returns:
        The Trainer's metrics of the split, `test_…`.
    """
    output = trainer.predict(test)
    metrics: dict[str, float] = output.metrics or {}
    trainer.log(metrics)
    if trainer.is_world_process_zero():
        probabilities = softmax(np.asarray(output.predictions))
        records = Path(str(trainer.args.output_dir)) / "records"
        write_json(records / "audit.json", data.audit())
        splits = data.splits
        evaluation = evaluate_split(probabilities, splits["train"], splits["test"], data.rule.labels)
        write_json(records / "evaluation.json", evaluation)
    return metrics
