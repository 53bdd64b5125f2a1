"""Stop when the monitored metric no longer improves, with the best weights restored."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
