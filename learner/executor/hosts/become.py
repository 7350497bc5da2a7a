"""Commands with an administrator's rights, by way of sudo: what runs, its environment and the password go by standard input.

An argument list can be read by everybody on the host, and sudo writes it to the system's log.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from learner.actions.host import HostError
from learner.errors import LearnerError

# Reads so many lines from standard input, byte by byte as `read` must, and runs them; what follows on standard input
# is the command's. There is no line end in it and no quote but these, so that any login shell hands it on unchanged.
LOADER = (
    'IFS= read -r n; e=$(printf "\\nx"); e=${e%x}; s=; '
    'while [ "$n" -gt 0 ]; do IFS= read -r l; s=$s$l$e; n=$((n-1)); done; eval "$s"'
)


def loaded(script: str, stdin: str | None = None) -> str:
    """What `LOADER` is to read: a script whose lines all end, and then the command's own input."""
    return f"{script.count(chr(10))}\n{script}{stdin or ''}"


def body(argv: Sequence[str], env: Mapping[str, str], cwd: str | None) -> str:
    """A POSIX sh script that becomes the command; 127 when there is no such program, 126 when it may not run.

    Raises: `HostError` for what is no name of an environment variable.
    """
    for key in env:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", key):
            raise HostError(f"{key!r} is no name of an environment variable")
    name = shlex.quote(argv[0])
    lines = []
    if cwd is not None:
        missing = shlex.quote(f"{cwd}: no such directory")
        lines.append(f"cd -- {shlex.quote(cwd)} 2>/dev/null || {{ printf '%s' {missing} >&2; exit 126; }}")
    lines += [f"export {key}={shlex.quote(value)}" for key, value in env.items()]
    if "/" not in argv[0]:
        # What only the shell knows (`wait`, `ulimit`) is no program: on no host is it found.
        lines.append(
            f'found=; IFS=:; for d in $PATH; do [ -f "$d"/{name} ] && [ -x "$d"/{name} ] && found=1; done; unset IFS; '
            f"[ -n \"$found\" ] || {{ printf '%s: command not found' {name} >&2; exit 127; }}"
        )
    else:
        lines.append(f"[ -e {name} ] || {{ printf '%s: command not found' {name} >&2; exit 127; }}")
        lines.append(f"[ -x {name} ] || {{ printf '%s: Permission denied' {name} >&2; exit 126; }}")
    lines.append("exec " + shlex.join(argv))
    return "\n".join(lines)


@dataclass(frozen=True)
class Become:
    """How another user's rights are taken: the words before a command, and the password that sudo may ask for."""

    words: tuple[str, ...] = ("sudo", "-n", "--")
    password: str | None = None

    def __post_init__(self) -> None:
        if self.password is not None and (not self.words or os.path.basename(self.words[0]) != "sudo"):
            raise LearnerError(
                f"a password can only be handed to sudo, not to {self.words[0] if self.words else 'nothing'}",
                "unset LEARNER_BECOME_PASSWORD, or set `become` to sudo in the host's settings",
            )
        if self.password is not None and "\n" in self.password:
            raise LearnerError("a password of several lines can't be handed to sudo", "check LEARNER_BECOME_PASSWORD")

    def raised(self, script: str, stdin: str | None = None) -> tuple[list[str], str]:
        """The command that runs `script` with those rights, and what it is to read."""
        given = loaded(script, stdin)
        if self.password is None:
            return [*self.words, "sh", "-c", LOADER], given
        # sudo reads the password only when it wants one. What it leaves must not become the command's input: all up to
        # a mark that nobody knows is passed over.
        mark = f"learner-{secrets.token_hex(12)}"
        skip = f'while :; do IFS= read -r l || exit 126; [ "$l" = {mark} ] && break; done; '
        rest = [word for word in self.words[1:] if word not in ("-n", "--non-interactive")]
        argv = [self.words[0], "-S", "-p", "", *rest, "sh", "-c", skip + LOADER]
        return argv, f"{self.password}\n{mark}\n{given}"
