"""What the Hub and its client answer, as one line that says what to do; never with a token in it."""

from __future__ import annotations

import re

from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from hf_sentiment.errors import SentimentError

_TOKEN = re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{8,}")
_QUOTA = re.compile(r"\b(?:quota|storage|space|payment|billing|exceed|limit)", re.IGNORECASE)
_TERMS = re.compile(r"gated|licen[cs]e|terms|accept|agree", re.IGNORECASE)
AGAIN = "say the same command again"
LOG_IN = "`hf auth login` with a token that may write (https://huggingface.co/settings/tokens), or set HF_TOKEN"


class HubError(SentimentError):
    """The Hub could not do, or refused, what was asked; exit code 1.

    Attributes:
        cut: Whether it was the connection that failed, and no answer came.
    """

    def __init__(self, message: str, *, cut: bool = False) -> None:
        super().__init__(message)
        self.cut = cut


def without_tokens(text: str) -> str:
    """A text on one line, with every token hidden."""
    return _TOKEN.sub("hf_…", " ".join(text.split()))


def status_of(error: BaseException) -> int | None:
    """The HTTP status behind an error of the client, which wraps some of them."""
    for cause in _chain(error):
        if isinstance(cause, HfHubHTTPError) or type(cause).__name__ == "HTTPStatusError":
            response = getattr(cause, "response", None)
            if response is not None:
                return int(response.status_code)
    return None


def explain(error: BaseException, repo_id: str, doing: str) -> HubError:
    """An error of the client as one line.

    Args:
        error: What was raised.
        repo_id: The repository that it is about.
        doing: What was being done: "create the repository".
    """
    cut = status_of(error) is None and _is_of_connection(error)
    return HubError(without_tokens(f"could not {doing}: {_reason(error, repo_id)}"), cut=cut)


def _is_of_connection(error: BaseException) -> bool:
    return type(error).__module__.startswith(("httpx", "httpcore")) or isinstance(error, (OSError, RuntimeError))


def _reason(error: BaseException, repo_id: str) -> str:
    owner = repo_id.partition("/")[0]
    if isinstance(error, LocalTokenNotFoundError):
        return f"no token: {LOG_IN}"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it"
    refused = isinstance(error, ValueError) and not isinstance(error, HfHubHTTPError)
    if refused and "metadata" in str(error):
        return f"the Hub refuses the card: {_last_line(error)}"
    status = status_of(error)
    if status is not None:
        return _of_status(status, error, repo_id, owner)
    if type(error) is ConnectionError:  # only the chunk store raises the built-in one
        return f"the Hub's chunk store failed ({_last_line(error)}): set HF_HUB_DISABLE_XET=1, and {AGAIN}"
    if _is_of_connection(error):
        return f"the connection failed ({type(error).__name__}: {_last_line(error)}): {AGAIN}"
    return f"{type(error).__name__}: {_last_line(error)}"


def _of_status(status: int, error: BaseException, repo_id: str, owner: str) -> str:
    said = _server_message(error)
    page = f"https://huggingface.co/{repo_id}"
    if isinstance(error, GatedRepoError) or (status == 403 and _TERMS.search(said)):
        return f"its terms are not accepted, or no longer: accept them at {page}, and {AGAIN} ({said})"
    if status in (402, 413) or (status == 403 and _QUOTA.search(said)):
        return f"no room left ({status}: {said}): free or buy some at https://huggingface.co/settings/billing"
    if status == 401 and not isinstance(error, RepositoryNotFoundError):
        return f"the token is not valid (401: {said}): {LOG_IN}"
    if status == 403:
        return f"the token may not do that in {owner}/ (403: {said}): {LOG_IN}, or publish to a name of your own"
    if status in (401, 404):
        return f"the Hub does not have {repo_id} for this token ({status}: {said}): check the name and the token"
    if status == 409:
        return f"the Hub is busy with {repo_id}, or it is there already (409: {said}): {AGAIN}"
    if status == 412:
        return f"somebody else has changed {repo_id} in between (412), and it is not overwritten: look, and {AGAIN}"
    if status == 429:
        return f"too many requests (429: {said}): wait some minutes, and {AGAIN}"
    if status >= 500:
        return f"the Hub failed ({status}: {said}): {AGAIN} later"
    return f"the Hub refused it ({status}: {said})"


def _server_message(error: BaseException) -> str:
    for cause in _chain(error):
        said = getattr(cause, "server_message", None)
        if said:
            return " ".join(str(said).split())[:300]
    return _last_line(error)


def _last_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
