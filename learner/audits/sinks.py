"""Where texts end up: every text of a step or check, and what becomes of it there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from learner.audits.programs import SHELLS
from learner.models import Step, Verification

Kind = Literal["shell", "command", "path", "url", "content", "environment", "words", "other"]
"""`shell`: a shell or an interpreter reads it as code; `command`: one word of an argv; `words`: said to people."""

_FIELDS: Mapping[str, Kind] = {
    "path": "path", "source": "path", "destination": "path", "backup_dir": "path", "config": "path", "cwd": "path",
    "patterns": "path", "url": "url", "host": "url", "script": "shell", "content": "content", "line": "content",
    "message": "words", "stdin": "content",
}  # fmt: skip


POSIX_SHELLS = frozenset(["sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"])
"""Shells that take `-c SCRIPT NAME ARGUMENTS…`."""


@dataclass(frozen=True)
class Sink:
    """One text and what becomes of it."""

    kind: Kind
    text: str
    where: str


def of_step(step: Step, params: Mapping[str, Any] | None = None) -> Iterator[Sink]:
    """The texts of a step's parameters; `params` when they were filled in."""
    yield from _of(step.params if params is None else params, step.action)


def of_check(claim: Verification, params: Mapping[str, Any] | None = None) -> Iterator[Sink]:
    """The texts of a check's parameters."""
    yield from _of(claim.params if params is None else params, claim.check)


def _of(params: Mapping[str, Any], thing: str) -> Iterator[Sink]:
    for name, value in params.items():
        if name == "argv":
            yield from _argv(value)
        elif name == "env" and isinstance(value, Mapping):
            for variable, text in value.items():
                yield Sink("environment", str(text), f"params.env.{variable}")
        else:
            kind = _FIELDS.get(name, "other")
            # A shell's standard input is a script.
            if name == "stdin" and is_shell(params.get("argv")):
                kind = "shell"
            for text in value if isinstance(value, list | tuple) else [value]:
                if isinstance(text, str):
                    yield Sink(kind, text, f"params.{name}")


def _argv(argv: Any) -> Iterator[Sink]:
    words = argv if isinstance(argv, list | tuple) else [argv]
    shell, code = is_shell(argv), inline_script(argv)
    for i, word in enumerate(words):
        handed_over = code is not None and i > code
        yield Sink("shell" if shell and i and not handed_over else "command", str(word), f"params.argv.{i}")


def inline_script(argv: Any) -> int | None:
    """Where in `sh -c SCRIPT NAME ARGUMENTS…` the script stands; None when argv is not just that.

    What comes after it are `$0`, `$1` …: values for the script, no part of its text.
    """
    words = [str(word) for word in argv] if isinstance(argv, list | tuple) else []
    if not words or words[0].rpartition("/")[2] not in POSIX_SHELLS:
        return None
    at = 1
    while at < len(words) and re.fullmatch(r"[-+][A-Za-z]+", words[at]):
        if words[at][0] == "-" and "c" in words[at]:
            # In `-co pipefail` the option's name stands before the script; nobody writes that.
            return at + 1 if at + 1 < len(words) and "o" not in words[at].lower() else None
        at += 2 if words[at].lower().endswith("o") else 1
    return None


def is_shell(argv: Any) -> bool:
    """Whether an argv hands a text to a shell or an interpreter as code."""
    if not isinstance(argv, list | tuple):
        return False
    names = [str(word).rpartition("/")[2].lower().removesuffix(".exe") for word in argv]
    interpreters = SHELLS | {
        "python",
        "python3",
        "perl",
        "ruby",
        "node",
        "php",
        "powershell",
        "pwsh",
        "eval",
        "ssh",
        "su",
        "cmd",
    }
    return any(name in interpreters for name in names)
