"""A Hub on 127.0.0.1 for tests: the unmodified `huggingface_hub` client speaks to it over HTTP.

It keeps everything in memory, starts in milliseconds, and can be told to fail at any request (`faults.py`). Reading
order: `server.py` (what a test holds), `handler.py` (one request after another), `routing.py` (which function
answers), `routes_*.py` (the answers), `state.py` and `storage.py` (what is kept), `accounts.py` (who may do what),
`cards.py` (the validation of model cards).
"""

from __future__ import annotations

from .accounts import Tokens
from .faults import Fault, Faults
from .log import Entry, Log
from .server import LoopbackHub

__all__ = ["Entry", "Fault", "Faults", "Log", "LoopbackHub", "Tokens"]
