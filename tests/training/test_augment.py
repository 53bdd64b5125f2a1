"""`--augment`: trained on edits, everything else on the texts as they are; through kills, and on the card."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from transformers import TrainerCallback

from hf_sentiment.callbacks.shared import FixedTexts
from hf_sentiment.commands.train import train
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.training.arguments import parse_call, split_arguments
from hf_sentiment.training.assemble import assemble

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def call(tiny_checkpoint: Path, reviews_file: Path) -> list[str]:
    return [
        *("--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--num_train_epochs", "2"),
        *("--learning_rate", "1e-3", "--use_cpu", "true", "--disable_tqdm", "true", "--head_first", "true"),
        *("--save_strategy", "steps", "--save_steps", "4", "--save_total_limit", "20", "--augment", "swap,deletion"),
    ]


@pytest.fixture(scope="module")
def finished(call: list[str], finish: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finish(call, tmp_path_factory.mktemp("runs") / "augmented")


class _Stop(TrainerCallback):
    """Ends training hard, as a kill would, at one step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise RuntimeError("killed")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_weights(
    workers: str, finished: Path, call: list[str], run_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = json.loads((finished / "records" / "evaluation.json").read_text())["training"]["steps"]
    words = [*call, "--output_dir", str(tmp_path / "run"), "--dataloader_num_workers", workers]
    arguments = parse_call(words)
    with monkeypatch.context() as patch:
        patch.setattr("hf_sentiment.training.assemble.CheckpointOnInterrupt", lambda: _Stop(steps // 2 + 6))
        with pytest.raises(RuntimeError, match="killed"):
            train(**arguments)
    code, _, err = run_cli("train", *words)
    assert code == 0, err
    assert f"Going on with the unfinished run, from checkpoint-{(steps // 2 + 6) // 4 * 4}" in err
    resumed, expected = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", finished))
    assert all(resumed[name].equal(expected[name]) for name in expected)


def test_augmentation_changes_what_is_learned(finished: Path, call: list[str], run_cli: Cli, tmp_path: Path) -> None:
    code, _, err = run_cli("train", *call[:-2], "--output_dir", tmp_path / "run")
    assert code == 0, err
    plain, augmented = (load_file(folder / "model.safetensors") for folder in (tmp_path / "run", finished))
    assert any(not plain[name].equal(augmented[name]) for name in plain)


def test_it_stands_in_the_records_and_on_the_card(finished: Path) -> None:
    assert json.loads((finished / "records" / "arguments.json").read_text())["augment"] == "swap,deletion"
    decision = json.loads((finished / "records" / "plan.json").read_text())["decisions"]["augment"]
    assert (decision["value"], decision["by"]) == ("swap,deletion", "user")
    assert "swap,deletion" in (finished / "README.md").read_text()


def test_head_probe_and_validation_read_the_texts_as_they_are(
    call: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    headed: list[Any] = []
    monkeypatch.setattr(
        "hf_sentiment.training.run.fit_head_first", lambda model, tokenizer, dataset, *_, **__: headed.append(dataset)
    )
    words = [*call, "--output_dir", str(tmp_path / "run"), "--max_steps", "3"]
    run = assemble(*split_arguments(parse_call(words)))
    clean = {
        name: [list(ids) for ids in tokenize(split, run.tokenizer, run.plan.max_length.value)["input_ids"]]
        for name, split in run.data.splits.items()
    }
    run.fit()
    assert [list(ids) for ids in headed[0]["input_ids"]] == clean["train"]
    assert [list(ids) for ids in run.splits["validation"]["input_ids"]] == clean["validation"]
    assert run.trainer.eval_dataset is run.splits["validation"]
    run.trainer.train_dataset.begin_epoch(5)  # type: ignore[union-attr]
    assert [row["input_ids"] for row in map(run.trainer.train_dataset.__getitem__, range(50))] != clean["train"][:50]
    labels, texts = [], []
    for _, batch in FixedTexts(run.trainer.get_train_dataloader(), run.trainer.args, 40, 0)._batches:
        labels += batch["labels"].tolist()
        texts += [
            ids[mask.bool()].tolist() for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
        ]
    assert all(text in clean["train"] for text in texts) and sum(labels) == len(labels) / 2


def test_an_unknown_kind_is_a_wrong_call(call: list[str], run_cli: Cli, tmp_path: Path) -> None:
    code, _, err = run_cli("train", *call[:-1], "swop", "--output_dir", tmp_path / "run")
    assert code == 2
    assert err.strip() == (
        "error: --augment swop: 'swop' is no kind: give none, or some of "
        "deletion,swap,neighbour,typos,casing,contractions,joining"
    )
