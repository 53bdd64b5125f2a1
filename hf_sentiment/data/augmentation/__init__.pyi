from .dataset import AugmentedDataset as AugmentedDataset
from .dataset import Augmenter as Augmenter
from .guard import in_scope as in_scope
from .guard import read as read
from .kinds import KINDS as KINDS
from .kinds import LANGUAGE_NEUTRAL as LANGUAGE_NEUTRAL
from .kinds import parse_kinds as parse_kinds
from .neighbours import near_words as near_words
