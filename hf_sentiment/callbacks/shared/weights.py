"""The best weights of a run, kept on disk: whole or not there, and never in memory a second time.

Weights that FSDP2 shards are gathered from all processes, and given back to them, one tensor after another.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, broadcast
from peft import PeftModel
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.distributed.fsdp import FSDPModule, FullyShardedDataParallel
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from hf_sentiment.callbacks.shared.base import from_main_process
from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import PARTIAL, folder_atomically
from hf_sentiment.records.folder import KEPT

# Bytes a file, so that a model on an accelerator passes through the host's memory in small parts.
_PART_BYTES = 64 * 2**20


class KeptWeights:
    """Weights of one evaluation, kept in `folder` by the main process, put back in every process.

    What is kept is what training changes: adapter and head of a PEFT model, else all parameters, and the buffers.
    There is a copy for each of the last two checkpoints, unless they name the same: a damaged one leaves the other to
    go on from. Between an improvement and the next checkpoint there is one more.

    Args:
        folder: The run's folder. The copy is `{KEPT}{name}-{step}` in it.
        name: Which best it is; one name a callback.
        is_main: Whether this is the main process.
        checkpointed: The step of the copy that the checkpoint names from which the run is resumed.
    """

    def __init__(self, folder: str | Path, name: str, is_main: bool, checkpointed: int | None = None) -> None:
        self._folder = Path(folder)
        self._name = name
        self._is_main = is_main
        self._checkpointed = checkpointed
        self._before: int | None = None  # named by the checkpoint before that one

    def keep(self, model: nn.Module, step: int) -> None:
        """Keep the weights of `step`, and forget all before them but those that the last two checkpoints name.

        Every process must call it, as the main one writes what the others may have a part of.
        """
        if not self._is_main:
            for _, tensor in _trained(model):
                _whole(tensor)
            return
        # Whole or not there: a kill in the middle leaves the best before, which the last checkpoint names.
        with folder_atomically(self._path(step)) as folder:
            for number, part in enumerate(_parts(model)):
                save_file(part, folder / f"{number:05d}.safetensors")
        self._forget_all_but(step, self._checkpointed, self._before)

    def named_by_checkpoint(self, step: int | None) -> None:
        """A checkpoint was written that names the weights of `step`; those of the one before it are kept, too."""
        self._before, self._checkpointed = self._checkpointed, step
        self._forget_all_but(step, self._before)

    def forget(self) -> None:
        """Delete every copy."""
        self._forget_all_but()

    def has(self, step: int) -> bool:
        """Whether the weights of `step` are there, in every process as in the main one."""
        return bool(from_main_process(self._path(step).is_dir()))

    def files(self, step: int) -> list[Path]:
        """The files that hold the weights of `step`; none where they are not kept."""
        return sorted(self._path(step).glob("*.safetensors"))

    def put_back(self, model: nn.Module, step: int) -> None:
        """Put the weights of `step` into `model`, in place and bit for bit; only the main process needs the disk."""
        where: dict[str, Path] = {}
        for file in self.files(step):
            with safe_open(file, framework="pt") as opened:
                where |= dict.fromkeys(opened.keys(), file)
        with torch.no_grad():
            for name, tensor in _trained(model):
                # In place: the optimizer, and a Trainer that wraps the model, hold these very tensors. Other processes
                # have no file, and take what the main one sends; all go through the same names in the same order.
                complete = _whole(tensor)
                if name in where:
                    with safe_open(where[name], framework="pt") as opened:
                        complete.copy_(opened.get_tensor(name))
                if isinstance(tensor, DTensor):
                    parts: Any = distribute_tensor(complete, tensor.device_mesh, tensor.placements)
                    tensor.to_local().copy_(parts.to_local())
                else:
                    tensor.copy_(broadcast(tensor))

    def _forget_all_but(self, *steps: int | None) -> None:
        """Delete the copies of other steps, and what a kill left half-written."""
        if not self._is_main:
            return
        needed = {self._path(step).name for step in steps if step is not None}
        half_written = self._folder.glob(f"{PARTIAL}{KEPT}{self._name}-*")
        copies = (path for path in self._folder.glob(f"{KEPT}{self._name}-*") if path.name not in needed)
        for path in (*half_written, *copies):
            shutil.rmtree(path)

    def _path(self, step: int) -> Path:
        return self._folder / f"{KEPT}{self._name}-{step}"


def can_be_resumed(args: TrainingArguments, folder: Path) -> bool:
    """Whether there are checkpoints in the run's folder, or will be: a signal leaves one where none are asked for."""
    return args.save_strategy != SaveStrategy.NO or any(folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))


def check_whole_weights(model: nn.Module | None, asked: str, instead: str) -> None:
    """Refuse to keep weights that cannot be gathered here.

    Raises:
        CallError: The model is sharded by DeepSpeed or by FSDP1; the message names `asked` and what to do `instead`.
    """
    if PartialState().distributed_type == DistributedType.DEEPSPEED or isinstance(model, FullyShardedDataParallel):
        raise CallError(
            f"{asked} gathers weights that FSDP2 shards, and not those of DeepSpeed or FSDP1: set fsdp_version: 2, or "
            f"{instead}"
        )


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with all of its parts; every process must ask for one of which each has a part."""
    if not isinstance(tensor, DTensor):
        return tensor
    # Where its parts can be sent from: FSDP may keep them in the host's memory.
    there: Any = tensor.to(str(tensor.device_mesh.device_type))
    complete: torch.Tensor = there.full_tensor()
    return complete


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """What training changes, whole and in the host's memory; every process must call it."""
    return {name: _whole(tensor.detach()).cpu() for name, tensor in _trained(model)}


def _trained(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors that training changes, by name."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()  # an evaluation leaves whole weights, which are copies, in some of the places
    adapter_only = isinstance(model, PeftModel)
    # Of an adapter's model the rest is frozen, and as it was. Of a plain one frozen weights are kept too: a script may
    # thaw them half-way.
    for name, parameter in model.named_parameters():
        if parameter.requires_grad or not adapter_only:
            yield name, parameter.data
    yield from model.named_buffers()  # running means of a batch norm, say


def _parts(model: nn.Module) -> Iterator[dict[str, torch.Tensor]]:
    """`_trained` in dictionaries of about `_PART_BYTES`, on the CPU."""
    part: dict[str, torch.Tensor] = {}
    size = 0
    for name, tensor in _trained(model):
        part[name] = _whole(tensor.detach()).cpu().contiguous()
        size += tensor.numel() * tensor.element_size()
        if size >= _PART_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part
