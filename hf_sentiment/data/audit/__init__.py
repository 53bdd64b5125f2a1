"""What is wrong with the data, found before training, and copies that are free of it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
