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
# Standard errors of a paired difference, text by text, by which validation texts tell that an evaluation is worse. With
# one, 400 texts kept an earlier one in 15 of 100 draws where all were about as good, which cost 0.2 points.
TELLING = 2
# Layers and widths of the sentence encoders that the rules were measured on: all-MiniLM-L6 and, few runs, e5-small.
MEASURED = ((6, 384), (12, 384))
# Where VADER is right about so many of the labelled texts, its scores of others are taught. It is right about 97 % of
# tweets, where that gains, and 73 to 76 % of film snippets, product reviews and news (benchmarks/README.md).
RULES_RIGHT = 0.9
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
        layers: Depth of the encoder.
        pooling: Of the model.
        sentence_encoder: Whether frozen features are already good: the checkpoint was made for sentence embeddings.
        calibrate: Whether a temperature will be folded into the head.
        lora: Whether adapters are trained instead of all weights; `None` leaves it to the plan.
        num_validation: Validation texts; 0 where there is no such split.
        imbalance: Texts of the most frequent label for each of the rarest.
        polarity: Whether the labels are polarities (negative, positive, stars, …).
        language: Of most of the texts, ISO 639-1; `None` where it cannot be told.
        lexicons: Languages whose lexicons the encoder can be taught for these texts.
        unlabeled: Of texts without labels that stand beside labelled ones, how many can be learned from; `None` where
            there are no such texts.
        rules_right: Share of the labelled texts about which VADER's score is right; `None` where that is of no use.
        unknown: Share of the tokens that the tokenizer does not know.
        metric: What the best weights are chosen by, where the user says it.
        parameters: Of the model.
        memory: Bytes that training may take: the accelerator's, or else the process's share of the machine's.
        device: By its type, such as "cpu" or "cuda".
        processes: That share the work.
        bfloat16: Whether the device has bfloat16 of its own, and the encoder computes in it.
        fp16: Whether the user asks for float16.
        steps: How long a training step takes, where that is measured: on a CPU.
        exchange: Seconds in which the processes add up the gradients of a step.
        taught: Whether the cache has the encoder as the lexicon leaves it.
        diverged: Whether this is the repetition, in float32, of a training that diverged in lower precision.
        halvings: How many times memory ran out in training.
    """

    num_train: int
    tokens: int
    max_position: int
    hidden_size: int
    layers: int
    pooling: str
    sentence_encoder: bool = False
    calibrate: bool = True
    lora: bool | None = None
    num_validation: int = 1
    imbalance: float = 1.0
    polarity: bool = False
    language: str | None = None
    lexicons: tuple[str, ...] = ()
    unlabeled: int | None = None
    rules_right: float | None = None
    unknown: float = 0.0
    metric: str | None = None
    parameters: int = 0
    memory: int = 2**40
    device: str = "cpu"
    processes: int = 1
    bfloat16: bool = False
    fp16: bool = False
    steps: StepTimes | None = None
    exchange: float = 0.0
    taught: bool = False
    diverged: bool = False
    halvings: int = 0

    @property
    def encoder(self) -> str:
        """What kind of encoder it is, in words."""
        kind = "sentence encoder" if self.sentence_encoder else "plain encoder"
        return f"a {kind} of {self.layers} layers, {self.hidden_size} wide"

    @property
    def measured(self) -> bool:
        """Whether it is of a kind that the rules were measured on."""
        return self.sentence_encoder and (self.layers, self.hidden_size) in MEASURED

    @property
    def scored_texts(self) -> int:
        """How many texts without labels the encoder is taught VADER's scores of, if it is taught the lexicon."""
        right = self.rules_right is not None and self.rules_right >= RULES_RIGHT
        return (self.unlabeled or 0) if right else 0

    @property
    def needs_lora(self) -> bool:
        """Whether training all weights would not fit into memory."""
        return self.parameters * BYTES_A_PARAMETER > self.memory * MEMORY_SHARE

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
    validation: they could hardly choose, and to train on them gains more.

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
