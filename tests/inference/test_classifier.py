"""`SentimentClassifier`: what the pipeline says, in the order given."""

from __future__ import annotations

import datetime
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from families import WORDS, family_checkpoint, family_tokenizer
from peft import LoraConfig, get_peft_model
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from hf_sentiment.compute.batching import length_sorted_batches
from hf_sentiment.errors import CallError
from hf_sentiment.inference.classifier import SentimentClassifier
from hf_sentiment.model import BertForSentimentAnalysis
from hf_sentiment.model.modeling_encoder_sentiment import sentiment_model_class

TEXTS = [
    "good",
    "the film was never very bad , but the plot was dull .",
    "great cast !",
    "awful",
    "i loved it . " * 5,
]


def test_it_says_what_the_pipeline_says(tiny_folder: Path) -> None:
    expected = pipeline("text-classification", str(tiny_folder), top_k=None)(TEXTS)
    found = SentimentClassifier.from_pretrained(tiny_folder).predict(TEXTS)
    for theirs, ours in zip(expected, found, strict=True):
        scores = {entry["label"]: entry["score"] for entry in theirs}
        assert ours["scores"] == pytest.approx(scores, abs=1e-5)
        assert ours["label"] == max(scores, key=lambda name: scores[name])
        assert ours["score"] == ours["scores"][ours["label"]]


def test_order_does_not_depend_on_length_or_company(tiny_folder: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    together = classifier.predict(TEXTS)
    for text, prediction in zip(TEXTS, together, strict=True):
        assert classifier.predict([text])[0]["scores"] == pytest.approx(prediction["scores"], abs=1e-6)


NOTHING = [
    None,
    float("nan"),
    np.float32("nan"),
    pd.NA,
    pd.NaT,
    "",
    "  \n",
    "\u200b\ufeff",
    "NaN",
    "n/a",
    "None",
    "-",
    "?",
]
NO_TEXTS = [3, 2.5, True, b"a", ["a"], np.array(["a", "b"]), datetime.date(2026, 1, 1), "12345", " 4.5 ", "-1", "TRUE"]


@pytest.mark.parametrize("value", [*NOTHING, *NO_TEXTS], ids=repr)
def test_what_is_no_text_has_no_label_and_a_note(value: Any, tiny_folder: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    before, found, after = classifier.predict(["good", value, "awful"])
    note = "empty text" if any(value is item for item in NOTHING) else "not a text"
    assert found.pop("note").startswith(note)  # type: ignore[misc]
    assert found == {"label": None, "score": None, "scores": None}
    assert [before, after] == classifier.predict(["good", "awful"])


def test_what_looks_odd_and_is_a_text_has_a_label(tiny_folder: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    for text in (
        ":)",
        "\N{THUMBS UP SIGN}",
        "10/10",
        "!!!",
        "=1+1",
        "no",
        "half \ud83d an emoji",
        np.str_("good"),
        "好",
    ):
        assert classifier.predict([text])[0]["label"] in ("negative", "positive"), text
    assert [prediction["label"] for prediction in classifier.predict([None, "", 3])] == [None] * 3


def test_no_texts_no_predictions(tiny_folder: Path) -> None:
    assert SentimentClassifier.from_pretrained(tiny_folder).predict([]) == []


def test_long_texts_are_cut_and_counted(tiny_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    with caplog.at_level("WARNING", logger="hf_sentiment"):
        assert len(classifier.predict(["good " * 500, "bad"])) == 2
    assert "1 of 2 texts are longer than 48 tokens and were cut" in caplog.text


def test_threads_predict_at_once_and_each_gets_its_own_answers(tiny_folder: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    asked = [[f"{text} {word}" for text in TEXTS] for word in WORDS]
    expected = [classifier.predict(texts) for texts in asked]
    untouched = SentimentClassifier.from_pretrained(tiny_folder)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(untouched.predict, 3 * asked))
    for theirs, ours in zip(3 * expected, found, strict=True):
        assert [one["label"] for one in ours] == [one["label"] for one in theirs]
        assert [one["score"] for one in ours] == pytest.approx([one["score"] for one in theirs], abs=1e-6)


def test_a_model_in_memory_predicts_as_its_folder_does(tiny_folder: Path, make_tiny: Any, tiny_tokenizer: Any) -> None:
    found = SentimentClassifier(make_tiny(), tiny_tokenizer).predict(TEXTS)
    assert found == SentimentClassifier.from_pretrained(tiny_folder).predict(TEXTS)


def test_half_precision_is_computed_in_float32_on_a_cpu(tmp_path: Path, make_tiny: Any, tiny_tokenizer: Any) -> None:
    make_tiny().to(torch.bfloat16).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).dtype == torch.bfloat16
    assert SentimentClassifier.from_pretrained(tmp_path).backend.model.dtype == torch.float32


def test_a_multi_label_model_scores_each_label_by_itself(tmp_path: Path, make_tiny: Any, tiny_tokenizer: Any) -> None:
    make_tiny(num_labels=3, problem_type="multi_label_classification").save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    scores = SentimentClassifier.from_pretrained(tmp_path).predict(["good film"])[0]["scores"]
    expected = pipeline("text-classification", str(tmp_path), top_k=None)(["good film"])[0]
    assert scores == pytest.approx({entry["label"]: entry["score"] for entry in expected}, abs=1e-5)


def test_wrong_calls_are_answered_with_the_right_one(tiny_folder: Path, tmp_path: Path) -> None:
    classifier = SentimentClassifier.from_pretrained(tiny_folder)
    with pytest.raises(CallError, match=r"predict\(\[text\]\)"):
        classifier.predict("good")
    for table in (pd.DataFrame({"text": ["good"]}), {"text": ["good"]}):
        with pytest.raises(CallError, match=r'predict\(table\["text"\]\)'):
            classifier.predict(table)  # type: ignore[arg-type]
    assert len(classifier.predict(pd.Series(["good", None, np.nan]))) == 3  # type: ignore[arg-type]
    with pytest.raises(CallError, match="no such folder"):
        SentimentClassifier.from_pretrained(tmp_path / "none")
    with pytest.raises(CallError, match="cannot be loaded as a text classifier"):
        SentimentClassifier.from_pretrained(tmp_path)
    with pytest.raises(CallError, match="backend must be one of"):
        SentimentClassifier.from_pretrained(tiny_folder, backend="tpu")


def test_weights_that_are_no_numbers_are_an_error(make_tiny: Any, tiny_tokenizer: Any) -> None:
    model = make_tiny()
    torch.nn.init.constant_(model.classifier.weight, float("nan"))
    with pytest.raises(CallError, match="the model gives NaN"):
        SentimentClassifier(model, tiny_tokenizer).predict(["good"])


@pytest.mark.parametrize("wrong", [{"vocab_size": 3}, {"num_attention_heads": 0}, {"dtype": "float99"}])
def test_a_damaged_config_is_one_line(tiny_folder: Path, tmp_path: Path, wrong: dict[str, Any]) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | wrong))
    said = r"cannot be loaded as a text classifier|its config\.json or tokenizer cannot be read"
    with pytest.raises(CallError, match=said) as raised:
        SentimentClassifier.from_pretrained(folder)
    assert "\n" not in str(raised.value)


def test_batches_cover_every_text_once_longest_first() -> None:
    lengths = [3, 50, 7, 7, 2000, 1, 12]
    batches = list(length_sorted_batches(lengths, token_budget=64))
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [lengths[row] for row in rows] == sorted(lengths, reverse=True)
    assert all(len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= 64 for batch in batches)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, make_tiny: Any) -> None:
    make_tiny().save_pretrained(tmp_path)
    with pytest.raises(CallError, match="has no tokenizer: save it beside the model"):
        SentimentClassifier.from_pretrained(tmp_path)


def test_a_checkpoint_without_a_trained_head_is_refused(tiny_checkpoint: Path) -> None:
    with pytest.raises(CallError, match="has no trained classifier"):
        SentimentClassifier.from_pretrained(tiny_checkpoint)


def test_an_adapter_without_a_trained_head_is_refused(
    tiny_checkpoint: Path, tiny_folder: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    for base, name in ((tiny_checkpoint, "none"), (tiny_folder, "bases")):
        adapted = get_peft_model(AutoModel.from_pretrained(base), LoraConfig(target_modules=["query"]))
        adapted.peft_config["default"].base_model_name_or_path = str(base)
        adapted.save_pretrained(tmp_path / name)
        tiny_tokenizer.save_pretrained(tmp_path / name)
    with pytest.raises(CallError, match=f"^{tiny_checkpoint} has no trained classifier"):
        SentimentClassifier.from_pretrained(tmp_path / "none")
    # An adapter begins as one that changes nothing.
    expected = SentimentClassifier.from_pretrained(tiny_folder).logits(TEXTS)
    np.testing.assert_allclose(SentimentClassifier.from_pretrained(tmp_path / "bases").logits(TEXTS), expected)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CallError, match="is the adapter of a run: name the run's folder"):
        SentimentClassifier.from_pretrained(tmp_path / "bases")
    (tmp_path / "none" / "adapter_model.safetensors").rename(tmp_path / "none" / "adapter_model.bin")
    with pytest.raises(CallError, match=r"is an adapter without adapter_model\.safetensors"):
        SentimentClassifier.from_pretrained(tmp_path / "none")


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_adapter_is_put_on_its_base_as_the_config_beside_it_says(family: str, tmp_path: Path) -> None:
    base = family_checkpoint(family, tmp_path / "base")
    ours = sentiment_model_class(base).from_pretrained(base, labels=["bad", "good"], pooling="mean")
    lora = LoraConfig(task_type="SEQ_CLS", target_modules="all-linear", init_lora_weights=False)
    adapted = get_peft_model(ours, lora).eval()
    for part in (adapted, adapted.get_base_model().config, family_tokenizer(family)):
        part.save_pretrained(tmp_path / "adapter")
    found = SentimentClassifier.from_pretrained(tmp_path / "adapter")
    expected = SentimentClassifier(adapted.merge_and_unload(), family_tokenizer(family)).logits(TEXTS)
    assert found.labels == ["bad", "good"]
    np.testing.assert_allclose(found.logits(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize(
    "names",
    [{"0": "a", "1": "a"}, {"0": "a", "1": ""}, {"0": "a", "1": None}, {"0": "a", "2": "b"}, {"0": "a", "1": 1}],
)
def test_names_of_labels_that_tables_cannot_have_are_an_error(
    names: dict[str, Any], tiny_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder, tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"id2label": names}))
    with pytest.raises(CallError, match=r"id2label in the model's config\.json must number different names from 0 on"):
        SentimentClassifier.from_pretrained(tmp_path / "m")


def test_padding_is_never_the_first_token(tmp_path: Path) -> None:
    folder = family_checkpoint("bert", tmp_path)
    model = BertForSentimentAnalysis.from_pretrained(folder, labels=["bad", "good"], pooling="cls")
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    classifier = SentimentClassifier(model, tokenizer)
    alone = classifier.logits(["a good film"])
    assert classifier.logits(["a good film", "a dull book . i hated it ."])[:1] == pytest.approx(alone, abs=1e-5)
