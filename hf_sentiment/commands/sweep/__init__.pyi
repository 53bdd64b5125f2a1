from .run import SweepResult as SweepResult
from .run import sweep as sweep
