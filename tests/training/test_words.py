"""Training on the words that occur ends as training on all of them, and nobody outside sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from torch import nn

from hf_sentiment.model import BertForSentimentAnalysis
from hf_sentiment.training import run
from hf_sentiment.training.words import occurring_ids, only_occurring_words

IDS = torch.tensor([[2, 7, 9, 7, 3, 0], [2, 11, 9, 3, 0, 0]])
LABELS = torch.tensor([0, 1])


def train(model: Any, steps: int = 5) -> None:
    """AdamW without decay, so that rows without a gradient stay, as those that do not occur do."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for _ in range(steps):
        model(input_ids=IDS, attention_mask=(IDS != 0).long(), labels=LABELS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def test_the_weights_are_those_of_training_on_all_words(make_tiny: Callable[..., Any]) -> None:
    plain, some = make_tiny(), make_tiny()
    before = plain.get_input_embeddings().weight.detach().clone()
    train(plain.eval())
    with only_occurring_words(some, torch.unique(IDS)):
        assert dict(some.named_parameters())["bert.embeddings.word_embeddings.weight"].shape[0] == 6
        train(some.eval())
    assert type(some.get_input_embeddings()) is nn.Embedding
    for (name, expected), (_, found) in zip(plain.named_parameters(), some.named_parameters(), strict=True):
        assert expected.equal(found), name
    moved = (some.get_input_embeddings().weight != before).any(dim=1).nonzero().flatten().tolist()
    assert moved == [2, 3, 7, 9, 11]  # not the padding


def test_words_that_do_not_occur_are_read_as_they_were(make_tiny: Callable[..., Any]) -> None:
    model = make_tiny().eval()
    others = torch.tensor([[2, 20, 7, 21, 3]])
    with torch.no_grad(), only_occurring_words(model, torch.unique(IDS)):
        found = model(input_ids=others).logits
    assert found.equal(model(input_ids=others).logits)


def test_a_checkpoint_in_the_middle_is_that_of_the_plain_model(make_tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = make_tiny().eval()
    with only_occurring_words(model, torch.unique(IDS)):
        train(model, 2)
        model.save_pretrained(tmp_path)
        middle = model(input_ids=IDS).logits
        train(model, 2)
        assert not model(input_ids=IDS).logits.equal(middle)
        model.load_state_dict(load_file(tmp_path / "model.safetensors"), strict=True)
        assert model(input_ids=IDS).logits.equal(middle)
    again = BertForSentimentAnalysis.from_pretrained(tmp_path).eval()
    assert again(input_ids=IDS).logits.equal(middle)
    for name, tensor in model.state_dict().items():
        assert again.state_dict()[name].equal(tensor), name


def test_the_words_of_the_texts_and_the_special_ones_occur(tiny_tokenizer: Any) -> None:
    dataset = Dataset.from_dict({"input_ids": [[2, 9, 3], [], [2, 12, 9, 3]]})
    assert occurring_ids(dataset, tiny_tokenizer).tolist() == sorted({9, 12, *tiny_tokenizer.all_special_ids})


@pytest.mark.parametrize("words", [[], ["--layerwise_lr_decay", "0.5"], ["--fine_tuned_share", "0.5"]])
def test_train_ends_as_without_it(
    words: list[str],
    finish: Callable[..., Path],
    tiny_sentence_encoder: Path,
    reviews_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = ["--model_name_or_path", str(tiny_sentence_encoder), "--train_file", str(reviews_file), "--use_cpu", "true"]
    call += ["--num_train_epochs", "2", "--weight_decay", "0", "--max_grad_norm", "0", "--disable_tqdm", "true", *words]
    asked: list[torch.Tensor] = []

    def noted(*arguments: Any) -> torch.Tensor:
        asked.append(occurring_ids(*arguments))
        return asked[0]

    monkeypatch.setattr(run, "occurring_ids", noted)
    some = load_file(finish(call, tmp_path / "some") / "model.safetensors")
    assert 0 < len(asked[0]) < len(some["bert.embeddings.word_embeddings.weight"])
    monkeypatch.setattr(run, "occurring_ids", lambda *_: None)
    plain = load_file(finish(call, tmp_path / "plain") / "model.safetensors")
    for name, tensor in plain.items():
        assert some[name].equal(tensor), name


@pytest.mark.parametrize("words", [["--lora", "true"], ["--augment", "swap"], ["--optim", "adafactor"]])
def test_it_is_left_out_where_it_would_not_be_exact(
    words: list[str],
    finish: Callable[..., Path],
    tiny_checkpoint: Path,
    reviews_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the words that occur were asked for")

    monkeypatch.setattr(run, "occurring_ids", refuse)
    call = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--use_cpu", "true"]
    finish([*call, "--max_steps", "1", "--disable_tqdm", "true", *words], tmp_path / "run")
