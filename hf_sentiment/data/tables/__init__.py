"""How the text of a table is understood: its encoding, separator, header, quotes, and the kinds of its columns."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
