"""Finding a model by its name: what is not there is an error at once, with the nearest that is."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from families import FAMILIES, family_model, family_tokenizer

from hf_sentiment.errors import CallError
from hf_sentiment.inference import locating
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.inference.loading import readable_tokens
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.records.read import RunRecords

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the runs `demo` and `reviews`, on a machine that asks no Hub."""

    def asked(*args: object, **kwargs: object) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(locating.constants, "is_offline_mode", lambda: False)
    monkeypatch.setattr(locating, "get_hf_file_metadata", asked)
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "reviews"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "config.json").write_text("{}")
    (tmp_path / "runs" / "notes").mkdir()
    (tmp_path / "reviews.csv").write_text("text\ngood\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("runs/dmeo", "runs/dmeo: no such folder, did you mean runs/demo?"),
        ("runs/dmeo/", "did you mean runs/demo?"),
        ("./runs/reviws", "did you mean runs/reviews?"),
        ("runs/xyz", "no such folder (there are: runs/demo, runs/reviews): name a run's --output_dir or a Hub id"),
        ("outputs/model", "outputs/model: no such folder (there is no folder outputs)"),
        ("../none", "no such folder"),
        ("/none/model", "no such folder (there is no folder /none)"),
        ("~/none-of-this/model", "no such folder"),
        ("a/b/c", "no such folder"),
        ("my model", "no such folder"),
        ("runs\\demo", "no such folder"),
        ("runs/demo/config.json", "is a file: name the folder that it is in, runs/demo"),
        (
            "reviews.csv",
            "reviews.csv is a file and not a model: name a run's --output_dir or a Hub id, and then the file",
        ),
        ("https://huggingface.co/me/model", "is an address: name the repository alone"),
        ("", "no model is named"),
    ],
)
def test_what_is_no_folder_and_no_id_is_an_error_without_the_hub(here: Path, name: str, message: str) -> None:
    with pytest.raises(CallError, match=re.escape(message)) as raised:
        find_checkpoint(name)
    assert "\n" not in str(raised.value)


def test_a_folder_is_found_wherever_it_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    assert find_checkpoint("runs/demo") == "runs/demo"
    assert find_checkpoint("~/runs/demo") == str(here / "runs" / "demo")
    assert find_checkpoint(here / "runs" / "demo") == str(here / "runs" / "demo")


def test_the_hub_is_asked_once_and_its_silence_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def silent(url: str, timeout: float) -> None:
        calls.append(url)
        raise httpx2.ConnectError("Name or service not known")

    monkeypatch.setattr(locating, "get_hf_file_metadata", silent)
    with pytest.raises(CallError, match=r"someone/model: no such folder .*the Hub cannot be reached \(Name or service"):
        SentimentClassifier.from_pretrained("someone/model")
    assert len(calls) == 1 and "/someone/model/" in calls[0]


def test_offline_nothing_is_asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating.constants, "is_offline_mode", lambda: True)
    with pytest.raises(CallError, match="the Hub cannot be asked: HF_HUB_OFFLINE is set"):
        find_checkpoint("someone/model")


def test_every_command_says_it_before_it_reads_a_file(here: Path, reviews_file: Path, run_cli: Cli) -> None:
    calls = [
        ("predict", "runs/dmeo", reviews_file),
        ("evaluate", "runs/dmeo", "--test_file", reviews_file),
        ("publish", "runs/dmeo", "me/reviews"),
        ("train", "--model_name_or_path", "runs/dmeo", "--train_file", reviews_file, "--output_dir", "o"),
        ("audit", "--model_name_or_path", "runs/dmeo", "--train_file", reviews_file, "--pooling", "mean"),
    ]
    for words in calls:
        code, out, err = run_cli(*words)
        assert (code, out) == (2, "")
        assert [line for line in err.splitlines() if "runs/dmeo: no such folder, did you mean runs/demo?" in line]
        assert len(err.splitlines()) == 1, err
    with pytest.raises(CallError, match=r"did you mean runs/demo\?"):
        RunRecords.read("runs/dmeo")


@pytest.mark.parametrize(
    "words", [("predict", "runs/nope", "f.csv"), ("evaluate", "runs/nope"), ("publish", "x", "a/b")]
)
def test_a_wrong_name_is_said_before_torch_is_imported(here: Path, words: tuple[str, ...]) -> None:
    code = f"""
import sys
from hf_sentiment.cli import main
try:
    main({list(words)})
except SystemExit as end:
    assert end.code == 2
assert not {{'torch', 'transformers', 'datasets'}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no such folder" in done.stderr


@pytest.mark.parametrize("family", FAMILIES)
def test_so_many_tokens_can_be_read_and_one_more_cannot(family: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    tokenizer = family_tokenizer(family)  # which does not know the length
    model = family_model(family, AutoModelForSequenceClassification)
    longest = readable_tokens(tokenizer, model)
    rotary = family in ("modernbert", "eurobert", "nomic_bert", "gte")
    assert longest == (64 if rotary else 48)
    ids = torch.full((1, longest), 7)
    assert model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.isfinite().all()
    if not rotary and not family.startswith("deberta"):  # these have no table of positions
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, longest + 1), 7))
    model.config.max_position_embeddings = -1  # as XLNet has it
    assert readable_tokens(tokenizer, model) == 512
    tokenizer.model_max_length = 20
    assert readable_tokens(tokenizer, model) == 20
