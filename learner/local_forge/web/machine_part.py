"""The machine's part of a pull request: the hidden first line of its body. Untrusted, and not always there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_HIDDEN = re.compile(r"\A\s*<!-- learner:proposal (\{.*?\}) -->")
LEVELS = ("info", "notice", "warning", "block")
_TEXT = 2000


@dataclass(frozen=True)
class Finding:
    rule: str
    level: str
    message: str
    where: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class ReplayedRun:
    execution_id: str
    was: str
    becomes: str
    reason: str


@dataclass(frozen=True)
class Replay:
    """The replay's verdict; the shares say what it rests on, None where it did not say."""

    verdict: str
    summary: str
    recorded: float | None
    implied: float | None
    assumed: float | None
    runs: tuple[ReplayedRun, ...]


@dataclass(frozen=True)
class MachinePart:
    """What the learner says of its own proposal."""

    runbook_id: str
    from_version: int | None
    version: int | None
    signature: str
    failure_type: str
    priority: str
    executions: tuple[str, ...]
    findings: tuple[Finding, ...]
    added: tuple[str, ...]
    widened: tuple[str, ...]
    removed: tuple[str, ...]
    replay: Replay | None
    proposer: str

    @property
    def worst(self) -> str | None:
        """The gravest level among the findings."""
        return max((f.level for f in self.findings), key=LEVELS.index, default=None)


def read(body: str | None) -> MachinePart | None:
    """The machine part of a body; None when there is none, or it is no JSON object.

    Every value is checked for its type and cut to a length: a person can write such a line too.
    """
    found = _HIDDEN.match((body or "")[:200_000])
    if not found:
        return None
    try:
        held = json.loads(found[1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(held, dict):
        return None
    capabilities = held.get("capabilities")
    capabilities = capabilities if isinstance(capabilities, dict) else {}
    return MachinePart(
        runbook_id=_text(held.get("runbook_id")),
        from_version=_whole(held.get("from_version")),
        version=_whole(held.get("version")),
        signature=_text(held.get("signature")),
        failure_type=_text(held.get("failure_type")),
        priority=_text(held.get("priority")),
        executions=_texts(held.get("executions")),
        findings=tuple(_finding(f) for f in _objects(held.get("findings"))),
        added=_texts(capabilities.get("added")),
        widened=_texts(capabilities.get("widened")),
        removed=_texts(capabilities.get("removed")),
        replay=_replay(held.get("replay")),
        proposer=_text(held.get("proposer")),
    )


def without(body: str | None) -> str:
    """The body without its machine part, for reading."""
    return _HIDDEN.sub("", body or "", count=1).lstrip("\n")


def _text(value: Any) -> str:
    return value[:_TEXT] if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(v) for v in value[:200] if isinstance(v, str)) if isinstance(value, list) else ()


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9 else None


def _share(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 else None


def _objects(value: Any) -> Sequence[dict[str, Any]]:
    return [v for v in value[:100] if isinstance(v, dict)] if isinstance(value, list) else []


def _finding(value: dict[str, Any]) -> Finding:
    level = value.get("level")
    known = level if isinstance(level, str) and level in LEVELS else "notice"
    return Finding(
        _text(value.get("rule")),
        known,
        _text(value.get("message")),
        _text(value.get("where")),
        _texts(value.get("evidence")),
    )


def _replay(value: Any) -> Replay | None:
    if not isinstance(value, dict) or not _text(value.get("verdict")):
        return None
    runs = tuple(
        ReplayedRun(
            _text(r.get("execution_id")),
            _text(r.get("was")),
            _text(r.get("becomes")).replace("_", " "),
            _text(r.get("reason")),
        )
        for r in _objects(value.get("runs") or value.get("outcomes"))
    )
    shares = [_share(value.get(k)) for k in ("recorded", "implied", "assumed")]
    return Replay(_text(value["verdict"]), _text(value.get("summary")), shares[0], shares[1], shares[2], runs)
