"""A plain Trainer sends to the Hub what `publish` sends: in training, at the end, and when it is told to."""

from __future__ import annotations

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard
from loopback import LoopbackHub
from publish_support import check_in_process, hashes_only, publish_there, run_folder  # noqa: F401

from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.errors import CallError
from hf_sentiment.hub.trainer import use_our_publishing
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

# ruff: noqa: F811  # fixtures that are imported

SCRIPT = Path(__file__).parents[2] / "recipes" / "finetune.py"
MODEL = {
    *(".gitattributes", "README.md", "config.json", "model.safetensors", "configuration_bert_sentiment.py"),
    *("modeling_bert_sentiment.py", "tokenizer.json", "tokenizer_config.json"),
}
CURVES = {"records/curves.png", "records/curves.svg"}
TEXTS = ["the film was great !", "boring"]


def ever(hub: LoopbackHub, name: str = "me/reviews") -> set[str]:
    """Every path that any commit of the repository has or had."""
    return {path for commit in hub.repository(name).commits.values() for path in commit.files}


@pytest.fixture
def make_trainer(
    hub: LoopbackHub, client: Any, make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path
) -> Callable[..., Any]:
    """`make_trainer(callbacks=…, model=…, card={…}, **arguments)`: a stock Trainer of four steps."""
    from transformers import Trainer, TrainingArguments

    def make(
        callbacks: list[Any] | None = None, model: Any = None, card: dict[str, Any] | None = None, **arguments: Any
    ) -> Any:
        rows = [{**tiny_tokenizer(text), "labels": number} for number, text in enumerate(TEXTS)] * 4
        settings: dict[str, Any] = {
            "output_dir": str(tmp_path / "run"),
            "hub_model_id": "me/reviews",
            "max_steps": 4,
            "save_steps": 2,
            "per_device_train_batch_size": 2,
            "hub_always_push": True,
            "use_cpu": True,
            "report_to": [],
            "disable_tqdm": True,
        }
        trainer = Trainer(
            model or make_tiny(),
            TrainingArguments(**settings | arguments),
            train_dataset=rows,
            processing_class=tiny_tokenizer,
            callbacks=callbacks,
        )
        use_our_publishing(trainer, **(card or {}))
        return trainer

    return make


def test_the_script_pushes_a_whole_model_with_our_card(
    hub: LoopbackHub,
    client: Any,
    tiny_checkpoint: Path,
    reviews_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hf_sentiment.hub import verification

    monkeypatch.setattr(verification, "run_check", check_in_process)
    words = ["--model_name_or_path", str(tiny_checkpoint), "--train_file", str(reviews_file), "--max_steps", "4"]
    words += ["--output_dir", str(tmp_path / "run"), "--eval_strategy", "steps", "--eval_steps", "2"]
    words += ["--save_strategy", "steps", "--save_steps", "2", "--use_cpu", "true", "--disable_tqdm", "true"]
    words += ["--push_to_hub", "true", "--hub_model_id", "me/reviews", "--hub_private_repo", "true"]
    monkeypatch.setattr(sys, "argv", ["finetune.py", *words])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    assert (tmp_path / "run" / "training_args.bin").is_file()
    files = hub.files("me/reviews")
    assert set(files) == MODEL | CURVES == ever(hub)
    card = ModelCard(files["README.md"].decode())
    assert card.data.pipeline_tag == "text-classification" and card.data.eval_results[0].metric_type == "accuracy"
    assert "## How good it is" in card.content and str(tmp_path) not in card.content
    assert hub.repository("me/reviews").private and not hub.log.leaks


@pytest.mark.parametrize("strategy", ["every_save", "checkpoint", "all_checkpoints", "end"])
def test_what_each_strategy_sends(
    hub: LoopbackHub,
    make_trainer: Callable[..., Any],
    hashes_only: None,
    strategy: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    trainer = make_trainer(push_to_hub=True, hub_strategy=strategy, hub_private_repo=True)
    trainer.train()
    steps = [title for title in hub.commits("me/reviews") if re.search("step [24]", title)]
    assert len(steps) == (0 if strategy == "end" else 2)
    trained = ever(hub)
    checkpoints = {path for path in trained if "checkpoint" in path}
    assert "training_args.bin" not in " ".join(trained)
    assert trained - checkpoints == ({".gitattributes"} if strategy == "end" else MODEL)
    if strategy != "end":
        card = ModelCard(hub.files("me/reviews")["README.md"].decode())
        assert "> Training in progress, step 4: nothing here has been checked." in card.text
        assert card.data.pipeline_tag == "text-classification"
    if "checkpoint" in strategy:
        place = "last-checkpoint" if strategy == "checkpoint" else "checkpoint-2"
        assert {f"{place}/optimizer.pt", f"{place}/model.safetensors"} <= checkpoints
        state = json.loads(hub.files("me/reviews")[f"{place.replace('-2', '-4')}/trainer_state.json"])
        assert state["global_step"] == 4 and "sends optimizer and random state" in caplog.text
    else:
        assert not checkpoints
    trainer.push_to_hub(commit_message="The end")
    assert set(hub.files("me/reviews")) == MODEL and hub.commits("me/reviews")[0] == "The end"
    assert b"in progress" not in hub.files("me/reviews")["README.md"]
    assert hub.repository("me/reviews").private and not hub.log.leaks


def test_a_checkpoint_of_the_hub_is_resumed(
    hub: LoopbackHub, make_trainer: Callable[..., Any], make_tiny: Callable[..., Any], tmp_path: Path
) -> None:
    trainer = make_trainer(push_to_hub=True, hub_strategy="checkpoint", hub_private_repo=True, save_steps=3)
    trainer.train()
    folder = tmp_path / "fetched"
    folder.mkdir()
    for path, content in hub.files("me/reviews", "main").items():
        if path.startswith("last-checkpoint/"):
            (folder / Path(path).name).write_bytes(content)
    resumed = make_trainer(output_dir=str(tmp_path / "again"), max_steps=6)
    resumed.train(resume_from_checkpoint=str(folder))
    assert resumed.state.global_step == 6 and not (folder / "training_args.bin").exists()


def test_a_push_that_fails_in_training_is_told_and_the_next_one_has_it_all(
    hub: LoopbackHub, make_trainer: Callable[..., Any], hashes_only: None, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer(push_to_hub=True, hub_private_repo=True)
    hub.faults.add("500", "POST", "/commit/")
    trainer.train()
    assert "step 2 was not pushed: could not commit the files: the Hub failed (500" in caplog.text
    assert re.search("step 4", hub.commits("me/reviews")[0]) and set(hub.files("me/reviews")) == MODEL


def test_a_push_without_push_to_hub_makes_a_private_repository_or_none(
    hub: LoopbackHub, make_trainer: Callable[..., Any], hashes_only: None
) -> None:
    trainer = make_trainer(save_strategy="no", hub_model_id="reviews")
    trainer.train()
    with pytest.raises(CallError, match="--hub_revision try: what is published goes to the main branch"):
        trainer.push_to_hub(revision="try")
    assert hub.repository("me/reviews") is None
    published = trainer.push_to_hub(license="mit")
    assert published.repo_id == "me/reviews" and published.private
    assert set(hub.files("me/reviews")) == MODEL and b"license: mit" in hub.files("me/reviews")["README.md"]
    assert trainer.push_to_hub(private=False, license="mit").private, "it has no effect on one that is there"
    trainer.args.hub_model_id = "me/open"
    assert trainer.push_to_hub(private=False, blocking=False).result().private is False
    assert not hub.repository("me/open").private


def test_what_people_wrote_in_the_folder_and_on_the_hub_is_kept(
    hub: LoopbackHub, make_trainer: Callable[..., Any], hashes_only: None, tmp_path: Path
) -> None:
    trainer = make_trainer(push_to_hub=True, hub_private_repo=True, max_steps=2)
    (tmp_path / "run").mkdir(exist_ok=True)
    notes = "<!-- hand-written: begin notes -->\nOf the folder.\n<!-- hand-written: end notes -->\n"
    (tmp_path / "run" / "README.md").write_text(notes)
    trainer.train()
    assert b"Of the folder." in hub.files("me/reviews")["README.md"]
    written = hub.files("me/reviews")["README.md"].replace(b"Of the folder.", b"Of the Hub.")
    hub.commit("me/reviews", {"README.md": written})
    trainer.push_to_hub()
    assert b"Of the Hub." in hub.files("me/reviews")["README.md"]


@pytest.mark.parametrize("merge", [True, False])
def test_lora(
    hub: LoopbackHub,
    make_trainer: Callable[..., Any],
    hashes_only: None,
    tiny_checkpoint: Path,
    merge: bool,
) -> None:
    HfApi(endpoint=hub.endpoint, token=hub.tokens.write).create_repo("me/tiny-bert")
    model = BertForSentimentAnalysis.from_pretrained(tiny_checkpoint)
    trainer = make_trainer(
        callbacks=[LoraCallback(r=2, merge=merge)],
        model=model,
        card={"base_model": "me/tiny-bert"},
        push_to_hub=True,
        hub_private_repo=True,
        learning_rate=1e-3,
    )
    trainer.train()
    adapter = MODEL - {"model.safetensors"} | {"adapter_config.json", "adapter_model.safetensors"}
    assert set(hub.files("me/reviews")) == adapter == ever(hub)
    config = json.loads(hub.files("me/reviews")["adapter_config.json"])
    assert config["base_model_name_or_path"] == "me/tiny-bert"
    trainer.push_to_hub()
    assert set(hub.files("me/reviews")) == (MODEL if merge else adapter)
