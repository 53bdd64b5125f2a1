"""The facts of a card about the data: where they are from, how they were divided, and what their check found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hf_sentiment.data.language import unit_of
from hf_sentiment.data.sources import STARTER, corpus_of, is_starter
from hf_sentiment.hub.card.metadata import is_hub_id
from hf_sentiment.records.read import RunRecords
from hf_sentiment.records.schema import AuditRecord, CallRecord

# For "of German texts"; of any other language the code alone is known.
_LANGUAGE_NAMES = {
    **{"ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English"},
    **{"es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi"},
    **{"hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch"},
    **{"no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish"},
    **{"th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese"},
}
# A language is certain when so many texts were long enough to tell it, and so large a share of them says it.
_LEAST_TEXTS = 10
_LEAST_SHARE = 0.9


@dataclass(frozen=True)
class SplitFacts:
    """A split: its texts, in all and by label in index order, and how it came about."""

    name: str
    texts: int
    counts: list[int] | None
    origin: str


@dataclass(frozen=True)
class DataFacts:
    """What is known of the data.

    Attributes:
        source: In one line; `dataset_id` with configuration and revision, where they are from the Hub.
        data_license: In words, where it is known.
        data_package: Of the starter's the Python package that has them, with its version; of VADER's,
            `cites_vader`.
        language: Of the texts, an ISO 639 code, said or certain; `language_found` says how, where it is certain,
            and `length_unit` what their length is counted in.
        label_rule: How raw labels became these, in words.
        findings: Of the check, in sentences.
        shared_with_train: Test texts that repeat a training text.
    """

    source: str | None
    dataset_id: str | None
    dataset_config: str | None
    dataset_revision: str | None
    data_license: str | None
    data_package: str | None
    cites_vader: bool
    language: str | None
    language_name: str | None
    language_found: str | None
    length_unit: str
    label_rule: str | None
    splits: list[SplitFacts]
    train_texts: int | None
    findings: list[str]
    shared_with_train: int


def data_facts(records: RunRecords, language: str | None) -> DataFacts:
    """The facts of the data.

    Args:
        records: Of the run.
        language: What the publisher says.
    """
    call, audit = records.arguments or CallRecord(), records.audit
    # Of data without a name: a record without a source is of a call that named none, which trains on the starter's.
    nothing_named = call.dataset_name is None and call.train_file is None and call.unlabeled_file is None
    name = STARTER if records.arguments is not None and nothing_named else call.dataset_name
    starter = corpus_of(name) if name is not None and is_starter(name) else None
    is_hub = starter is None and is_hub_id(name)
    # What is said wins, then what is known of the starter, then what the texts say.
    certain, said = _certain_language(audit)
    language = language or (starter.language if starter else certain)
    return DataFacts(
        # The starter's begins with the name that stands for it on the command line.
        source=None if audit is None else re.sub(r"^(starter(:\w+)?|files): | \(MIT\)$", "", audit.source),
        dataset_id=call.dataset_name if is_hub else None,
        dataset_config=call.dataset_config_name if is_hub else None,
        dataset_revision=call.dataset_revision if is_hub else None,
        data_license="MIT" if starter else None,
        cites_vader=starter is not None and starter.rated,
        data_package=starter.archive.requirement.replace("==", " ") if starter else None,
        language=language,
        language_name=None if language is None else _LANGUAGE_NAMES.get(language),
        language_found=said if language == certain else None,
        length_unit=unit_of(language),
        label_rule=None if audit is None else audit.label_rule.description,
        splits=[] if audit is None else _splits(audit),
        train_texts=None if audit is None else audit.used.get("train"),
        findings=[] if audit is None else list(_findings(audit)),
        shared_with_train=0 if audit is None else audit.shared.get("train/test", 0),
    )


def _certain_language(audit: AuditRecord | None) -> tuple[str | None, str | None]:
    """The language of the texts, where it is certain, and how it was found out."""
    if audit is None or audit.languages.texts < _LEAST_TEXTS:
        return None, None
    texts = f"{audit.languages.texts:,} texts that were long enough to tell"
    # The most common one stands first.
    name, share = next(iter(audit.languages.shares.items()), ("", 0.0))
    return (name, f"{name}, as {100 * share:.3g} % of {texts} (py3langid)") if share >= _LEAST_SHARE else (None, None)


def _splits(audit: AuditRecord) -> list[SplitFacts]:
    counts, origin = audit.label_counts, audit.splits.origin
    return [SplitFacts(name, texts, counts.get(name), origin[name]) for name, texts in audit.used.items()]


def _findings(audit: AuditRecord) -> Iterator[str]:
    """What the check of the data found, in plain words."""
    for name, rows in audit.rows.items():
        if rows.bad:
            yield f"{rows.bad:,} rows of the {name} data had no text or no known label and were left out."
        if rows.dropped_by_rule:
            yield f"{rows.dropped_by_rule:,} rows of the {name} data lie between the labels and were left out."
    shared = audit.shared
    for pair, count in shared.items():
        first, second = pair.split("/")
        if count:
            yield f"{count:,} texts of {second} repeat a text of {first}, exactly or nearly."
    if shared and not any(shared.values()):
        yield "No text is in two splits, not even nearly."
    within = [f"{count:,} in {name}" for name, count in audit.repeats.items() if count]
    if within:
        yield f"Texts that repeat another one of their own split: {', '.join(within)}."
    if audit.count("placeholders"):
        yield f"{audit.count('placeholders'):,} texts stand for no text, such as “N/A”, and were used as texts."
    if audit.count("conflicts"):
        yield f"{audit.count('conflicts'):,} rows have the text of another row and another label."
    if audit.is_known_data:
        yield "SST-2, SST-5 and rotten_tomatoes have the same sentences, so figures on those mean nothing."
    if audit.is_known_model:
        yield "The base model was, by its name, fine-tuned on sentences of SST or rotten_tomatoes."
