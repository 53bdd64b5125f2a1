"""The processes that `torchrun` or `accelerate launch` has started: they meet, the first leads, and all end together.

Nothing is imported here before there are several of them, so that a help is quick.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from hf_sentiment.errors import CallError, first_line

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

T = TypeVar("T")

# Seconds for which processes wait for each other: the main one reads, audits and tokenises all texts meanwhile.
_PATIENCE = 3 * 3600
# Numbers whose exchange is timed.
_TIMED = 2**22
# Whether the main process is at work for all of them: what it calls then has no others to talk to.
_alone = False


def started() -> int:
    """How many processes the launcher says that it has started."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def sharded() -> bool:
    """Whether accelerate was told to spread the weights over the processes, and sets them up for that itself."""
    return any(os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true" for way in ("FSDP", "DEEPSPEED"))


def neighbours() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE") or 1)


def join(cpu: bool, patience: float | None = None) -> None:
    """Meet the other processes, if there are any; from here on Ctrl-C and SIGTERM end this one in good order.

    Only the main process logs.

    Args:
        cpu: Whether to compute on the CPU, whatever there is; without an accelerator it is meant.
        patience: Seconds to wait for each other.

    Raises:
        CallError: There are several, and they were not told how to meet.
    """
    if started() == 1 or count() > 1:
        return
    if not {"RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        raise CallError(
            f"WORLD_SIZE is {started()}, and nothing says how the processes meet: start them by torchrun or "
            "accelerate launch, or unset WORLD_SIZE"
        )
    import torch
    from accelerate import PartialState

    cpu = cpu or not torch.accelerator.is_available()
    PartialState(cpu=cpu, timeout=timedelta(seconds=patience or _PATIENCE))
    if not is_main():
        _be_quiet()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop)
    except ValueError:  # signals reach the main thread alone
        pass


def _be_quiet() -> None:
    import logging
    import warnings

    import datasets
    from transformers.utils import logging as transformers_logging

    logging.getLogger("hf_sentiment").setLevel(logging.CRITICAL)
    transformers_logging.set_verbosity_error()
    datasets.disable_progress_bars()
    warnings.simplefilter("ignore")


def _stop(number: int, frame: Any) -> None:
    ignore_signals()
    raise KeyboardInterrupt


def ignore_signals() -> None:
    """Be deaf to Ctrl-C and SIGTERM: a launcher passes on what the terminal has sent to every process already."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def count() -> int:
    """How many processes share the work; 1 within `main_does`."""
    if _alone or "torch" not in sys.modules:
        return 1
    from torch import distributed

    met = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if met else 1


def rank() -> int:
    """The number of this process, from 0."""
    from torch import distributed

    return 0 if count() == 1 else distributed.get_rank()


def is_main() -> bool:
    """Whether this is the process that writes and speaks."""
    return rank() == 0


def main_does(function: Callable[[], T]) -> T:
    """What `function` returns in the main process, which alone calls it, in every process; every one must call this.

    An error of the main process is raised in all of them.

    Args:
        function: Its result is pickled.
    """
    if count() == 1:
        return function()
    global _alone
    from torch import distributed

    box: list[Any] = [None]
    failure: Exception | None = None
    if is_main():
        _alone = True
        try:
            box = [(function(), None)]
        except Exception as error:
            failure, box = error, [(None, _sendable(error))]
        finally:
            _alone = False
    distributed.broadcast_object_list(box)
    result, sent = box[0]
    if sent is not None:
        raise failure or sent
    return result


def _sendable(error: Exception) -> Exception:
    """The error, if it survives pickling, or one of its first line."""
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {first_line(error)}")


def merged(array: np.ndarray) -> np.ndarray:
    """The sum of an array over all processes: of rows that one of them has filled and the others left at 0, all rows.

    Args:
        array: Of the same shape in every process, each of which must call this.
    """
    if count() == 1:
        return array
    import torch
    from torch import distributed

    tensor = torch.from_numpy(array).to(_device())
    distributed.all_reduce(tensor)
    return tensor.cpu().numpy()


def exchange_seconds() -> float:
    """How long the processes take to add up one float32 of all of them, on a CPU; each must call this. Alone 0."""
    if count() == 1:
        return 0.0
    import time

    import torch
    from torch import distributed

    numbers, ends = torch.zeros(_TIMED, device=_device()), [time.perf_counter()]
    for _ in range(3):
        distributed.all_reduce(numbers)
        ends.append(time.perf_counter())
    return min(end - begin for begin, end in pairwise(ends)) / _TIMED


def in_slices(function: Callable[[Sequence[Any]], np.ndarray], items: Sequence[Any]) -> np.ndarray:
    """`function(items)`, of which each process does a part; every one must call it.

    Args:
        function: A row for each item, whatever the other items are.
        items: The same in every process.
    """
    processes, mine = count(), rank()
    # Of few items all do everything: a part might be empty.
    if processes == 1 or len(items) < processes:
        return function(items)
    import numpy as np

    found = function(items[mine::processes])
    rows = np.zeros((len(items), *found.shape[1:]), dtype=found.dtype)
    rows[mine::processes] = found
    return merged(rows)


def share_weights(model: nn.Module) -> None:
    """Give every process the main one's parameters and buffers, bit for bit, in place; every one must call it."""
    if count() == 1:
        return
    import itertools

    from torch import distributed

    for tensor in itertools.chain(model.parameters(), model.buffers()):
        sent = tensor.detach().to(_device()).contiguous()
        distributed.broadcast(sent, src=0)
        tensor.data.copy_(sent)


def _device() -> Any:
    """Where a tensor has to be to go from process to process."""
    import torch

    if "gloo" in torch.distributed.get_backend():
        return torch.device("cpu")
    return torch.device(torch.accelerator.current_accelerator().type, torch.accelerator.current_device_index())  # type: ignore[union-attr]


def broke_off(error: BaseException) -> bool:
    """Whether the error says that this process was waiting for another one, which has gone."""
    if started() == 1 or not isinstance(error, RuntimeError):
        return False
    from torch import distributed

    return isinstance(error, distributed.DistError) or "gloo" in str(error)


def first_to_end() -> bool:
    """Whether no other process has asked this before: so what has ended a run is said once.

    Where the launcher's store cannot be asked any more, everyone is the first: better said twice than never.
    """
    if started() == 1:
        return True
    from torch.distributed import TCPStore

    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=10))
        # A launcher that starts all of them again keeps its store.
        return bool(store.add(f"hf_sentiment/end/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}", 1) == 1)
    except (KeyError, ValueError, RuntimeError):
        return True


def leave() -> None:
    """Part from the other processes at the end of the work."""
    if count() > 1:
        from torch import distributed

        distributed.barrier()
        distributed.destroy_process_group()
