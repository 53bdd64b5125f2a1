from .phrases import lexicon_phrases as lexicon_phrases
from .teach import LexiconPrior as LexiconPrior
from .teach import is_taught as is_taught
from .teach import polarity as polarity
from .teach import prepare_encoder as prepare_encoder
from .words import LANGUAGES as LANGUAGES
from .words import lexicons_for as lexicons_for
