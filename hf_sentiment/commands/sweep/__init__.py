"""`sweep`: trials of settings, the choice among them, and the run of the chosen one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
