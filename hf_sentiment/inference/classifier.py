"""`SentimentClassifier`: labels and probabilities of texts, fast on a CPU, in the order given."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

import numpy as np
from tqdm.auto import tqdm

from hf_sentiment.compute.batching import length_sorted_batches
from hf_sentiment.errors import CallError
from hf_sentiment.inference.backends import Backend, load_backend
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.inference.pieces import check_rule, default_rule, pieces_of, pool
from hf_sentiment.inference.texts import no_text

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

logger = logging.getLogger(__name__)

# Texts that are sorted together: enough to fill batches of equal length, few enough to stream a file of any size.
_CHUNK = 8192


class Prediction(TypedDict):
    """What is predicted of one text: the likeliest label, its probability, and every label's probability.

    Where there is no text all three are `None`, and `note` says what there is instead. It also says where a text is
    long: "in pieces (12)", or "cut (at 512 tokens)".
    """

    label: str | None
    score: float | None
    scores: dict[str, float] | None
    note: NotRequired[str]


class SentimentClassifier:
    """Predicts with a fine-tuned model: any checkpoint that `AutoModelForSequenceClassification` loads.

    Args:
        model: A single-label or multi-label sequence classifier in memory; or a backend, which has its tokenizer.
        tokenizer: Of the model in memory.
        long_texts: `"pieces"` (sentences of the lengths that the model learned from, by the rule that its config has as
            `long_texts`) or `"cut"`; by default in pieces where there is such a rule.

    Texts that are cut where the model can read no more are counted in a warning. Several threads may predict at once.

    Raises:
        CallError: A model without labels, or what `long_texts` asks for is not there or not a rule.

    Examples:
        >>> classifier = SentimentClassifier.from_pretrained("runs/demo")
        >>> classifier.predict(["What a wonderful film."])[0]["label"]
        'positive'
    """

    def __init__(
        self,
        model: PreTrainedModel | Backend,
        tokenizer: PreTrainedTokenizerBase | None = None,
        long_texts: str | None = None,
    ) -> None:
        if tokenizer is not None:
            from hf_sentiment.inference.backends import TorchBackend  # imports torch

            self.backend: Backend = TorchBackend(cast("PreTrainedModel", model), tokenizer)
        else:
            self.backend = cast(Backend, model)
        self.config = self.backend.config
        names = {str(index): name for index, name in self.config["id2label"].items()}
        if self.config.get("problem_type") == "regression" or len(names) == 1:
            raise CallError("the model is a regression with one output and has no labels to predict")
        self.labels = [names.get(str(index), "") for index in range(len(names))]
        if not all(isinstance(name, str) and name.strip() for name in self.labels) or len({*self.labels}) < len(names):
            raise CallError(
                f"id2label in the model's config.json must number different names from 0 on, got {names}: mend it"
            )
        self.rule = _long_texts_rule(self.config, len(names), long_texts)
        # Whose texts are cut although nobody asked for it is told what else there is.
        self._hint = ": --long_texts pieces would read them whole" if long_texts is None and self.rule is None else ""

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | os.PathLike[str],
        backend: str = "torch",
        num_threads: int | None = None,
        revision: str | None = None,
        long_texts: str | None = None,
    ) -> SentimentClassifier:
        """Load a folder or a Hub repository.

        Args:
            path_or_repo: A folder or a Hub id. Code in the repository is not run: this package has the model's.
            backend: `"torch"`; or, for what `hf-sentiment export` wrote, `"onnx"`, `"onnx-int8"`, `"openvino"`,
                `"openvino-bf16"` or `"openvino-int8"`, which import neither torch nor transformers.
            num_threads: Threads of one prediction, by default the engine's own choice. torch has one number for the
                whole process, which this sets.
            revision: Branch, tag or commit of a Hub repository.
            long_texts: As in `SentimentClassifier`.

        Raises:
            CallError: There is no such folder or repository, it is no trained classifier or has no tokenizer, an
                unknown backend, or as in `SentimentClassifier`.
        """
        name = find_checkpoint(path_or_repo, revision)
        return cls(load_backend(backend, name, num_threads, revision), long_texts=long_texts)

    def predict(self, texts: Sequence[Any], progress: bool = False) -> list[Prediction]:
        """Predict every text, in the order given.

        Args:
            texts: Any number of strings. What is no text gets no label, and a note: `None`, NaN, a blank, a number and
                whatever is no string (see `hf_sentiment.inference.texts.no_text`).
            progress: Show a progress bar on stderr.

        Raises:
            CallError: `texts` is one string, or a table.
        """
        if isinstance(texts, str):
            raise CallError("predict takes a list of texts: predict([text])")
        if hasattr(texts, "columns") or isinstance(texts, Mapping):  # going through one gives the names of its columns
            raise CallError('predict takes a list of texts, and this is a table: predict(table["text"])')
        return list(self.predict_iter(texts, total=len(texts) if progress else None))

    def predict_iter(self, texts: Iterable[Any], total: int | None = None) -> Iterator[Prediction]:
        """As `predict`, over a stream of any length, in memory for some thousand texts.

        Args:
            texts: As in `predict`.
            total: Show a progress bar on stderr up to this number.
        """
        with tqdm(total=total, disable=total is None, unit=" texts", desc="Predicting") as bar:
            iterator = iter(texts)
            while chunk := list(islice(iterator, _CHUNK)):
                # Only texts are predicted; a note stands in the place of what is none.
                notes = [no_text(value) for value in chunk]
                given = [text for text, note in zip(chunk, notes, strict=True) if not note]
                predictions = iter(self._predictions(given, bar))
                bar.update(sum(map(bool, notes)))
                for note in notes:
                    yield {"label": None, "score": None, "scores": None, "note": note} if note else next(predictions)

    def _predictions(self, texts: list[str], bar: Any) -> Iterator[Prediction]:
        """Of texts that are all texts."""
        if not texts:
            return
        logits, notes = self._read(texts, bar)
        probabilities = self._probabilities(logits)
        best = probabilities.argmax(axis=1)
        for row, index, note in zip(probabilities.tolist(), best.tolist(), notes, strict=True):
            scores = dict(zip(self.labels, row, strict=True))
            prediction: Prediction = {"label": self.labels[index], "score": row[index], "scores": scores}
            yield prediction | {"note": note} if note else prediction

    def logits(self, texts: Sequence[str], bar: Any = None) -> np.ndarray:
        """The model's outputs before softmax, `[texts, labels]`, in float32 and in the order given.

        Args:
            texts: Strings. Of a long one, what its pieces' outputs make (see `hf_sentiment.inference.pieces`).
            bar: A `tqdm` bar to move on by every text.
        """
        chunks = [texts[start : start + _CHUNK] for start in range(0, max(1, len(texts)), _CHUNK)]
        return np.concatenate([self._read(chunk, bar)[0] for chunk in chunks])

    def _read(self, texts: Sequence[str], bar: Any) -> tuple[np.ndarray, list[str]]:
        """Logits `[texts, labels]`, and a note on each text that is long, or ""."""
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]  # half an emoji is no text
        pieces = [[text] if self.rule is None else pieces_of(text, self.rule) for text in whole]
        counts = np.array([len(of) for of in pieces], dtype=np.int64)
        every, cut = self._logits([piece for of in pieces for piece in of], np.repeat(1 / counts, counts), bar)
        first = np.cumsum(counts) - counts  # row of each text's first piece
        logits, was_cut = every[first], np.logical_or.reduceat(cut, first) if len(whole) else cut
        for row in np.flatnonzero(counts > 1):
            logits[row] = pool(every[first[row] : first[row] + counts[row]], self.rule or {})
        length = self.backend.max_length
        if number := int(was_cut.sum()):
            logger.warning(
                "%d of %d texts are longer than %d tokens and were cut%s", number, len(whole), length, self._hint
            )
        notes = [f"in pieces ({count})" if count > 1 else "" for count in counts]
        notes = [f"cut (at {length} tokens)" if is_cut else note for note, is_cut in zip(notes, was_cut, strict=True)]
        return logits, notes

    def _logits(self, texts: Sequence[str], shares: np.ndarray, bar: Any) -> tuple[np.ndarray, np.ndarray]:
        """Of each text as it is, cut where it is too long, `[texts, labels]`, and whether it was, `[texts]`.

        By its share of a text that was given each moves the bar on.
        """
        tokens = self.backend.tokenize(texts)
        # Batches of about equal length, in any order: each writes the rows of its texts.
        outputs, done = np.empty((len(texts), len(self.labels)), dtype=np.float32), 1e-6
        for rows in length_sorted_batches([len(sequence) for sequence in tokens.columns["input_ids"]]):
            found = self.backend.logits(tokens, rows)
            if found.shape[1] != len(self.labels):
                raise CallError(
                    f"config.json names {len(self.labels)} labels, and the model has {found.shape[1]}: mend it"
                )
            if not np.isfinite(found).all():
                raise CallError("the model gives NaN: its weights are damaged or have diverged: train it again")
            outputs[rows] = found
            before, done = int(done), done + shares[rows].sum()  # whole texts are counted
            if bar is not None:
                bar.update(int(done) - before)
        return outputs, np.array(tokens.cut, dtype=bool)

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Softmax, or each label's own sigmoid for a multi-label model, `[texts, labels]`."""
        logits = logits.astype(np.float64)
        if self.config.get("problem_type") == "multi_label_classification":
            return 0.5 + 0.5 * np.tanh(0.5 * logits)  # the sigmoid, without an overflow
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _long_texts_rule(config: Mapping[str, Any], labels: int, said: str | None) -> dict[str, Any] | None:
    """By which a long text is read in pieces; `None` where it is cut. What the model records, or else what is said."""
    if said not in (None, "pieces", "cut"):
        raise CallError(f"--long_texts must be pieces or cut, got {said!r}")
    rule = config.get("long_texts") or (default_rule(labels) if said == "pieces" else None)
    if said == "cut" or rule is None:
        return None
    try:
        check_rule(rule, labels)
    except ValueError as error:
        raise CallError(f"long_texts in the model's config.json: {error}; mend it, or use --long_texts cut") from error
    return dict(rule)
