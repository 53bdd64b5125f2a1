"""`LoraCallback`: LoRA by adding one callback to a Trainer."""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import PreTrainedModel, TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.callbacks.shared import SuiteCallback, in_every_process, trained_weights, weights_are_finite
from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import PARTIAL, folder_atomically, write_json

logger = logging.getLogger(__name__)

# The rates at which LoRA was tuned on GLUE: 2e-4 to 5e-4 for RoBERTa (Hu et al. 2022, arXiv:2106.09685, appendix D).
# Outside of this range, ten times a full fine-tuning's at its ends, it learns hardly anything or diverges.
LEARNING_RATES = (1e-4, 2e-3)


class LoraCallback(SuiteCallback):
    """Trains low-rank adapters and the head instead of all weights; adding it is the only change to a script.

    Works with any Trainer around a `PreTrainedModel`: the model becomes a `peft.PeftModel` in place when the Trainer is
    made, so that every reference to it trains the adapter, and checkpoints, resuming and `load_best_model_at_end` are
    those of transformers for PEFT: a checkpoint holds adapter and head only. At the end the adapter is written to
    `adapter/` in the run's folder (in a hyperparameter search: in the trial's) and, with `merge`, added to the weights:
    the model is what it was before, a plain sentiment model, say, with equal logits.

    Args:
        r: Rank of the adapters.
        alpha: Scale of the adapters, divided by the rank.
        dropout: Before the adapters.
        target_modules: Ends of the names of the linear layers that get an adapter; by default all of the encoder.
        merge: Merge at the end. Without it the model stays a `PeftModel`, and `save_model` saves the adapter.
        base_model: What the adapter's `adapter_config.json` names as its base, a Hub id or a folder; by default where
            the model was loaded from. To load the adapter by `AutoPeftModelForSequenceClassification`, the base must be
            a checkpoint of the same class: of a plain encoder, unless it is a BERT and pooled by its pooler, save the
            model before training.

    Give the callback to the Trainer's constructor. LoRA takes higher learning rates, 1e-4 to 2e-3.

    Examples:
        >>> trainer = Trainer(model, args, callbacks=[LoraCallback()], ...)  # doctest: +SKIP
    """

    def __init__(
        self,
        r: int = 8,
        alpha: int = 16,
        dropout: float = 0.1,
        *,
        target_modules: list[str] | None = None,
        merge: bool = True,
        base_model: str | None = None,
    ) -> None:
        if r != int(r) or r < 1:
            raise CallError(f"LoraCallback: r is {r}; give a rank of 1 or more, such as 8")
        if alpha <= 0:
            raise CallError(f"LoraCallback: alpha is {alpha}; give a scale above 0, such as 16")
        if not 0 <= dropout < 1:
            raise CallError(f"LoraCallback: dropout is {dropout}; give at least 0 and less than 1")
        self.r = int(r)
        self.alpha = alpha
        self.dropout = dropout
        self.target_modules = target_modules
        self.merge = merge
        self.base_model = base_model
        super().__init__()

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Put the adapters in, before the optimizer is made.

        Raises:
            CallError: The model cannot take them.
        """
        self._wrap(self._checked(model), args.seed)

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: nn.Module | None = None,
        optimizer: Any = None,
        **kwargs: Any,
    ) -> None:
        """Say what is trained; where the model is plain (a second training, `model_init`), put new adapters in.

        Raises:
            CallError: The callback came too late, or the optimizer trains something else.
        """
        if not isinstance(model, PeftModel):
            self._put_in_late(args, self._checked(model), optimizer)
        self._begin(args, state)
        assert isinstance(model, PeftModel)
        # Compared as objects: an optimizer made before the adapters holds frozen weights, and would train nothing.
        trained = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        optimized = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if trained != optimized:
            raise CallError(
                "LoraCallback: the optimizer was made over the frozen weights: let the Trainer make it, or make it "
                "after the Trainer, from the parameters that require a gradient"
            )
        if state.is_world_process_zero:
            self._say(args, model)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, model: Any = None, **kwargs: Any
    ) -> None:
        """Write the adapter and, if asked for, merge it."""
        if not self._training or not isinstance(model, PeftModel):
            return
        self._end(state)
        finite = in_every_process(weights_are_finite(model))
        adapter = trained_weights(model)  # of all processes, where each has a part of them
        if state.is_world_process_zero and finite:
            save_adapter(model, self._folder, self.base_model, adapter)
        elif state.is_world_process_zero:  # a folder that loads, and predicts NaN, is worse than none
            logger.warning("LoraCallback: the weights are not finite, so no adapter is written")
        if self.merge:
            _take_place(model, model.merge_and_unload())

    def _checked(self, model: nn.Module | None) -> PreTrainedModel:
        """The model, if it can take adapters."""
        if isinstance(model, PeftModel) or getattr(model, "_hf_peft_config_loaded", False):
            raise CallError(
                "LoraCallback: the model has adapters already: give a plain model, or leave LoraCallback out"
            )
        if not isinstance(model, PreTrainedModel):
            raise CallError(
                f"LoraCallback works with a transformers PreTrainedModel, not with a {type(model).__name__}"
            )
        # Set on the instance, it would go with the attributes to the inner model and be called for both.
        if "forward" in vars(model):
            raise CallError(
                "LoraCallback: something has replaced the model's forward (device_map does): load the model without it"
            )
        return model

    def _put_in_late(self, args: TrainingArguments, model: PreTrainedModel, optimizer: Any) -> None:
        """Adapters for a model whose optimizer is made already."""
        if args.world_size > 1:
            raise CallError(
                "LoraCallback: several processes have agreed on all weights already: give it to the constructor, "
                "Trainer(callbacks=[LoraCallback()]), make a new Trainer to train again, and leave model_init out"
            )
        self._wrap(model, args.seed)
        _aim_optimizer(optimizer, model)

    def _wrap(self, model: PreTrainedModel, seed: int) -> None:
        """Make the object `model` a `PeftModel` around what it was."""
        # peft wraps a second object with the same attributes, and returns a new model. The object that the script and
        # the Trainer hold then becomes that model, so that one callback is all that a script needs.
        base = object.__new__(type(model))
        base.__dict__ = model.__dict__
        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules=self._targets(model),
            modules_to_save=_heads(model),
            # Of the two that judge texts or tokens; without one, peft could not load the adapter again.
            task_type="TOKEN_CLS" if type(model).__name__.endswith("ForTokenClassification") else "SEQ_CLS",
        )
        with untouched_random_state(), warnings.catch_warnings():
            # peft asks for an attribute that transformers is about to rename.
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            torch.manual_seed(seed)  # the same adapters at every start, so that a resumed run is the same run
            wrapped = get_peft_model(base, config)
        _take_place(model, wrapped)

    def _targets(self, model: PreTrainedModel) -> list[str] | str:
        linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        if self.target_modules is None:
            heads = _heads(model) or []
            if not any(name.partition(".")[0] not in heads and "pooler" not in name for name in linear):
                raise CallError(
                    f"LoraCallback: {type(model).__name__} has no linear layers below its head, which adapters are "
                    "for: train all weights, without it (without --lora)"
                )
            return "all-linear"
        for target in self.target_modules:
            if not any(name == target or name.endswith(f".{target}") for name in linear):
                ends = sorted({name.rpartition(".")[2] for name in linear if "." in name})
                raise CallError(
                    f"LoraCallback: target_modules has {target!r}, which no linear layer is called; they end in "
                    f"{', '.join(ends)}"
                )
        return list(self.target_modules)

    def _say(self, args: TrainingArguments, model: PeftModel) -> None:
        trained, total = model.get_nb_trainable_parameters()
        logger.info(
            "LoRA: rank %d on %d layers; %s of %s parameters are trained (%.2f %%), the head in full",
            self.r,
            sum(1 for name, _ in model.named_modules() if name.endswith("lora_A")),
            f"{trained:,}",
            f"{total:,}",
            100 * trained / total,
        )
        low, high = LEARNING_RATES
        if not low <= args.learning_rate <= high:
            logger.warning(
                "LoraCallback: learning_rate is %g; adapters learn at %g to %g (Hu et al. 2022), such as "
                "learning_rate=5e-4 (--learning_rate 5e-4)",
                args.learning_rate,
                low,
                high,
            )


def save_adapter(
    model: PeftModel, folder: Path, base_model: str | None = None, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Write adapter and head to `adapter/` in `folder`, in PEFT's form: whole or not there.

    Args:
        model: The model.
        folder: The run's folder.
        base_model: What to name as the base, instead of where the model was loaded from.
        weights: Adapter and head by name, where the model holds only parts of them.
    """
    for leftover in folder.glob(f"{PARTIAL}adapter-*"):  # of a kill
        shutil.rmtree(leftover)
    with folder_atomically(folder / "adapter") as beside:
        model.save_pretrained(str(beside), state_dict=weights)
        (beside / "README.md").unlink(missing_ok=True)  # a template of peft's that says nothing
        if base_model is not None:  # only here: peft looks at the base at every save, and this may be on the Hub
            path = beside / "adapter_config.json"
            config = json.loads(path.read_text(encoding="utf-8")) | {"base_model_name_or_path": base_model}
            write_json(path, config)


def _take_place(model: nn.Module, other: nn.Module) -> None:
    """Let the object `model` be `other` from now on, for all who hold a reference to it; its own hooks stay with it."""
    # Hooks were registered on the object (our recorders, a profiler), so they stay on the outside: the two sets are
    # exchanged before `model` takes the attributes of `other`.
    for name in [name for name in vars(model) if name.startswith(("_forward_", "_backward_"))]:
        model.__dict__[name], other.__dict__[name] = other.__dict__[name], model.__dict__[name]
    # Class and attributes are all that an instance of a Python class is. `nn.Module` has no `__slots__`, so both may be
    # assigned.
    model.__class__ = type(other)
    model.__dict__ = other.__dict__


def _heads(model: PreTrainedModel) -> list[str] | None:
    """The layers outside the encoder: they are new, so they are trained and saved in full."""
    if not hasattr(model, model.base_model_prefix):
        return None  # peft then goes by the usual names of heads
    outside = [name for name, child in model.named_children() if name != model.base_model_prefix]
    return [name for name in outside if any(True for _ in getattr(model, name).parameters())]


def _aim_optimizer(optimizer: Any, model: nn.Module) -> None:
    """Let the Trainer's optimizer train the parameters of `model` that require a gradient, and start afresh.

    Raises:
        CallError: It is not the Trainer's, which has two groups: with weight decay, and without.
    """
    groups = optimizer.param_groups
    if len(groups) != 2:
        raise CallError(
            "LoraCallback: the optimizer was made before the adapters were put in: give LoraCallback to the "
            "constructor, Trainer(callbacks=[LoraCallback()]), and let the Trainer make the optimizer"
        )
    # With weight decay: matrices. Without: biases and the weights of layer norms, as the Trainer divides them.
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups[0]["params"] = [parameter for parameter in trained if parameter.dim() > 1]
    groups[1]["params"] = [parameter for parameter in trained if parameter.dim() <= 1]
    getattr(optimizer, "optimizer", optimizer).state.clear()  # of accelerate's wrapper, the optimizer inside
