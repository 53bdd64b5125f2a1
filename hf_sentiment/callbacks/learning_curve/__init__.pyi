from .callback import LearningCurveCallback as LearningCurveCallback
from .drawing import draw_curves as draw_curves
from .figures import draw_dots as draw_dots
from .figures import draw_shares as draw_shares
from .history import FINAL as FINAL
from .history import Row as Row
from .history import history_lines as history_lines
from .history import read_history as read_history
