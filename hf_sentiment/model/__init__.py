"""What travels to the Hub: the configuration and the model, each in a file that needs only torch and transformers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
