from .callback import LearningCurveCallback as LearningCurveCallback
from .callback import read_history as read_history
from .drawing import draw_curves as draw_curves
from .figures import draw_dots as draw_dots
from .figures import draw_shares as draw_shares
from .history import FINAL as FINAL
