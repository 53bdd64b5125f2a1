"""What the rules may look at: facts about the data, the model and the machine."""

from __future__ import annotations

from dataclasses import dataclass

from hf_sentiment.data.splits import Shares, usual_shares
from hf_sentiment.records.schema import StepTimes

# Below, a sentence encoder's head alone is as good as fine-tuning or better, and far steadier; from here on fine-tuning
# gains 1 to 2 points (256 labels) to 4 (1,000).
HEAD_ALONE = 200
# Below, every text is worth more to train on than to look at: of 1,000, a tenth held out for a temperature costs
# 0.4 points and wins no log loss.
ENOUGH_TO_HOLD_OUT = 2000
# With fewer validation texts the best of the evaluations is luck: accuracy is known to ±5 points, and at 1,000 labels
# the head alone, kept for the loss of 100 texts, was 4 points below the last weights.
ENOUGH_TO_CHOOSE = 300
# With fewer validation texts a temperature stays nearer to 1 than overconfidence needs: of 64 it leaves up to 0.04 nats
# and of 16 up to 0.17 of what one of 256 mends (benchmarks/README.md), so labels are smoothed as well.
ENOUGH_FOR_TEMPERATURE = 200
# Adam keeps weights, gradients and two moments of each parameter, in float32: 16 bytes. Activations need room too.
BYTES_A_PARAMETER = 16
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class Facts:
    """What the rules may look at.

    Attributes:
        num_train: Training texts.
        tokens: A length in tokens that 99 % of the training texts do not exceed.
        max_position: Tokens that the model can read.
        hidden_size: Width of the encoder.
        pooling: Of the model.
        sentence_encoder: Whether frozen features are already good: the checkpoint was made for sentence embeddings.
        calibrate: Whether a temperature will be folded into the head.
        lora: Whether adapters are trained instead of all weights; `None` leaves it to the plan.
        num_validation: Validation texts; 0 where there is no such split.
        imbalance: Texts of the most frequent label for each of the rarest.
        polarity: Whether the labels are English polarities (negative, positive, stars, …).
        language: Of most of the texts, ISO 639-1; `None` where it cannot be told.
        lexicons: Languages whose lexicons the encoder can be taught for these texts.
        unknown: Share of the tokens that the tokenizer does not know.
        metric: What the best weights are chosen by, where the user says it.
        parameters: Of the model.
        memory: Bytes that training may take: the accelerator's, or else the machine's.
        device: By its type, such as "cpu" or "cuda".
        bfloat16: Whether the device has bfloat16 of its own, and the encoder computes in it.
        fp16: Whether the user asks for float16.
        steps: How long a training step takes, where that is measured: on a CPU.
        taught: Whether the cache has the encoder as the lexicon leaves it.
    """

    num_train: int
    tokens: int
    max_position: int
    hidden_size: int
    pooling: str
    sentence_encoder: bool = False
    calibrate: bool = True
    lora: bool | None = None
    num_validation: int = 1
    imbalance: float = 1.0
    polarity: bool = False
    language: str | None = None
    lexicons: tuple[str, ...] = ()
    unknown: float = 0.0
    metric: str | None = None
    parameters: int = 0
    memory: int = 2**40
    device: str = "cpu"
    bfloat16: bool = False
    fp16: bool = False
    steps: StepTimes | None = None
    taught: bool = False

    @property
    def small_model(self) -> bool:
        """Narrower than BERT-base, as MiniLM, TinyBERT and the like."""
        return self.hidden_size < 768

    @property
    def needs_lora(self) -> bool:
        """Whether training all weights would not fit into memory."""
        return self.parameters * BYTES_A_PARAMETER > self.memory * MEMORY_SHARE

    @property
    def enough_to_choose(self) -> bool:
        """Whether the best evaluation is worth choosing: of small encoders, which were measured, and of many texts."""
        return self.num_validation >= ENOUGH_TO_CHOOSE or not self.small_model

    @property
    def tells_temperature(self) -> bool:
        """Whether a temperature will be fitted, on texts that are enough to mend overconfidence."""
        return self.calibrate and self.num_validation >= ENOUGH_FOR_TEMPERATURE

    @property
    def head_alone(self) -> bool:
        """Whether so few labels are best left to the head; adapters that the user asks for are trained."""
        return self.num_train == 0 or (self.num_train < HEAD_ALONE and self.sentence_encoder and not self.lora)

    @property
    def adapters(self) -> bool:
        """Whether adapters are trained: as the user says, or else by need."""
        return self.needs_lora if self.lora is None else self.lora


def holdout_shares(texts: int, sentence_encoder: bool, watched: bool = False) -> Shares:
    """The shares of so many labelled texts to hold out.

    Of a sentence encoder's few, none: the head is judged by cross-validation. Of fewer than 2,000, none for
    validation: they could choose nothing (`ENOUGH_TO_CHOOSE`), and to train on them gains more.

    Args:
        texts: Labelled ones.
        sentence_encoder: Whether the model is one.
        watched: Whether the user asks for what needs validation texts.
    """
    if not sentence_encoder:
        return usual_shares(texts)
    if texts < HEAD_ALONE:
        return Shares(0.0, 0.0)
    # Test texts are held out even where validation texts are not: a figure of its own is worth a tenth.
    usual = usual_shares(texts)
    return usual if watched or texts >= ENOUGH_TO_HOLD_OUT else usual._replace(validation=0.0)
