"""What a run will do, computed from the data, the model and the machine, each number with its reason."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
