"""SIGKILL at any moment of `train`: the same command, said again, ends with the same bits and the same decisions."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))
from forks import Forks

pytestmark = pytest.mark.faults

SUITES = {
    "rollback": ["--alarm", "rollback", "--learning_rate", "1e-2", "--classifier_dropout", "0.0"],
    "lora": ["--lora", "true", "--learning_rate", "2e-3", "--alarm", "stop"],
    "half_way": ["--pooling", "mean", "--head_first", "true", "--fine_tuned_share", "0.5"],
    "steps": ["--eval_strategy", "steps", "--eval_steps", "3", "--save_steps", "5", "--save_strategy", "steps"],
}
KILLS = 10  # of each suite: 40
SEED = 17


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as forks:
        yield forks


def outcome(folder: Path) -> dict[str, Any]:
    # After a resume the Trainer's running mean of the training loss begins at the checkpoint.
    left_out = ("elapsed_seconds", "train_loss")
    rows = [json.loads(line) for line in (folder / "records" / "history.jsonl").read_text().splitlines()]
    training = json.loads((folder / "records" / "evaluation.json").read_text())["training"]
    return {
        "weights": {name: tensor.numpy().tobytes() for name, tensor in load_file(folder / "model.safetensors").items()},
        "history": [{name: value for name, value in row.items() if name not in left_out} for row in rows],
        "decisions": {name: training[name] for name in ("best_epoch", "stopped", "alarms")},
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")),
    }


def words_of(suite: str, tiny_checkpoint: Path, reviews_file: Path, epochs: int = 6) -> list[str]:
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--use_cpu", "true"]
    words += ["--num_train_epochs", str(epochs), "--disable_tqdm", "true", "--max_train_samples", "60"]
    return [*words, "--early_stopping_patience", "5", *SUITES[suite]]


@pytest.mark.parametrize("suite", list(SUITES))
def test_a_killed_run_ends_like_one_that_was_not(
    suite: str, forks: Forks, tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    words = words_of(suite, tiny_checkpoint, reviews_file)
    whole = forks.run(words, tmp_path / "whole")
    assert whole["codes"] == [0], whole["said"]
    expected = outcome(tmp_path / "whole")
    draw = random.Random(f"{SEED} {suite}")
    for attempt in range(KILLS // 2):
        moments = [draw.uniform(0.05, 1.0) * whole["seconds"] for _ in range(2)]
        print(f"{suite}, attempt {attempt}: killed after {moments} of {whole['seconds']:.2f} s")
        for moment in moments:  # twice, if it is not finished by then
            forks.run(words, tmp_path / "killed", seconds=moment)
        done = forks.run(words, tmp_path / "killed")
        assert done["codes"] == [0], done["said"]
        assert outcome(tmp_path / "killed") == expected, attempt
        shutil.rmtree(tmp_path / "killed")


@pytest.mark.parametrize("suite", ["half_way", "lora"])
def test_every_change_to_the_folder_is_once_the_moment_of_death(
    suite: str, forks: Forks, tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    words = words_of(suite, tiny_checkpoint, reviews_file, epochs=2)
    whole = forks.run(words, tmp_path / "whole")
    assert whole["codes"] == [0] and whole["changes"] > 60, whole["said"]
    expected = outcome(tmp_path / "whole")
    for change in range(1, whole["changes"] + 1):
        folder = tmp_path / f"killed-{change}"
        assert forks.run(words, folder, change=change)["codes"] == [-9], change
        done = forks.run(words, folder)
        assert done["codes"] == [0], (change, done["said"])
        assert outcome(folder) == expected, change
        shutil.rmtree(folder)
