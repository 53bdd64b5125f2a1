"""Augmentation on the fly that keeps the label: the training split only, another draw in every epoch.

Polarity words, negations, intensifiers, idioms, emoticons and emoji are never deleted, moved, replaced or misspelt, and
a text whose VADER score would change is left as it is (see `guard`). The guard knows English: where most texts are in
another language, kinds that need it are refused, and to single texts in others only those of `LANGUAGE_NEUTRAL` are
applied, which change no word.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, cast

import torch
from datasets import Dataset
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_sentiment.compute.batching import Augmented
from hf_sentiment.data.augmentation import edits
from hf_sentiment.data.augmentation.guard import Token, polarity, read, same_sentiment
from hf_sentiment.data.augmentation.kinds import GUARDED, LANGUAGE_NEUTRAL, check_language, parse_kinds
from hf_sentiment.data.augmentation.neighbours import near_words
from hf_sentiment.data.language import language_of, main_language
from hf_sentiment.data.tokenization import tokenize
from hf_sentiment.errors import CallError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

# A model that saw edited texts only would be strange to the clean ones that it is used on.
_EDITED = 0.5

Edit = Callable[[list[Token], Random], list[str] | None]


class Augmenter:
    """Edits a text in one of several ways, or leaves it as it is.

    `deletion` leaves words out, `swap` exchanges two, `neighbour` puts a near word in a word's place, `typos`
    misspells, `casing` changes small letters and capitals, `contractions` writes "they are" for "they're" or the other
    way round, and `joining` appends another text of the same label. The first four change a tenth of the words, and at
    least one.

    Args:
        kinds: Some of `KINDS`.
        near: For `neighbour`: near words of words.

    Examples:
        >>> Augmenter(["deletion"])("Not good at all :) , the plot of this film drags", Random(0))
        'Not good at all :) , the plot of film drags'
    """

    def __init__(self, kinds: Sequence[str], near: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self.kinds = parse_kinds(",".join(kinds))
        self._edits: dict[str, Edit] = {
            "deletion": edits.deletion,
            "swap": edits.swap,
            "neighbour": partial(edits.neighbour, near=near or {}),
            "typos": edits.typos,
            "casing": edits.casing,
            "contractions": edits.contractions,
        }

    def __call__(self, text: str, draw: Random, same_label: Sequence[str] = ()) -> str:
        """The text after one edit of a kind that is drawn, or as it is where that finds nothing it may change.

        Args:
            text: A text.
            draw: Where every random number comes from.
            same_label: Texts of the same label, for `joining`.
        """
        # Where the guard does not know the language, no word is changed.
        tokens = read(text)
        known = language_of(text) in GUARDED
        kinds = [kind for kind in self.kinds if known or kind in LANGUAGE_NEUTRAL]
        if not kinds or not tokens:
            return text
        kind = draw.choice(kinds)
        if kind == "joining":
            return _joined(text, draw, same_label)
        words = self._edits[kind](tokens, draw)
        if words is None:
            return text
        edited = " ".join(words)
        return edited if same_sentiment(text, edited) else text


def _joined(text: str, draw: Random, same_label: Sequence[str]) -> str:
    """The text and another of its label, as two sentences; as it is, where VADER would see another sign in both."""
    other = draw.choice(same_label) if same_label else text
    if other == text:
        return text
    both = f"{text} . {other}"  # set apart: a full stop that is attached would spoil an emoticon
    sign, joined = polarity(text), polarity(both)
    return both if (sign > 0, sign < 0) == (joined > 0, joined < 0) else text


class AugmentedDataset(torch.utils.data.Dataset[dict[str, Any]], Augmented):
    """Training texts that a Trainer reads anew in every epoch: half of them edited, the rest as they are.

    The draw depends on the seed, the epoch and the row alone: not on the order, the number of workers, or where a run
    was taken up again. `callback` tells the epoch and must be among the Trainer's callbacks. Whoever iterates over the
    data set, as the Trainer does for the lengths of `group_by_length`, reads the texts as they are.

    Args:
        texts: Labelled texts: columns `text` and `label`.
        tokenizer: Of the model.
        max_length: Tokens after which a text is cut, special ones included.
        kinds: Some of `KINDS`.
        seed: Of the draws.
        model: For `neighbour`: the model whose embeddings say what is near.

    Attributes:
        clean: The texts as they are, tokenised: what `tokenize` returns.
        callback: For `Trainer(callbacks=[...])`.

    Raises:
        CallError: An unknown kind, one that would change words of a language whose polarity words are not known, no
            model for `neighbour`, or a vocabulary without word pieces.

    Examples:
        >>> train = AugmentedDataset(texts, tokenizer, 128, ["deletion", "typos"], seed=42)
        >>> trainer = Trainer(model, args, train_dataset=train, callbacks=[train.callback], ...)
    """

    def __init__(
        self,
        texts: Dataset,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        kinds: Sequence[str],
        seed: int,
        model: PreTrainedModel | None = None,
    ) -> None:
        check_language(kinds, main_language(texts["text"][:]))
        self.clean = tokenize(texts, tokenizer, max_length)
        self.callback = AugmentationEpoch(self)
        self._tokenizer, self._max_length, self._seed = tokenizer, max_length, seed
        self._texts: list[str] = texts["text"][:]
        self._labels: list[int] = texts["label"][:]
        # Label → its texts, of which `joining` draws.
        self._same_label: dict[int, list[str]] = {}
        for text, label in zip(self._texts, self._labels, strict=True):
            self._same_label.setdefault(label, []).append(text)
        # Shared with the data loader's workers, which may outlive an epoch.
        self._epoch = torch.full((1,), -1, dtype=torch.long).share_memory_()
        if "casing" in kinds and tokenizer.tokenize("Word") == tokenizer.tokenize("word"):
            logger.warning("Augmentation: `casing` changes nothing, as this tokenizer lower-cases every text")
        self._augment = Augmenter(kinds, self._near(model) if "neighbour" in kinds else None)

    def _near(self, model: PreTrainedModel | None) -> dict[str, tuple[str, ...]]:
        if model is None:
            raise CallError("augmentation by `neighbour` reads the model's embeddings: give model=")
        words = {item.word for text in self._texts for item in read(text) if item.word and not item.guarded}
        return near_words(words, self._tokenizer, cast(torch.nn.Embedding, model.get_input_embeddings()).weight)

    def begin_epoch(self, epoch: int | None) -> None:
        """Make the draws of an epoch, counted from 0; `None`: the texts as they are."""
        self._epoch.fill_(-1 if epoch is None else epoch)

    def text(self, row: int) -> str:
        """A row's text in the present epoch."""
        text, epoch = self._texts[row], int(self._epoch)
        if epoch < 0:
            return text
        # A generator of its own for each row and epoch: the order in which rows are asked for changes nothing.
        draw = Random(f"{self._seed} {epoch} {row}")
        return self._augment(text, draw, self._same_label[self._labels[row]]) if draw.random() < _EDITED else text

    def __len__(self) -> int:
        return len(self.clean)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows of `clean`."""
        return iter(self.clean)

    def __getitem__(self, row: int) -> dict[str, Any]:
        """A row's model inputs and `labels` in the present epoch; as it is, before the first."""
        return self._encode([row])[0]

    def __getitems__(self, rows: list[int]) -> list[dict[str, Any]]:
        """What a `DataLoader` takes for a batch.

        Raises:
            CallError: No epoch has begun.
        """
        if int(self._epoch) < 0:
            raise CallError(
                "no epoch has begun, so nothing would be augmented: give the Trainer callbacks=[train.callback], and "
                "evaluate on train.clean"
            )
        return self._encode(rows)

    def _encode(self, rows: list[int]) -> list[dict[str, Any]]:
        texts = [self.text(row) for row in rows]
        encoded = self._tokenizer(texts, truncation=True, max_length=self._max_length, padding=False)
        names = [name for name in self._tokenizer.model_input_names if name in encoded]
        return [
            {name: encoded[name][place] for name in names} | {"labels": self._labels[row]}
            for place, row in enumerate(rows)
        ]


class AugmentationEpoch(TrainerCallback):
    """Tells an `AugmentedDataset` which epoch it is; after training the data set is clean again."""

    def __init__(self, dataset: AugmentedDataset) -> None:
        self._dataset = dataset

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Begin clean, also after a training that broke off, and end so."""
        self._dataset.begin_epoch(None)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The epoch that begins, also one that is taken up in its middle."""
        self._dataset.begin_epoch(int((state.epoch or 0.0) + 1e-6))

    on_train_end = on_train_begin
