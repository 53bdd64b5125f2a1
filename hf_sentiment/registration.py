"""Registers the models with transformers' Auto classes without importing torch before somebody needs it.

transformers finds its own models by name, in tables that it reads lazily: model type → class name, and the module
`transformers.models.<model type>` for the class. `AutoModel.register` wants the class itself, and so torch. While the
Auto modules or our model are not imported yet, we wait for them, with our names in the tables, so that our classes are
imported when a config first asks for them. Once both are imported, the public `register` takes over.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import hf_sentiment.model
from hf_sentiment.model.kinds import KINDS

# Modules of transformers and of ours whose import we wait for.
_CONFIGURATION_AUTO = "transformers.models.auto.configuration_auto"
_MODELING_AUTO = "transformers.models.auto.modeling_auto"
_MODELING = {model_type: f"hf_sentiment.model.modeling_{model_type}" for model_type in KINDS}


class _AddingLoader(Loader):
    """Runs a module's own loader, then adds our names to it."""

    def __init__(self, loader: Loader, loaded: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._loaded = loaded  # called with the module, once it is imported

    def __getattr__(self, name: str) -> Any:
        # Whoever asks the module's loader for its source, its path or its data gets them from its own. Through
        # __dict__: `self._loader` would come back here, without end, on an object that has none yet, as a copy has.
        return getattr(self.__dict__["_loader"], name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        self._loaded(module)


class _WaitingFinder(MetaPathFinder):
    """Finds the modules that we wait for through the other finders and wraps their loaders, until each is imported."""

    def __init__(self, waiting: set[str]) -> None:
        self._waiting = waiting  # full names of modules that are not imported yet
        self._looking_for: set[str] = set()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._waiting or fullname in self._looking_for:
            return None  # not ours: the next finder is asked
        self._looking_for.add(fullname)
        try:
            spec = find_spec(fullname)  # comes back here, and goes on to the next finder
        finally:
            self._looking_for.discard(fullname)
        # To find is not to import: `importlib.util.find_spec` alone must leave us waiting.
        if spec is not None and spec.loader is not None:
            spec.loader = _AddingLoader(spec.loader, self._loaded)
        return spec

    def _loaded(self, module: ModuleType) -> None:
        self._waiting.discard(module.__name__)  # only now: an import that was interrupted is tried again
        if module.__name__ == _CONFIGURATION_AUTO:
            _add_config_names()
        elif module.__name__ == _MODELING_AUTO:
            _add_model_names()
        # The classes of `AutoModel` and of ours are both there, whichever came last.
        for model_type, modeling in _MODELING.items():
            if not self._waiting & {_MODELING_AUTO, modeling}:
                _register_classes(model_type)
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


def _add_config_names() -> None:
    # The Auto classes look a model type up here, and import `transformers.models.<model type>` for the class.
    names = {model_type: kind.config_class for model_type, kind in KINDS.items()}
    sys.modules[_CONFIGURATION_AUTO].CONFIG_MAPPING_NAMES.update(names)


def _add_model_names() -> None:
    tables = sys.modules[_MODELING_AUTO]
    for model_type, kind in KINDS.items():
        tables.MODEL_MAPPING_NAMES[model_type] = kind.model_class
        tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[model_type] = kind.model_class


def _register_classes(model_type: str) -> None:
    # Cheap now: the modules are imported, or are what asked for this.
    config_class, model_class = (getattr(hf_sentiment.model, name) for name in KINDS[model_type][:2])
    auto = sys.modules[_MODELING_AUTO]
    sys.modules[_CONFIGURATION_AUTO].AutoConfig.register(model_type, config_class, exist_ok=True)
    auto.AutoModel.register(config_class, model_class, exist_ok=True)
    auto.AutoModelForSequenceClassification.register(config_class, model_class, exist_ok=True)
    # transformers' tests and tools take what stands in this table for an encoder without a head. Ours are not.
    auto.MODEL_MAPPING_NAMES.pop(model_type, None)


def register_auto_classes() -> None:
    """Make the Auto classes of configs, models and sequence classifiers know the models; harmless when repeated."""
    for model_type in KINDS:  # where transformers looks for a class of this model type
        sys.modules[f"transformers.models.{model_type}"] = hf_sentiment.model
    if _CONFIGURATION_AUTO in sys.modules:
        _add_config_names()
    if _MODELING_AUTO in sys.modules:
        # Its tables have been read: names come too late for the Auto classes, though not for who looks them up.
        _add_model_names()
        for model_type in KINDS:
            _register_classes(model_type)
        return
    waiting = {_CONFIGURATION_AUTO, _MODELING_AUTO, *_MODELING.values()} - set(sys.modules)
    sys.meta_path.insert(0, _WaitingFinder(waiting))
