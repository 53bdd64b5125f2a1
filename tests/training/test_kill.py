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
KILLS = {1: 10, 2: 4}  # of each suite on so many processes: 40 and 16
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


@pytest.mark.parametrize("ranks", list(KILLS))
@pytest.mark.parametrize("suite", list(SUITES))
def test_a_killed_run_ends_like_one_that_was_not(
    suite: str, ranks: int, forks: Forks, tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    words = words_of(suite, tiny_checkpoint, reviews_file)
    whole = forks.run(words, tmp_path / "whole", ranks=ranks)
    assert whole["codes"] == [0] * ranks, whole["said"]
    expected = outcome(tmp_path / "whole")
    draw = random.Random(f"{SEED} {suite} {ranks}")
    for attempt in range(KILLS[ranks] // 2):
        for _ in range(2):  # twice, if it is not finished by then
            kill: dict[str, Any] = {"seconds": draw.uniform(0.05, 1.0) * whole["seconds"]}
            if ranks > 1 and draw.random() < 0.7:  # else all of them at once
                kill["rank"] = draw.randrange(ranks)
            print(f"{suite} on {ranks}, attempt {attempt}: {kill} of {whole['seconds']:.2f} s")
            forks.run(words, tmp_path / "killed", ranks=ranks, **kill)
        done = forks.run(words, tmp_path / "killed", ranks=ranks)
        assert done["codes"] == [0] * ranks, done["said"]
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


def test_a_checkpoint_is_of_all_processes_or_none(
    forks: Forks, tiny_checkpoint: Path, reviews_file: Path, tmp_path: Path
) -> None:
    """The second one writes its random state only, and dies before it does."""
    words = words_of("steps", tiny_checkpoint, reviews_file)
    whole = forks.run(words, tmp_path / "whole", ranks=2)
    assert whole["codes"] == [0, 0], whole["said"]
    for change in (1, 2, 3):
        folder = tmp_path / f"killed-{change}"
        assert forks.run(words, folder, ranks=2, rank=1, change=change)["codes"] == [1, -9]
        done = forks.run(words, folder, ranks=2)
        assert done["codes"] == [0, 0], done["said"]
        assert outcome(folder) == outcome(tmp_path / "whole"), change
