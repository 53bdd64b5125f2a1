"""Where each parameter lies in a model, found by its structure and not by the names of some architecture."""

from __future__ import annotations

from torch import nn


def layer_depths(model: nn.Module) -> dict[str, int]:
    """How deep each parameter lies below the head: 0 above the layers, 1 in the highest, most in the embeddings.

    The layers are the first list of modules of one class. What is registered before them lies below them, and so does
    every other table of embeddings, such as one of relative positions.

    Args:
        model: An encoder, or a model around one.
    """
    lists = (item for item in model.named_modules() if isinstance(item[1], nn.ModuleList) and len(item[1]))
    start, layers = next(lists, ("", nn.ModuleList()))
    tables = {name for name, module in model.named_modules() if isinstance(module, nn.Embedding)}
    depths, below = {}, len(layers) > 0
    for name, _ in model.named_parameters():
        if layers and name.startswith(f"{start}."):
            below = False
            depths[name] = len(layers) - int(name.removeprefix(f"{start}.").partition(".")[0])
        else:
            depths[name] = len(layers) + 1 if below or name.rpartition(".")[0] in tables else 0
    return depths
