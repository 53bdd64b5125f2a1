"""The folder that is published: complete, from an allow-list, and nothing private in it."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from publish_support import elsewhere, lora_folder, run_folder  # noqa: F401
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertweetTokenizer

from hf_sentiment.errors import CallError, SentimentError
from hf_sentiment.hub.bundle import Bundle, build_bundle
from hf_sentiment.hub.card import CardOptions

MODEL = {
    *("README.md", "config.json", "model.safetensors", "configuration_bert_sentiment.py"),
    *("modeling_bert_sentiment.py", "tokenizer.json", "tokenizer_config.json"),
}
CURVES = {"records/curves.png", "records/curves.svg"}


def build(run: Path, target: Path, **options: Any) -> set[str]:
    """The paths of the built folder."""
    target.mkdir()
    names = ("adapter", "secrets")
    call = {name: options.pop(name) for name in names if name in options}
    return set(build_bundle(run, target, repo_id="me/reviews", options=CardOptions(**options), **call).files())


def copy_of(run: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    return folder


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def test_a_run_becomes_a_complete_folder_and_stays_as_it_was(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    before = fingerprint(run_folder)
    assert (run_folder / "records" / "seen_texts.npz").is_file()  # and stays at home
    assert build(run_folder, tmp_path / "out") == MODEL | CURVES
    assert fingerprint(run_folder) == before
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert set(config["auto_map"]) == {"AutoConfig", "AutoModel", "AutoModelForSequenceClassification"}
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("a film").input_ids


def test_a_run_of_another_machine_without_records(elsewhere: Path, tmp_path: Path) -> None:  # noqa: F811
    assert build(elsewhere, tmp_path / "out") == MODEL
    assert "somebody" not in "".join(path.read_text() for path in (tmp_path / "out").glob("*.json"))


def test_quoted_texts_are_counted_wherever_they_stand(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    own = tmp_path / "own.md"
    own.write_text("# Ours\n")  # no text there, but in the metadata above it
    quoted = []
    for name, options in {"ours": {}, "own": {"template": own}, "none": {"quote_texts": False}}.items():
        (tmp_path / name).mkdir()
        quoted.append(
            build_bundle(run_folder, tmp_path / name, repo_id="me/reviews", options=CardOptions(**options)).quoted
        )
    evaluation = json.loads((run_folder / "records" / "evaluation.json").read_text())
    texts = [{row["text"] for row in evaluation[name]} for name in ("examples", "errors")]
    assert quoted == [len(texts[0] | texts[1]), len(texts[0]), 0] and quoted[1] > 0


def test_an_adapter_says_what_its_merged_twin_says(lora_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    files = build(lora_folder, tmp_path / "out", adapter=True, base_model="org/base")
    assert files == (MODEL - {"model.safetensors"}) | CURVES | {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["base_model_name_or_path"] == "org/base"
    merged = load_file(lora_folder / "model.safetensors")["classifier.weight"]
    adapter = load_file(tmp_path / "out" / "adapter_model.safetensors")
    (head,) = (tensor for name, tensor in adapter.items() if name.endswith("classifier.weight"))
    torch.testing.assert_close(head, merged)  # the temperature is in both


def test_an_adapter_of_a_base_that_nobody_else_has_is_refused(lora_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(CallError, match="nobody else has: name its Hub id, --base_model"):
        build(lora_folder, tmp_path / "out", adapter=True)


def test_results_on_a_data_set_of_the_hub_are_in_eval_results(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    from huggingface_hub import parse_eval_result_entries
    from yaml import safe_load

    run = copy_of(run_folder, tmp_path)
    arguments = json.loads((run / "records" / "arguments.json").read_text())
    arguments |= {"train_file": None, "dataset_name": "org/reviews", "dataset_config_name": "short"}
    (run / "records" / "arguments.json").write_text(json.dumps(arguments))
    assert ".eval_results/reviews.yaml" not in build(run, tmp_path / "made")  # its test split was made here
    audit = json.loads((run / "records" / "audit.json").read_text())
    audit["splits"]["origin"]["test"] = "as given"
    (run / "records" / "audit.json").write_text(json.dumps(audit))
    assert ".eval_results/reviews.yaml" in build(run, tmp_path / "given")
    entries = safe_load((tmp_path / "given" / ".eval_results" / "reviews.yaml").read_text())
    (entry,) = parse_eval_result_entries(entries)
    accuracy = json.loads((run / "records" / "evaluation.json").read_text())["model"]["accuracy"]["value"]
    assert (entry.dataset_id, entry.task_id, entry.value) == ("org/reviews", "short", round(accuracy, 4))


def rename_labels(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config["id2label"] = {"0": "LABEL_0", "1": "LABEL_1"}
    (run / "config.json").write_text(json.dumps(config))


def make_pickle(run: Path) -> None:
    (run / "model.safetensors").rename(run / "pytorch_model.bin")


def cut_weights(run: Path) -> None:
    content = (run / "model.safetensors").read_bytes()
    (run / "model.safetensors").write_bytes(content[: len(content) // 2])


def remove_tokenizer(run: Path) -> None:
    for path in run.glob("tokenizer*"):
        path.unlink()


def foreign_code(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    config |= {"model_type": "bert", "auto_map": {"AutoModel": "evil.Model"}}
    (run / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (rename_labels, 'called LABEL_0, LABEL_1: say in config.json "id2label"'),
        (make_pickle, "a pickle, which runs code"),
        (cut_weights, "no whole safetensors file"),
        (remove_tokenizer, "has no tokenizer"),
        (lambda run: (run / "config.json").unlink(), "has no config.json"),
        (lambda run: (run / "model.safetensors").unlink(), "is missing"),
        (lambda run: (run / "config.json").write_text("{"), "is not JSON"),
        (foreign_code, "code that this command does not know"),
    ],
)
def test_what_cannot_be_published_is_refused(run_folder: Path, tmp_path: Path, harm: Any, said: str) -> None:  # noqa: F811
    run = copy_of(run_folder, tmp_path)
    harm(run)
    with pytest.raises(CallError, match=re.escape(said)) as raised:
        build(run, tmp_path / "out")
    assert "\n" not in str(raised.value)


TOKEN = "hf_" + "aBcDeFgH" * 4


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("configuration_bert_sentiment.py", f"# {TOKEN}", "a Hugging Face token"),
        ("tokenizer.json", TOKEN, "a Hugging Face token"),
        (
            "modeling_bert_sentiment.py",
            "# /home/alice/models/bert",
            "a folder of some machine (/home/alice/models/bert)",
        ),
        ("modeling_bert_sentiment.py", r"# C:\Users\alice\bert", "a folder of some machine"),
        ("records/curves.svg", f"{getpass.getuser()}@laptop", "the user name of this machine"),
        ("records/curves.svg", "the-secret-in-use", "the token in use"),
        ("modeling_bert_sentiment.py", "# ghp_" + "a" * 36, "a GitHub token"),
    ],
)
def test_what_is_private_is_refused_and_the_file_named(
    run_folder: Path,  # noqa: F811
    tmp_path: Path,
    name: str,
    text: str,
    said: str,
) -> None:
    run = copy_of(run_folder, tmp_path)
    with (run / name).open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    with pytest.raises(SentimentError, match=re.escape(f"{name} holds {said}")) as raised:
        build(run, tmp_path / "out", secrets=["the-secret-in-use"])
    assert TOKEN not in str(raised.value)


def test_the_vocabulary_of_a_slow_tokenizer_goes_along(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    run = copy_of(run_folder, tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (run / name).unlink()
    (tmp_path / "vocab.txt").write_text("film 1\ng@@ 1\n")
    (tmp_path / "bpe.codes").write_text("f i 1\nfi l 1\nfil m</w> 1\n")
    BertweetTokenizer(str(tmp_path / "vocab.txt"), str(tmp_path / "bpe.codes")).save_pretrained(run)
    assert {"vocab.txt", "bpe.codes"} <= build(run, tmp_path / "out")
    words = AutoTokenizer.from_pretrained(tmp_path / "out").tokenize("film")
    assert words == AutoTokenizer.from_pretrained(run).tokenize("film")


def test_words_of_the_vocabulary_are_no_secrets(run_folder: Path, tmp_path: Path) -> None:  # noqa: F811
    run = copy_of(run_folder, tmp_path)
    tokenizer = json.loads((run / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] |= {"root": 200, getpass.getuser(): 201, "/home/x": 202}
    (run / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert build(run, tmp_path / "out") == MODEL | CURVES


def test_files_that_a_loader_would_take_for_the_new_models_go_and_others_stay(tmp_path: Path) -> None:
    present = [
        *(".gitattributes", "LICENSE", "images/a.png", "onnx/model.onnx", "vocab.txt", "pytorch_model.bin"),
        *("model-00001-of-00002.safetensors", "adapter_config.json", "training_args.bin", "checkpoint-3/config.json"),
        "last-checkpoint/optimizer.pt",
    ]
    for name in MODEL:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert Bundle(tmp_path, False, None, {}, [], 0).stale(present) == [
        *("adapter_config.json", "checkpoint-3/config.json", "last-checkpoint/optimizer.pt"),
        *("model-00001-of-00002.safetensors", "pytorch_model.bin", "training_args.bin", "vocab.txt"),
    ]
