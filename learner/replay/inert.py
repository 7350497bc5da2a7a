"""Commands that change nothing, whatever host they run on: they end with 0 and leave all as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_INERT = frozenset({"true", ":", "echo", "printf", "sleep", "date", "id", "whoami", "hostname", "uname", "pwd", "exit"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh"})
# What makes more of a line than its words: redirections, substitutions, assignments.
_MORE = re.compile(r"[<>`=]|\$\(")
_BETWEEN = re.compile(r"&&|\|\||[;|\n]")


def slept_seconds(params: Any) -> float | None:
    """The seconds that a command or script of nothing but inert programs sleeps; None when it may do more."""
    argv = getattr(params, "argv", None)
    if argv is not None:
        return _argv(tuple(map(str, argv)))
    if getattr(params, "shell", None) in ("sh", "bash"):
        return _script(str(params.script))
    return None


def _argv(words: Sequence[str]) -> float | None:
    program = words[0].rpartition("/")[2]
    if program in _SHELLS:
        plain = len(words) > 2 and re.fullmatch(r"-[a-z]*c", words[-2])
        return _script(words[-1]) if plain else None
    if program not in _INERT or (program in ("date", "hostname") and len(words) > 1):
        return None  # with arguments, the last two set what they show
    if program == "sleep":
        return sum(float(word) for word in words[1:] if re.fullmatch(r"[0-9]+(\.[0-9]+)?", word))
    return 0.0


def _script(text: str) -> float | None:
    if _MORE.search(text):
        return None
    slept = 0.0
    for part in _BETWEEN.split(text):
        words = part.split()
        if not words or words[0].startswith("#"):
            continue
        one = _argv(words)
        if one is None:
            return None
        slept += one
    return slept
