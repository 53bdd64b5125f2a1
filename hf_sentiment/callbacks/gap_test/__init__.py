"""The statistics of the alarm: numpy and scipy only, without a Trainer."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
