"""From raw labels to classes: the rule of a column, and the rows that it can't read."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
