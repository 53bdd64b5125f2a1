"""Two real processes decide alike, and as one process does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from launching import launch
from safetensors.torch import load_file
from two_processes import CASES, FAMILIES_IN_TWO, train_family


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """Where they wrote, what both found, and what was said."""
    folder = tmp_path_factory.mktemp("two")
    done = launch("two_processes.py", folder)
    one, other = (json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert one == other
    return folder, one, done.stderr


def test_three_families_in_two_processes_learn_what_one_learns(
    launched: tuple[Path, dict[str, Any], str], tmp_path: Path
) -> None:
    for family in FAMILIES_IN_TWO:
        one, other = (load_file(launched[0] / f"{family}-{rank}.safetensors") for rank in (0, 1))
        alone = train_family(family, tmp_path / "alone", 8).state_dict()
        for name, tensor in alone.items():
            assert one[name].equal(other[name]), name
            torch.testing.assert_close(one[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_decide_alike(case: str, launched: tuple[Path, dict[str, Any], str]) -> None:
    folder, one = launched[0] / case, launched[1][case]
    assert one["world"] == 2
    history = [json.loads(line) for line in (folder / "records" / "history.jsonl").read_text().splitlines()]
    assert len(history) == len(one["texts"])
    for row in history:  # what the Trainer reports, doubled or not, and the mean over the texts of both processes
        own = row.get("own/eval_loss", row["eval_loss"])
        assert own == pytest.approx(row["gap/validation_loss"], rel=0.05)
        assert row["eval_loss"] == pytest.approx(own * (2 if case == "split" else 1), rel=0.05)
    if case == "split":
        assert one["stop"]["reason"] is not None and one["step"] == 18  # as the main process sees it
    if case == "full":
        assert one["rollbacks"] >= 1 and one["alarms"]
    assert one["kind"] == "BertForSentimentAnalysis"


def test_one_of_two_processes_speaks(launched: tuple[Path, dict[str, Any], str]) -> None:
    _, found, said = launched
    assert said.count("the curve is drawn of the mean") == 1  # in the case "split"
    alarms = said.count("the model grows overconfident") + said.count("the model overfits")
    assert alarms == sum(len(found[case]["alarms"]) for case in CASES)
