"""One simple command, as a reader of a shell's text sees it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

UNREAD = "(wrapped too deep to be read)"
"""The name of a command that stands for what was not followed any further."""


@dataclass(frozen=True)
class Simple:
    """One command: its words, redirections as (operator, target), and the commands whose output it reads."""

    words: tuple[str, ...]
    redirects: tuple[tuple[str, str], ...] = ()
    upstream: tuple[Simple, ...] = ()
    stdin: str = ""
    """A here-document or here-string."""
    variables: tuple[tuple[str, str], ...] = ()
    """Assignments that stand before it."""
    elevated: bool = False
    """It runs behind `sudo` or the like."""
    scope: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """All that was assigned up to here, for what the same shell reads again: `eval` and `trap`."""

    @property
    def name(self) -> str:
        """The program, without its directory and `.exe`, in lower case."""
        if not self.words:
            return ""
        return re.split(r"[/\\]", self.words[0])[-1].lower().removesuffix(".exe")

    @property
    def options(self) -> frozenset[str]:
        """Short options by letter (`-rf` gives r and f) and long ones by name, without values."""
        found: set[str] = set()
        for word in self.words[1:]:
            if word == "--":
                break
            if word.startswith("--"):
                found.add(word[2:].partition("=")[0])
            elif word.startswith("-") and len(word) > 1:
                found.update(word[1:])
        return frozenset(found)

    @property
    def operands(self) -> tuple[str, ...]:
        """The words that are no options."""
        found, only = [], False
        for word in self.words[1:]:
            if word == "--" and not only:
                only = True
            elif only or not word.startswith("-") or word == "-":
                found.append(word)
        return tuple(found)

    def __str__(self) -> str:
        return " ".join(self.words)


def escapes(raw: str) -> str:
    """`raw` with the escapes of `$'…'` and `printf` read."""

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU":
            return chr(int(code[1:], 16)) if int(code[1:], 16) < 0x110000 else ""
        if code[0] in "01234567":
            return chr(int(code, 8) & 0xFF)
        return {"n": "\n", "t": "\t", "r": "\r", "e": "\x1b"}.get(code, code)

    return re.sub(r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|.)", one, raw, flags=re.DOTALL)
