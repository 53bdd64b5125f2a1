from .early_stopping.callback import EarlyStoppingCallback as EarlyStoppingCallback
from .learning_curve.callback import LearningCurveCallback as LearningCurveCallback
from .lora import LoraCallback as LoraCallback
from .overfitting_gap.callback import OverfittingGapCallback as OverfittingGapCallback
