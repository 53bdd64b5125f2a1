from .callbacks.early_stopping.callback import EarlyStoppingCallback as EarlyStoppingCallback
from .callbacks.learning_curve.callback import LearningCurveCallback as LearningCurveCallback
from .callbacks.lora import LoraCallback as LoraCallback
from .callbacks.overfitting_gap.callback import OverfittingGapCallback as OverfittingGapCallback
from .cli import one_line_errors as one_line_errors
from .commands.audit import audit as audit
from .commands.demo import demo as demo
from .commands.evaluate import evaluate as evaluate
from .commands.export import export as export
from .commands.plan import plan as plan
from .commands.predict import predict as predict
from .commands.sweep import sweep as sweep
from .commands.train import train as train
from .data.tokenization import tokenize as tokenize
from .evaluation.metrics import SentimentMetrics as SentimentMetrics
from .evaluation.metrics import compute_metrics as compute_metrics
from .evaluation.record import record_test as record_test
from .hub.publish import publish as publish
from .hub.trainer import use_our_publishing as use_our_publishing
from .inference.classifier import SentimentClassifier as SentimentClassifier
from .model.configuration_bert_sentiment import BertSentimentConfig as BertSentimentConfig
from .model.configuration_encoder_sentiment import EncoderSentimentConfig as EncoderSentimentConfig
from .model.modeling_bert_sentiment import BertForSentimentAnalysis as BertForSentimentAnalysis
from .model.modeling_encoder_sentiment import EncoderForSentimentAnalysis as EncoderForSentimentAnalysis
from .training.arguments import SentimentArguments as SentimentArguments

__version__: str
