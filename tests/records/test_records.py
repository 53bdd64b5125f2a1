"""Records come back as they were written, and what cannot be read says so in one line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset
from safetensors.numpy import save_file

from hf_sentiment.errors import CallError
from hf_sentiment.evaluation.report import evaluate_split
from hf_sentiment.records.history import read_history, write_history
from hf_sentiment.records.read import RunRecords, open_weights, read_evaluation
from hf_sentiment.records.schema import (
    Alarm,
    Decision,
    EvaluationRecord,
    HumanAgreement,
    Measurement,
    PlanRecord,
    TrainingRecord,
)
from hf_sentiment.records.serialization import as_record, from_json, read_record, to_json, write_record

TRAINING = TrainingRecord(
    date="2026-11-27",
    seconds=12.5,
    peak_memory_bytes=10**9,
    steps=16,
    epochs=2.0,
    best_epoch=None,
    stopped=None,
    alarms=(Alarm(8, 1.0, "overfitting", 0.1, 0.9, "it overfits", "stop"),),
    unlabeled_texts=0,
    repeated=False,
    lora=8,
    device="cpu",
    threads=2,
    python="3.12",
    versions={"torch": "2.13"},
)


@pytest.fixture(scope="module")
def measurement() -> Measurement:
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=90)
    splits = Dataset.from_dict({"text": [f"good film {i % 7} " * (1 + i % 9) for i in range(90)], "label": labels})
    probabilities = generator.dirichlet([1, 1], size=90)
    record = evaluate_split(probabilities, splits, splits, ["negative", "positive"])
    human = HumanAgreement(90, 0.9, 0.8, 0.7, 0.6)
    baselines = replace(record.baselines, human=human)
    return replace(record, baselines=baselines, temperature=1.5, training=TRAINING)


def test_a_measurement_comes_back_as_it_was_written(measurement: Measurement, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_record(path, measurement)
    assert read_evaluation(path) == measurement
    content = json.loads(path.read_text())
    assert next(iter(content)) == "version" and set(content["model"]["accuracy"]) == {"value", "low", "high"}
    assert set(content["model"]["ece"]) == {"value"} and content["training"]["best_epoch"] is None
    write_record(path, EvaluationRecord(training=TRAINING))
    assert read_evaluation(path) == EvaluationRecord(training=TRAINING)
    assert set(json.loads(path.read_text())) == {"version", "training"}


def test_a_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    plan = PlanRecord({"steps": None, "num_train": 3}, {"lora": Decision(None, "it fits", "a; b")}, None)
    write_record(tmp_path / "plan.json", plan)
    assert read_record(tmp_path / "plan.json", PlanRecord) == plan
    assert plan.value("lora") is None and plan.value("bf16") is None and plan.steps is None
    assert read_record(tmp_path / "other.json", PlanRecord) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"version": 2},
            "has version 2, and this hf-sentiment reads version 1: install",
        ),
        ({"version": None}, "has no version"),
        ({"temperature": float("nan")}, "temperature is nan, and should be a number"),
        ({"texts": "many"}, "texts is 'many', and should be a whole number: restore it, or train again"),
        ({"per_class": [{"label": "x"}]}, "per_class[0].precision is missing"),
        ({"differences": {"majority": 1}}, "differences.majority is 1, and should be an object"),
    ],
)
def test_what_cannot_be_read_says_so(
    measurement: Measurement, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "records").mkdir()
    path = tmp_path / "records" / "evaluation.json"
    path.write_text(json.dumps(as_record(measurement) | change))
    with pytest.raises(CallError, match=re.escape(said)) as raised:
        RunRecords.read(tmp_path)
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)


def test_a_file_of_null_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text("null")
    with pytest.raises(CallError, match=r"plan\.json has no version"):
        read_record(tmp_path / "plan.json", PlanRecord)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"version": 1, "step"', "line 2: Expecting ':' delimiter"),
        ("[]", "line 2 has no version"),
        ('{"version": 2}', "line 2 has version 2, and this hf-sentiment reads version 1"),
        ('{"version": 1, "step": 2, "epoch": "2"}', "line 2: epoch is '2', and should be a number: restore it"),
        ('{"version": 1, "epoch": 2.0}', "line 2: step is None, and should be a whole number: restore it, or remove"),
        ("\ufeff{}", "line 2: Unexpected UTF-8 BOM"),
    ],
)
def test_a_line_of_the_history_that_cannot_be_read_says_so(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    row = {"step": 1, "epoch": 1.0, "elapsed_seconds": 2, "eval_loss": 0.5}
    write_history(path, [row, row])
    assert read_history(path) == [row, row] and read_history(tmp_path / "other.jsonl") == []
    path.write_text(path.read_text().splitlines()[0] + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(CallError) as raised:
        read_history(path)
    assert str(raised.value).startswith(f"{path}, {said}") and "\n" not in str(raised.value)


def test_a_name_that_is_new_is_passed_over(measurement: Measurement) -> None:
    assert from_json(Measurement, to_json(measurement) | {"later": 1}) == measurement


@pytest.mark.parametrize("harm", [lambda raw: raw[:-3], lambda raw: raw[:9], lambda raw: b"", lambda raw: raw + b"x"])
def test_weights_that_are_not_whole(tmp_path: Path, harm: Any) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": np.zeros((3, 4)), "b": np.zeros(())}, path, metadata={"format": "pt"})
    assert RunRecords.read(tmp_path).count_parameters(adapter=False) == 13
    with open_weights(path) as weights:
        assert weights.metadata() == {"format": "pt"}
    path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(CallError, match="is no whole safetensors file") as raised:
        RunRecords.read(tmp_path).count_parameters(adapter=False)
    assert "\n" not in str(raised.value)
