"""How long a training step takes on this processor, in float32 and in mixed precision."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.compute.threads import threads_of_torch
from hf_sentiment.model import SentimentModel
from hf_sentiment.records.schema import StepTimes
from hf_sentiment.training.words import only_occurring_words

# Steps of each kind that are timed, after one that does not count; the fastest tells.
_ROUNDS = 3
# A step that takes longer on one thread is timed on a part of its batch, in proportion.
_LONG_STEP = 0.25
# From here on other processes are in the way: wall time by processor time of a thread, which is 1 without them.
BUSY = 1.25
# What each of several threads does of what one alone would: MiniLM's step takes 419 ms on one and 240 ms on two.
_SHARED = 0.87


def time_steps(
    model: SentimentModel,
    batch: dict[str, torch.Tensor],
    formats: Sequence[bool],
    *,
    adapters: bool = False,
    words: torch.Tensor | None = None,
    rounds: int = _ROUNDS,
) -> StepTimes:
    """Time training steps of a copy of the model on the CPU, each format in turn.

    Args:
        model: Stays as it is.
        batch: A usual batch, `[texts, tokens]` each.
        formats: Whether in mixed precision: `False`, `True` or both.
        adapters: Whether only adapters will be trained: the matrices, whose gradients may not fit into memory, stay.
        words: Ids of the words whose vectors are trained; `None` is all of them.
        rounds: Steps of each format.
    """
    with untouched_random_state():  # dropout draws
        trained = copy.deepcopy(model).train()  # steps change weights, and the run begins with those that were loaded
        with only_occurring_words(trained, words):
            step = _training_step(trained, batch, adapters)
            texts, tokens = batch["input_ids"].shape
            return _times(step, texts, tokens, formats, rounds)


def computes_in_bfloat16(model: SentimentModel) -> bool:
    """Whether the model's forward pass works in mixed precision: in DeBERTa's the mask overflows.

    Args:
        model: In evaluation mode.
    """
    ids, mask = torch.zeros(1, 2, dtype=torch.long), torch.tensor([[1, 0]])
    try:
        with torch.inference_mode(), torch.autocast(model.device.type, dtype=torch.bfloat16):
            model(input_ids=ids.to(model.device), attention_mask=mask.to(model.device))
    except RuntimeError:
        return False
    return True


def _times(
    train: Callable[[bool, int], None], texts: int, tokens: int, formats: Sequence[bool], rounds: int
) -> StepTimes:
    """Time `train` on a batch of so many texts of so many tokens."""
    with threads_of_torch(1):
        # The first step also allocates; if even so it is short enough, the whole batch is timed.
        _, first = _timed(partial(train, formats[0], texts))
        rows = texts if first <= _LONG_STEP else max(1, int(texts * _LONG_STEP / first))
        timed = _in_turn([partial(train, way, rows) for way in formats], rounds)
    # The fastest of the rounds: whatever disturbs a step makes it slower, never faster.
    processor = [min(cpu for _, cpu in times) * texts / rows for times in timed]
    # On one thread wall time equals processor time, unless other processes take the core.
    slowdown = max(1.0, min(wall / cpu for times in timed for wall, cpu in times))
    by_format = dict(zip(formats, processor, strict=True))
    times = StepTimes(texts, texts * tokens, by_format.get(False), by_format.get(True), min(processor), slowdown)
    threads = torch.get_num_threads()
    if threads == 1:
        return times
    if slowdown >= BUSY:  # what all threads need cannot be told now
        return replace(times, seconds=times.seconds / (threads * _SHARED))
    (walls,) = _in_turn([partial(train, times.prefers_bfloat16, texts)], rounds)
    return replace(times, seconds=min(wall for wall, _ in walls))


def _training_step(
    trained: SentimentModel, batch: dict[str, torch.Tensor], adapters: bool
) -> Callable[[bool, int], None]:
    """A function that trains the model, in mixed precision or not, on so many rows of the batch."""
    for parameter in trained.parameters():
        # Vectors (biases, norms) stand for the adapters: as cheap, and no adapter has to be built.
        parameter.requires_grad_(parameter.dim() == 1 or not adapters)
    optimizer = torch.optim.AdamW([one for one in trained.parameters() if one.requires_grad], fused=True)
    # Any label does: a step takes as long whatever it learns.
    labels = torch.zeros(len(batch["input_ids"]), dtype=torch.long)

    def train(bfloat16: bool, rows: int) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            loss = trained(**{name: tensor[:rows] for name, tensor in batch.items()}, labels=labels[:rows]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return train


def _in_turn(steps: Sequence[Callable[[], None]], rounds: int) -> list[list[tuple[float, float]]]:
    """Wall and processor seconds of each step, `rounds` times after one that does not count."""
    for step in steps:
        step()
    return [list(times) for times in zip(*[[_timed(step) for step in steps] for _ in range(rounds)], strict=True)]


def _timed(step: Callable[[], None]) -> tuple[float, float]:
    began, own = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - began, time.process_time() - own
