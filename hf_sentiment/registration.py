"""Registers the model with transformers' Auto classes without importing torch before somebody needs it.

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

# What our configs call themselves: the key of all of transformers' tables.
_MODEL_TYPE = "bert_sentiment"
# Modules of transformers and of ours whose import we wait for.
_CONFIGURATION_AUTO = "transformers.models.auto.configuration_auto"
_MODELING_AUTO = "transformers.models.auto.modeling_auto"
_MODELING = "hf_sentiment.model.modeling_bert_sentiment"


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
            _add_config_name()
        elif module.__name__ == _MODELING_AUTO:
            _add_model_names()
        # The classes of `AutoModel` and of ours are both there, whichever came last.
        if not self._waiting & {_MODELING_AUTO, _MODELING}:
            _register_classes()
        if not self._waiting and self in sys.meta_path:
            sys.meta_path.remove(self)


def _add_config_name() -> None:
    # The Auto classes look a model type up here, and import `transformers.models.<model type>` for the class.
    sys.modules[_CONFIGURATION_AUTO].CONFIG_MAPPING_NAMES[_MODEL_TYPE] = "BertSentimentConfig"


def _add_model_names() -> None:
    tables = sys.modules[_MODELING_AUTO]
    tables.MODEL_MAPPING_NAMES[_MODEL_TYPE] = "BertForSentimentAnalysis"
    tables.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES[_MODEL_TYPE] = "BertForSentimentAnalysis"


def _register_classes() -> None:
    # Cheap now: both modules are imported, or are what asked for this.
    from hf_sentiment.model.configuration_bert_sentiment import BertSentimentConfig
    from hf_sentiment.model.modeling_bert_sentiment import BertForSentimentAnalysis

    auto = sys.modules[_MODELING_AUTO]
    sys.modules[_CONFIGURATION_AUTO].AutoConfig.register(_MODEL_TYPE, BertSentimentConfig, exist_ok=True)
    auto.AutoModel.register(BertSentimentConfig, BertForSentimentAnalysis, exist_ok=True)
    auto.AutoModelForSequenceClassification.register(BertSentimentConfig, BertForSentimentAnalysis, exist_ok=True)
    # transformers' tests and tools take what stands in this table for an encoder without a head. Ours is not one.
    auto.MODEL_MAPPING_NAMES.pop(_MODEL_TYPE, None)


def register_auto_classes() -> None:
    """Make the Auto classes of configs, models and sequence classifiers know the model; harmless when repeated."""
    # Where transformers looks for a class of this model type.
    sys.modules[f"transformers.models.{_MODEL_TYPE}"] = hf_sentiment.model
    if _CONFIGURATION_AUTO in sys.modules:
        _add_config_name()
    if _MODELING_AUTO in sys.modules:
        # Its tables have been read: names come too late for the Auto classes, though not for who looks them up.
        _add_model_names()
        _register_classes()
        return
    waiting = {name for name in (_CONFIGURATION_AUTO, _MODELING_AUTO, _MODELING) if name not in sys.modules}
    sys.meta_path.insert(0, _WaitingFinder(waiting))
