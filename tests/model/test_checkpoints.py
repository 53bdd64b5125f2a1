"""Which checkpoints load, what of them arrives, and what the log says about it."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModel,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
)

from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.model.modeling_encoder_sentiment import EncoderForSentimentAnalysis

POOLINGS = ("pooler", "cls", "mean", "max")


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record.getMessage())


@pytest.fixture
def warnings_logged() -> Iterator[list[str]]:
    """The messages of transformers' loggers from WARNING on; they do not reach pytest's own capture."""
    handler = _Records()
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield handler.seen
    logger.removeHandler(handler)


def _logits(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


def test_stock_loads_ours_with_equal_logits(
    tiny_folder: Path, make_tiny: Callable[..., Any], tiny_inputs: dict[str, Any]
) -> None:
    stock, info = BertForSequenceClassification.from_pretrained(tiny_folder, output_loading_info=True)
    assert torch.equal(_logits(stock, tiny_inputs), _logits(make_tiny(), tiny_inputs))
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_ours_loads_stock_with_equal_logits(
    tmp_path: Path, make_stock: Callable[..., Any], tiny_inputs: dict[str, Any], warnings_logged: list[str]
) -> None:
    stock = make_stock(BertForSequenceClassification)
    stock.save_pretrained(tmp_path)
    ours, info = BertForSentimentAnalysis.from_pretrained(tmp_path, output_loading_info=True)
    assert torch.equal(_logits(ours, tiny_inputs), _logits(stock, tiny_inputs))
    assert not any(info[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert list(ours.state_dict()) == list(stock.state_dict())
    assert warnings_logged == []


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("stock_class", [BertModel, BertForPreTraining])
def test_of_a_pre_trained_encoder_only_the_head_is_new(
    stock_class: Any, pooling: str, tmp_path: Path, make_stock: Callable[..., Any], warnings_logged: list[str]
) -> None:
    stock = make_stock(stock_class)
    stock.save_pretrained(tmp_path)
    ours, info = BertForSentimentAnalysis.from_pretrained(tmp_path, pooling=pooling, output_loading_info=True)
    assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    assert not info["unexpected_keys"]
    encoder = getattr(stock, "bert", stock).state_dict()
    arrived = ours.bert.state_dict()
    assert all(torch.equal(value, encoder[key]) for key, value in arrived.items())
    assert {key for key in encoder if key not in arrived} == (
        set() if pooling == "pooler" else {"pooler.dense.weight", "pooler.dense.bias"}
    )
    (report,) = warnings_logged
    assert "classifier.weight" in report
    assert "bert." not in report
    assert "cls." not in report
    assert "pooler.dense" not in report


def test_a_missing_pooler_is_reported_where_it_is_used(
    tmp_path: Path, make_tiny: Callable[..., Any], warnings_logged: list[str]
) -> None:
    make_tiny(pooling="mean").save_pretrained(tmp_path)
    _, info = BertForSentimentAnalysis.from_pretrained(tmp_path, pooling="pooler", output_loading_info=True)
    assert set(info["missing_keys"]) == {"bert.pooler.dense.weight", "bert.pooler.dense.bias"}
    assert "bert.pooler.dense.weight" in "".join(warnings_logged)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_our_own_folder_loads_in_silence(
    pooling: str, tmp_path: Path, make_tiny: Callable[..., Any], tiny_inputs: Any, warnings_logged: list[str]
) -> None:
    model = make_tiny(pooling=pooling)
    model.save_pretrained(tmp_path)
    again = BertForSentimentAnalysis.from_pretrained(tmp_path)
    assert again.config.pooling == pooling
    assert torch.equal(_logits(again, tiny_inputs), _logits(model, tiny_inputs))
    assert warnings_logged == []


def _sentence_encoder(folder: Path, make_stock: Callable[..., Any], declared: dict[str, Any]) -> Path:
    make_stock(BertModel).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(declared), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("declared", "pooling"),
    [
        ({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"embedding_dimension": 16, "pooling_mode": "mean", "include_prompt": True}, "mean"),
        ({"pooling_mode": ["max"]}, "max"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"word_embedding_dimension": 16}, "mean"),
    ],
    ids=str,
)
def test_a_sentence_encoder_selects_its_own_pooling(
    declared: dict[str, Any], pooling: str, tmp_path: Path, make_stock: Callable[..., Any]
) -> None:
    folder = _sentence_encoder(tmp_path, make_stock, declared)
    assert BertForSentimentAnalysis.from_pretrained(folder).config.pooling == pooling


def test_sentence_encoder_written_by_the_library_itself(
    tmp_path: Path, make_stock: Callable[..., Any], tiny_tokenizer: Any, tiny_inputs: dict[str, Any]
) -> None:
    library = pytest.importorskip("sentence_transformers")
    make_stock(BertModel).save_pretrained(tmp_path / "bert")
    tiny_tokenizer.save_pretrained(tmp_path / "bert")
    encoder = library.SentenceTransformer(str(tmp_path / "bert"))  # mean pooling by default
    encoder.save(str(tmp_path / "encoder"))
    model = BertForSentimentAnalysis.from_pretrained(tmp_path / "encoder").eval()
    texts = ["this film is great !", "bad"]
    batch = tiny_tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = model.bert(**batch).last_hidden_state
        pooled = model._pool(hidden, None, batch["attention_mask"])
    torch.testing.assert_close(pooled, encoder.encode(texts, convert_to_tensor=True).cpu())


@pytest.mark.parametrize(
    "declared",
    [
        {"pooling_mode_mean_sqrt_len_tokens": True},
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode": ["mean", "max"]},
        {"pooling_mode": "lasttoken"},
        {"pooling_mode": "mean_sqrt_len_tokens"},
    ],
    ids=str,
)
def test_a_pooling_that_we_lack_is_answered_with_the_right_call(
    declared: dict[str, Any], tmp_path: Path, make_stock: Callable[..., Any]
) -> None:
    folder = _sentence_encoder(tmp_path, make_stock, declared)
    with pytest.raises(ValueError, match='pooling="mean"'):
        BertForSentimentAnalysis.from_pretrained(folder)
    assert BertForSentimentAnalysis.from_pretrained(folder, pooling="max").config.pooling == "max"


def test_a_named_pooling_wins_over_the_declared_one(tmp_path: Path, make_stock: Callable[..., Any]) -> None:
    folder = _sentence_encoder(tmp_path, make_stock, {"pooling_mode_mean_tokens": True})
    assert BertForSentimentAnalysis.from_pretrained(folder, pooling="cls").config.pooling == "cls"


@pytest.mark.parametrize("loader", [BertForSentimentAnalysis, AutoModel])
def test_an_unknown_pooling_is_refused_at_loading(tiny_folder: Path, loader: Any) -> None:
    with pytest.raises(ValueError, match="pooler, cls, mean, max"):
        loader.from_pretrained(tiny_folder, pooling="average")


def test_a_checkpoint_that_is_no_bert_is_named(tmp_path: Path) -> None:
    config = DistilBertConfig(vocab_size=9, dim=8, n_heads=2, n_layers=1, hidden_dim=8, max_position_embeddings=8)
    DistilBertModel(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'distilbert'"):
        BertForSentimentAnalysis.from_pretrained(tmp_path, labels=["negative", "positive"])


def test_shards(tmp_path: Path, make_tiny: Callable[..., Any], tiny_inputs: dict[str, Any]) -> None:
    model = make_tiny()
    model.save_pretrained(tmp_path, max_shard_size="8KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert not (tmp_path / "model.safetensors").exists()
    again = BertForSentimentAnalysis.from_pretrained(tmp_path)
    assert torch.equal(_logits(again, tiny_inputs), _logits(model, tiny_inputs))


def test_a_saved_folder_holds_no_pickle(tiny_folder: Path) -> None:
    assert {path.name for path in tiny_folder.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "configuration_bert_sentiment.py",
        "modeling_bert_sentiment.py",
    }
    assert not [path for path in tiny_folder.iterdir() if path.suffix in {".bin", ".pt", ".pth", ".pkl"}]


class _Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("container", ["pickle", "torch"])
def test_a_malicious_pickle_is_never_executed(container: str, tmp_path: Path, tiny_folder: Path) -> None:
    folder, proof = tmp_path / "model", tmp_path / "executed"
    folder.mkdir()
    shutil.copy(tiny_folder / "config.json", folder)
    if container == "pickle":
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Payload(proof)))
    else:
        torch.save({"classifier.bias": _Payload(proof)}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        BertForSentimentAnalysis.from_pretrained(folder, labels=["negative", "positive"])
    assert not proof.exists()


@pytest.mark.parametrize("model_class", [BertForSentimentAnalysis, EncoderForSentimentAnalysis])
def test_pickled_weights_are_refused(model_class: Any, tmp_path: Path, make_stock: Callable[..., Any]) -> None:
    small = DistilBertConfig(vocab_size=32, dim=16, n_layers=1, n_heads=2, hidden_dim=16)
    stock = make_stock(BertModel) if model_class is BertForSentimentAnalysis else DistilBertModel(small)
    stock.config.save_pretrained(tmp_path)
    torch.save(stock.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        model_class.from_pretrained(tmp_path, labels=["negative", "positive"])
    stock.save_pretrained(tmp_path)
    assert model_class.from_pretrained(tmp_path, labels=["negative", "positive"]).num_labels == 2


def test_half_precision_stays_as_stored_unless_asked(tmp_path: Path, make_tiny: Callable[..., Any]) -> None:
    make_tiny().to(torch.bfloat16).save_pretrained(tmp_path)
    assert BertForSentimentAnalysis.from_pretrained(tmp_path).dtype == torch.bfloat16
    assert BertForSentimentAnalysis.from_pretrained(tmp_path, dtype=torch.float32).dtype == torch.float32


def test_device_map(tiny_folder: Path, make_tiny: Callable[..., Any], tiny_inputs: dict[str, Any]) -> None:
    model = BertForSentimentAnalysis.from_pretrained(tiny_folder, device_map="cpu")
    assert torch.equal(_logits(model, tiny_inputs), _logits(make_tiny(), tiny_inputs))


def test_a_cached_repository_loads_offline(tmp_path: Path, make_stock: Callable[..., Any]) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--someone--encoder"
    make_stock(BertModel).save_pretrained(repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    model = BertForSentimentAnalysis.from_pretrained("someone/encoder", cache_dir=tmp_path, local_files_only=True)
    assert model.config.pooling == "pooler"
    _sentence_encoder(tmp_path / "new", make_stock, {"pooling_mode": "max"})
    shutil.copytree(tmp_path / "new" / "1_Pooling", repository / "snapshots" / commit / "1_Pooling")
    model = BertForSentimentAnalysis.from_pretrained("someone/encoder", cache_dir=tmp_path, local_files_only=True)
    assert model.config.pooling == "max"
