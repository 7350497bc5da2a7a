"""The failures behind a proposal: each execution's result, from telemetry's files or archives. Untrusted input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from learner.local_forge.bare import Bare
from learner.local_forge.web.results import ID, Found, find

BRANCH = "telemetry"


@dataclass(frozen=True)
class StepSeen:
    """A step as it ran; `outcome` is done, failed or skipped."""

    number: str
    id: str
    phase: str
    action: str
    outcome: str
    duration: str
    attempts: int
    exit_code: str
    output: str
    error: str


@dataclass(frozen=True)
class CheckSeen:
    """A verification check; `outcome` is passed, failed or unknown."""

    id: str
    check: str
    outcome: str
    observed: str


@dataclass(frozen=True)
class Failure:
    """One execution. When its result could not be read, only the id and `missing` say something."""

    execution_id: str
    missing: str = ""
    path: str = ""
    hostname: str = ""
    client: str = ""
    status: str = ""
    started_at: str = ""
    duration: str = ""
    error: str = ""
    steps: tuple[StepSeen, ...] = ()
    checks: tuple[CheckSeen, ...] = ()
    state: tuple[tuple[str, str, str], ...] = field(default=())

    @property
    def failed_step(self) -> str:
        return next((s.id or s.action for s in self.steps if s.outcome == "failed"), "")


def read_failures(repo: Bare, execution_ids: Sequence[str], most: int = 20) -> list[Failure]:
    """The results of these executions, in their order; those that are not there say so."""
    head = repo.heads().get(BRANCH)
    ids = [i for i in execution_ids if ID.fullmatch(i)][:most]
    if head is None:
        return [Failure(i, missing="there is no telemetry branch yet") for i in ids]
    found = find(repo, head, ids)
    return [_failure(i, found.get(i)) for i in ids]


def _failure(execution_id: str, found: Found | None) -> Failure:
    if found is None:
        return Failure(execution_id, missing="its result is neither on the telemetry branch nor in an archive")
    path = found.path
    if found.raw is None:
        return Failure(execution_id, missing=found.problem, path=path)
    try:
        held = json.loads(found.raw)
    except (ValueError, RecursionError):
        held = None
    if not isinstance(held, dict):
        return Failure(execution_id, missing="its result can't be read", path=path)
    return Failure(
        execution_id=execution_id,
        path=path,
        hostname=_word(held.get("hostname")),
        client=_word(held.get("client_id")),
        status=_word(held.get("status")),
        started_at=_word(held.get("started_at")),
        duration=_seconds(held.get("duration_seconds")),
        error=_word(held.get("error_message"), 4000),
        steps=tuple(_step(s) for s in _objects(held.get("executed_steps"))),
        checks=tuple(_check(c) for c in _objects(held.get("checks"))),
        state=tuple(_state(held.get("state_diff"))),
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [v for v in value[:100] if isinstance(v, dict)] if isinstance(value, list) else []


def _word(value: Any, most: int = 300) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= most else text[: most - 1] + "…"


def _seconds(value: Any) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


def _step(held: dict[str, Any]) -> StepSeen:
    outcome = "skipped" if held.get("skipped") else "done" if held.get("success") is True else "failed"
    attempts = held.get("attempts")
    return StepSeen(
        number=_word(held.get("step_number"), 10),
        id=_word(held.get("step_id"), 80),
        phase=_word(held.get("phase"), 20),
        action=_word(held.get("action"), 80),
        outcome=outcome,
        duration=_seconds(held.get("duration_seconds")),
        attempts=attempts if isinstance(attempts, int) and not isinstance(attempts, bool) else 1,
        exit_code=_word(held.get("exit_code"), 10),
        output=_word(held.get("output"), 4000),
        error=_word(held.get("error"), 4000),
    )


def _check(held: dict[str, Any]) -> CheckSeen:
    passed = held.get("passed")
    outcome = "passed" if passed is True else "failed" if passed is False else "unknown"
    return CheckSeen(_word(held.get("id"), 80), _word(held.get("check"), 80), outcome, _word(held.get("observed")))


def _state(held: Any) -> list[tuple[str, str, str]]:
    """(path, before, after) of what changed on the host; a side that was not there is a dash."""
    if not isinstance(held, dict):
        return []
    rows = []
    for path, sides in list(held.items())[:60]:
        sides = sides if isinstance(sides, dict) else {}
        before, after = (_word(sides[k]) if sides.get(k) is not None else "–" for k in ("before", "after"))
        rows.append((str(path)[:200], before, after))
    return rows
