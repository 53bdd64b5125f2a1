"""Finding a checkpoint by its name; without torch and transformers, which take seconds to import."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from pathlib import Path

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from hf_sentiment.data.sources import is_starter, starter_model
from hf_sentiment.errors import CallError, first_line
from hf_sentiment.records.checksums import sha256_of
from hf_sentiment.records.folder import nearest_folder, no_such_folder

logger = logging.getLogger(__name__)

_CONFIG = "config.json"
# Where people keep runs; `runs/demo` has the form of a Hub id.
_FOLDERS_OF_RUNS = ("run", "runs", "output", "outputs", "checkpoint", "checkpoints", "result", "results")
_NOT_OF_THE_MODEL = ("records", "checkpoint-", ".", "_")  # in a run's folder
_PATIENCE = 10.0  # seconds for the Hub to answer


def find_checkpoint(name: str | os.PathLike[str], revision: str | None = None) -> str:
    """The folder or the Hub id that a name stands for.

    What is no folder is asked of the Hub, once and without a retry, if it can be an id: not `runs/demo` where there is
    a folder `runs`, nor below a name that people give to folders of runs.

    Args:
        name: A folder, a Hub id, `starter` or `starter:multilingual`.
        revision: Branch, tag or commit of a Hub repository.

    Returns:
        The path with its `~` expanded, the id, or, where the Hub cannot be reached, its copy in the cache.

    Raises:
        CallError: There is neither such a folder nor such a repository; with the nearest folder.
    """
    said = os.fspath(name)
    if is_starter(said):
        return str(starter_model(said))
    path = Path(said).expanduser()
    if not said.strip():
        raise CallError("no model is named: give a run's --output_dir or a Hub id")
    if path.is_dir():
        return str(path)
    if path.is_file():
        if (path.parent / _CONFIG).is_file():
            raise CallError(f"{said} is a file: name the folder that it is in, {path.parent}")
        raise CallError(f"{said} is a file and not a model: name a run's --output_dir or a Hub id, and then the file")
    if "://" in said:
        raise CallError(f"{said} is an address: name the repository alone, OWNER/NAME")
    if not _is_hub_id(said):
        raise CallError(no_such_folder(path))
    return _ask_the_hub(said, revision)


def digest_of(name: str, revision: str | None = None) -> str:
    """What tells a model from others: of a folder its files but for prose and records, of a Hub id the commit.

    Args:
        name: What `find_checkpoint` found.
        revision: Branch, tag or commit of a Hub repository.
    """
    folder = Path(name)
    if not folder.is_dir():
        cached = try_to_load_from_cache(name, _CONFIG, revision=revision)
        return Path(cached).parent.name if isinstance(cached, str) else f"{name} {revision}"
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if path.is_file() and path.suffix not in (".md", ".py") and not below.parts[0].startswith(_NOT_OF_THE_MODEL):
            digest.update(f"{below.as_posix()} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _is_hub_id(name: str) -> bool:
    """Whether a name can only be a Hub id, as there is no folder of that name."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    # `runs/demo` is a misspelt path where there is a folder `runs`, and a Hub id where there is none.
    owner, slash, _ = name.partition("/")
    return not slash or not (Path(owner).is_dir() or owner.lower() in _FOLDERS_OF_RUNS)


@functools.cache  # what the Hub has; an error is asked again
def _ask_the_hub(name: str, revision: str | None) -> str:
    # Offline, and where the Hub does not answer, its copy in the cache will do.
    cached = try_to_load_from_cache(name, _CONFIG, revision=revision)
    nowhere = f"{name}: no such folder{nearest_folder(Path(name)).rstrip('?')}, and"
    if constants.is_offline_mode():
        if isinstance(cached, str):
            return name
        raise CallError(f"{nowhere} the Hub cannot be asked: HF_HUB_OFFLINE is set")
    try:
        get_hf_file_metadata(hf_hub_url(name, _CONFIG, revision=revision), timeout=_PATIENCE)
    except EntryNotFoundError:
        return name  # a repository without a config, of which transformers says more
    except RepositoryNotFoundError as error:
        raise CallError(f"{nowhere} no such model on the Hub, or a private one: `hf auth login`") from error
    except RevisionNotFoundError as error:
        raise CallError(f"{name} has no branch, tag or commit {revision} on the Hub") from error
    except HfHubHTTPError as error:
        raise CallError(f"{nowhere} the Hub refuses it ({first_line(error)})") from error
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore")):  # the client has several, by its version
            raise
        if isinstance(cached, str):
            logger.warning("The Hub cannot be reached: taking the copy of %s in the cache", name)
            return str(Path(cached).parent)
        raise CallError(f"{nowhere} the Hub cannot be reached ({first_line(error)})") from error
    return name
