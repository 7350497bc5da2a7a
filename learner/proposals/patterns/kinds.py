"""What a pattern may take out of an error: `%{path:pidfile}` in its regular expressions, checked by kind.

Text from telemetry ends up in a runbook here, so a kind accepts only what that thing can be and nothing near it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from learner.strict import Json

_MACRO = re.compile(r"%\{([a-z]+):([a-z][a-z0-9_]*)\}")


def _path(text: str) -> str | None:
    parts = text.split("/")[1:]
    if len(text) > 255 or len(parts) < 2 or any(part in ("", ".", "..") for part in parts):
        return None  # the root's own directories are nobody's to repair
    return text


def _mount(text: str) -> str | None:
    return text if text == "/" else _path(text + "/x") and text


def _service(text: str) -> str | None:
    return text.removesuffix(".service") or None


def _port(text: str) -> int | None:
    return int(text) if 1 <= int(text) <= 65535 else None


def _number(text: str) -> int | None:
    return int(text) if len(text) <= 9 else None


def _same(text: str) -> str | None:
    return text if len(text) <= 128 else None


@dataclass(frozen=True)
class Kind:
    """A regular expression, and what its text means; None when it is not sane after all."""

    regex: str
    value: Callable[[str], Json]


_APART = r"(?<![A-Za-z0-9_])"
# Bounded and anchored, so that no text keeps a search busy.
KINDS: Mapping[str, Kind] = {
    "path": Kind(r"(?<![A-Za-z0-9._@+~/-])/[A-Za-z0-9._@+/-]{0,250}[A-Za-z0-9_@+-]", _path),
    "mount": Kind(r"(?<![A-Za-z0-9._@+~/-])/(?:[A-Za-z0-9._@+/-]{0,250}[A-Za-z0-9_@+-])?", _mount),
    "service": Kind(_APART + r"[A-Za-z0-9_][A-Za-z0-9@._-]{0,80}[A-Za-z0-9_]", _service),
    "process": Kind(_APART + r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,60}", _same),
    "port": Kind(r"[0-9]{1,5}(?![0-9])", _port),
    "host": Kind(_APART + r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,120}[A-Za-z0-9])?|::1)", _same),
    "option": Kind(r"-{0,2}[A-Za-z][A-Za-z-]{0,30}", _same),
    "number": Kind(r"[0-9]{1,9}(?![0-9])", _number),
}


def compiled(text: str) -> tuple[re.Pattern[str], dict[str, str]]:
    """The regular expression that `text` means, and the kind of each name it captures.

    Raises: `ValueError` for an unknown kind or a bad expression.
    """
    kinds: dict[str, str] = {}

    def group(match: re.Match[str]) -> str:
        kind, name = match.groups()
        if kind not in KINDS:
            raise ValueError(f"there is no kind {kind}; there are: {', '.join(KINDS)}")
        if name in kinds:
            raise ValueError(f"{name} is captured twice")
        kinds[name] = kind
        return f"(?P<{name}>{KINDS[kind].regex})"

    try:
        pattern = re.compile(_MACRO.sub(group, text), re.IGNORECASE)
    except re.error as e:
        raise ValueError(f"{text}: {e}") from e
    if set(pattern.groupindex) != set(kinds):
        raise ValueError(f"{text}: capture by kind, such as %{{path:pidfile}}, not by bare groups")
    return pattern, kinds


def accepted(kind: str, value: Json) -> Json:
    """`value` as the kind understands it; None when it is none of the kind."""
    if isinstance(value, bool) or value is None:
        return None
    text = str(value)
    return KINDS[kind].value(text) if re.fullmatch(KINDS[kind].regex, text, re.IGNORECASE) else None
