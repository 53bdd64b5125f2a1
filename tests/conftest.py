"""Tiny random BERTs, made on the spot: no test fetches anything."""

from __future__ import annotations

import gc
import logging
import os

# Before torch and transformers are imported: tiny models are slower on many threads, and nothing may be fetched.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

_TEXT = """
[PAD] [UNK] [CLS] [SEP] [MASK] a the this film book plot cast is was not never very good great fine bad awful dull
boring moving funny loved hated it i . , ! ##s ##ed ##ing
"""
WORDS = _TEXT.split()
TINY = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 48,
}


def pytest_collection_finish() -> None:
    """What is imported by now stays: every training collects garbage, and need not look at it each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A BERT tokenizer over `WORDS`."""
    from transformers import BertTokenizer

    vocab = tmp_path_factory.mktemp("vocab") / "vocab.txt"
    vocab.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return BertTokenizer(vocab=str(vocab), model_max_length=TINY["max_position_embeddings"])


@pytest.fixture(scope="session")
def make_tiny() -> Callable[..., Any]:
    """`make_tiny(**options)`: a seeded tiny `BertForSentimentAnalysis` in evaluation mode, options to its config."""
    import torch

    from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
    from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

    def make(seed: int = 0, **options: Any) -> BertForSentimentAnalysis:
        torch.manual_seed(seed)
        attention = options.pop("attn_implementation", "sdpa")
        config = BertSentimentConfig(**{**TINY, **options})
        model = BertForSentimentAnalysis._from_config(config, attn_implementation=attention)
        for parameter in model.parameters():  # random biases too, so that none is right by chance
            torch.nn.init.normal_(parameter, std=0.3)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def make_stock() -> Callable[..., Any]:
    """`make_stock(model_class, **options)`: a seeded tiny stock BERT of that class in evaluation mode."""
    import torch
    from transformers import BertConfig

    def make(model_class: Any, seed: int = 1, **options: Any) -> Any:
        torch.manual_seed(seed)
        model = model_class(BertConfig(**{**TINY, **options}))
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def tiny_inputs() -> dict[str, Any]:
    """A batch of three texts of 9, 6 and 2 tokens. Copy it before you change it."""
    import torch

    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([9, 6, 2])
    mask = (torch.arange(9)[None] < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(5, len(WORDS), (3, 9), generator=generator) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.zeros(3, 9, dtype=torch.long),
    }


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, make_tiny: Callable[..., Any], tiny_tokenizer: Any) -> Path:
    """A saved tiny model of two labels with its tokenizer. Read-only."""
    folder = tmp_path_factory.mktemp("tiny") / "my.model-v1"
    make_tiny().save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, make_stock: Callable[..., Any], tiny_tokenizer: Any
) -> Path:
    """A pre-trained encoder as users have it: a stock BERT without a head, with its tokenizer. Read-only."""
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("checkpoint") / "tiny-bert"
    make_stock(BertModel).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_sentence_encoder(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: Any) -> Path:
    """A tiny BERT as a sentence-transformers folder, which pools by the mean. Read-only.

    It is as it is initialised, so that its features tell words apart.
    """
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder") / "tiny-encoder"
    torch.manual_seed(0)
    BertModel(BertConfig(**TINY)).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return folder


@pytest.fixture(scope="session", autouse=True)
def lexicon_cache(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tiny encoders learn of the lexicon is kept for all tests of the session, and not in the user's cache.

    Tests that fetch the starter have the user's cache, so that it is fetched once.
    """
    if not any(item.get_closest_marker("starter") for item in request.session.items):
        os.environ["HF_SENTIMENT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def reviews() -> list[tuple[str, str]]:
    """240 different made-up reviews over `WORDS` with their labels, as many of each."""
    import itertools

    rows = []
    words = {"positive": ("good", "great", "fine", "funny"), "negative": ("bad", "awful", "dull", "boring")}
    for label, adjectives in words.items():
        phrases = itertools.product(
            ("film", "book", "plot", "cast"), adjectives, ("moving", "loved", "hated", "a"), adjectives
        )
        for noun, first, middle, second in itertools.islice(phrases, 0, None, 2):
            rows.append((f"the {noun} was {first} , {middle} {noun} {second} .", label))
    return rows[:120] + rows[-120:]


@pytest.fixture(scope="session")
def reviews_file(tmp_path_factory: pytest.TempPathFactory, reviews: list[tuple[str, str]]) -> Path:
    """The reviews as a CSV file with the columns `text` and `label`. Read-only."""
    import csv

    path = tmp_path_factory.mktemp("data") / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(reviews)
    return path


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """The command line logs to the stderr of its test, which is closed when other tests log."""
    package = logging.getLogger("hf_sentiment")
    handlers, level = package.handlers, package.level
    yield
    package.handlers, package.propagate = handlers, True
    package.setLevel(level)


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`run_cli("train", …)`: exit code, stdout and stderr of the command line, run in this process."""
    from hf_sentiment.cli import main

    def run(*words: Any) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="session")
def finish() -> Callable[[Sequence[str], Path], Path]:
    """Trains, by the words of a command line, into a folder that holds no finished run yet; the folder."""
    from hf_sentiment.commands.train import train
    from hf_sentiment.training.arguments import parse_call

    def to_the_end(words: Sequence[str], folder: Path) -> Path:
        assert train(**parse_call([*words, "--output_dir", str(folder)])) is not None
        return folder

    return to_the_end
