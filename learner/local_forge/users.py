"""Who may speak to the forge: a login, a token and a role each."""

from __future__ import annotations

import json
import os
import re
import secrets
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from learner.errors import LearnerError

ROLES = ("read", "triage", "write", "maintain", "admin")
_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:\[bot\])?")


@dataclass(frozen=True)
class User:
    """A person or a bot of the forge.

    `role` is one of GitHub's five repository roles.
    Source: GitHub docs, "Repository roles for an organization".
    """

    login: str
    token: str
    role: str = "write"
    type: str = "User"
    name: str = ""
    email: str = ""
    signing_key: Path | None = None

    def __post_init__(self) -> None:
        if not _LOGIN.fullmatch(self.login):
            raise LearnerError(f"user {self.login!r}: not a login", "use letters, digits and hyphens")
        if self.role not in ROLES:
            raise LearnerError(f"user {self.login}: unknown role {self.role!r}", f"use one of {', '.join(ROLES)}")
        if self.type not in ("User", "Bot"):
            raise LearnerError(f"user {self.login}: unknown type {self.type!r}", "use User or Bot")
        if len(self.token) < 8 or not self.token.isascii() or not self.token.isprintable():
            raise LearnerError(
                f"user {self.login}: the token is too short or not printable", "use 8 or more characters"
            )
        object.__setattr__(self, "name", self.name or self.login)
        object.__setattr__(self, "email", self.email or f"{self.login}@users.noreply.localhost")

    def __repr__(self) -> str:
        return f"User({self.login!r}, role={self.role!r}, type={self.type!r})"

    @property
    def id(self) -> int:
        """A number that stays the same for a login, as GitHub's user ids do."""
        return zlib.crc32(self.login.lower().encode())

    @property
    def is_bot(self) -> bool:
        return self.type == "Bot"

    def may(self, role: str) -> bool:
        """True when this user's role is `role` or a stronger one."""
        return ROLES.index(self.role) >= ROLES.index(role)


def load_users(path: Path) -> list[User]:
    """The users in a YAML or JSON file: `{users: [{login, token, role, type, name, email, signing_key}]}`.

    Raises: `LearnerError` when it can't be read, or is open to other accounts of this host.
    """
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise LearnerError(f"{path} holds tokens and others can read it", f"run `chmod 600 {path}`")
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as e:
        raise LearnerError(
            f"{path}: can't read users: {' '.join(str(e).split())}", "see `learner forge serve --help`"
        ) from e
    entries = data.get("users") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise LearnerError(f"{path}: no users in it", "write `users:` with a list of {login, token, role}")
    return [_user(path, entry) for entry in entries]


def _user(path: Path, entry: Any) -> User:
    known = set(User.__dataclass_fields__)
    if (
        not isinstance(entry, dict)
        or not all(isinstance(v, str) for v in entry.values())
        or not {"login", "token"} <= set(entry)
    ):
        raise LearnerError(
            f"{path}: a user needs a login and a token, all of them text", "see `learner forge serve --help`"
        )
    if extra := sorted(set(entry) - known):
        raise LearnerError(f"{path}: unknown key {extra[0]!r}", f"use {', '.join(sorted(known))}")
    key = entry.pop("signing_key", None)
    return User(**entry, signing_key=path.parent / key if key else None)


def create_users(path: Path) -> list[User]:
    """Fresh users with random tokens, written to `path` with mode 0600: two people, the learner, an executor."""
    people = [
        ("owner", "admin", "User"),
        ("reviewer", "maintain", "User"),
        ("learner[bot]", "write", "Bot"),
        ("executor[bot]", "write", "Bot"),
    ]
    entries = [
        {"login": login, "token": f"lf_{secrets.token_urlsafe(24)}", "role": role, "type": kind}
        for login, role, kind in people
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as f:
        if path.suffix == ".json":
            json.dump({"users": entries}, f, indent=2)
        else:
            yaml.safe_dump({"users": entries}, f, sort_keys=False)
    return load_users(path)


class Directory:
    """All users: found by login, by token, by email."""

    def __init__(self, users: Sequence[User]) -> None:
        self._by_login = {u.login.lower(): u for u in users}
        self._by_token = {u.token: u for u in users}
        self._by_email = {u.email.lower(): u for u in users}
        if not len(users) == len(self._by_login) == len(self._by_token):
            raise LearnerError("two users share a login or a token", "give each user their own")

    def __iter__(self) -> Any:
        return iter(self._by_login.values())

    def named(self, login: str) -> User | None:
        return self._by_login.get(login.lower())

    def holding(self, token: str) -> User | None:
        """The user whose token this is; every token is compared, in constant time each."""
        given = token.encode("utf-8", "surrogateescape")
        found = None
        for known, user in self._by_token.items():
            if secrets.compare_digest(known.encode(), given):
                found = user
        return found

    def mailed(self, email: str) -> User | None:
        return self._by_email.get(email.lower())
