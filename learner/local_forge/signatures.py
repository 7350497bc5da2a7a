"""Whether a commit's SSH signature was made with the key of one of the forge's users.

Source: GitHub docs, "About commit signature verification", for the reasons given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from learner.local_forge.bare import Bare, Commit
from learner.local_forge.users import User


@dataclass(frozen=True)
class Verification:
    verified: bool
    reason: str


class Signatures:
    """Verifies commits against the users' public keys (`signing_key` or the `.pub` beside it)."""

    def __init__(self, repo: Bare, users: Sequence[User], signers_path: Path) -> None:
        self._repo = repo
        self._path = signers_path
        self._known: dict[str, Verification] = {}
        lines = [line for user in users if (line := _signer(user))]
        if lines:
            signers_path.write_text("".join(lines), encoding="utf-8")
        self._usable = bool(lines)

    def check(self, commit: Commit) -> Verification:
        """Whether and why a commit counts as verified; asked of git once a commit."""
        if commit.signature is None:
            return Verification(False, "unsigned")
        if "SSH SIGNATURE" not in commit.signature or not self._usable:
            return Verification(False, "unknown_key")
        if commit.sha not in self._known:
            config = {"gpg.ssh.allowedSignersFile": str(self._path)}
            done = self._repo.git.attempt("verify-commit", commit.sha, config=config)
            self._known[commit.sha] = (
                Verification(True, "valid") if done.returncode == 0 else Verification(False, "unknown_key")
            )
        return self._known[commit.sha]


def public_key(user: User) -> str | None:
    """A user's public key line; None when there is no key to read."""
    if user.signing_key is None:
        return None
    for path in (user.signing_key.with_name(user.signing_key.name + ".pub"), user.signing_key):
        try:
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.startswith(("ssh-", "ecdsa-", "sk-")):
            return " ".join(text.split()[:2])
    return None


def _signer(user: User) -> str | None:
    key = public_key(user)
    return f'{user.email} namespaces="git" {key}\n' if key else None
