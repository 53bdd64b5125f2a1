"""The plan's rules, one table: how each training argument follows from the data, the model and the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hf_sentiment.data.splits import Shares, usual_shares
from hf_sentiment.records.schema import StepTimes

# Longer inputs are cut by default: attention and memory grow with the square, and the verdict of a review stands early
# or late but rarely only in its middle. The percentile covers all but one text in a hundred.
LONGEST_DEFAULT = 256

# Below, a sentence encoder's head alone is as good as fine-tuning or better, and far steadier; from here on fine-tuning
# gains 1 to 2 points (256 labels) to 4 (1,000).
HEAD_ALONE = 200
# Below, every text is worth more to train on than to look at: of 1,000, a tenth held out for a temperature costs
# 0.4 points and wins no log loss.
ENOUGH_TO_HOLD_OUT = 2000
# Below, weights end on the way from the head-first model to the fine-tuned one: half way (of 256 texts as accurate as
# the latter and 0.016 better in log loss), and then at 0.8 (of 1,000 as accurate and 0.006 better).
HALF_WAY = 400
# From here on, training texts of a small encoder take two epochs instead of four, and weights go all the way.
MANY_TEXTS = 2000
# With fewer validation texts the best of the evaluations is luck: accuracy is known to ±5 points, and at 1,000 labels
# the head alone, kept for the loss of 100 texts, was 4 points below the last weights.
ENOUGH_TO_CHOOSE = 300
# With fewer validation texts a temperature stays nearer to 1 than overconfidence needs: of 64 it leaves up to 0.04 nats
# and of 16 up to 0.17 of what one of 256 mends (benchmarks/README.md), so labels are smoothed as well.
ENOUGH_FOR_TEMPERATURE = 200
# Adam keeps weights, gradients and two moments of each parameter, in float32: 16 bytes. Activations need room too.
BYTES_A_PARAMETER = 16
MEMORY_SHARE = 0.5

_DEVLIN = "Devlin et al. 2019 (arXiv:1810.04805), appendix A.3"
_MOSBACH = "Mosbach et al. 2021 (arXiv:2006.04884)"
_KUMAR = "Kumar et al. 2022 (arXiv:2202.10054)"
_GUO = "Guo et al. 2017 (arXiv:1706.04599)"
_PRECHELT = "Prechelt 1998, Early Stopping - But When?"
_HU = "Hu et al. 2022 (arXiv:2106.09685), appendix D"
_LONGPRE = "Longpre et al. 2020 (arXiv:2010.01764)"
_KALAMKAR = "Kalamkar et al. 2019 (arXiv:1905.12322)"
_HUTTO = "Hutto & Gilbert 2014 (ICWSM), package vaderSentiment"
_MENON = "Menon et al. 2021 (arXiv:2007.07314)"
_MULLER = "Müller et al. 2019 (arXiv:1906.02629)"
_WORTSMAN = "Wortsman et al. 2022 (arXiv:2109.01903)"
_REIMERS = "Reimers & Gurevych 2019 (arXiv:1908.10084)"
_SUN = "Sun et al. 2019 (arXiv:1905.05583)"
_OURS = "Measured on the starter data: benchmarks/README.md"


@dataclass(frozen=True)
class Facts:
    """What the rules may look at.

    Attributes:
        num_train: Training texts.
        tokens: A length in tokens that 99 % of the training texts do not exceed.
        max_position: Tokens that the model can read.
        hidden_size: Width of the encoder.
        pooling: Of the model.
        calibrate: Whether a temperature will be folded into the head.
        lora: Whether adapters are trained instead of all weights; `None` leaves it to the plan.
        num_validation: Validation texts; 0 where there is no such split.
        imbalance: Texts of the most frequent label for each of the rarest.
        polarity: Whether the labels are English polarities (negative, positive, stars, …).
        english: Whether the texts are English.
        unknown: Share of the tokens that the tokenizer does not know.
        metric: What the best weights are chosen by, where the user says it.
        parameters: Of the model.
        memory: Bytes that training may take: the accelerator's, or else the machine's.
        device: "cpu", "cuda", …
        bfloat16: Whether the device has bfloat16 of its own.
        fp16: Whether the user asks for float16.
        steps: How long a training step takes, where that is measured: on a CPU.
        taught: Whether the cache has the encoder as the lexicon leaves it.
    """

    num_train: int
    tokens: int
    max_position: int
    hidden_size: int
    pooling: str
    calibrate: bool = True
    lora: bool | None = None
    num_validation: int = 1
    imbalance: float = 1.0
    polarity: bool = False
    english: bool = False
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
    def sentence_encoder(self) -> bool:
        """Whether frozen features are already good: the checkpoint pools over tokens, as sentence encoders do."""
        return is_sentence_encoder(self.pooling)

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


@dataclass(frozen=True)
class Rule:
    """How one argument follows from the facts."""

    name: str
    value: Callable[[Facts], Any]
    reason: Callable[[Facts], str]
    source: str = ""


@dataclass(frozen=True)
class Guard:
    """The values of an argument that the literature supports."""

    name: str
    low: Callable[[Facts], float]
    high: Callable[[Facts], float]
    beyond: str
    source: str


def is_sentence_encoder(pooling: str) -> bool:
    """Whether a checkpoint of this pooling was made for sentence embeddings."""
    return pooling in ("mean", "max")


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
    usual = usual_shares(texts)
    return usual if watched or texts >= ENOUGH_TO_HOLD_OUT else usual._replace(validation=0.0)


def _learning_rate(facts: Facts) -> float:
    if facts.adapters:
        return 1e-3 if facts.small_model else 5e-4
    return 1e-4 if facts.small_model else 2e-5


def _epochs(facts: Facts) -> float:
    return 0.0 if facts.head_alone else fine_tuning_epochs(facts)


def fine_tuning_epochs(facts: Facts) -> float:
    """Epochs where all weights, or adapters, are trained."""
    if not facts.small_model:
        return 3.0
    return 2.0 if facts.num_train >= MANY_TEXTS else 4.0 if facts.num_train >= HEAD_ALONE else 8.0


def _fine_tuned_share(facts: Facts) -> float:
    if not facts.sentence_encoder or facts.adapters:
        return 1.0
    return 0.5 if facts.num_train < HALF_WAY else 0.8 if facts.num_train < MANY_TEXTS else 1.0


def _smoothing_reason(facts: Facts) -> str:
    if facts.tells_temperature:
        return "a temperature, fitted on the validation texts, sets the confidence"
    if not facts.calibrate:
        return "no temperature is fitted: smoothed labels keep confidence in check"
    if facts.num_validation:
        return f"{facts.num_validation} validation texts are too few to set the confidence: smoothed labels do"
    return "no validation texts set the confidence: smoothed labels do"


def _imbalance_reason(facts: Facts) -> str:
    if not facts.num_train:
        return "no labelled texts: their shares are not known"
    if facts.metric == "macro_f1":
        return "macro-F1 counts every label the same"
    return f"{facts.imbalance:.1f} to 1; weighting would trade accuracy for macro-F1: --imbalance logit_adjustment"


def _bf16(facts: Facts) -> bool:
    """Measured on a CPU, where bfloat16 of its own may still be slower; elsewhere by what the device has."""
    return not facts.fp16 and (facts.bfloat16 if facts.steps is None else facts.steps.prefers_bfloat16)


def _bf16_reason(facts: Facts) -> str:
    if facts.fp16:
        return "you set --fp16"
    if not facts.bfloat16:
        return f"this {facts.device} has no bfloat16 of its own, and to emulate it is slower than float32"
    steps = facts.steps
    if steps is None or steps.bfloat16 is None or steps.float32 is None:
        return f"this {facts.device} has bfloat16 of its own"
    half, full = (f"{1000 * seconds:.0f} ms" for seconds in (steps.bfloat16, steps.float32))
    return f"measured here: a training step takes a thread {half} in bfloat16 and {full} in float32"


RULES: tuple[Rule, ...] = (
    Rule(
        "pooling",
        lambda facts: facts.pooling,
        lambda facts: "what the checkpoint was made for",
        f"{_DEVLIN}; {_REIMERS}",
    ),
    Rule(
        "max_length",
        lambda facts: int(min(facts.max_position, LONGEST_DEFAULT, max(16, facts.tokens))),
        lambda facts: f"99 % of the training texts have at most {facts.tokens} tokens",
    ),
    Rule(
        "validation",
        lambda facts: "split" if facts.num_validation else "none",
        lambda facts: (
            f"{facts.num_validation} texts are held out"
            if facts.num_validation
            else "no texts are held out"
            if facts.num_train >= ENOUGH_TO_HOLD_OUT or not facts.num_train
            else "so few texts cannot choose the best weights, and are worth more to train on (--validation_share 0.1)"
        ),
        _OURS,
    ),
    Rule(
        "lora",
        lambda facts: facts.needs_lora,
        lambda facts: (
            "training all weights would not fit into memory"
            if facts.needs_lora
            else "all weights fit into memory, and adapters were 0.7 points behind"
        ),
        f"{_HU}; {_OURS}",
    ),
    Rule(
        "head_first",
        lambda facts: facts.sentence_encoder,
        lambda facts: (
            "a sentence encoder's frozen features already tell labels apart"
            if facts.sentence_encoder
            else f"{facts.pooling} features of a plain BERT say little before it is fine-tuned"
        ),
        _KUMAR,
    ),
    Rule(
        "lexicon",
        lambda facts: facts.sentence_encoder and facts.polarity and facts.english and not facts.adapters,
        lambda facts: (
            "an adapter belongs to the encoder as it was published"
            if facts.adapters
            else "only measured for sentence encoders"
            if not facts.sentence_encoder
            else "the labels are no polarities"
            if not facts.polarity
            else "human valences of English words come before your labels"
            if facts.english
            else "the texts are not English"
        ),
        f"{_HUTTO}; {_OURS}",
    ),
    Rule(
        "augment",
        lambda facts: "none",
        lambda facts: "pre-trained encoders gain nothing consistent from edited texts",
        f"{_LONGPRE}; {_OURS}",
    ),
    Rule(
        "imbalance",
        lambda facts: "logit_adjustment" if facts.metric == "macro_f1" and facts.num_train else "none",
        _imbalance_reason,
        _MENON,
    ),
    Rule(
        "learning_rate",
        _learning_rate,
        lambda facts: (
            "adapters take higher rates than all weights"
            if facts.adapters
            else "small encoder: BERT-base's 2e-5 needs several times the steps"
            if facts.small_model
            else "BERT"
        ),
        f"{_DEVLIN}; {_HU}; {_OURS}",
    ),
    Rule(
        "layerwise_lr_decay",
        lambda facts: 1.0,
        lambda facts: "one rate for all layers: 0.85 a layer gained nothing",
        f"{_SUN}; {_OURS}",
    ),
    Rule(
        "fine_tuned_share",
        _fine_tuned_share,
        lambda facts: (
            "adapters are kept as they were trained"
            if facts.adapters
            else "before fine-tuning a plain BERT predicts nothing"
            if not facts.sentence_encoder
            else f"{facts.num_train} training texts: on the way from the head-first model log loss is lower"
            if _fine_tuned_share(facts) < 1
            else f"{facts.num_train} training texts are enough to go all the way"
        ),
        f"{_WORTSMAN}; {_OURS}",
    ),
    Rule(
        "label_smoothing_factor",
        lambda facts: 0.0 if facts.tells_temperature else 0.1,
        _smoothing_reason,
        f"{_MULLER}; {_OURS}",
    ),
    Rule(
        "num_train_epochs",
        _epochs,
        lambda facts: (
            "no labelled texts: there is nothing to train on"
            if facts.num_train == 0
            else f"{facts.num_train} training texts: the head alone is as good, and steadier"
            if facts.head_alone
            else f"{facts.num_train} training texts"
        ),
        f"{_DEVLIN}; {_OURS}",
    ),
    Rule(
        "per_device_train_batch_size",
        lambda facts: 16,
        lambda facts: "the smaller of BERT's two batch sizes: more steps for the same texts",
        _DEVLIN,
    ),
    Rule(
        "per_device_eval_batch_size",
        lambda facts: 32,
        lambda facts: "batches of equal length are fastest small on a CPU",
        _OURS,
    ),
    Rule(
        "warmup_steps",
        lambda facts: 0.1,
        lambda facts: "a tenth of the steps: Adam's variance estimate is poor at first",
        _MOSBACH,
    ),
    Rule("bf16", _bf16, _bf16_reason, f"{_KALAMKAR}; {_OURS}"),
    Rule("weight_decay", lambda facts: 0.01, lambda facts: "as BERT was trained", _DEVLIN),
    Rule(
        "train_sampling_strategy",
        lambda facts: "group_by_length",
        lambda facts: "texts of equal length together waste little padding",
        _OURS,
    ),
    Rule(
        "eval_strategy",
        lambda facts: "epoch" if facts.num_validation else "no",
        lambda facts: (
            "validation loss is watched at every epoch" if facts.num_validation else "there is no validation split"
        ),
    ),
    Rule(
        "eval_on_start",
        lambda facts: bool(facts.sentence_encoder and facts.num_validation),
        lambda facts: (
            "the head alone is a candidate for the best weights"
            if facts.sentence_encoder
            else "nothing is learned before the first step"
        ),
    ),
    Rule("save_strategy", lambda facts: "epoch", lambda facts: "a killed run goes on from its last epoch"),
    Rule("save_total_limit", lambda facts: 1, lambda facts: "the last checkpoint and the best weights are enough"),
    Rule(
        "keep_best",
        lambda facts: facts.enough_to_choose,
        lambda facts: (
            "the best weights are kept, not the last"
            if facts.enough_to_choose
            else f"{facts.num_validation} validation texts cannot tell epochs apart: the last weights are kept"
        ),
        f"{_MOSBACH}; {_OURS}",
    ),
    Rule(
        "early_stopping_patience",
        lambda facts: 2 if facts.enough_to_choose else 0,
        lambda facts: (
            "one evaluation may be bad luck"
            if facts.enough_to_choose
            else "the last epochs, with the smallest steps, gain the most"
        ),
        f"{_PRECHELT}; {_OURS}",
    ),
    Rule(
        "metric_for_best_model",
        lambda facts: "calibrated_loss" if facts.calibrate else "loss",
        lambda facts: "validation loss after the temperature that is fitted at the end" if facts.calibrate else "loss",
        _GUO,
    ),
    Rule(
        "logging_strategy",
        lambda facts: "epoch",
        lambda facts: (
            "a training loss beside every validation loss" if facts.num_validation else "a loss for the curve"
        ),
    ),
)

GUARDS: tuple[Guard, ...] = (
    Guard(
        "learning_rate",
        lambda facts: 1e-5 if facts.adapters else 1e-6,
        lambda facts: 5e-3 if facts.adapters else 4e-4 if facts.small_model else 1e-4,
        "higher rates overwrite what pre-training learned and often do not converge, lower ones hardly move",
        f"{_SUN}, section 5.4; {_MOSBACH}; {_HU}",
    ),
    Guard(
        "num_train_epochs",
        lambda facts: 0,
        lambda facts: 30,
        "no source gains from more passes over the same texts",
        _MOSBACH,
    ),
    Guard(
        "layerwise_lr_decay",
        lambda facts: 0.5,
        lambda facts: 1.0,
        "the lowest layers would get no learning rate, or the highest one",
        _SUN,
    ),
    Guard("weight_decay", lambda facts: 0.0, lambda facts: 0.3, "weights would be driven to zero", _DEVLIN),
)
