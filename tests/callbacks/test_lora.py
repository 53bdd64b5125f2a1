"""`LoraCallback`: one line, and everything of the Trainer works as before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForSequenceClassification, PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    TrainerCallback,
)

from hf_sentiment.callbacks.lora import LoraCallback
from hf_sentiment.errors import CallError
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

Make = Callable[..., Any]
LOGGER = "hf_sentiment.callbacks.lora"


def logits(model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        return model(**inputs).logits


def test_only_adapter_and_head_are_trained(make_trainer: Make, make_tiny: Make, weights: Make) -> None:
    before = weights(make_tiny())
    run = make_trainer(LoraCallback(merge=False))
    trained = {name for name, parameter in run.model.named_parameters() if parameter.requires_grad}
    assert trained and all("lora_" in name or "classifier" in name for name in trained)
    run.train()
    after = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): tensor
        for name, tensor in weights(run.model).items()
    }
    assert all(after[name].equal(before[name]) for name in before if name.startswith("bert."))
    assert not after["classifier.modules_to_save.default.weight"].equal(before["classifier.weight"])


def test_the_users_own_reference_trains_too(make_trainer: Make, make_tiny: Make, tiny_inputs: Any) -> None:
    model = make_tiny()
    before = logits(model, tiny_inputs)
    run = make_trainer(LoraCallback(), model=model)
    assert model is run.model and isinstance(model, PeftModel)
    assert logits(model, tiny_inputs).equal(before)  # adapters begin at zero
    run.train()
    assert model is run.model and type(model) is BertForSentimentAnalysis
    assert not logits(model, tiny_inputs).equal(before)


def test_checkpoints_hold_adapter_and_head_only(make_trainer: Make, tmp_path: Path) -> None:
    from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig

    sizes = {}
    for name, callbacks in (("lora", [LoraCallback(r=2)]), ("full", [])):
        config = BertSentimentConfig(
            vocab_size=6000, hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=512
        )
        run = make_trainer(
            *callbacks,
            model=BertForSentimentAnalysis(config),
            folder=tmp_path / name,
            max_steps=1,
            save_strategy="steps",
            save_steps=1,
        )
        run.train()
        files = {path.name: path.stat().st_size for path in (tmp_path / name / "checkpoint-1").iterdir()}
        # Not the model's: the tokenizer, and what the Trainer writes whatever is trained.
        sizes[name] = sum(
            size
            for file, size in files.items()
            if file in ("optimizer.pt", "model.safetensors", "adapter_model.safetensors")
        )
    assert sizes["lora"] <= 0.05 * sizes["full"]
    keys = load_file(tmp_path / "lora" / "checkpoint-1" / "adapter_model.safetensors").keys()
    assert all("lora_" in key or "classifier" in key for key in keys)
    assert not (tmp_path / "lora" / "checkpoint-1" / "model.safetensors").exists()


@pytest.mark.parametrize("merge", [True, False])
@pytest.mark.parametrize("every", [5, 12])
def test_resuming_from_any_checkpoint_gives_the_same_bits(
    make_trainer: Make, merge: bool, every: int, weights: Make, same: Make, tmp_path: Path
) -> None:
    from hf_sentiment.training.interruption import SeedEveryEpoch

    def make() -> Any:
        # The Trainer alone is not exact from the middle of an epoch, with or without adapters.
        callbacks = [LoraCallback(merge=merge), *([SeedEveryEpoch()] if every != 12 else [])]
        return make_trainer(*callbacks, save_strategy="steps" if every != 12 else "epoch", save_steps=every)

    whole = make()
    whole.train()
    expected = weights(whole.model)
    for step in range(every, 36, every):
        resumed = make()
        resumed.train(resume_from_checkpoint=str(tmp_path / "run" / f"checkpoint-{step}"))
        assert same(weights(resumed.model), expected), step


def test_the_trainers_own_best_model_is_loaded(make_trainer: Make, tmp_path: Path) -> None:
    values = iter((0.5, 0.7, 0.6, 0.6))
    run = make_trainer(
        LoraCallback(merge=False),
        trainer={"compute_metrics": lambda prediction: {"accuracy": next(values)}},
        save_strategy="epoch",
        load_best_model_at_end=True,
        metric_for_best_model="accuracy",
        num_train_epochs=4,
    )
    run.train()
    best = load_file(Path(run.state.best_model_checkpoint) / "adapter_model.safetensors")
    now = get_peft_model_state_dict(run.model)
    assert run.state.best_global_step == 24
    assert best.keys() == now.keys() and all(best[name].equal(now[name]) for name in best)


def test_merging_gives_the_plain_class_with_equal_logits(
    make_trainer: Make, make_tiny: Make, tiny_inputs: Any, tmp_path: Path
) -> None:
    kept: list[torch.Tensor] = []

    class Before(TrainerCallback):
        def on_log(
            self, args: Any, state: Any, control: Any, logs: Any = None, model: Any = None, **kwargs: Any
        ) -> None:
            if "train_runtime" in logs:
                kept.append(logits(model, tiny_inputs))

    run = make_trainer(LoraCallback(), Before(), learning_rate=2e-2)
    names = set(run.model.base_model.model.state_dict())
    run.train()
    assert (logits(run.model, tiny_inputs) - kept[0]).abs().max() <= 1e-5
    assert set(run.model.state_dict()) == set(make_tiny().state_dict()) != names
    run.save_model(str(tmp_path / "saved"))
    assert not list((tmp_path / "saved").glob("adapter*"))
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert (logits(loaded, tiny_inputs) - kept[0]).abs().max() <= 1e-5


def test_the_adapter_loads_with_its_head_in_every_way(
    make_trainer: Make, make_tiny: Make, tiny_inputs: Any, tmp_path: Path
) -> None:
    make_tiny(pooling="mean").save_pretrained(tmp_path / "base")
    model = BertForSentimentAnalysis.from_pretrained(tmp_path / "base")
    make_trainer(LoraCallback(base_model=str(tmp_path / "base")), model=model, learning_rate=2e-2).train()
    expected = logits(model, tiny_inputs)
    adapter = tmp_path / "run" / "adapter"
    assert {path.name for path in adapter.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    base = BertForSentimentAnalysis.from_pretrained(tmp_path / "base")
    for loaded in (
        AutoPeftModelForSequenceClassification.from_pretrained(adapter),
        PeftModel.from_pretrained(base, str(adapter)),
        AutoModelForSequenceClassification.from_pretrained(adapter),
    ):
        assert (logits(loaded, tiny_inputs) - expected).abs().max() <= 1e-5


def test_stock_bert_with_its_pooler_takes_the_adapter_too(
    make_trainer: Make, make_tiny: Make, tiny_inputs: Any, tmp_path: Path
) -> None:
    model = make_tiny()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    make_trainer(LoraCallback(), model=model, learning_rate=2e-2).train()
    stock = BertForSequenceClassification(model.config)  # the class that AutoPeft builds over a plain BERT
    stock.load_state_dict(weights)
    loaded = PeftModel.from_pretrained(stock, str(tmp_path / "run" / "adapter"))
    assert (logits(loaded, tiny_inputs) - logits(model, tiny_inputs)).abs().max() <= 1e-5


def test_without_merging_the_model_saves_its_adapter(make_trainer: Make, tmp_path: Path) -> None:
    run = make_trainer(LoraCallback(merge=False))
    run.train()
    assert isinstance(run.model, PeftModel)
    run.save_model(str(tmp_path / "saved"))
    assert (tmp_path / "saved" / "adapter_model.safetensors").exists()


def test_what_a_kill_left_of_an_adapter_is_removed(make_trainer: Make, tmp_path: Path) -> None:
    (tmp_path / "_partial-adapter-x1").mkdir(parents=True)
    (tmp_path / "_partial-adapter-x1" / "adapter_config.json").write_text("{")
    make_trainer(LoraCallback(), folder=tmp_path, max_steps=1).train()
    assert (tmp_path / "adapter").is_dir() and not list(tmp_path.glob("_partial*"))


def test_a_second_training_puts_new_adapters_on_the_merged_model(
    make_trainer: Make, weights: Make, same: Make, tiny_inputs: Any
) -> None:
    run = make_trainer(LoraCallback(), num_train_epochs=1)
    run.train()
    once, frozen = logits(run.model, tiny_inputs), weights(run.model)
    run.train()
    assert type(run.model) is BertForSentimentAnalysis
    twice = weights(run.model)
    assert not logits(run.model, tiny_inputs).equal(once)
    unadapted = [name for name in frozen if name.endswith(("embeddings.weight", "LayerNorm.weight"))]
    assert unadapted and all(twice[name].equal(frozen[name]) for name in unadapted)


@pytest.mark.parametrize("way", ["model_init", "add_callback"])
def test_a_model_that_is_plain_when_training_begins_gets_its_adapters_then(
    make_trainer: Make, make_tiny: Make, way: str, tmp_path: Path
) -> None:
    callback = LoraCallback(merge=False)
    if way == "model_init":
        run = make_trainer(callback, trainer={"model_init": lambda: make_tiny()})
    else:
        run = make_trainer()
        run.add_callback(callback)
    run.train()
    trained = sum(parameter.numel() for group in run.optimizer.param_groups for parameter in group["params"])
    assert trained == run.model.get_nb_trainable_parameters()[0] < run.model.get_nb_trainable_parameters()[1]
    assert any(tensor.abs().sum() > 0 for name, tensor in run.model.state_dict().items() if "lora_B" in name)


def test_hooks_stay_on_the_object_that_they_were_put_on(make_trainer: Make, make_tiny: Make, tiny_inputs: Any) -> None:
    model, called = make_tiny(), []
    handle = model.register_forward_hook(lambda *_: called.append(1))
    run = make_trainer(LoraCallback(), model=model, max_steps=1, eval_strategy="no")
    later: list[int] = []
    model.register_forward_hook(lambda *_: later.append(1))
    assert len(called) == 0
    run.train()
    assert len(called) == 1
    logits(model, tiny_inputs)
    assert len(called) == 2
    handle.remove()
    logits(model, tiny_inputs)
    assert len(called) == 2 and len(later) == 3


def test_it_says_the_share_and_warns_of_a_rate_for_full_fine_tuning(
    make_trainer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, LOGGER):
        make_trainer(LoraCallback(), max_steps=1, learning_rate=2e-5).train()
    said = [record.getMessage() for record in caplog.records]
    assert "parameters are trained" in said[0] and "%" in said[0]
    assert "learning_rate is 2e-05; adapters learn at 0.0001 to 0.002" in said[1]
    caplog.clear()
    with caplog.at_level(logging.WARNING, LOGGER):
        make_trainer(LoraCallback(), max_steps=1, learning_rate=5e-4).train()
    assert not caplog.records


def test_a_model_with_adapters_is_refused(make_trainer: Make, make_tiny: Make) -> None:
    from peft import LoraConfig, get_peft_model

    wrapped = get_peft_model(make_tiny(), LoraConfig(task_type="SEQ_CLS", target_modules=["query"]))
    with pytest.raises(CallError, match="has adapters already"):
        make_trainer(LoraCallback(), model=wrapped)


def test_targets_that_match_nothing_are_named(make_trainer: Make) -> None:
    with pytest.raises(
        CallError, match="'q_proj', which no linear layer is called; they end in dense, key, query, value"
    ):
        make_trainer(LoraCallback(target_modules=["query", "q_proj"]))


def test_a_model_without_linear_layers_below_its_head_is_refused(make_trainer: Make) -> None:
    sizes = {"hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
    groups = dict.fromkeys(("q_groups", "k_groups", "v_groups", "post_attention_groups", "output_groups"), 1)
    config = AutoConfig.for_model("squeezebert", vocab_size=41, intermediate_size=16, **sizes, **groups)
    model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(CallError, match="SqueezeBertForSequenceClassification has no linear layers below its head"):
        make_trainer(LoraCallback(), model=model)


def test_an_optimizer_over_the_frozen_weights_is_refused(make_trainer: Make, make_tiny: Make) -> None:
    model = make_tiny()
    optimizer = torch.optim.AdamW(model.parameters())
    run = make_trainer(LoraCallback(), model=model, trainer={"optimizers": (optimizer, None)})
    with pytest.raises(CallError, match="the optimizer was made over the frozen weights"):
        run.train()


def test_a_model_of_another_kind_is_refused(make_trainer: Make) -> None:
    with pytest.raises(CallError, match="a transformers PreTrainedModel, not with a Linear"):
        make_trainer(LoraCallback(), model=torch.nn.Linear(2, 2))


@pytest.mark.parametrize("arguments", [{"r": 0}, {"alpha": 0}, {"dropout": 1.0}])
def test_wrong_settings_are_named(arguments: dict[str, Any]) -> None:
    with pytest.raises(CallError, match=next(iter(arguments))):
        LoraCallback(**arguments)
