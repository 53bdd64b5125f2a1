"""The configurations of `accelerate launch`, and what the page on several machines shows: read by their own readers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from hf_sentiment.errors import CallError
from hf_sentiment.training import layerwise_optimizer

ROOT = Path(__file__).parents[1]
CONFIGS = {path.stem: path for path in (ROOT / "recipes" / "accelerate_configs").glob("*.yaml")}
PAGE = (ROOT / "docs" / "several_machines.md").read_text(encoding="utf-8")
WANTED: dict[str, dict[str, Any]] = {
    "ddp": {"multi_gpu": True, "num_machines": 1},
    "fsdp2": {"use_fsdp": True, "fsdp_version": 2, "fsdp_state_dict_type": "FULL_STATE_DICT"},
    "deepspeed_zero2": {"use_deepspeed": True, "zero_stage": 2},
    "deepspeed_zero3": {"use_deepspeed": True, "zero_stage": 3, "zero3_save_16bit_model": True},
    "several_nodes": {"multi_gpu": True, "num_machines": 2, "num_processes": 16, "rdzv_backend": "static"},
}


def test_every_configuration_is_here() -> None:
    assert CONFIGS.keys() == WANTED.keys()
    assert all(f"accelerate_configs/{name}.yaml" in PAGE for name in CONFIGS)


@pytest.mark.parametrize("name", WANTED)
def test_accelerate_takes_the_configuration(name: str) -> None:
    loaded = load_config_from_file(str(CONFIGS[name]))  # refuses keys that it does not know
    parser = launch_command_parser()
    assert {*loaded.fsdp_config, *loaded.deepspeed_config} <= vars(parser.parse_args(["script.py"])).keys()
    arguments, _, _ = _validate_launch_command(parser.parse_args(["--config_file", str(CONFIGS[name]), "script.py"]))
    assert {key: getattr(arguments, key) for key in WANTED[name]} == WANTED[name]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", blocks("bash"))
def test_the_pages_commands_are_commands(block: str) -> None:
    assert subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True).stderr == ""
    for path in re.findall(r"recipes/[\w./]+", block):
        assert (ROOT / path).is_file(), path


def test_the_pages_job_is_whole() -> None:
    service, job = yaml.safe_load_all(blocks("yaml")[0])
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"] == job["metadata"]["name"]
    assert job["spec"]["completions"] == job["spec"]["parallelism"] and job["spec"]["completionMode"] == "Indexed"


def test_the_header_of_a_recipe_names_the_clone_and_can_name_another_place() -> None:
    edit = re.search(r"sed 's\|(.*?)\|(.*?)\|'", PAGE)
    assert edit is not None and (ROOT / "pyproject.toml").is_file()
    for script in (ROOT / "recipes").glob("*.py"):
        text = script.read_text(encoding="utf-8")
        assert f"# hf-sentiment = {edit[1]}\n" in text
        assert (script.parent / re.findall(r'path = "(.*?)"', edit[1])[0]).resolve() == ROOT


def test_a_rate_for_each_layer_is_refused_where_the_trainer_makes_the_optimizer(
    make_tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import TrainingArguments

    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    arguments = TrainingArguments(str(tmp_path), use_cpu=True)
    assert layerwise_optimizer(make_tiny(), arguments, 1, lora=False) is None
    with pytest.raises(CallError, match=r"--layerwise_lr_decay 0\.9: the Trainer makes the optimizer"):
        layerwise_optimizer(make_tiny(), arguments, 0.9, lora=False)
