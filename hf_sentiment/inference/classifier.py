"""`SentimentClassifier`: labels and probabilities of texts, fast on a CPU, in the order given."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from safetensors import SafetensorError
from scipy.special import expit, softmax
from tqdm.auto import tqdm
from transformers import AutoModelForSequenceClassification, PreTrainedModel, PreTrainedTokenizerBase

from hf_sentiment.compute.batching import length_sorted_batches, pad_batch
from hf_sentiment.errors import CallError
from hf_sentiment.inference.loading import check_head, load_tokenizer, loading_error, readable_tokens
from hf_sentiment.inference.locating import find_checkpoint
from hf_sentiment.inference.texts import no_text

logger = logging.getLogger(__name__)

# Texts that are sorted together: enough to fill batches of equal length, few enough to stream a file of any size.
_CHUNK = 8192


class Prediction(TypedDict):
    """What is predicted of one text: the likeliest label, its probability, and every label's probability.

    Where there is no text all three are `None`, and `note` says what there is instead.
    """

    label: str | None
    score: float | None
    scores: dict[str, float] | None
    note: NotRequired[str]


class SentimentClassifier:
    """Predicts with a fine-tuned model: any checkpoint that `AutoModelForSequenceClassification` loads.

    Args:
        model: A single-label or multi-label sequence classifier.
        tokenizer: Its tokenizer.

    Texts that are longer than the model can read are cut, and a warning counts them.

    Examples:
        >>> classifier = SentimentClassifier.from_pretrained("runs/demo")
        >>> classifier.predict(["What a wonderful film."])[0]["label"]
        'positive'
    """

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
        if model.config.problem_type == "regression" or model.config.num_labels == 1:
            raise CallError("the model is a regression with one output and has no labels to predict")
        self.model = model.eval()
        self.tokenizer = tokenizer
        names: Mapping[int, str] = model.config.id2label  # type: ignore[assignment]  # int keys once it is loaded
        self.labels = [names[index] for index in sorted(names)]
        self.max_length = readable_tokens(tokenizer, model)

    @classmethod
    def from_pretrained(
        cls,
        path_or_repo: str | os.PathLike[str],
        backend: str = "torch",
        num_threads: int | None = None,
        revision: str | None = None,
    ) -> SentimentClassifier:
        """Load a folder or a Hub repository.

        Args:
            path_or_repo: A folder or a Hub id. Code in the repository is not run: this package has the model's.
            backend: `"torch"`.
            num_threads: Threads of one prediction; by default torch's own choice.
            revision: Branch, tag or commit of a Hub repository.

        Raises:
            CallError: There is no such folder or repository, it is no trained classifier or has no tokenizer, or an
                unknown backend.
        """
        if backend != "torch":
            raise CallError(f'backend must be "torch", got {backend!r}')
        name = find_checkpoint(path_or_repo, revision)
        if num_threads is not None:
            if num_threads < 1:
                raise CallError(f"--num_threads must be at least 1, got {num_threads}")
            torch.set_num_threads(num_threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # A CPU computes half precision slowly, so a checkpoint stored in it is not loaded as stored there.
        dtype = torch.float32 if device == "cpu" else "auto"
        try:
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name,
                revision=revision,
                dtype=dtype,
                output_loading_info=True,
                use_safetensors=True,  # other files are pickles, which run what they hold
                trust_remote_code=False,
            )
            tokenizer = load_tokenizer(name, revision)
        except (OSError, ValueError, SafetensorError) as error:
            if isinstance(error, CallError):
                raise
            raise CallError(f"{name} cannot be loaded as a text classifier: {loading_error(error)}") from error
        check_head(info, name)
        return cls(model.to(device), tokenizer)

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
        probabilities = self._probabilities(self.logits(texts, bar))
        best = probabilities.argmax(axis=1)
        for row, index in zip(probabilities.tolist(), best.tolist(), strict=True):
            scores = dict(zip(self.labels, row, strict=True))
            yield {"label": self.labels[index], "score": row[index], "scores": scores}

    def logits(self, texts: Sequence[str], bar: Any = None) -> np.ndarray:
        """The model's outputs before softmax, `[texts, labels]`, in float32 and in the order given.

        Args:
            texts: Strings.
            bar: A `tqdm` bar to move on by every text.
        """
        whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]  # half an emoji is no text
        encodings = self.tokenizer(whole, truncation=True, max_length=self.max_length)
        ids = encodings["input_ids"]
        # Only fast tokenizers keep what they cut off.
        cut = sum(encoding is not None and bool(encoding.overflowing) for encoding in encodings.encodings or [])
        if cut:
            logger.warning("%d of %d texts are longer than %d tokens and were cut", cut, len(texts), self.max_length)
        # Batches of about equal length, in any order: each writes the rows of its texts.
        outputs = np.empty((len(ids), len(self.labels)), dtype=np.float32)
        with torch.inference_mode():
            for rows in length_sorted_batches([len(sequence) for sequence in ids]):
                batch = pad_batch(self.tokenizer, encodings.data, rows)
                batch = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
                outputs[rows] = self.model(**batch).logits.float().cpu().numpy()
                if bar is not None:
                    bar.update(len(rows))
        return outputs

    def _probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Softmax, or each label's own sigmoid for a multi-label model, `[texts, labels]`."""
        if self.model.config.problem_type == "multi_label_classification":
            return expit(logits.astype(np.float64))
        return softmax(logits.astype(np.float64), axis=1)
