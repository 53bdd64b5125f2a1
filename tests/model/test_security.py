"""A config says which class it wants: no code that it names elsewhere is fetched or run, nor kept on saving."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from families import family_config
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, dynamic_module_utils

from hf_sentiment import EncoderForSentimentAnalysis, EncoderSentimentConfig
from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

EVIL = "evil/repo--x.Y"
OURS = {
    "AutoConfig": "configuration_bert_sentiment.BertSentimentConfig",
    "AutoModel": "modeling_bert_sentiment.BertForSentimentAnalysis",
    "AutoModelForSequenceClassification": "modeling_bert_sentiment.BertForSentimentAnalysis",
}


@pytest.fixture
def hostile(tmp_path: Path, tiny_folder: Path) -> Path:
    """Our folder with a config that names other people's code wherever a config can, and hostile source files."""
    folder = tmp_path / "hostile"
    shutil.copytree(tiny_folder, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    nested = {"model_type": "evil", "auto_map": {"AutoConfig": EVIL}, "_name_or_path": "evil/repo"}
    config.update(
        auto_map={**dict.fromkeys((*OURS, "AutoModelForCausalLM"), EVIL), "AutoTokenizer": [EVIL, None]},
        _name_or_path="evil/repo",
        trust_remote_code=True,
        encoder_config={**nested, "trust_remote_code": True},
    )
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for file in folder.glob("*.py"):
        file.write_text("raise SystemExit('remote code was run')\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def no_code_is_fetched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    calls: list[Any] = []

    def refuse(*arguments: Any, **_: Any) -> None:
        calls.append(arguments)
        raise AssertionError(f"code was asked for: {arguments}")

    for name in ("get_cached_module_file", "get_class_in_module"):
        monkeypatch.setattr(dynamic_module_utils, name, refuse)
    yield calls
    assert calls == []


@pytest.mark.parametrize("trust", [None, False, True])
@pytest.mark.parametrize("loader", [BertForSentimentAnalysis, AutoModel, AutoModelForSequenceClassification])
def test_no_foreign_code_with_the_package_installed(loader: Any, trust: Any, hostile: Path, tmp_path: Path) -> None:
    model = loader.from_pretrained(hostile, trust_remote_code=trust)
    assert type(model) is BertForSentimentAnalysis
    model.save_pretrained(tmp_path / "again")
    stored = json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8"))
    assert stored["auto_map"] == OURS
    assert "trust_remote_code" not in stored
    assert "_name_or_path" not in stored
    assert EVIL not in json.dumps(stored)
    assert "raise SystemExit" not in (tmp_path / "again" / "modeling_bert_sentiment.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("loader", [BertSentimentConfig, AutoConfig])
def test_a_config_alone_keeps_no_foreign_entry(loader: Any, hostile: Path, tmp_path: Path) -> None:
    config = loader.from_pretrained(hostile)
    assert type(config) is BertSentimentConfig
    assert EVIL not in str(getattr(config, "auto_map", {}))
    config.save_pretrained(tmp_path / "again")
    stored = json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8"))
    assert stored["auto_map"] == {"AutoConfig": OURS["AutoConfig"]}
    assert type(AutoModel.from_config(config)) is BertForSentimentAnalysis


@pytest.mark.parametrize("loader", [EncoderForSentimentAnalysis, AutoModel, AutoModelForSequenceClassification])
def test_no_foreign_code_by_way_of_the_encoders_config(loader: Any, tmp_path: Path) -> None:
    model = EncoderForSentimentAnalysis(EncoderSentimentConfig(encoder_config=family_config("electra")))
    model.save_pretrained(tmp_path / "hostile")
    path = tmp_path / "hostile" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["auto_map"] = dict.fromkeys(OURS, EVIL)
    code = {"AutoConfig": EVIL, "AutoModel": "modeling_encoder_sentiment.X"}
    config["encoder_config"] |= {"auto_map": code, "_name_or_path": "evil/repo", "trust_remote_code": True}
    path.write_text(json.dumps(config), encoding="utf-8")
    for file in (tmp_path / "hostile").glob("*.py"):
        file.write_text("raise SystemExit('remote code was run')\n", encoding="utf-8")
    loaded = loader.from_pretrained(tmp_path / "hostile", trust_remote_code=True)
    assert type(loaded) is EncoderForSentimentAnalysis
    loaded.save_pretrained(tmp_path / "again")
    stored = json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8"))
    assert "auto_map" not in stored["encoder_config"] and "evil" not in json.dumps(stored)
