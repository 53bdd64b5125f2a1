"""Known contamination: data sets and checkpoints that have the same sentences in them."""

from __future__ import annotations

import re
from pathlib import Path

from hf_sentiment.data.audit.findings import LIMITS, Finding
from hf_sentiment.data.sources import STARTER, corpus_of, is_starter

# Pang & Lee's rt-polarity (2005) is sold under several names: rotten_tomatoes is the corpus itself, SST (Socher et al.
# 2013) its sentences with new labels, GLUE has SST-2, and VADER's movie snippets are 99.7 % of it (counted).
_SENTENCES = re.compile(r"(?<![a-z0-9])sst[-_]?[25]?(?![a-z0-9])|rotten[-_]?tomatoes|rt[-_]polarity", re.IGNORECASE)

_FAMILY = "SST-2, SST-5, rotten_tomatoes and the starter's movie snippets are the same sentences"


def contamination_finding(dataset_name: str | None, model_name: str | None) -> Finding:
    """Whether the checkpoint has, by its name, seen sentences of the SST family, or the data are of that family.

    A name is all there is to go by: a checkpoint that doesn't say what it was fine-tuned on is not found out, nor is a
    file of such sentences under another name.

    Args:
        dataset_name: As the user named it; None for files.
        model_name: The checkpoint's name or folder.
    """
    if model_name is not None and Path(model_name).expanduser().is_dir():
        # What is said goes into records, where nobody's folders belong.
        model_name = Path(model_name).expanduser().resolve().name
    # Half a measure each: one of the two is a note, both together a warning.
    data = dataset_name is not None and _is_of_family(dataset_name)
    model = model_name is not None and bool(_SENTENCES.search(model_name))
    advice = ""
    if data and model:
        advice = f"{_FAMILY}: {model_name} was, by its name, fine-tuned on your test texts; start from another"
    elif model:
        advice = (
            f"{model_name} was, by its name, fine-tuned on film-review sentences; {_FAMILY}: if yours are of them, it "
            "has seen your test split"
        )
    elif data:
        advice = f"{_FAMILY}: do not start from, or compare with, a checkpoint that was fine-tuned on any of them"
    severity = LIMITS["contamination"].severity((data + model) / 2)
    facts = {"data": data, "model": model}
    return Finding("contamination", "known contamination", severity, int(data or model), 0, advice, facts=facts)


def _is_of_family(name: str) -> bool:
    if is_starter(name):
        return corpus_of(name) is corpus_of(STARTER)
    return bool(_SENTENCES.search(name))
