"""Losses text by text: of the Trainer's own evaluations as they pass, and of a fixed set of texts.

Losses are what the model would be judged by: no class weights, no smoothing. Cross-entropy for classes (mean over the
labelled tokens of a text where every token has a class), binary cross-entropy (mean over labels) for several labels at
once, squared error for numbers; in nats, or squared units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from accelerate.utils import gather_object
from datasets import Dataset
from scipy import special
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from transformers import TrainingArguments

from hf_sentiment.callbacks.gap_test import Array
from hf_sentiment.compute.batching import Augmented, length_sorted_batches
from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.errors import CallError

# Of tokens that are not judged, in all of transformers.
IGNORED_LABEL = -100


@dataclass(frozen=True)
class PerText:
    """What an evaluation gave for each of its different texts, in an order that depends on the texts alone.

    Attributes:
        losses: `[texts]`.
        right: 1 for a text classified rightly and 0 for wrongly, or the share of its tokens, `[texts]`; `None` where
            nothing is classified.
        digest: Of the texts and their labels.
        chance: The loss of guessing by the labels' frequencies (their entropy, in nats), or the variance of numbers.
        logits: Of texts with one class each, `[texts, labels]`; else `None`.
        labels: Of the same texts, `[texts]`.
    """

    losses: Array
    right: Array | None
    digest: str
    chance: float
    logits: Array | None = None
    labels: npt.NDArray[np.int64] | None = None


def per_text_losses(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Loss `[texts]` and share of right predictions `[texts]` (or `None`) of a batch.

    Args:
        logits: `[texts, labels]`, `[texts, tokens, labels]` or, for numbers, `[texts]` or `[texts, 1]`.
        labels: Class indices `[texts]` or `[texts, tokens]` (-100 is left out), 0/1 floats `[texts, labels]`, or
            numbers `[texts]` or `[texts, 1]`.

    Raises:
        CallError: Shapes that belong to none of these tasks.
    """
    logits = logits.detach().float()
    labels = labels.to(logits.device)
    classes = not labels.is_floating_point()
    # One class a text or a token: one more dimension in the logits than in the labels.
    if classes and logits.dim() == labels.dim() + 1 and logits.shape[:-1] == labels.shape and labels.dim() in (1, 2):
        losses = functional.cross_entropy(
            logits.flatten(0, -2), labels.flatten().long(), ignore_index=IGNORED_LABEL, reduction="none"
        ).view(len(labels), -1)  # [texts, tokens], or [texts, 1]
        labeled = (labels != IGNORED_LABEL).view(len(labels), -1)
        right = (logits.argmax(dim=-1) == labels).view(len(labels), -1) & labeled
        # A text without any label is 0/0, and is left out; a diverged model's loss is infinite, and is not.
        return _finite_or_infinite(losses).sum(dim=1) / labeled.sum(dim=1), right.sum(dim=1) / labeled.sum(dim=1)
    # Several labels at once: a text is right if all of its labels are.
    if not classes and logits.dim() == 2 and logits.shape == labels.shape and logits.shape[1] > 1:
        losses = functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none").mean(dim=1)
        return _finite_or_infinite(losses), ((logits > 0) == (labels > 0.5)).all(dim=1).float()
    # Numbers; nothing is right or wrong.
    if not classes and logits.numel() == labels.numel() == len(labels):
        return _finite_or_infinite((logits.view(-1) - labels.float().view(-1)) ** 2), None
    raise CallError(
        f"losses text by text are known for classification of texts or tokens, several labels and regression, not for "
        f"logits of shape {list(logits.shape)} with labels of shape {list(labels.shape)}"
    )


def _finite_or_infinite(losses: torch.Tensor) -> torch.Tensor:
    # NaN stands for a text without labels from here on.
    return torch.nan_to_num(losses, nan=torch.inf, posinf=torch.inf)


class EvaluationRecorder:
    """Takes the losses of the Trainer's evaluations as they pass through the model; nothing is computed twice.

    A hook keeps the last batch that went through the model in evaluation mode, and `add_batch`, which the callback
    calls in `on_prediction_step`, takes it: so only the Trainer's own batches count.

    Args:
        strict: Whether batches whose losses are not known are an error. Otherwise they are left out, and so are those
            whose texts have not one label each, of which the Trainer's loss is no mean over texts.
    """

    def __init__(self, strict: bool = True) -> None:
        self._strict = strict
        # The hook's handle; the last batch in evaluation mode, inputs and output; the rows of the evaluation so far.
        self._handle: Any = None
        self._last: tuple[dict[str, Any], Any] | None = None
        self._rows: list[_Rows] = []

    def attach(self, model: nn.Module | None) -> None:
        """Watch `model`, and no other."""
        self.detach()
        if model is not None:
            self._handle = model.register_forward_hook(self._watch, with_kwargs=True)

    def detach(self) -> None:
        """Watch no model."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = None
        self.clear()

    def clear(self) -> None:
        """Forget what was recorded."""
        self._last = None
        self._rows = []

    @torch.compiler.disable
    def _watch(self, module: nn.Module, args: Any, kwargs: dict[str, Any], output: Any) -> None:
        # Nothing is computed here: a model may be called in evaluation mode for other reasons than an evaluation.
        if not module.training:
            self._last = (kwargs, output)

    def add_batch(self) -> None:
        """Take the batch that was evaluated."""
        if self._last is None:
            return
        (inputs, output), self._last = self._last, None
        labels = inputs.get("labels")
        if labels is None or not (self._strict or _one_label_a_text(output, labels)):
            return  # the Trainer keeps them from the model: label smoothing, a loss of the user's
        self._rows.append(_batch_rows(_keys(inputs, labels), _logits(output), labels))

    def take(self) -> PerText | None:
        """What was recorded since the last time, from all processes; `None` if there is nothing. All must call it.

        A text that occurs twice, or that the Trainer gave to two processes to make their batches even, counts once.
        """
        rows = self._rows
        self.clear()
        return _gathered(rows)


def _one_label_a_text(output: Any, labels: Any) -> bool:
    """Whether a batch is of texts with one class or number each."""
    logits = output.get("logits") if isinstance(output, Mapping) else None
    if not isinstance(logits, torch.Tensor) or not isinstance(labels, torch.Tensor):
        return False
    if labels.is_floating_point():
        return logits.numel() == labels.numel() == len(labels)
    return labels.dim() == 1 and logits.dim() == 2 and len(logits) == len(labels)


class _Rows(NamedTuple):
    """What is known of some texts, a row each.

    `judged` are a text's labels, of which there is one where it has `logits`.
    """

    keys: npt.NDArray[np.bytes_]
    losses: Array
    right: Array
    judged: npt.NDArray[Any]
    logits: Array


def _batch_rows(keys: list[bytes], logits: torch.Tensor, labels: torch.Tensor) -> _Rows:
    """The rows of a batch by their keys."""
    losses, right = per_text_losses(logits, labels)
    rights = torch.full_like(losses, torch.nan) if right is None else right
    # Not of tokens, whose logits may be as many as the words of a language.
    one_class = right is not None and labels.dim() == 1
    judged = labels.detach().cpu().numpy()
    if not one_class:
        of_texts = (row[row != IGNORED_LABEL] for row in judged.reshape(len(labels), -1))
        judged = np.fromiter(of_texts, dtype=object, count=len(labels))
    rows = logits.detach().double().cpu().numpy() if one_class else np.empty((len(losses), 0))
    losses, rights = losses.double().cpu(), rights.double().cpu()
    return _Rows(np.array(keys, dtype=f"S{len(keys[0])}"), losses.numpy(), rights.numpy(), judged, rows)


def _gathered(mine: list[_Rows]) -> PerText | None:
    """The rows of all processes, the last of each text; those without any label are left out."""
    parts = gather_object(mine)
    if not parts:
        return None
    rows = _Rows(*map(np.concatenate, zip(*parts, strict=True)))
    order = np.argsort(rows.keys, kind="stable")
    keys = rows.keys[order]
    order = order[np.append(keys[1:] != keys[:-1], True)]
    rows = _Rows(*(column[order[~np.isnan(rows.losses[order])]] for column in rows))
    if not len(rows.keys):
        return None
    classified = not np.isnan(rows.right).all()
    has_logits = rows.logits.shape[1] > 0
    return PerText(
        losses=rows.losses,
        right=rows.right if classified else None,
        digest=hashlib.blake2b(rows.keys.tobytes(), digest_size=16).hexdigest(),
        chance=_chance(rows.judged, classified),
        logits=rows.logits if has_logits else None,
        labels=rows.judged if has_logits else None,
    )


def _chance(judged: npt.NDArray[Any], classified: bool) -> float:
    """The loss of guessing without reading the texts."""
    if classified and np.issubdtype(judged[0].dtype, np.floating):  # several labels at once
        share = np.stack(list(judged)).mean(axis=0)
        return float((special.entr(share) + special.entr(1 - share)).mean())
    labels = np.concatenate(judged.tolist()) if judged.dtype == object else judged
    if not classified:
        return float(labels.var())
    counts = np.unique(labels, return_counts=True)[1]
    return float(special.entr(counts / counts.sum()).sum())


def _logits(output: Any) -> torch.Tensor:
    """The logits of a model's output, with or without a loss before them."""
    if isinstance(output, Mapping):
        logits = output.get("logits")
    else:
        logits = next((item for item in output if isinstance(item, torch.Tensor) and item.dim() > 0), None)
    if not isinstance(logits, torch.Tensor):
        raise CallError("losses text by text need a model whose output has logits")
    return logits


def _keys(inputs: Mapping[str, Any], labels: torch.Tensor) -> list[bytes]:
    """What identifies each text of a batch, however it was padded: its input without padding, and its label."""
    name = next(
        (
            name
            for name in ("input_ids", "inputs_embeds", "pixel_values", "input_features")
            if inputs.get(name) is not None
        ),
        None,
    )
    if name is None:
        name = next(name for name, value in inputs.items() if isinstance(value, torch.Tensor) and name != "labels")
    values = inputs[name].detach().cpu()
    mask = inputs.get("attention_mask")
    keep = mask.detach().cpu().bool() if mask is not None and mask.shape == values.shape[:2] else None
    labels = labels.detach().cpu()
    # Padding goes by batch, which goes by length and by process: without it a text has one key wherever it stands. The
    # label belongs to it, as one text may stand in the set with two labels.
    keys = []
    for row in range(len(values)):
        value = values[row] if keep is None else values[row][keep[row]]
        label = labels[row][labels[row] != IGNORED_LABEL] if labels.dim() > 1 else labels[row]
        content = value.contiguous().numpy().tobytes() + b"|" + label.contiguous().numpy().tobytes()
        keys.append(hashlib.blake2b(content, digest_size=16).digest())
    return keys


class FixedTexts:
    """A fixed part of a data set, drawn once by a seed, whose losses are measured in evaluation mode again and again.

    The labels are those of the data set, and rows are read once. An `Augmented` data set is read as it is when
    clean, and so is a `datasets.Dataset` with a transform, where its stored columns are what the model takes.
    """

    def __init__(self, dataloader: DataLoader[Any], args: TrainingArguments, size: int, seed: int) -> None:
        with untouched_random_state():
            rows = self._draw(dataloader, args, size, seed)
            lengths = [_length(row) for row in rows]
            # As many token slots as the Trainer's evaluation batch of the longest texts has.
            budget = max(lengths) * args.per_device_eval_batch_size
            self._batches = [
                (indices, dict(dataloader.collate_fn([rows[index] for index in indices])))
                for indices in length_sorted_batches(lengths, budget)
            ]
        self._rank, self._processes = args.process_index, max(1, args.world_size)
        self._device = args.device
        self.size = len(rows)

    @staticmethod
    def _draw(dataloader: DataLoader[Any], args: TrainingArguments, size: int, seed: int) -> list[Any]:
        dataset: Any = dataloader.dataset
        dataset = dataset.clean if isinstance(dataset, Augmented) else dataset
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise CallError(
                f"a fixed part cannot be drawn from a {type(dataset).__name__}, which has no length: train on a "
                "`datasets.Dataset`, or leave this callback out"
            )
        if isinstance(dataset, Dataset) and dataset.format["type"] == "custom":
            dataset = _without_transform(dataset)
        indices = _stratified(_labels(dataset), len(dataset), min(size, len(dataset)), seed)
        return [dataset[int(index)] for index in indices]

    def measure(self, model: nn.Module) -> PerText:
        """The losses of `model` on the texts, in evaluation mode; all processes share the work and must call it."""
        # Each process measures every n-th batch, all as many.
        rounds = -(-len(self._batches) // self._processes)
        mine = range(self._rank, rounds * self._processes, self._processes)
        was_training = model.training
        model.eval()
        rows: list[_Rows] = []
        with untouched_random_state(), torch.no_grad():
            for number in mine:  # as many in every process, or sharded models wait for each other forever
                indices, batch = self._batches[number % len(self._batches)]
                inputs = {name: value.to(self._device) for name, value in batch.items() if hasattr(value, "to")}
                labels = inputs.pop("labels", None)
                if labels is None:
                    raise CallError("losses text by text need batches with `labels`")
                keys = [index.to_bytes(8, "big") for index in indices]  # in order of index when sorted as bytes
                rows.append(_batch_rows(keys, _logits(model(**inputs)), labels))
        model.train(was_training)
        result = _gathered(rows)
        if result is None:
            raise CallError("losses text by text need at least one text with a label")
        return result


def _length(row: Any) -> int:
    return len(row["input_ids"]) if isinstance(row, Mapping) and "input_ids" in row else 1


def _without_transform(dataset: Dataset) -> Dataset:
    stored = dataset.with_format(None)
    return stored if {"input_ids"} <= set(stored.column_names) else dataset


def _labels(dataset: Any) -> npt.NDArray[np.int64] | None:
    """One class a row, where that can be told without reading every row."""
    if not isinstance(dataset, Dataset):
        return None
    name = next((name for name in ("labels", "label", "label_ids") if name in dataset.column_names), None)
    values = None if name is None else np.asarray(dataset.with_format(None)[name][:], dtype=object)
    if values is None or values.ndim != 1 or not all(isinstance(value, int) for value in values):
        return None
    return values.astype(np.int64)


def _stratified(labels: npt.NDArray[np.int64] | None, total: int, size: int, seed: int) -> list[int]:
    """`size` of `total` indices, drawn with `seed`; every label has its share, up to rounding."""
    order = np.random.default_rng(seed).permutation(total)  # in which equal shares come
    if labels is None:
        return sorted(order[:size].tolist())
    # Rank within the label, as a share of it: the first `size` by that share have every label in proportion.
    shares = np.empty(total)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        shares[members] = (np.arange(len(members)) + 0.5) / len(members)
    return sorted(order[np.argsort(shares[order], kind="stable")][:size].tolist())
