"""hf-sentiment: fine-tune, trust and publish a sentiment classifier in the Hugging Face ecosystem.

Importing the package registers its two model classes with transformers' Auto classes. It imports neither torch nor
transformers: each name of `__init__.pyi` is imported when it is first used.
"""

import lazy_loader

from hf_sentiment.registration import register_auto_classes

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_auto_classes()
