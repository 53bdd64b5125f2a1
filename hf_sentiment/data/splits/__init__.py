"""Training, validation and test texts that share no text: duplicates, the split, and what was seen in training."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
