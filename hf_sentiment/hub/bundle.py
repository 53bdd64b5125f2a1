"""The folder that is published: made from an allow-list, in a place of its own; the run's folder is only read."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import yaml
from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from safetensors.torch import load_file, save_file
from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

from hf_sentiment import model as model_sources
from hf_sentiment.errors import CallError
from hf_sentiment.hub.card import (
    CardOptions,
    as_cell,
    check_card,
    keep_handwritten,
    keep_metadata,
    loaders,
    quoted_texts,
    read_card,
    render_card,
)
from hf_sentiment.hub.scan import check_files
from hf_sentiment.inference.backends import FILES, TorchBackend
from hf_sentiment.inference.sentence_transformers import write_modules
from hf_sentiment.model.configuration_bert_sentiment import POOLINGS
from hf_sentiment.model.kinds import KINDS
from hf_sentiment.model.modeling_bert_sentiment import SentimentModel
from hf_sentiment.records.read import ADAPTER_FILES, RunRecords, check_weights
from hf_sentiment.records.schema import CallRecord
from hf_sentiment.records.serialization import read_object

# What a tokenizer saves; anything else in the folder stays where it is.
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "added_tokens.json")
# What `export` writes, and the further files of a graph that somebody has split.
_EXPORTED = re.compile(
    r"onnx/[^/]+\.onnx([._]data)?|openvino/[^/]+\.(xml|bin)|handler\.py|requirements\.txt|pieces\.py|records/export\.json"
)
_INDEX = "model.safetensors.index.json"
# What a model has here, but for its weights; and weights in any format and number of parts, results of another model,
# and what checkpoints hold.
_OURS = {
    *("config.json", _INDEX, "modules.json", "sentence_bert_config.json", *ADAPTER_FILES, *_TOKENIZER),
    *("records/curves.png", "records/curves.svg", *(name for kind in KINDS.values() for name in kind.sources)),
}
_PARTS = re.compile(
    r"(model|adapter_model|pytorch_model)[^/]*\.(safetensors|bin|json)|[^/]+\.(bin|pt|pth|pkl|pickle)"
    r"|\d_(Pooling|Normalize|Dense)/(config\.json|model\.safetensors)|\.eval_results/[^/]+\.yaml"
    r"|(last-checkpoint|checkpoint-\d+)/.*|optimizer[^/]*|rng_state[^/]*|trainer_state\.json"
)
# Where a checkpoint came from on the machine that saved it; nothing reads it.
_ORIGINS = ("_name_or_path", "name_or_path", "is_local", "local_files_only")
# What transformers calls labels that nobody has named.
_UNNAMED = re.compile(r"LABEL_\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Bundle:
    """A folder that is ready to be published.

    Attributes:
        folder: Where it is.
        adapter: Whether it holds an adapter instead of a model.
        base_model: The Hub id of an adapter's base.
        metadata: Of its card.
        can_load: Who can load it and who cannot, in sentences.
        quoted: How many of the texts that it was measured on its card quotes.
        stock: Whether it was made a stock class, of transformers or sentence-transformers.
        exported: Whether it is for other engines than torch.
        embeds: Whether it is a folder of sentence-transformers.
    """

    folder: Path
    adapter: bool
    base_model: str | None
    metadata: dict[str, Any]
    can_load: list[str]
    quoted: int
    stock: bool = False
    exported: bool = False
    embeds: bool = False

    def files(self) -> dict[str, Path]:
        """Every file by its path in the repository, in order."""
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path for path in paths}

    def sizes(self) -> dict[str, int]:
        """The size of every file in bytes, by its path in the repository."""
        return {name: path.stat().st_size for name, path in self.files().items()}

    def stale(self, present: Iterable[str]) -> list[str]:
        """What a loader would take for parts of the new model, or holds what is not published.

        Args:
            present: Paths in the repository.
        """
        sent, there = self.files(), set(present)
        # Graphs that `export` wrote, with what runs them; those of somebody else are not ours to remove.
        exported = "records/export.json" in there
        return [
            name
            for name in sorted(there)
            if name not in sent
            and (name in _OURS or _PARTS.fullmatch(name) or (exported and _EXPORTED.fullmatch(name)))
        ]


def build_bundle(
    run: str | Path,
    target: Path,
    *,
    repo_id: str,
    adapter: bool = False,
    stock: bool = False,
    secrets: Iterable[str] = (),
    options: CardOptions | None = None,
) -> Bundle:
    """Put what may be published of a run into an empty folder.

    Args:
        run: A run's folder, one that `export` wrote, or any folder with a trained classifier and its tokenizer.
        target: An empty folder.
        repo_id: Where it will be published.
        adapter: The adapter of a LoRA run and its head, instead of the merged model.
        stock: As a stock class of transformers, or of sentence-transformers, which needs no code of ours.
        secrets: Values that must not be in it, such as the token in use.
        options: What the publisher says of the card.

    Raises:
        CallError: The folder lacks something, or a file is not what it should be.
        SentimentError: A file holds something private, or the card's metadata would be refused.
    """
    records, options = RunRecords.read(run), options or CardOptions()
    exported = records.exported is not None
    _check_form(records, adapter, stock)
    modules = stock and records.is_ours and not records.stock_loads
    if stock and not modules:
        records = records.as_stock()
    base_model = None
    if adapter:
        base_model = _put_adapter(records, target, options.base_model)
        options = replace(options, base_model=base_model)
    elif exported:
        _put_exported(records, target)
    elif modules:
        records = _put_modules(records, target)
    else:
        _put_weights(records, target)
    _put_config(records, target)
    _put_tokenizer(records, target)
    # Of the records, only the pictures: the others may quote texts, or name files.
    for name in records.curves:
        _copy(records.folder / name, target / name)
    text = render_card(records, repo_id=repo_id, adapter=adapter, options=options)
    # The card is rendered anew, as it now has a repository; what somebody wrote into the run's own stays.
    written = records.folder / "README.md"
    if written.is_file():
        before = read_card(written)
        text = keep_handwritten(keep_metadata(text, before) if exported else text, before)
    (target / "README.md").write_text(text, encoding="utf-8")
    metadata = check_card(text)
    _put_results(records, metadata, target)
    # Last, when every file is there.
    check_files(target, secrets)
    quoted = _count_quoted(records, text, metadata)
    kinds = (stock, exported, bool(records.modules))
    return Bundle(target, adapter, base_model, metadata, loaders(records, adapter), quoted, *kinds)


def _count_quoted(records: RunRecords, card: str, metadata: Mapping[str, Any]) -> int:
    """How many of the texts that it was measured on stand on the card or in its metadata."""
    examples, errors = quoted_texts(records.measured)
    texts = {row.text for row in examples} | {row.text for row in errors}
    widget = {row["text"] for row in metadata.get("widget") or []}
    return sum(text in widget or as_cell(text) in card for text in texts)


def _check_form(records: RunRecords, adapter: bool, stock: bool) -> None:
    _check_labels(records)
    if stock and adapter:
        raise CallError("--stock: an adapter is loaded by PEFT: leave out --adapter to publish the merged model")
    if records.exported is not None and (stock or adapter):
        raise CallError(f"{records.folder} is an exported folder: leave out {'--stock' if stock else '--adapter'}")
    if records.modules:
        raise CallError(f"{records.folder} is a folder of sentence-transformers: publish the run of it, with --stock")


def _check_labels(records: RunRecords) -> None:
    if records.config is None:
        where = f"{records.folder} has no config.json"
        if records.adapter is not None:
            raise CallError(f"{where}, which names the labels: save the base model's config beside the adapter")
        raise CallError(f"{where}: name the folder of a trained model, a run's --output_dir")
    if records.kind is not None and records.pooling not in POOLINGS:
        raise CallError(f"{records.folder / 'config.json'}: no pooling {records.pooling:.40}: {', '.join(POOLINGS)}")
    labels = records.labels
    fix = 'say in config.json "id2label": {"0": "negative", "1": "positive"} and "label2id" the other way round'
    if labels is None and not records.is_ours:
        raise CallError(f"{records.folder}: its labels have no names: {fix}")
    if not all(isinstance(name, str) for name in labels or []):
        raise CallError(f"{records.folder}: its labels are {labels}, and not names: {fix}")
    unnamed = [name for name in labels or [] if _UNNAMED.fullmatch(name)]
    if unnamed:
        raise CallError(f"{records.folder}: its labels are called {', '.join(unnamed)}: {fix}")


def _put_weights(records: RunRecords, target: Path) -> None:
    """The model's safetensors, one file or those that its index names."""
    folder, index = records.folder, records.folder / _INDEX
    if index.is_file():
        parts = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        names = [_INDEX, *parts]
    else:
        names = ["model.safetensors"]
    for name in names:
        # An index is of somebody: a name with a folder in it could be of any file.
        if "/" in name or not (folder / name).is_file():
            if name == "model.safetensors" and records.adapter is not None:
                raise CallError(f"{folder} has an adapter and no merged model: publish it with --adapter, or merge it")
            # Never converted here: to read a pickle is to run it.
            if list(folder.glob("*.bin")):
                raise CallError(
                    f"{folder}: its weights are a pickle, which runs code: load it and save_pretrained it again"
                )
            raise CallError(f"{folder / name} is missing: train to the end, or save the model again")
        if name.endswith(".safetensors"):
            check_weights(folder / name)
        _copy(folder / name, target / name)


def _put_modules(records: RunRecords, target: Path) -> RunRecords:
    """The model as sentence-transformers has it, and the records as they are to be told of it."""
    if find_spec("sentence_transformers") is None:
        how = "`pip install --constraint constraints.txt sentence-transformers`"
        what = "no class of transformers pools as this model does, and sentence-transformers is not here"
        raise CallError(f"--stock: {what}: {how}")
    loaded = TorchBackend.load(str(records.folder))
    write_modules(cast(SentimentModel, loaded.model.float()), target, loaded.max_length)
    told = RunRecords.read(target)
    return replace(records, config=told.config, modules=told.modules)


def _put_exported(records: RunRecords, target: Path) -> None:
    """The graph and what runs it."""
    for path in sorted(file for file in records.folder.rglob("*") if file.is_file()):
        name = path.relative_to(records.folder).as_posix()
        if _EXPORTED.fullmatch(name):
            _copy(path, target / name)
    assert records.exported is not None
    graph = FILES[records.exported.format]
    if not (target / graph).is_file():
        raise CallError(f"{records.folder / graph} is missing: export the model again")


def _put_adapter(records: RunRecords, target: Path, base_model: str | None) -> str:
    """The adapter and its head, with the temperature of the merged model; the id of its base."""
    if records.adapter is None or records.adapter_folder is None:
        raise CallError(f"{records.folder} has no adapter: train with --lora true, or publish without --adapter")
    weights = records.adapter_folder / ADAPTER_FILES[1]
    if not weights.is_file():
        raise CallError(f"{weights} is missing: train to the end, or save the adapter again")
    check_weights(weights)
    base = base_model or records.adapter_base
    # A folder of this machine, however it is written.
    if not isinstance(base, str) or base.count("/") > 1 or base.startswith((".", "~")) or Path(base).exists():
        raise CallError(
            f"the adapter's base is {base!r}, which nobody else has: name its Hub id, --base_model OWNER/NAME"
        )
    (target / ADAPTER_FILES[0]).write_text(
        json.dumps(records.adapter | {"base_model_name_or_path": base}, indent=2) + "\n", encoding="utf-8"
    )
    temperature = None if records.evaluation is None else records.evaluation.temperature
    if temperature is None:
        _copy(weights, target / weights.name)
        return base
    # The temperature was folded into the merged head after the adapter was saved; the twins shall say the same.
    tensors = load_file(weights)
    heads = [name for name in tensors if re.search(r"(^|\.)classifier\.(weight|bias)$", name)]
    if len(heads) != 2:
        raise CallError(f"{weights}: has no head to divide by the temperature {temperature:.3f}: train again")
    for name in heads:
        tensors[name] = tensors[name] / temperature
    save_file(tensors, target / weights.name, metadata={"format": "pt"})
    (target / weights.name).chmod(0o644)  # safetensors writes files that only their owner can read
    return base


def _put_config(records: RunRecords, target: Path) -> None:
    """`config.json`, and for an architecture of ours its source files: the folder's, or else the package's."""
    assert records.config is not None
    config = _without_origins(records.config)
    # The folder's source files are those that the weights were trained with.
    if records.kind is not None:
        config["auto_map"] = records.kind.auto_map
        package = Path(str(model_sources.__file__)).parent
        for name in records.kind.sources:
            source = records.folder / name
            _copy(source if source.is_file() else package / name, target / name)
    elif config.get("auto_map"):
        raise CallError(
            f"{records.folder}: its auto_map is code that this command does not know: call model.push_to_hub yourself"
        )
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _put_tokenizer(records: RunRecords, target: Path) -> None:
    # Of a slow tokenizer the vocabulary is in files that its class names.
    said = read_object(records.folder / "tokenizer_config.json") or {}
    is_slow = not (records.folder / "tokenizer.json").is_file()
    known = tokenizer_class_from_name(str(said.get("tokenizer_class"))) if is_slow else None
    vocabulary = {} if known is None else known.vocab_files_names
    names = dict.fromkeys((*_TOKENIZER, *vocabulary.values()))
    present = [name for name in names if (records.folder / name).is_file()]
    if not set(present) & {"tokenizer.json", "vocab.txt", *vocabulary.values()}:
        raise CallError(
            f"{records.folder} has no tokenizer: save it beside the model, tokenizer.save_pretrained(FOLDER)"
        )
    for name in present:
        if name == "tokenizer_config.json":
            text = json.dumps(_without_origins(said), indent=2, sort_keys=True, ensure_ascii=False)
            (target / name).write_text(text + "\n", encoding="utf-8")
        else:
            _copy(records.folder / name, target / name)


def _put_results(records: RunRecords, metadata: Mapping[str, Any], target: Path) -> None:
    """`.eval_results/NAME.yaml`, where the test texts are the test split of a data set of the Hub."""
    datasets = metadata.get("datasets")
    call, audit, evaluation = records.arguments or CallRecord(), records.audit, records.tested
    if not datasets or evaluation is None or audit is None or call.test_file:
        return
    if audit.splits.origin.get("test", "").startswith("made from"):
        return  # texts that nobody else has as a test split
    entry = EvalResultEntry(
        dataset_id=datasets[0],
        task_id=call.dataset_config_name or "default",
        value=round(evaluation.model.accuracy.value, 4),
        dataset_revision=_commit(call.dataset_revision),
        date=None if evaluation.training is None else evaluation.training.date,
        notes=f"accuracy on the test split, {evaluation.texts} texts",
    )
    path = target / ".eval_results" / f"{datasets[0].rpartition('/')[2]}.yaml"
    path.parent.mkdir()
    path.write_text(yaml.dump(eval_result_entries_to_yaml([entry]), sort_keys=False), encoding="utf-8")


def _commit(revision: str | None) -> str | None:
    return revision if revision is not None and re.fullmatch(r"[0-9a-f]{40}", revision) else None


def _without_origins(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _ORIGINS}


def _copy(source: Path, target: Path) -> None:
    """Content alone: neither times nor rights of the machine."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
