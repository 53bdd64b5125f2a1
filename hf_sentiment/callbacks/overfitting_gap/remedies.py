"""What to do about overfitting, in the order in which it is worth trying, without what a run does already."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from transformers import EarlyStoppingCallback, TrainerState, TrainingArguments

from hf_sentiment.callbacks.shared import saved_states

# Full fine-tuning of BERT takes 2e-5 to 5e-5 (Devlin et al. 2019, appendix A.3); at its lower end there is nothing
# left to lower. LoRA takes ten times as much (Hu et al. 2022, appendix D).
_SMALL_RATE = 2e-5
_SMALL_RATE_LORA = 2e-4
_DROPOUT = 0.3  # the course's, before the head


def remedies(args: TrainingArguments, state: TrainerState, model: nn.Module, lowered: float = 1.0) -> Iterator[str]:
    """The remedies that this run has not used yet, each with the argument that turns it on.

    Args:
        args: Of the run.
        state: Of the run.
        model: The model that is trained.
        lowered: What the learning rate has been multiplied by since the run began.
    """
    rate = args.learning_rate * lowered
    config = getattr(model, "config", None)
    yield "more labelled texts"
    # Ours goes by the name of transformers' class, whose place it takes.
    if not args.load_best_model_at_end and EarlyStoppingCallback.__name__ not in saved_states(state):
        yield "stop at the best evaluation: EarlyStoppingCallback()"
    adapted = hasattr(model, "peft_config")
    if not adapted and all(parameter.requires_grad for parameter in model.parameters()):
        yield "train fewer weights: LoraCallback(), or lora=true of `train`"
    dropout = getattr(config, "classifier_dropout", None)
    if hasattr(config, "classifier_dropout") and (dropout or 0.0) < _DROPOUT:
        yield f"more dropout before the head: classifier_dropout={_DROPOUT}"
    if args.weight_decay == 0:
        yield "weight_decay=0.01"
    if args.label_smoothing_factor == 0 and not getattr(config, "label_smoothing", 0.0):
        # The Trainer's own smoothing would pass over class weights; `train` hands its argument to the model.
        weighted = getattr(config, "class_weights", None) is not None
        yield "label_smoothing_factor=0.1" + ", in a script model.config.label_smoothing=0.1" * weighted
    if rate > (_SMALL_RATE_LORA if adapted else _SMALL_RATE):
        yield f"half the learning rate: learning_rate={rate / 2:g}"
