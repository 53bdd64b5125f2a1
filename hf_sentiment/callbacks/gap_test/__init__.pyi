from .arrays import Array as Array
from .arrays import decode as decode
from .arrays import encode as encode
from .levels import ALARMS as ALARMS
from .levels import GapLevel as GapLevel
from .levels import GapVerdict as GapVerdict
from .sequential import OverfittingGapTest as OverfittingGapTest
