"""What several callbacks stand on: their base, what they measure for each text, the weights that they keep."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
