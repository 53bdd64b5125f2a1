from .run import ENGINES as ENGINES
from .run import score_folder as score_folder
from .score import ScoringCall as ScoringCall
from .shards import is_folder as is_folder
from .writing import PredictedRows as PredictedRows
from .writing import chosen_columns as chosen_columns
from .writing import write_rows as write_rows
