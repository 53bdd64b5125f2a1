"""What the tests of runs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hf_sentiment.commands.train import train
from hf_sentiment.training.arguments import SentimentArguments, parse_call

Finish = Callable[[Sequence[str], Path], Path]


@pytest.fixture(scope="session")
def finish() -> Finish:
    """Trains, by the words of a command line, into a folder that holds no finished run yet; the folder."""

    def to_the_end(words: Sequence[str], folder: Path) -> Path:
        sentiment, training = parse_call([*words, "--output_dir", str(folder)])
        assert train(SentimentArguments(**sentiment), **training) is not None
        return folder

    return to_the_end
