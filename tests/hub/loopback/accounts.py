"""Users, organisations and tokens, and who may read and write where."""

from __future__ import annotations

import secrets
import string
from dataclasses import dataclass, field
from typing import Any

# Roles in an organisation that may write into its repositories.
_WRITERS = {"admin", "write"}


@dataclass(frozen=True)
class Account:
    """A user, or an organisation with `members`: name → role ("admin", "write", "contributor" or "read")."""

    name: str
    kind: str = "user"
    members: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Token:
    """A token of `user`.

    `role` is "write", "read" or "fineGrained". A fine-grained one may read and write in `scopes` (namespaces) only.
    """

    value: str
    user: str
    role: str
    scopes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tokens:
    """The tokens of a new hub.

    Users are "me" and "other"; organisations are "team" (me: write, other: read) and "closed" (me: read).

    Attributes:
        write: of "me".
        read: of "me", of role read.
        fine: of "me", fine-grained, for the namespace "me" only.
        other: write token of "other", who has no rights to "me".
        bad: looks like a token and is none.
    """

    write: str
    read: str
    fine: str
    other: str
    bad: str


class Accounts:
    """All accounts and tokens."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, Token] = {}
        for name in ("me", "other"):
            self.add(Account(name))
        self.add(Account("team", "org", {"me": "write", "other": "read"}))
        self.add(Account("closed", "org", {"me": "read"}))
        self.tokens = Tokens(
            write=self.issue("me", "write"),
            read=self.issue("me", "read"),
            fine=self.issue("me", "fineGrained", "me"),
            other=self.issue("other", "write"),
            bad=_new_value(),
        )

    def add(self, account: Account) -> None:
        """Add or replace an account."""
        self._accounts[account.name] = account

    def issue(self, user: str, role: str, *scopes: str) -> str:
        """The value of a new token of `user`."""
        token = Token(_new_value(), user, role, scopes)
        self._tokens[token.value] = token
        return token.value

    def find(self, value: str) -> Token | None:
        """The token of that value."""
        return self._tokens.get(value)

    def may_read(self, token: Token | None, namespace: str) -> bool:
        """Whether the private repositories of `namespace` are open to the token."""
        if token is None or namespace not in self._accounts:
            return False
        if token.role == "fineGrained" and namespace not in token.scopes:
            return False
        return namespace == token.user or token.user in self._accounts[namespace].members

    def may_write(self, token: Token | None, namespace: str) -> bool:
        """Whether the token may create and change repositories of `namespace`."""
        if token is None or token.role == "read" or not self.may_read(token, namespace):
            return False
        return namespace == token.user or self._accounts[namespace].members[token.user] in _WRITERS

    def whoami(self, token: Token) -> dict[str, Any]:
        """The answer of /api/whoami-v2."""
        organisations = [
            {"type": "org", "id": _id(name), "name": name, "fullname": name, "roleInOrg": account.members[token.user]}
            for name, account in self._accounts.items()
            if account.kind == "org" and token.user in account.members
        ]
        access: dict[str, Any] = {"displayName": f"{token.role} token", "role": token.role}
        if token.role == "fineGrained":
            permissions = ["repo.content.read", "repo.write"]
            scoped = [
                {
                    "entity": {"_id": _id(name), "type": self._accounts[name].kind, "name": name},
                    "permissions": permissions,
                }
                for name in token.scopes
            ]
            access["fineGrained"] = {"canReadGatedRepos": False, "global": [], "scoped": scoped}
        return {
            "type": "user",
            "id": _id(token.user),
            "name": token.user,
            "fullname": token.user.title(),
            "email": f"{token.user}@example.org",
            "emailVerified": True,
            "isPro": False,
            "orgs": organisations,
            "auth": {"type": "access_token", "accessToken": access},
        }


def _new_value() -> str:
    """A random value in the form of a real token, so that what hides tokens by their form can be tested."""
    return "hf_" + "".join(secrets.choice(string.ascii_letters) for _ in range(34))


def _id(name: str) -> str:
    return name.encode().hex().ljust(24, "0")[:24]
