from .callbacks.early_stopping.callback import EarlyStoppingCallback as EarlyStoppingCallback
from .callbacks.learning_curve.callback import LearningCurveCallback as LearningCurveCallback
from .callbacks.lora import LoraCallback as LoraCallback
from .callbacks.overfitting_gap.callback import OverfittingGapCallback as OverfittingGapCallback
from .inference.classifier import SentimentClassifier as SentimentClassifier
from .model.configuration_bert_sentiment import BertSentimentConfig as BertSentimentConfig
from .model.modeling_bert_sentiment import BertForSentimentAnalysis as BertForSentimentAnalysis
from .training.arguments import SentimentArguments as SentimentArguments

__version__: str
