"""What the publisher says about a card, beside what the run's records say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_sentiment.hub.card.metadata import check_language, check_license
from hf_sentiment.hub.card.package_source import check_package_source


@dataclass(frozen=True)
class CardOptions:
    """What may be said of a card; `publish` and `use_our_publishing` take these as keyword arguments.

    Attributes:
        license: Of the model, an identifier of the Hub's list. Default: the base model's, where it is known.
        language: Of the texts, an ISO 639 code. Default: what the texts say, where that is certain.
        base_model: The Hub id of the base model, where the run does not say it.
        quote_texts: Whether the card may quote texts that it was measured on (an example a label, the worst errors).
        template: A Jinja template of one's own; it may extend `sentiment.md` or `adapter.md`, and import `sections.md`.
        package_source: From where others can install this package: a wheel's address, or `git+https://…@COMMIT`.
        arguments: `SentimentArguments` as a dictionary, where the folder has no record of them.
    """

    license: str | None = None
    language: str | None = None
    base_model: str | None = None
    quote_texts: bool = True
    template: str | Path | None = None
    package_source: str | None = None
    arguments: Mapping[str, Any] | None = None

    def check(self) -> None:
        """Refuse what would be refused after an upload, or work for nobody else.

        Raises:
            CallError: No licence, no language, or a source that nobody can install from; the message names the flag.
        """
        if self.license is not None:
            check_license(self.license)
        if self.language is not None:
            check_language(self.language)
        if self.package_source is not None:
            check_package_source(self.package_source)
