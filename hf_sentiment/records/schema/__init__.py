"""What the records of a run hold, typed: the names of the fields are the names in the files."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
