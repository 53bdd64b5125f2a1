"""Scoring files: their rows into an output, and folders of any size into folders, by one process or by many."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
