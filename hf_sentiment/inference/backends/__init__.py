"""What runs a model: torch, or an engine that reads what `export` wrote."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
