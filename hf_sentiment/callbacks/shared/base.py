"""What the callbacks of the suite share: a state that survives a resume, and the way to the run that calls them."""

from __future__ import annotations

import copy
import inspect
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from accelerate.utils import broadcast_object_list, gather_object
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments
from transformers.trainer_callback import CallbackHandler, ExportableState

Caller = TypeVar("Caller")


class SuiteCallback(TrainerCallback, ExportableState):
    """A callback whose constructor arguments and counters are plain JSON and survive a resume.

    transformers saves the states of callbacks with every checkpoint, but gives them back only if
    `restore_callback_states_from_checkpoint` is set, and then to a new object. Here a callback takes its own state from
    the checkpoint when training begins, whatever that flag says, and stays the object that the user made.

    Subclasses store every constructor argument under its own name, list in `_FRESH` the attributes that change in
    training with their first values, and call `_begin` in `on_train_begin` and `_end` in `on_train_end`.
    """

    _FRESH: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self._training = False
        self._folder = Path()
        self._reset()

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def state(self) -> dict[str, Any]:
        """Constructor arguments and counters, as transformers saves them in `trainer_state.json`."""
        return {
            "args": self._arguments(),
            "attributes": copy.deepcopy({name: getattr(self, name) for name in self._FRESH}),
        }

    def _begin(self, args: TrainingArguments, state: TrainerState) -> bool:
        """Begin a run, or take one up from its checkpoint; returns whether a saved state was taken up."""
        self._training = True
        self._folder = run_folder(args)
        self._reset()
        saved = self._saved_attributes(state) if state.global_step > 0 else None
        for name, value in (saved or {}).items():
            if name in self._FRESH:
                setattr(self, name, copy.deepcopy(value))
        # The Trainer fails at its next save over a callback that the checkpoint does not know.
        saved_states(state).setdefault(type(self).__name__, self.state())
        return saved is not None

    def _end(self, state: TrainerState) -> None:
        """End the run: what is evaluated from now on is not of it, and `trainer.save_state()` has the last state."""
        self._training = False
        states = saved_states(state)
        # A list, of several callbacks of this class, tells nobody which entry is whose: only the Trainer appends to it.
        if not isinstance(states.get(type(self).__name__), list):
            states[type(self).__name__] = self.state()

    def _reset(self) -> None:
        for name, value in self._FRESH.items():
            setattr(self, name, copy.deepcopy(value))

    def _saved_attributes(self, state: TrainerState) -> dict[str, Any] | None:
        """The attributes that the checkpoint holds of this callback, or `None`."""
        saved = saved_states(state).get(type(self).__name__)
        if saved is None:
            return None
        # Of several callbacks of one class the Trainer keeps a list, to which every save appends: the last entry with
        # our arguments is ours. A single entry is ours even if the arguments were changed for the resume.
        entries = saved if isinstance(saved, list) else [saved]
        ours = [entry for entry in entries if entry["args"] == self._arguments()]
        if not ours and isinstance(saved, list):
            return None
        attributes: dict[str, Any] = (ours or entries)[-1]["attributes"]
        return attributes

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({arguments})"


def saved_states(state: TrainerState) -> dict[str, Any]:
    """The states of the run's callbacks by class name: one, or a list where there are several of a class."""
    return cast("dict[str, Any]", state.stateful_callbacks)


def run_folder(args: TrainingArguments) -> Path:
    """Where the run writes: `output_dir`, or its trial's own folder in there (`Trainer.hyperparameter_search`)."""
    trainer = calling(Trainer)
    trial = getattr(trainer, "_trial", None)
    # The Trainer's own rule for where a trial's checkpoints go; it tells callbacks neither trial nor folder.
    return Path(str(args.output_dir) if trainer is None or trial is None else trainer._get_output_dir(trial))


def calling(kind: type[Caller]) -> Caller | None:
    """The nearest object of that kind one of whose methods is being called, and has called us; `None` without one."""
    # A callback is given neither its Trainer nor the handler that calls it. Both are further up the stack, each the
    # `self` of a method that is running; the nearest is ours, also where one Trainer trains inside another.
    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self")
        if isinstance(owner, kind):
            return owner
        frame = frame.f_back
    return None


def run_callbacks(kind: type[Caller]) -> list[Caller]:
    """The callbacks of the run that is calling, of that kind."""
    handler = calling(CallbackHandler)
    return [callback for callback in (handler.callbacks if handler else ()) if isinstance(callback, kind)]


def in_every_process(holds: bool) -> bool:
    """Whether it holds in all processes; every process must call it."""
    return all(gather_object([holds]))


def from_main_process(value: Any) -> Any:
    """The main process's `value` in every process, so that all decide alike; every process must call it."""
    return broadcast_object_list([value])[0]
