from .callback import EarlyStoppingCallback as EarlyStoppingCallback
from .monitor import BY_TEXT as BY_TEXT
