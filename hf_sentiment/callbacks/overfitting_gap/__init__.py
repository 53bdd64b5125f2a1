"""The alarm: tells during training whether the model overfits, with a stated error rate."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
