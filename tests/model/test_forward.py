"""The forward pass: pooling, masks, outputs, and the ways in which models are run."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput

POOLINGS = ("pooler", "cls", "mean", "max")
Make = Callable[..., Any]
Inputs = dict[str, Any]


def _logits(model: Any, **inputs: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(**inputs).logits


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_is_what_its_name_says(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling)
    with torch.no_grad():
        output = model.bert(**tiny_inputs)
    rows = []
    for states, mask in zip(output.last_hidden_state, tiny_inputs["attention_mask"], strict=True):
        tokens = states[mask.bool()]
        rows.append({"cls": states[0], "mean": tokens.mean(0), "max": tokens.max(0).values}.get(pooling))
    pooled = output.pooler_output if pooling == "pooler" else torch.stack(rows)
    torch.testing.assert_close(_logits(model, **tiny_inputs), model.classifier(pooled).detach())


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_padding_changes_nothing(pooling: str, attention: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling, attn_implementation=attention)
    together = _logits(model, **tiny_inputs)
    for row, length in enumerate(tiny_inputs["attention_mask"].sum(1).tolist()):
        alone = {key: value[row : row + 1, :length] for key, value in tiny_inputs.items()}
        torch.testing.assert_close(_logits(model, **alone)[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_mask_means_all_tokens(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling)
    ids = tiny_inputs["input_ids"]
    torch.testing.assert_close(
        _logits(model, input_ids=ids), _logits(model, input_ids=ids, attention_mask=torch.ones_like(ids))
    )


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32])
def test_masks_of_other_types(dtype: torch.dtype, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling="mean")
    inputs = {**tiny_inputs, "attention_mask": tiny_inputs["attention_mask"].to(dtype)}
    torch.testing.assert_close(_logits(model, **inputs), _logits(model, **tiny_inputs))


def test_a_mask_over_pairs_of_tokens_is_refused_where_pooling_needs_tokens(
    make_tiny: Make, tiny_inputs: Inputs
) -> None:
    inputs = {**tiny_inputs, "attention_mask": torch.ones(3, 1, 9, 9)}
    with pytest.raises(ValueError, match="attention_mask of shape"):
        make_tiny(pooling="mean")(**inputs)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_an_empty_row_gives_finite_logits_and_gradients(
    pooling: str, attention: str, dtype: torch.dtype, make_tiny: Make, tiny_inputs: Inputs
) -> None:
    model = make_tiny(pooling=pooling, attn_implementation=attention).to(dtype)
    mask = tiny_inputs["attention_mask"].clone()
    mask[1] = 0
    output = model(**{**tiny_inputs, "attention_mask": mask}, labels=torch.tensor([0, 1, 1]))
    output.loss.backward()
    assert output.logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_trainable_parameter_is_unused(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling).train()  # an unused one stops distributed training
    model(**tiny_inputs, labels=torch.tensor([0, 1, 1])).loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_tuple_and_output_object(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model, labels = make_tiny(), torch.tensor([0, 1, 1])
    output = model(**tiny_inputs, labels=labels)
    assert isinstance(output, SequenceClassifierOutput)
    loss, logits = model(**tiny_inputs, labels=labels, return_dict=False)
    assert torch.equal(loss, output.loss)
    assert torch.equal(logits, output.logits)
    assert loss.shape == ()


def test_hidden_states_and_attentions(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(attn_implementation="eager")
    plain = model(**tiny_inputs)
    assert plain.hidden_states is None
    assert plain.attentions is None
    output = model(**tiny_inputs, output_hidden_states=True, output_attentions=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(3, 9, 16)] * 3
    assert [tuple(weights.shape) for weights in output.attentions] == [(3, 2, 9, 9)] * 2


@pytest.mark.parametrize("pooling", POOLINGS)
def test_embeddings_in_place_of_ids(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling)
    inputs = dict(tiny_inputs)
    embeds = model.get_input_embeddings()(inputs.pop("input_ids"))
    assert torch.equal(_logits(model, inputs_embeds=embeds, **inputs), _logits(model, **tiny_inputs))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_sdpa_equals_eager(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    both = [make_tiny(pooling=pooling, attn_implementation=name) for name in ("sdpa", "eager")]
    torch.testing.assert_close(_logits(both[0], **tiny_inputs), _logits(both[1], **tiny_inputs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_gradient_checkpointing_gives_equal_gradients(
    use_reentrant: bool, make_tiny: Make, tiny_inputs: Inputs
) -> None:
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
    models = [make_tiny(**no_dropout).train() for _ in range(2)]
    models[1].gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    models[1].enable_input_require_grads()
    for model in models:
        model(**tiny_inputs, labels=torch.tensor([0, 1, 1])).loss.backward()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_compiles_without_a_graph_break(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    labels = torch.tensor([0, 1, 1])
    expected = make_tiny(pooling=pooling)(**tiny_inputs, labels=labels)
    torch.compiler.reset()
    compiled = torch.compile(make_tiny(pooling=pooling), fullgraph=True, backend="eager")
    output = compiled(**tiny_inputs, labels=labels, num_items_in_batch=torch.tensor(3))
    torch.testing.assert_close(output.logits, expected.logits)
    torch.testing.assert_close(output.loss, expected.loss)


@pytest.mark.parametrize("pooling", ["pooler", "mean"])
def test_exports(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling)
    inputs = {key: tiny_inputs[key] for key in ("input_ids", "attention_mask")}
    program = torch.export.export(model, (), inputs, strict=False)
    torch.testing.assert_close(program.module()(**inputs).logits, _logits(model, **inputs))


@pytest.mark.parametrize(
    "how", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_copies_are_equal_and_independent(how: Callable[[Any], Any], make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny()
    other = how(model)
    before = _logits(model, **tiny_inputs)
    assert torch.equal(_logits(other, **tiny_inputs), before)
    with torch.no_grad():
        other.classifier.bias += 1
    assert torch.equal(_logits(model, **tiny_inputs), before)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bfloat16_follows_float32(pooling: str, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(pooling=pooling)
    expected = _logits(model, **tiny_inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = _logits(model, **tiny_inputs)
    for logits in (mixed, _logits(model.to(torch.bfloat16), **tiny_inputs)):
        assert functional.l1_loss(logits.float(), expected) < 0.2


def test_no_tensors_are_shared_on_saving(make_tiny: Make) -> None:
    for pooling in POOLINGS:
        pointers = [value.data_ptr() for value in make_tiny(pooling=pooling).state_dict().values()]
        assert len(set(pointers)) == len(pointers)


def test_dropout_acts_on_the_pooled_vector_in_training_only(make_tiny: Make, tiny_inputs: Inputs) -> None:
    no_other = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = make_tiny(**no_other)
    assert model.dropout.p == 0.3
    assert torch.equal(_logits(model, **tiny_inputs), _logits(model, **tiny_inputs))
    model.train()
    assert not torch.equal(_logits(model, **tiny_inputs), _logits(model, **tiny_inputs))
