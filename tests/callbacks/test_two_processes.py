"""Two real processes decide alike, and as one process does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from launching import launch
from safetensors.torch import load_file
from two_processes import FAMILIES_IN_TWO, train_family


def test_three_families_in_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    launch("two_processes.py", tmp_path, "families")
    for family in FAMILIES_IN_TWO:
        one, other = (load_file(tmp_path / f"{family}-{rank}.safetensors") for rank in (0, 1))
        alone = train_family(family, tmp_path / "alone", 8).state_dict()
        for name, tensor in alone.items():
            assert one[name].equal(other[name]), name
            torch.testing.assert_close(one[name], tensor, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("case", ["full", "lora", "split"])
def test_two_processes_decide_alike(case: str, tmp_path: Path) -> None:
    done = launch("two_processes.py", tmp_path, case)
    one, other = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert one == other and one["world"] == 2
    history = [json.loads(line) for line in (tmp_path / "run" / "records" / "history.jsonl").read_text().splitlines()]
    assert len(history) == len(one["texts"])
    assert done.stderr.count("the curve is drawn of the mean") == (1 if case == "split" else 0)
    for row in history:  # what the Trainer reports, doubled or not, and the mean over the texts of both processes
        own = row.get("own/eval_loss", row["eval_loss"])
        assert own == pytest.approx(row["gap/validation_loss"], rel=0.05)
        assert row["eval_loss"] == pytest.approx(own * (2 if case == "split" else 1), rel=0.05)
    if case == "split":
        assert one["stop"]["reason"] is not None and one["step"] == 18  # as the main process sees it
    if case == "full":
        assert one["rollbacks"] >= 1 and one["alarms"]
    assert one["kind"] == "BertForSentimentAnalysis"
    assert done.stderr.count("the model grows overconfident") + done.stderr.count("the model overfits") == len(
        one["alarms"]
    )
