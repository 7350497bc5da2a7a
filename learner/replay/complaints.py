"""What an error complains of: the facts it names, the values it would have liked, and whether time may heal it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from learner.facts import Path
from learner.mentions import facts_in

_MISSING = re.compile(
    r"no such file|not found|(?:does not|doesn.t|did not) exist|is missing|cannot find|can.t find|no such directory"
    r"|could not be found",
    re.IGNORECASE,
)
_IN_THE_WAY = re.compile(
    r"\bexists\b|\balready\b|\bstale\b|another (?:instance|process|copy)|\bin use\b|\blocked\b|\bis held\b",
    re.IGNORECASE,
)
_TAKEN = re.compile(r"address already in use|EADDRINUSE|only one usage of each socket|port is already", re.IGNORECASE)
_REFUSED = re.compile(
    r"connection refused|ECONNREFUSED|could not connect|can.t connect|failed to connect|is not open|no route to host"
    r"|connection reset|unreachable|actively refused",
    re.IGNORECASE,
)
_LOCKED = re.compile(
    r"already running|another (?:instance|process|copy)|could not get lock|unable to lock|lock.{0,20}held"
    r"|resource temporarily unavailable|text file busy"
    r"|used by another process|von einem anderen Prozess verwendet|utilisé par un autre processus|utilizado por otro proceso"
    r"|(?:target|device) (?:or resource )?(?:is )?busy",
    re.IGNORECASE,
)
_DOWN = re.compile(
    r"not running|inactive|is stopped|\bis down\b|dependency failed|has failed|not active", re.IGNORECASE
)
_DEPENDS = re.compile(
    r"dependency service or group|dependency (?:job |service )?(?:for \S{1,80} )?failed", re.IGNORECASE
)
_DEPENDED_ON = re.compile(r"has dependent services|services are dependent on|FAILED 1051", re.IGNORECASE)
_TIMED_OUT = re.compile(r"\btimed?[ -]?out\b|\btimeout\b|deadline exceeded", re.IGNORECASE)
_DENIED = re.compile(
    r"permission denied|operation not permitted|access (?:is )?denied|EACCES|EPERM|must be root|not permitted|a password is"
    r" required|authentication (?:is )?required",
    re.IGNORECASE,
)
_STAYS = re.compile(
    r"permission denied|operation not permitted|access is denied|command not found|syntax error|read-only file system"
    r"|(?:unknown|unrecognized|invalid|illegal) (?:option|argument|directive|command|parameter|value)"
    r"|no space left on device|input/output error|pid ?file \S+ (?:already )?exists|unit \S+ (?:could not be |not )found"
    r"|certificate has expired",
    re.IGNORECASE,
)

_EXPIRES = re.compile(
    r"NodeExists|node already exists and owner|already registered|address already in use|EADDRINUSE"
    r"|(?:lock|lease|session)[^\n]{0,60}(?:still held|not (?:yet )?expired|held by (?:a )?(?:previous|former|dead))",
    re.IGNORECASE,
)

_OUTLIVED = re.compile(
    r"\b(?:survived|outlived|ignor(?:es|ed)|still (?:alive|running|there|present)|(?:did|does) not (?:end|exit|terminate|die))\b"
    r"[^\n]{0,60}\b(?:SIG)?(?:TERM|INT|HUP|QUIT|USR[12])\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Need:
    """A fact that an attempt depends on. `wanted` is the value the error asks for, None when it does not say."""

    path: Path
    wanted: Any = None
    named: bool = False
    """Named by the error itself, not only read by the action."""


def needs(error: str, services: Iterable[str] = ()) -> tuple[Need, ...]:
    """The facts that `error` names, in path order."""
    found = {_need(path, error) for path in facts_in(error, services=services)}
    families = {need.path[0] for need in found}
    if _LOCKED.search(error) or _TAKEN.search(error):
        found.add(Need(("processes",), None, True))
    if (_TAKEN.search(error) or _REFUSED.search(error)) and "ports" not in families:
        found.add(Need(("ports",), None, True))
    if _DEPENDS.search(error) and "services" not in families:
        found.add(Need(("services",), None, True))
    if _DEPENDED_ON.search(error):
        found.add(Need(("services",), None, True))
    return tuple(sorted(found, key=lambda need: need.path))


def timed_out(error: str) -> bool:
    """Whether `error` says that the time was too short."""
    return bool(_TIMED_OUT.search(error))


def denied(error: str) -> bool:
    """Whether `error` speaks of missing rights."""
    return bool(_DENIED.search(error))


def outlived(error: str) -> bool:
    """Whether `error` says that a process was still there after a signal that it may ignore."""
    return bool(_OUTLIVED.search(error))


def expires(error: str) -> bool:
    """Whether what `error` says is held by a process that is gone, and is given back after a while."""
    return bool(_EXPIRES.search(error))


def stays(error: str) -> bool:
    """Whether what `error` says does not pass by itself: waiting longer changes nothing about it."""
    return bool(_STAYS.search(error))


def _need(path: Path, error: str) -> Need:
    # Of several lines only those that name the thing speak about it.
    lines = [line for line in error.splitlines() if path[-1].rpartition(":")[2] in line]
    said = "\n".join(lines) or error
    if path[0] == "files":
        wanted = True if _MISSING.search(said) else False if _IN_THE_WAY.search(said) else None
        return Need((*path, "exists"), wanted, True) if wanted is not None else Need(path, None, True)
    if path[0] == "ports" and len(path) > 1:
        return Need(path, "closed" if _TAKEN.search(said) else "listening" if _REFUSED.search(said) else None, True)
    if path[0] == "services":
        return Need(path, "running" if _DOWN.search(said) else None, True)
    return Need(path, None, True)
