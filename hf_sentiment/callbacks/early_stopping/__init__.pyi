from .callback import EarlyStoppingCallback as EarlyStoppingCallback
from .monitor import less_is_better as less_is_better
from .monitor import more_is_better as more_is_better
