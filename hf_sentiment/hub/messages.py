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
AGAIN = "run the same command again"
LOG_IN = "`hf auth login` with a token that may write (https://huggingface.co/settings/tokens), or set HF_TOKEN"
# What to do about a status; the client's own messages say what it means, and not that.
_GATED = 0
_NO_ROOM = "no room left ({status}: {answer}): free or buy some at https://huggingface.co/settings/billing"
_FAILED = f"the Hub failed ({{status}}: {{answer}}): {AGAIN} later"
_BY_STATUS = {
    _GATED: "its terms are not accepted, or no longer: accept them at https://huggingface.co/{repo_id}, and "
    f"{AGAIN} ({{answer}})",
    401: f"the token is not valid (401: {{answer}}): {LOG_IN}",
    402: _NO_ROOM,
    403: f"the token may not do that in {{owner}}/ (403: {{answer}}): {LOG_IN}, or publish to a name of your own",
    404: "the Hub does not have {repo_id} for this token ({status}: {answer}): check the name and the token",
    409: f"the Hub is busy with {{repo_id}}, or it is there already (409: {{answer}}): {AGAIN}",
    412: f"somebody else has changed {{repo_id}} in between (412), and it is not overwritten: look, and {AGAIN}",
    413: _NO_ROOM,
    429: f"too many requests (429: {{answer}}): wait some minutes, and {AGAIN}",
}


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
    # The client has errors of httpx behind its own, and some of its own behind plain ones.
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
    if isinstance(error, LocalTokenNotFoundError):
        return f"no token: {LOG_IN}"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set: unset it"
    # Of `create_commit`, which lets the Hub look at README.md before it sends anything.
    refused = isinstance(error, ValueError) and not isinstance(error, HfHubHTTPError)
    if refused and "metadata" in str(error):
        return f"the Hub refuses the card: {_last_line(error)}"
    status = status_of(error)
    if status is not None:
        return _of_status(status, error, repo_id)
    if type(error) is ConnectionError:  # only the chunk store raises the built-in one
        return f"the Hub's chunk store failed ({_last_line(error)}): set HF_HUB_DISABLE_XET=1, and {AGAIN}"
    if _is_of_connection(error):
        return f"the connection failed ({type(error).__name__}: {_last_line(error)}): {AGAIN}"
    return f"{type(error).__name__}: {_last_line(error)}"


def _of_status(status: int, error: BaseException, repo_id: str) -> str:
    answer = _server_message(error)
    case = status
    # A 403 is one of three things, and only the words tell which.
    if isinstance(error, GatedRepoError) or (status == 403 and _TERMS.search(answer)):
        case = _GATED
    elif status == 403 and _QUOTA.search(answer):
        case = 402
    # Of a private repository that a token may not see, the Hub does not say that it is there.
    elif status == 401 and isinstance(error, RepositoryNotFoundError):
        case = 404
    template = _BY_STATUS.get(case, _FAILED if status >= 500 else "the Hub refused it ({status}: {answer})")
    return template.format(status=status, answer=answer, repo_id=repo_id, owner=repo_id.partition("/")[0])


def _server_message(error: BaseException) -> str:
    for cause in _chain(error):
        answer = getattr(cause, "server_message", None)
        if answer:
            return " ".join(str(answer).split())[:300]
    return _last_line(error)


def _last_line(error: BaseException) -> str:
    """What an error of the client is about: its last line, as the first ones are of the request."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and what it came of; errors may have themselves for a cause."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain
