"""Losses: stock BERT's values, sums over whole accumulated batches, class weights and label smoothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional
from transformers import BertForSequenceClassification, Trainer, TrainingArguments

from hf_sentiment.callbacks.shared import per_text_losses
from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

Make = Callable[..., Any]
Inputs = dict[str, Any]
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout": 0.0}
LABELS = torch.tensor([2, 0, 1])
WEIGHTS = [0.5, 1.0, 2.5]


@pytest.mark.parametrize(
    ("num_labels", "labels", "problem_type"),
    [
        (3, torch.tensor([2, 0, 1]), "single_label_classification"),
        (3, torch.tensor([2, -100, 1]), "single_label_classification"),
        (3, torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1]]), "multi_label_classification"),
        (1, torch.tensor([0.5, -2.0, 3.0]), "regression"),
        (1, torch.tensor([[0.5], [-2.0], [3.0]]), "regression"),
    ],
    ids=["single", "single-left-out", "multi", "regression", "regression-column"],
)
def test_stock_berts_loss(
    num_labels: int, labels: torch.Tensor, problem_type: str, make_stock: Make, tiny_inputs: Inputs, tmp_path: Path
) -> None:
    stock = make_stock(BertForSequenceClassification, num_labels=num_labels)
    stock.save_pretrained(tmp_path)
    ours = BertForSentimentAnalysis.from_pretrained(tmp_path)
    loss = ours(**tiny_inputs, labels=labels).loss
    torch.testing.assert_close(loss, stock(**tiny_inputs, labels=labels).loss)
    assert ours.config.problem_type == stock.config.problem_type == problem_type
    loss.backward()
    assert ours.classifier.weight.grad.isfinite().all()


def test_regression_on_several_values(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(num_labels=2, problem_type="regression")
    labels = torch.tensor([[0.1, 1.0], [-1.0, 2.0], [0.0, 0.5]])
    output = model(**tiny_inputs, labels=labels)
    torch.testing.assert_close(output.loss, functional.mse_loss(output.logits, labels))
    with pytest.raises(RuntimeError):  # one value a text would broadcast into a wrong loss
        model(**tiny_inputs, labels=torch.tensor([0.1, 0.2, 0.3]))


def test_class_numbers_of_32_bits(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(num_labels=3)
    assert torch.equal(model(**tiny_inputs, labels=LABELS.int()).loss, model(**tiny_inputs, labels=LABELS).loss)


def test_whole_number_labels_of_regression_and_multi_label(make_tiny: Make, tiny_inputs: Inputs) -> None:
    scores = make_tiny(num_labels=1)
    torch.testing.assert_close(
        scores(**tiny_inputs, labels=LABELS).loss, scores(**tiny_inputs, labels=LABELS.float()).loss
    )
    tags, marks = make_tiny(num_labels=2, problem_type="multi_label_classification"), torch.tensor([[0, 1]] * 3)
    torch.testing.assert_close(tags(**tiny_inputs, labels=marks).loss, tags(**tiny_inputs, labels=marks.float()).loss)


@pytest.mark.parametrize("number", [12, torch.tensor(12), torch.tensor([12]), torch.tensor(12.0)], ids=repr)
@pytest.mark.parametrize(
    ("num_labels", "labels"),
    [(3, LABELS), (3, torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 1]])), (1, torch.tensor([0.5, -2.0, 3.0]))],
    ids=["single", "multi", "regression"],
)
def test_the_number_of_items_divides_the_sum(
    number: Any, num_labels: int, labels: torch.Tensor, make_tiny: Make, tiny_inputs: Inputs
) -> None:
    model = make_tiny(num_labels=num_labels)
    mean = model(**tiny_inputs, labels=labels).loss
    divided = model(**tiny_inputs, labels=labels, num_items_in_batch=number).loss
    torch.testing.assert_close(divided.squeeze(), mean * labels.numel() / 12)


@pytest.mark.parametrize("number", [None, 0, torch.tensor(0)], ids=repr)
def test_a_batch_without_any_label_has_loss_zero(number: Any, make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny()
    loss = model(**tiny_inputs, labels=torch.full((3,), -100), num_items_in_batch=number).loss
    loss.backward()
    assert loss == 0
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def _expected(logits: torch.Tensor, labels: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Summed over texts: `WEIGHTS` by the text's own label, and none for the part that is smoothed over all labels."""
    log_shares = logits.log_softmax(dim=1)
    own = torch.tensor(WEIGHTS)[labels] * log_shares[torch.arange(len(labels)), labels]
    return -((1 - smoothing) * own + smoothing * log_shares.mean(dim=1)).sum()


def test_class_weights_and_label_smoothing_act_in_training_only(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(num_labels=3, class_weights=WEIGHTS, label_smoothing=0.2, **NO_DROPOUT)
    output = model(**tiny_inputs, labels=LABELS)
    torch.testing.assert_close(output.loss, functional.cross_entropy(output.logits, LABELS))
    torch.testing.assert_close(output.loss, per_text_losses(output.logits, LABELS)[0].mean())  # what callbacks look at
    model.train()
    torch.testing.assert_close(
        model(**tiny_inputs, labels=LABELS).loss, _expected(output.logits, LABELS, smoothing=0.2) / 3
    )


def test_each_alone_is_as_in_pytorch(make_tiny: Make, tiny_inputs: Inputs) -> None:
    for options, torchs in (
        ({"class_weights": WEIGHTS}, {"weight": torch.tensor(WEIGHTS)}),
        ({"label_smoothing": 0.2}, {"label_smoothing": 0.2}),
    ):
        output = make_tiny(num_labels=3, **options, **NO_DROPOUT).train()(**tiny_inputs, labels=LABELS)
        expected = functional.cross_entropy(output.logits, LABELS, reduction="sum", **torchs)
        torch.testing.assert_close(output.loss, expected / 3)


def test_class_weights_and_label_smoothing_leave_out_what_has_no_label(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(num_labels=3, class_weights=WEIGHTS, label_smoothing=0.2, **NO_DROPOUT).train()
    labels = torch.tensor([2, -100, 1])
    output = model(**tiny_inputs, labels=labels)
    torch.testing.assert_close(output.loss, _expected(output.logits[[0, 2]], labels[[0, 2]], smoothing=0.2) / 2)


@pytest.mark.parametrize("counts", [(19, 1), (49, 1), (200, 1), (1000, 1), (300, 20, 1)], ids=str)
def test_with_weights_and_smoothing_the_right_label_is_the_best_answer(
    counts: tuple[int, ...], make_tiny: Make, tiny_inputs: Inputs
) -> None:
    weights = [sum(counts) / (len(counts) * count) for count in counts]
    model = make_tiny(num_labels=len(counts), class_weights=weights, label_smoothing=0.1, **NO_DROPOUT).train()
    one_text = {name: values[:1] for name, values in tiny_inputs.items()}
    for label in range(len(counts)):
        answer = model.classifier.bias.data
        model.classifier.weight.data.zero_()
        answer.zero_()
        optimizer = torch.optim.LBFGS([model.classifier.bias], max_iter=200, line_search_fn="strong_wolfe")

        def loss(label: int = label, optimizer: torch.optim.Optimizer = optimizer) -> torch.Tensor:
            optimizer.zero_grad()
            found = model(**one_text, labels=torch.tensor([label])).loss
            found.backward()
            return found

        optimizer.step(loss)
        assert answer.argmax() == label
        shares = torch.full((len(counts),), 0.1 / len(counts))
        shares[label] += 0.9 * weights[label]
        torch.testing.assert_close(answer.softmax(0), shares / shares.sum(), atol=0.01, rtol=0)


def test_class_weights_and_label_smoothing_travel_with_the_checkpoint(
    make_tiny: Make, tiny_inputs: Inputs, tmp_path: Path
) -> None:
    model = make_tiny(num_labels=3, class_weights=WEIGHTS, label_smoothing=0.2, **NO_DROPOUT)
    model.save_pretrained(tmp_path)
    again = BertForSentimentAnalysis.from_pretrained(tmp_path).train()
    assert torch.equal(again(**tiny_inputs, labels=LABELS).loss, model.train()(**tiny_inputs, labels=LABELS).loss)


def test_the_loss_of_a_half_precision_model_is_computed_in_float32(make_tiny: Make, tiny_inputs: Inputs) -> None:
    model = make_tiny(num_labels=1).to(torch.float16)
    output = model(**tiny_inputs, labels=torch.tensor([200.0, -200.0, 200.0]))  # the sum leaves float16's range
    torch.testing.assert_close(output.loss, torch.tensor(40_000.0), rtol=0.05, atol=0)


def test_class_weights_that_the_trainer_passes_over_are_warned_of(
    make_tiny: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = _rows(8, lambda row: row % 3)
    for smoothing, warned in ((0.0, False), (0.1, True)):
        model = make_tiny(num_labels=3, class_weights=WEIGHTS, label_smoothing=0.1)
        _train(model, rows, tmp_path, batch=4, accumulation=1, label_smoothing_factor=smoothing)
        assert ("set model.config.label_smoothing instead" in caplog.text) == warned


def _rows(count: int, labels: Callable[[int], Any]) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(5, 36, (count, 6), generator=generator)
    return [{"input_ids": ids[row], "attention_mask": torch.ones(6), "labels": labels(row)} for row in range(count)]


def _train(
    model: Any, rows: list[dict[str, Any]], folder: Path, batch: int, accumulation: int, **more: Any
) -> list[float]:
    arguments = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=2,
        learning_rate=0.05,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=0.0,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
        seed=5,
        **more,
    )
    trainer = Trainer(model=model, args=arguments, train_dataset=rows)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize("count", [16, 13], ids=["whole", "last-incomplete"])
@pytest.mark.parametrize("kind", ["single", "weighted", "multi", "regression"])
def test_gradient_accumulation_equals_the_large_batch(count: int, kind: str, make_tiny: Make, tmp_path: Path) -> None:
    options: dict[str, Any] = {"num_labels": 3, **NO_DROPOUT}
    labels: Callable[[int], Any] = lambda row: row % 3 if row != 4 else -100  # noqa: E731
    if kind == "weighted":
        options.update(class_weights=WEIGHTS, label_smoothing=0.1)
    elif kind == "multi":
        labels = lambda row: [float(row % 2), float(row % 3 == 0), 1.0]  # noqa: E731
    elif kind == "regression":
        options["num_labels"] = 1
        labels = lambda row: float(row % 5)  # noqa: E731
    models = [make_tiny(**options).train() for _ in range(2)]
    large = _train(models[0], _rows(count, labels), tmp_path, batch=8, accumulation=1)
    small = _train(models[1], _rows(count, labels), tmp_path, batch=2, accumulation=4)
    assert small == pytest.approx(large, rel=1e-3)
    start = make_tiny(**options).state_dict()
    for (name, one), other in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
        assert name.endswith(("key.bias", "position_embeddings.weight")) or not torch.equal(one, start[name])


def test_the_trainers_evaluation_loss_is_the_mean_over_all_texts(make_tiny: Make, tmp_path: Path) -> None:
    model, rows = make_tiny(num_labels=3), _rows(7, lambda row: row % 3)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), per_device_eval_batch_size=4, report_to=[], disable_tqdm=True, use_cpu=True
    )
    measured = Trainer(model=model, args=arguments).evaluate(rows)["eval_loss"]
    with torch.no_grad():
        logits = model(input_ids=torch.stack([row["input_ids"] for row in rows])).logits
    expected = functional.cross_entropy(logits, torch.arange(7) % 3)
    assert measured == pytest.approx(expected.item(), rel=1e-4)
