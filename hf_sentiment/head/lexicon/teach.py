"""A head before the first label: what a sentiment lexicon with human valences teaches an encoder.

The words of a lexicon are put into short phrases, rules (negation, intensifiers, "but") say what each phrase is worth,
and the encoder learns to tell that from its pooled output: intermediate training (Phang et al. 2018, arXiv:1811.01088)
on phrases that rules have labelled. No label of the user is seen; the same encoder is prepared once and kept in the
cache. An encoder that tells it already is left as it is: then all that is learned is where in its output.
"""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from datasets import Dataset
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from sklearn.linear_model import RidgeCV
from torch import nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, get_linear_schedule_with_warmup

from hf_sentiment.compute.batching import pad_batch
from hf_sentiment.compute.processes import main_does, share_weights
from hf_sentiment.compute.randomness import untouched_random_state
from hf_sentiment.data.labels import FIVE_STARS, POLARITY_ORDER, fold
from hf_sentiment.data.sources import cache_folder
from hf_sentiment.head.features import LinearHead, frozen_features
from hf_sentiment.head.lexicon.phrases import lexicon_phrases
from hf_sentiment.head.lexicon.words import is_multilingual
from hf_sentiment.model import SentimentModel
from hf_sentiment.records.atomic import file_atomically

logger = logging.getLogger(__name__)

# Of the settings tried, the best for a head on 16 to 1,000 labels: 300 steps are 0.4 points worse, and a higher rate
# learns the words by heart (benchmarks/README.md).
STEPS = 400
BATCH = 32
LEARNING_RATE = 5e-5
LONGEST_PHRASE = 32
# An encoder whose features, as they are, tell this share of the variance of valences (of phrases left out) is not
# taught: it loses more than it learns. multilingual-e5-small tells 0.28, and is 0.6 to 3 points better untaught at 0 to
# 256 labels; all-MiniLM-L6-v2 tells 0.10, a three-layer one 0.06, and both gain by the lesson (benchmarks/README.md).
KNOWN = 0.2
# Phrases that tell one lexicon, or one way to make phrases, from another.
_SOME = 200
# Of the way that `_learn` goes: raise it when that changes, so that no encoder of the way before is taken from a cache.
_LESSON = 7
# Before the names of an encoder's weights, where what it learned is kept.
_ENCODER = "encoder."
# Phrases whose frozen features give the valence head its start.
RIDGE_PHRASES = 1500


@dataclass(frozen=True)
class LexiconPrior:
    """How the pooled output of an encoder tells valence: `pooled @ weight + bias`, on VADER's scale.

    Attributes:
        weight: `[hidden_size]`, float32.
        bias: In valence, -4 to 4.
        polarity: What each of the model's labels stands for, as `polarity` gives it; `None` where the names do not say.
    """

    weight: np.ndarray
    bias: float
    polarity: tuple[float, ...] | None = None

    def valence(self, features: np.ndarray) -> np.ndarray:
        """Valence `[texts]` of pooled outputs `[texts, hidden_size]`."""
        return features @ self.weight + self.bias


# Negative, neutral and positive in other languages than English.
_OTHER_POLARITIES = (
    *("negatief neutraal positief", "négatif neutre positif", "negatif neutre positif"),  # Dutch, French
    *("negativo neutro positivo", "negativo neutral positivo", "negativa neutra positiva"),  # Italian, Spanish, …
    *("negativ neutral positiv", "negativt neutralt positivt", "negativ nøytral positiv"),  # German, Scandinavian
    *("负面 中性 正面", "負面 中性 正面", "消极 中立 积极", "差评 中评 好评", "否定 中立 肯定"),  # Chinese
    *("ネガティブ ニュートラル ポジティブ", "否定的 中立的 肯定的"),  # Japanese
    *("부정 중립 긍정", "부정적 중립적 긍정적"),  # Korean
    *("негативный нейтральный позитивный", "отрицательный нейтральный положительный"),  # Russian
    *("негативная нейтральная позитивная", "негативно нейтрально позитивно", "негативний нейтральний позитивний"),
    *("negatywny neutralny pozytywny", "negativní neutrální pozitivní"),  # Polish, Czech
    *("negatif nötr pozitif", "olumsuz tarafsız olumlu", "negatif netral positif"),  # Turkish, Indonesian
    *("سلبي محايد إيجابي", "سلبية محايدة إيجابية", "שלילי ניטרלי חיובי"),  # Arabic, Hebrew
    *("नकारात्मक तटस्थ सकारात्मक", "เชิงลบ เป็นกลาง เชิงบวก"),  # Hindi, Thai
    *("αρνητικό ουδέτερο θετικό", "αρνητική ουδέτερη θετική"),  # Greek
    *("negatiivinen neutraali positiivinen", "negatív semleges pozitív", "negativ neutru pozitiv"),  # Finnish, …
)


def polarity(labels: Sequence[str]) -> tuple[float, ...] | None:
    """The valence that each label name stands for, or `None` where the names are no polarities.

    Negative and positive are -1 and 1, neutral 0; stars run from -2 to 2.

    Examples:
        >>> polarity(["negative", "neutral", "positive"])
        (-1.0, 0.0, 1.0)
    """
    # Both scales have five names, and the middle one is 0.
    known = {name: place - 2.0 for scale in (POLARITY_ORDER, FIVE_STARS) for place, name in enumerate(scale)}
    known |= {_plain(name): place - 1.0 for names in _OTHER_POLARITIES for place, name in enumerate(names.split())}
    values = [known.get(_plain(name)) for name in labels]
    return None if None in values else tuple(value for value in values if value is not None)


def _plain(name: str) -> str:
    """A label's name as it is looked up; of capitals, Turkish has an i with a dot and one without."""
    return fold(name).replace("i\u0307", "i").replace("\u0131", "i")


def prepare_encoder(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    languages: Sequence[str] = ("en",),
    *,
    bfloat16: bool = False,
    progress: bool = True,
) -> LexiconPrior:
    """Teach the model's encoder the lexicons, in place, and say where valence is in its pooled output.

    An encoder that tells valence well as it is stays so. What was learned is kept in the cache, under the hash of the
    encoder's weights, and taken from there next time, also where the other number format would be taken now: measured,
    it makes no difference (benchmarks/README.md). Of several processes the main one teaches, and all have the weights.

    Args:
        model: Its head is not touched.
        tokenizer: Of the model.
        languages: Of the lexicons.
        bfloat16: Whether in mixed precision.
        progress: Whether to show a bar.
    """
    model = plain_model(model)
    prior = main_does(lambda: _prepared(model, tokenizer, languages, bfloat16, progress))
    share_weights(model.base_model)
    return prior


def plain_model(model: SentimentModel) -> SentimentModel:
    """The model itself or, with adapters, the one inside peft's, which has them, and they are what is trained, too."""
    plain = getattr(model, "get_base_model", None)
    return model if plain is None else plain()


def _prepared(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    languages: Sequence[str],
    bfloat16: bool,
    progress: bool,
) -> LexiconPrior:
    """As `prepare_encoder`, in one process."""
    path = _cached(model, tokenizer, languages)
    encoder = model.base_model
    if not _is_whole(path):
        with untouched_random_state():
            learned = _learn(model, tokenizer, languages, bfloat16, progress)
        with file_atomically(path) as beside:
            save_file(learned, beside)
    with safe_open(path, framework="pt") as file:
        taught = [name for name in file.keys() if name.startswith(_ENCODER)]  # noqa: SIM118  # it has no iterator
        encoder.load_state_dict({name[len(_ENCODER) :]: file.get_tensor(name) for name in taught}, strict=False)
        weight, bias = file.get_tensor("valence.weight").numpy(), float(file.get_tensor("valence.bias"))
    names: Mapping[int, str] = model.config.id2label  # type: ignore[assignment]
    return LexiconPrior(weight, bias, polarity([names[index] for index in sorted(names)]))


def is_taught(model: SentimentModel, tokenizer: PreTrainedTokenizerBase, languages: Sequence[str] = ("en",)) -> bool:
    """Whether the cache has what this encoder learns of the lexicons of these languages."""
    return _cached(model, tokenizer, languages).is_file()


def input_embeddings(encoder: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """What an encoder makes a token's vector of before its first layer: the table, and what stands in a module with it.

    Args:
        encoder: Of any architecture.

    Returns:
        The parameters and their names in the encoder.
    """
    table = cast(PreTrainedModel, encoder).get_input_embeddings()
    name = next(name for name, module in encoder.named_modules() if module is table)
    # Positions and norms stand beside the table in most architectures; in others the table is the encoder's own.
    place = name.rpartition(".")[0] or name
    return [(f"{place}.{inner}", one) for inner, one in encoder.get_submodule(place).named_parameters()]


def _cached(model: SentimentModel, tokenizer: PreTrainedTokenizerBase, languages: Sequence[str]) -> Path:
    return cache_folder() / "lexicon" / f"{_fingerprint(model, tokenizer, languages)}.safetensors"


def _is_whole(path: Path) -> bool:
    """Whether the file is there and can be read; a damaged one is made anew."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt"):
            return True
    except SafetensorError:
        logger.warning("%s is damaged and is made anew", path)
        return False


def _fingerprint(model: SentimentModel, tokenizer: PreTrainedTokenizerBase, languages: Sequence[str]) -> str:
    """What the prepared encoder depends on: the weights, the pooling, the tokens and the phrases."""
    digest = hashlib.sha256()
    for name, tensor in model.base_model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    settings = (_LESSON, STEPS, BATCH, LEARNING_RATE, RIDGE_PHRASES, model.config.pooling, torch.__version__)
    digest.update(repr((settings, lexicon_phrases(tokenizer, _SOME, languages))).encode())
    if model.config.normalize:
        digest.update(b"normalized")
    digest.update(repr(sorted(tokenizer.get_vocab().items())).encode())
    digest.update(repr(tokenizer("It was NOT só GOOD, but...")["input_ids"]).encode())  # case, accents and a prefix
    return digest.hexdigest()[:32]


def _learn(
    model: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    languages: Sequence[str],
    bfloat16: bool,
    progress: bool,
) -> dict[str, torch.Tensor]:
    """The head that tells the phrases' valence, and the weights of an encoder that had to be trained for it."""
    phrases = lexicon_phrases(tokenizer, STEPS * BATCH, languages)
    regressor = regressor_of(model)
    head, known = _ridge(regressor, tokenizer, phrases[:RIDGE_PHRASES])
    head.copy_into(regressor.classifier)
    if known < KNOWN and "en" not in languages and is_multilingual(tokenizer):
        # What it knows is told best by the words that ten people rated.
        _, known = _ridge(regressor, tokenizer, lexicon_phrases(tokenizer, RIDGE_PHRASES, ("en",)))
    if known >= KNOWN:
        logger.info("The encoder tells the words of the sentiment lexicon as it is, and is not taught them")
        return valence_head(regressor)
    logger.info("Teaching the encoder the sentiment lexicon: %d phrases, once", STEPS * BATCH)
    teach(regressor, tokenizer, phrases, LONGEST_PHRASE, bfloat16=bfloat16, progress=progress)
    kept = {name for name, _ in input_embeddings(model.base_model)}
    taught = {name: tensor for name, tensor in model.base_model.state_dict().items() if name not in kept}
    return valence_head(regressor) | {f"{_ENCODER}{name}": tensor.contiguous() for name, tensor in taught.items()}


def teach(
    regressor: SentimentModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[tuple[str, float]],
    longest: int,
    *,
    bfloat16: bool,
    progress: bool,
) -> None:
    """Train a model of one number to tell valences, once through the examples, in place.

    A loop of its own: a second `Trainer` would change the settings that accelerate shares with the first.

    Args:
        regressor: As `regressor_of` makes it.
        tokenizer: Of the model.
        examples: Texts and their valences, as many as whole batches have.
        longest: Tokens after which a text is cut.
        bfloat16: Whether in mixed precision.
        progress: Whether to show a bar.
    """
    encodings = dict(tokenizer([text for text, _ in examples], truncation=True, max_length=longest))
    valences = np.array([valence for _, valence in examples], dtype=np.float32)
    # The embeddings stay: a word that no phrase has would be left behind.
    encoder = cast(PreTrainedModel, regressor.base_model)
    embeddings = [one for _, one in input_embeddings(encoder) if one.requires_grad]
    for parameter in embeddings:
        parameter.requires_grad_(False)
    trained = [parameter for parameter in regressor.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    steps = len(examples) // BATCH
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    device = regressor.device
    torch.manual_seed(0)
    regressor.train()
    # No dropout in the encoder: no phrase comes twice, so nothing is learned by heart. That before the head stays: it
    # makes the head look at many features, and 16 labels then move it by less.
    encoder.eval()
    # Plain attention: on phrases of eight tokens the backward pass of the fused one takes a sixth of the whole longer.
    attention = encoder.config._attn_implementation
    if attention != "eager":  # of some encoders it is the only one, and cannot be set
        encoder.set_attn_implementation("eager")
    batches = _batches([len(ids) for ids in encodings["input_ids"]])
    for rows in tqdm(batches, desc="Lexicon", unit="batch", disable=not progress):
        batch = {name: tensor.to(device) for name, tensor in pad_batch(tokenizer, encodings, rows).items()}
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bfloat16):
            loss = regressor(**batch, labels=torch.as_tensor(valences[rows], device=device)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        regressor.zero_grad()
    if attention != "eager":
        encoder.set_attn_implementation(attention)
    for parameter in embeddings:
        parameter.requires_grad_(True)


def valence_head(regressor: SentimentModel) -> dict[str, torch.Tensor]:
    """Where valence is in the pooled output, under the names that the cache has for it."""
    weight, bias = regressor.classifier.weight.detach().cpu(), regressor.classifier.bias.detach().cpu()
    return {"valence.weight": weight[0].clone(), "valence.bias": bias[0].clone()}


def regressor_of(model: SentimentModel) -> SentimentModel:
    """The model's own encoder under a head of one number."""
    # Of a checkpoint that was fine-tuned before, none of what its head was trained with is the regressor's.
    own = {"id2label": {0: "valence"}, "label2id": {"valence": 0}, "problem_type": "regression"}
    own |= {"class_weights": None, "label_smoothing": 0.0, "label_rule": None, "long_texts": None}
    config = type(model.config)(**model.config.to_dict() | own)
    with torch.device("meta"):  # an encoder of its own would be thrown away
        regressor = type(model)(config)
    setattr(regressor, model.base_model_prefix, model.base_model)
    regressor.classifier = nn.Linear(model.classifier.in_features, 1, device=model.device)
    return regressor


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of each batch: of about equal length within a stretch of ten batches, in random order."""
    stretch = 10 * BATCH
    starts = range(0, len(lengths), stretch)
    order = [
        start + int(row) for start in starts for row in np.argsort(lengths[start : start + stretch], kind="stable")
    ]
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    random.Random(0).shuffle(batches)
    return batches


def _ridge(
    regressor: SentimentModel, tokenizer: PreTrainedTokenizerBase, phrases: Sequence[tuple[str, float]]
) -> tuple[LinearHead, float]:
    """Ridge regression of valence on frozen features, its strength by leave-one-out.

    Returns:
        The head of one number, and the share of the valences' variance that it tells, of phrases left out.
    """
    texts, valences = zip(*phrases, strict=True)
    encodings = dict(tokenizer(list(texts), truncation=True, max_length=LONGEST_PHRASE))
    features = frozen_features(regressor, tokenizer, Dataset.from_dict(encodings))
    ridge = RidgeCV(alphas=np.logspace(-2, 3, 11)).fit(features, np.asarray(valences, dtype=np.float32))
    # Its score is the mean square error, less than 0.
    return LinearHead(ridge.coef_[None], np.array([ridge.intercept_])), float(1 + ridge.best_score_ / np.var(valences))
