"""Where the model card templates are: beside the package in a wheel, beside it at the top of a checkout."""

from __future__ import annotations

from pathlib import Path


def template_folder() -> Path:
    """The folder `model_card_templates`, of an installed wheel or of a checkout.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "model_card_templates", package.parent / "model_card_templates"):
        if (folder / "sentiment.md").is_file():
            return folder
    raise FileNotFoundError(f"no model card templates beside {package}: install hf-sentiment again")
