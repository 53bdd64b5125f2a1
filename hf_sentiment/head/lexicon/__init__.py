"""What encoders learn of sentiment lexicons before the first label: the words, phrases with them, and the teaching."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
