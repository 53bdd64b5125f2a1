"""Makes the shared test mixins of a transformers source archive usable outside transformers' own repository.

The archive on the package index holds `tests/test_*.py`, not the sub-folders that these files import. What is missing
gets a stand-in of ours here: no export and generation tests, our own pipeline checks, and tiny models made on the spot
in place of the ones that the mixins would fetch from the Hub.
"""

from __future__ import annotations

import atexit
import importlib
import json
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
import transformers
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis
from hf_sentiment.model.modeling_encoder_sentiment import EncoderForSentimentAnalysis

PACKAGE = "transformers_shared_tests"

_GENERIC_CONFIG_OPTIONS = {
    "return_dict": False,
    "output_hidden_states": True,
    "output_attentions": True,
    "dtype": "float16",
    "chunk_size_feed_forward": 3,
    "architectures": ["BertModel"],
    "id2label": {0: "bad", 1: "good", 2: "odd"},
    "label2id": {"bad": 0, "good": 1, "odd": 2},
    "problem_type": "regression",
}


class _TextClassificationPipelineTests:
    """What a text-classification pipeline owes its users, for any model."""

    def get_test_pipeline(self, model: Any, tokenizer: Any, dtype: str = "float32", **_: Any) -> tuple[Any, list[str]]:
        task = "text-classification"
        return transformers.pipeline(task, model=model, tokenizer=tokenizer, dtype=dtype), ["good film", "bad film"]

    def run_pipeline_test(self, pipeline: Any, examples: list[str]) -> None:
        names = set(pipeline.model.config.id2label.values())
        (best,) = pipeline(examples[0])
        assert best["label"] in names
        assert 0 <= best["score"] <= 1
        everything = pipeline(examples, top_k=None)
        assert [{row["label"] for row in rows} for rows in everything] == [names] * len(examples)
        (pair,) = pipeline([{"text": examples[0], "text_pair": examples[1]}])
        assert pair["label"] in names


class _ZeroShotClassificationPipelineTests:
    """Zero-shot classification: one score a candidate label, summing to one."""

    def get_test_pipeline(self, model: Any, tokenizer: Any, dtype: str = "float32", **_: Any) -> tuple[Any, list[str]]:
        task = "zero-shot-classification"
        candidates = ["film", "book"]
        pipe = transformers.pipeline(task, model=model, tokenizer=tokenizer, dtype=dtype, candidate_labels=candidates)
        return pipe, ["good film", "bad film"]

    def run_pipeline_test(self, pipeline: Any, examples: list[str]) -> None:
        answer = pipeline(examples[0])
        assert sorted(answer["labels"]) == ["book", "film"]
        assert abs(sum(answer["scores"]) - 1) < 1e-2


def _module(name: str, **names: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(names)
    sys.modules[name] = module
    return module


def _tiny_models() -> Path:
    """A folder of tiny models with tokenizers, laid out as `TRANSFORMERS_TINY_MODEL_PATH` is expected to be."""
    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "book", "this", "example", "is", "."]
    (root / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    tokenizer = BertTokenizer(vocab=str(root / "vocab.txt"), model_max_length=32)
    summary = {}
    for model_class in (BertForSequenceClassification, BertForSentimentAnalysis, EncoderForSentimentAnalysis):
        options = {"encoder_config": {"model_type": "bert"}} if model_class is EncoderForSentimentAnalysis else {}
        config = BertModelTester(model_class.config_class, **options).get_config()
        folder = root / config.model_type / model_class.__name__
        torch.manual_seed(0)
        model_class(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        summary[model_class.__name__] = {"tokenizer_classes": ["BertTokenizer"], "processor_classes": []}
    (root / "reports").mkdir()
    (root / "reports" / "tiny_model_summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return root


class BertModelTester:
    """The object that the mixins ask for configs and inputs."""

    is_training = True
    batch_size = 5
    seq_length = 7
    vocab_size = 41
    hidden_size = 32
    num_hidden_layers = 2
    num_attention_heads = 4
    intermediate_size = 36
    num_labels = 3

    def __init__(
        self, config_class: type[BertConfig], sequence_classification_class: Any = None, **options: Any
    ) -> None:
        self.config_class = config_class
        self.sequence_classification_class = sequence_classification_class
        self.options = options

    def get_config(self) -> BertConfig:
        return self.config_class(
            vocab_size=self.vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            max_position_embeddings=64,
            num_labels=self.num_labels,
            **self.options,
        )

    def prepare_config_and_inputs_for_common(self) -> tuple[BertConfig, dict[str, torch.Tensor]]:
        shape = (self.batch_size, self.seq_length)
        inputs = {
            "input_ids": torch.randint(0, self.vocab_size, shape),
            "token_type_ids": torch.randint(0, 2, shape),
            "attention_mask": torch.ones(shape, dtype=torch.long).tril(),
        }
        return self.get_config(), inputs


def load_mixins(source: Path) -> SimpleNamespace:
    """Import the mixins of the archive unpacked at `source`, with stand-ins for what it lacks."""
    package = _module(PACKAGE)
    package.__path__ = [str(source / "tests")]
    for folder, file, names in (
        ("exporters", "test_export", {"ExportTesterMixin": type("ExportTesterMixin", (), {})}),
        ("generation", "test_utils", {"GenerationTesterMixin": type("GenerationTesterMixin", (), {})}),
        ("utils", "test_configuration_utils", {"config_common_kwargs": _GENERIC_CONFIG_OPTIONS}),
    ):
        _module(f"{PACKAGE}.{folder}").__path__ = []
        _module(f"{PACKAGE}.{folder}.{file}", **names)

    def installed(*_: Any) -> ModuleType:
        # The mixins import transformers from the repository around them; the installed one is what we test.
        return transformers

    with (
        mock.patch("transformers.utils.direct_transformers_import", installed),
        mock.patch.dict("os.environ", TRANSFORMERS_TINY_MODEL_PATH=str(_tiny_models())),
    ):
        common = importlib.import_module(f"{PACKAGE}.test_modeling_common")
        pipelines = importlib.import_module(f"{PACKAGE}.test_pipeline_mixin")
        configuration = importlib.import_module(f"{PACKAGE}.test_configuration_common")
        training = importlib.import_module(f"{PACKAGE}.test_training_mixin")
    stand_ins = (
        ("text-classification", _TextClassificationPipelineTests),
        ("zero-shot", _ZeroShotClassificationPipelineTests),
    )
    for task, tests in stand_ins:
        _module(f"{PACKAGE}.pipelines_{task.replace('-', '_')}", Tests=tests)
        pipelines.pipeline_test_mapping[task] = {"test": f"{PACKAGE}.pipelines_{task.replace('-', '_')}.Tests"}
    return SimpleNamespace(
        ModelTesterMixin=common.ModelTesterMixin,
        PipelineTesterMixin=pipelines.PipelineTesterMixin,
        ConfigTester=configuration.ConfigTester,
        TrainingTesterMixin=training.TrainingTesterMixin,
    )


def build_case(mixins: SimpleNamespace, name: str, model_class: Any, **options: Any) -> type[unittest.TestCase]:
    """A test case of all the mixins for `model_class`, with `options` in its config."""
    config_class = model_class.config_class

    def set_up(self: Any) -> None:
        torch.manual_seed(0)
        self.model_tester = BertModelTester(config_class, model_class, **options)

    def test_config(self: Any) -> None:
        # Values that have to stand in the JSON as they are; a nested config is completed.
        stored = {"hidden_size": 28, **options}
        if "encoder_config" in options:
            stored = {name: value for name, value in options.items() if name != "encoder_config"}
        mixins.ConfigTester(self, config_class=config_class, **stored).run_common_tests()

    def create_text_training_batch(self: Any, batch_size: int, seq_length: int, vocab_size: int) -> dict[str, Any]:
        # The mixin's own batch has a label a token, and equal texts, which a classifier cannot tell apart.
        generator = torch.Generator().manual_seed(0)
        input_ids = torch.randint(5, vocab_size, (batch_size, seq_length), generator=generator)
        return {"input_ids": input_ids, "labels": torch.arange(batch_size) % BertModelTester.num_labels}

    bases = (
        mixins.ModelTesterMixin,
        mixins.PipelineTesterMixin,
        mixins.TrainingTesterMixin,
        unittest.TestCase,
    )
    body = {
        "all_model_classes": (model_class,),
        "pipeline_model_mapping": {"text-classification": model_class, "zero-shot": model_class},
        # Otherwise skipped for models whose file has no recent copyright line.
        "test_can_init_all_missing_weights_before_2023": True,
        "setUp": set_up,
        "test_config": test_config,
        "_create_text_training_batch": create_text_training_batch,
    }
    return type(name, bases, body)


class Outcome:
    """How one test of a case ended: `passed`, `skipped` or `failed`, and why."""

    def __init__(self, case: type[unittest.TestCase], test: str) -> None:
        result = unittest.TestResult()
        case(test).run(result)
        problems = [text for _, text in [*result.failures, *result.errors]]
        self.reason = "\n".join(problems) or "; ".join(reason for _, reason in result.skipped)
        self.status = "failed" if problems else "skipped" if result.skipped else "passed"
