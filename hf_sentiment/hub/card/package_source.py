"""How to get this package: said in one place, for cards, recipes and documents."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hf_sentiment.errors import CallError

# Whether `pip install hf-sentiment` finds this package. While it does not, nothing that is shipped or written promises
# it; a test reads all of it.
PACKAGE_ON_INDEX = False

_RIGHT = "git+https://HOST/OWNER/hf-sentiment@COMMIT, or https://HOST/hf_sentiment-VERSION-py3-none-any.whl"


def install_command(source: str | None) -> str | None:
    """The command that installs this package; `None` where there is none that works for everybody.

    Args:
        source: Where the publisher says that it is, as `check_package_source` takes it.
    """
    if source is not None:
        return f'pip install "hf-sentiment @ {source}"'
    return "pip install hf-sentiment" if PACKAGE_ON_INDEX else None


def check_package_source(source: str) -> None:
    """Refuse what another machine cannot install from, or what may be another code tomorrow.

    Args:
        source: A wheel's address, or a Git repository's with a tag or commit.

    Raises:
        CallError: It is neither, or has a password in it.
    """
    parts = urlsplit(source)
    wheel = parts.scheme == "https" and parts.path.endswith(".whl")
    pinned = parts.scheme == "git+https" and re.fullmatch(r"/[^@\s]+@[\w.+/-]+", parts.path) is not None
    # Nor what a shell would take apart when somebody copies the command from the card.
    if not parts.netloc or not (wheel or pinned) or re.search(r"[\s\"'`$\\]", source):
        raise CallError(f"--package_source {source}: nobody else can install from that, or it may change: {_RIGHT}")
    if "@" in parts.netloc:
        raise CallError(f"--package_source: a user name or password is in the address: {_RIGHT}")
