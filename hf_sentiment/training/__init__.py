"""From arguments and data to a trained model: plan, assembly, run. Scripts import from here what they build on."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
