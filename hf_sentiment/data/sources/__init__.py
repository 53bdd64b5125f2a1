"""Where data comes from: files of every format, data sets, and the starter corpora."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
