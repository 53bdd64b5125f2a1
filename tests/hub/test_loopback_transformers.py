"""transformers against the hub: push by hand, load by name, the Trainer's pushes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from loopback import LoopbackHub

_LOAD = """
import json, sys
import torch
from huggingface_hub import snapshot_download
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

name, revision, texts, expected = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), json.loads(sys.argv[4])
folder = snapshot_download(name, revision=revision)
for source, pinned in ((name, {}), (name, {"revision": revision}), (folder, {})):
    model = AutoModelForSequenceClassification.from_pretrained(source, trust_remote_code=True, **pinned)
    assert type(model).__module__.startswith("transformers_modules."), type(model)
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=True, **pinned)
    with torch.no_grad():
        logits = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    assert torch.equal(logits, torch.tensor(expected)), logits
answers = pipeline("text-classification", model=name, revision=revision, trust_remote_code=True)(texts)
print(json.dumps([row["label"] for row in answers]))
assert "hf_sentiment" not in sys.modules
"""
TEXTS = ["the film was great !", "boring"]


def _logits(model: Any, tokenizer: Any) -> list[list[float]]:
    import torch

    with torch.no_grad():
        return model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits.tolist()


def test_push_by_hand_and_load_without_the_package(
    hub: LoopbackHub, client: Any, make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    model = make_tiny()
    model.push_to_hub("me/name", private=True)
    made = tiny_tokenizer.push_to_hub("me/name")
    files = hub.files("me/name")
    assert {"README.md", "model.safetensors", "config.json", "tokenizer.json"} <= set(files)
    assert {"configuration_bert_sentiment.py", "modeling_bert_sentiment.py"} <= set(files)
    assert hub.repository("me/name").private and len(hub.commits("me/name")) == 3 and not hub.log.leaks

    expected = _logits(model, tiny_tokenizer)
    hub.log.clear()
    words = ("me/name", made.oid, json.dumps(TEXTS), json.dumps(expected))
    done = hub.run(_LOAD, *words, home=tmp_path / "clean", package=False)
    assert json.loads(done.stdout) == [model.config.id2label[max(range(2), key=row.__getitem__)] for row in expected]
    assert hub.log.count("GET", "^/storage/") == 1 and not hub.log.leaks


def test_revision_and_pull_request(hub: LoopbackHub, client: Any, tiny_tokenizer: Any) -> None:
    tiny_tokenizer.push_to_hub("me/name", revision="try")
    assert "tokenizer.json" in hub.files("me/name", "try") and "tokenizer.json" not in hub.files("me/name")
    made = tiny_tokenizer.push_to_hub("me/name", create_pr=True)
    assert "tokenizer.json" in hub.files("me/name", made.pr_revision)


@pytest.mark.parametrize("strategy", ["every_save", "checkpoint"])
def test_trainer(
    strategy: str, hub: LoopbackHub, client: Any, make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import Trainer, TrainingArguments

    rows = [{**tiny_tokenizer(text), "labels": number} for number, text in enumerate(TEXTS)] * 4
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "run"),
        push_to_hub=True,
        hub_model_id="me/run",
        hub_strategy=strategy,
        hub_private_repo=True,
        hub_always_push=True,
        max_steps=4,
        save_steps=2,
        per_device_train_batch_size=2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(make_tiny(), arguments, train_dataset=rows, processing_class=tiny_tokenizer)
    trainer.train()
    trainer.push_to_hub(commit_message="The end")
    files, titles = hub.files("me/run"), hub.commits("me/run")
    assert hub.repository("me/run").private and titles[0] == "The end" and titles[-1] == "initial commit"
    assert files["model.safetensors"] == (tmp_path / "run/model.safetensors").read_bytes()
    saves = [title for title in titles if re.search(r"step [24]", title)]
    assert saves  # one or two: a push in the background may already find what the next save wrote, and that has nothing
    last = {path for path in files if path.startswith("last-checkpoint/")}
    assert bool(last) is (strategy == "checkpoint")
    if last:
        state = json.loads(files["last-checkpoint/trainer_state.json"])
        assert state["global_step"] == 4 and "last-checkpoint/optimizer.pt" in last
    assert not hub.log.leaks


def test_a_push_that_fails_in_the_background_is_seen_by_nobody(
    hub: LoopbackHub, client: Any, make_tiny: Callable[..., Any], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    from transformers import Trainer, TrainingArguments

    fault = hub.faults.add("500", "POST", "/commit/")
    rows = [{**tiny_tokenizer(text), "labels": number} for number, text in enumerate(TEXTS)]
    arguments = TrainingArguments(
        output_dir=str(tmp_path / "run"),
        push_to_hub=True,
        hub_model_id="me/run",
        max_steps=1,
        save_steps=1,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Trainer(make_tiny(), arguments, train_dataset=rows, processing_class=tiny_tokenizer)
    trainer.train()
    assert fault.fired == 1 and hub.commits("me/run") == ["initial commit"]
    trainer.push_to_hub()
    assert "model.safetensors" in hub.files("me/run")
