from .first import fit_head_first as fit_head_first
from .lexicon import prepare_encoder as prepare_encoder
