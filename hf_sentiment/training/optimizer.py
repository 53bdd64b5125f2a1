"""A learning rate for each layer: the lower, the smaller."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from hf_sentiment.errors import CallError


def layerwise_optimizer(
    model: nn.Module, arguments: TrainingArguments, decay: float, lora: bool
) -> torch.optim.Optimizer | None:
    """AdamW with the rate `learning_rate * decay ** depth`, depth counted from the head; `None` for a decay of 1.

    Howard & Ruder 2018 (arXiv:1801.06146) divide by 2.6 a layer, Sun et al. 2019 (arXiv:1905.05583) multiply BERT's by
    0.95. The embeddings lie below the lowest layer. Weight decay spares biases and norms, as the Trainer's does.

    Args:
        model: A classifier on an encoder.
        arguments: Rate, betas, epsilon and weight decay are taken from there.
        decay: Each layer's rate, of the next higher one's.
        lora: Whether adapters are trained, which are not there yet.

    Raises:
        CallError: As `check_layer_rates`, or FSDP shards the weights.
    """
    if decay == 1:
        return None
    check_layer_rates(decay, lora)
    if arguments.fsdp or os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true":
        raise CallError(
            f"--layerwise_lr_decay {decay:g}: the Trainer makes the optimizer where FSDP shards the weights: leave it "
            "out"
        )
    groups: list[dict[str, Any]] = []
    depths = layer_depths(model)
    for name, parameter in model.named_parameters():
        groups.append(
            {
                "params": [parameter],
                "lr": arguments.learning_rate * decay ** depths[name],
                "weight_decay": arguments.weight_decay if parameter.dim() > 1 else 0.0,
            }
        )
    groups.sort(key=lambda group: -group["lr"])  # what is logged is the first group's: here the head's
    betas = (arguments.adam_beta1, arguments.adam_beta2)
    return torch.optim.AdamW(groups, lr=arguments.learning_rate, betas=betas, eps=arguments.adam_epsilon)


def check_layer_rates(decay: float, lora: bool) -> None:
    """Refuse a rate for each layer where adapters are trained.

    Raises:
        CallError: With LoRA, and a decay other than 1.
    """
    if lora and decay != 1:
        raise CallError(f"--layerwise_lr_decay {decay:g} and --lora: adapters have one rate, leave one of them out")


def layer_depths(model: nn.Module) -> dict[str, int]:
    """How deep each parameter lies below the head: 0 above the layers, 1 in the highest, most in the embeddings.

    The layers are the first list of modules, with the other lists of as many beside it, which XLM has for the parts of
    its layers. What is registered before them lies below them, and so does every other table of embeddings, such as
    one of relative positions.

    Args:
        model: An encoder, or a model around one.
    """
    lists = {name: len(part) for name, part in model.named_modules() if isinstance(part, nn.ModuleList) and len(part)}
    first = next(iter(lists), "")
    above, layers = first.rpartition(".")[0], lists.get(first, 0)
    starts = [name for name, size in lists.items() if size == layers and name.rpartition(".")[0] == above]
    tables = {name for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    depths, below = {}, layers > 0
    for name, _ in model.named_parameters():
        start = next((start for start in starts if name.startswith(f"{start}.")), None)
        if start is not None:
            below = False
            depths[name] = layers - int(name.removeprefix(f"{start}.").partition(".")[0])
        else:
            depths[name] = layers + 1 if below or name.rpartition(".")[0] in tables else 0
    return depths
