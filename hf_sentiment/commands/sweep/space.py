"""What a sweep varies: by the plan what the literature and our measurements leave open, or a YAML of the user's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from hf_sentiment.commands.parts import DATA
from hf_sentiment.errors import CallError
from hf_sentiment.parser import nearest
from hf_sentiment.training.arguments import SentimentArguments, split_arguments
from hf_sentiment.training.plan import GUARDS, Plan

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial, Trial

    Space = dict[str, BaseDistribution]

# What is the same in all trials: what they are compared on, and where they are.
_SAME = {*DATA, "seed", "data_seed", "output_dir", "model_name_or_path", "model_revision", "unlabeled_file"}
# How far around the plan's rate is searched: half a decade each way, in which authors' rates for one encoder lie.
_AROUND = 10**0.5


def values_of(trial: Trial | FrozenTrial) -> dict[str, Any]:
    """A trial's values as it is run with: what is drawn from a range has three digits, which are what people read."""
    from optuna.distributions import FloatDistribution

    ranges = {name for name, one in trial.distributions.items() if isinstance(one, FloatDistribution)}
    return {name: float(f"{value:.3g}") if name in ranges else value for name, value in trial.params.items()}


def planned_space(plan: Plan, said: Collection[str]) -> Space:
    """What the plan of a fine-tuning leaves open, without what was said."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    rate, epochs = plan.learning_rate.value, plan.num_train_epochs.value
    low, high = next(guard.limits(plan.facts) for guard in GUARDS if guard.name == "learning_rate")
    space: Space = {
        "learning_rate": FloatDistribution(max(low, rate / _AROUND), min(high, rate * _AROUND), log=True),
        "num_train_epochs": IntDistribution(max(1, round(epochs / 2)), round(2 * epochs)),
        "per_device_train_batch_size": CategoricalDistribution((8, 16, 32)),
        "label_smoothing_factor": FloatDistribution(0.0, 0.2),
        "weight_decay": FloatDistribution(1e-3, 0.1, log=True),
        "classifier_dropout": FloatDistribution(0.0, 0.5),
    }
    if plan.lora.value:  # adapters have one rate, and end as trained
        space["lora_rank"] = CategoricalDistribution((4, 8, 16))
    else:
        space["layerwise_lr_decay"] = FloatDistribution(0.8, 1.0)
        if plan.head_first.value:
            space["fine_tuned_share"] = FloatDistribution(0.3, 1.0)
    idle = {"num_train_epochs"} if "max_steps" in said else set()
    return {name: one for name, one in space.items() if name not in {*said, *idle}}


def read_space(path: str, own: Mapping[str, Any], said: Collection[str]) -> Space:
    """The space of a YAML file: `name: {low: 1e-5, high: 1e-3, log: true}` or `name: [8, 16]`.

    Raises:
        CallError: No such file, no such argument, or one that cannot be varied so.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise CallError(f"--space {path}: cannot be read ({error.strerror}): name a YAML file") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CallError(f"--space {path}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict) or not content:
        raise CallError(f"--space {path}: a space is a list of `name: [16, 32]` or `name: {{low: 1e-5, high: 1e-4}}`")
    space: Space = {}
    for name, given in content.items():
        place = f"--space {path}: {name}"
        if name not in own:
            raise CallError(f"{place} is no argument of train{nearest(str(name), own)}")
        if name in _SAME or own[name] is None:
            raise CallError(f"{place} is the same in all trials: leave it out")
        if name in said:
            raise CallError(f"{place} is said as well, --{name}, and what is said is not varied: leave one of them out")
        try:
            space[name] = _distribution(name, given, type(own[name]))
        except (ValueError, TypeError) as error:
            raise CallError(f"{place}: {error}") from error
    return space


def _distribution(name: str, given: Any, kind: type[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(given, list) and len({str(value) for value in given}) > 1:
        return CategoricalDistribution(_checked(name, [_as(kind, value) for value in given]))
    if not isinstance(given, dict) or kind not in (int, float) or not {"low", "high"} <= given.keys():
        raise ValueError("give a list of choices, or of a number {low: ..., high: ...}")
    if unknown := given.keys() - {"low", "high", "log"}:
        raise ValueError(f"{min(map(str, unknown))} is none of low, high and log")
    low, high = _checked(name, [_as(kind, given[end]) for end in ("low", "high")])
    log = given.get("log") is True
    if not low < high or (log and low <= 0):
        raise ValueError(f"low is to be less than high{', and more than 0' if log else ''}")
    # Of epochs whole ones, where they are written so.
    whole = kind is int or (name == "num_train_epochs" and low.is_integer() and high.is_integer())
    return IntDistribution(int(low), int(high), log=log) if whole else FloatDistribution(low, high, log=log)


def _as(kind: type[Any], value: Any) -> Any:
    """A value of the file as the argument's type; YAML reads `1e-5` as a text, and `no` as a boolean."""
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with suppress(ValueError):
            return float(value)
    if type(value) is not kind:
        raise ValueError(f"{value!r} should be of the type {kind.__name__}")
    return value


def _checked(name: str, values: Iterable[Any]) -> list[Any]:
    """Values that the argument takes: what it does not take is said before hours of trials."""
    from transformers import TrainingArguments

    for value in values:
        TrainingArguments(use_cpu=True, **split_arguments({name: value})[1])
    return list(values)


def own_values(plan: Plan, arguments: SentimentArguments, training: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every argument where it is not varied: as planned, as said, or by default."""
    from transformers import TrainingArguments

    values = {item.name: item.default for item in fields(TrainingArguments) if item.init}
    values |= {item.name: getattr(arguments, item.name) for item in fields(arguments)}
    return values | dict(training) | {name: decision.value for name, decision in plan.decisions.items()}


def with_own(space: Space, own: Mapping[str, Any]) -> tuple[Space, dict[str, Any]]:
    """The space, widened so that the values of `own_values` are in it, and these."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    wide: Space = {}
    values = {name: int(own[name]) if isinstance(one, IntDistribution) else own[name] for name, one in space.items()}
    for name, value in values.items():
        one: Any = space[name]  # of numbers or of choices, which have no common class with these attributes
        if isinstance(one, CategoricalDistribution):
            wide[name] = CategoricalDistribution(tuple(dict.fromkeys((*one.choices, value))))
        else:
            low, high = min(one.low, value), max(one.high, value)
            wide[name] = type(one)(low, high, log=one.log and low > 0)
    return wide, values


def extent(distribution: BaseDistribution) -> str:
    """`8, 16, 32`, or `3.16e-05 to 0.000316, log`."""
    one: Any = distribution
    if hasattr(one, "choices"):
        return ", ".join(map(str, one.choices))
    return f"{one.low:.3g} to {one.high:.3g}{', log' if one.log else ''}"
