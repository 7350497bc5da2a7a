"""The performers that touch a host: the live one, and the dry one that only looks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from learner.actions import Outcome, Probe
from learner.actions.base import UNKNOWN
from learner.actions.host import Deadline, Host, HostError
from learner.executor.capture import read
from learner.facts import Facts, Path, dotted, get, merged, touches
from learner.flow import Attempt, Claim, Observation
from learner.template import UndefinedName


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


@dataclass
class LivePerformer:
    """Does what it is told on a host. Time is measured by a clock that never jumps."""

    host: Host
    probes: tuple[Probe, ...] = ()
    """What can be read again when something has changed."""
    cancel: Callable[[], bool] = lambda: False
    began: datetime = field(default_factory=utc_now)
    clock: Callable[[], float] = time.monotonic
    tell: Callable[[str], None] = lambda _line: None
    _zero: float = field(init=False)

    def __post_init__(self) -> None:
        self._zero = self.clock()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.began.timestamp() + self.clock() - self._zero, UTC)

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        again = f" (attempt {attempt.number})" if attempt.number > 1 else ""
        self.tell(f"{attempt.phase} {attempt.step.id}: {attempt.action.name}{again}")
        try:
            host = self.host.elevated() if attempt.step.become else self.host
            deadline = Deadline.after(attempt.timeout_seconds, cancelled=self.cancel, clock=self.clock)
            return attempt.action.run(attempt.params, host, deadline)
        except HostError as e:
            return Outcome.failed(str(e))
        except Exception as e:  # an action is anybody's code; a run always ends with a record
            return Outcome.failed(f"a bug in the action {attempt.action.name}: {type(e).__name__}: {e}")

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation:
        probe = claim.check.probe(claim.params)
        left = max(1.0, claim.verification.within_seconds - claim.waited_seconds)
        facts = read(probe, self.host, left)
        return Observation(_judged(claim, merged({}, facts)), _observed(facts), facts)

    def pause(self, seconds: float) -> None:
        Deadline.after(seconds, cancelled=self.cancel, clock=self.clock).pause(seconds)

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        facts: Facts = {}
        for probe in self.probes:
            if any(touches(path, prefix) for path in probe.paths for prefix in prefixes):
                facts |= read(probe, self.host, 5.0)
        return facts

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        return None

    def cancelled(self) -> bool:
        return self.cancel()


@dataclass
class DryPerformer(LivePerformer):
    """Looks and tells: read-only actions really run, the rest say what they would change by their effects."""

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        if attempt.action.read_only and attempt.action.name not in ("wait", "escalate"):
            return super().perform(attempt, state)
        effects = attempt.action.effects(attempt.params, state)
        if effects is None:
            words = "would run; what it changes is not known beforehand"
        elif changes := {path: value for path, value in effects.items() if get(state, path) != value}:
            words = "would set " + ", ".join(
                dotted(path) + (" open" if value == UNKNOWN else f" = {json.dumps(value)}")
                for path, value in changes.items()
            )
        else:
            words = "would change nothing that is known here"
        return Outcome(True, stdout=words, data={"dry_run": True}, facts=effects or {})

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation:
        return Observation(None, "not judged: nothing was changed")

    def pause(self, seconds: float) -> None:
        return

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        return {}

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        # What an earlier step would have said is not known; the step is shown rather than hidden.
        return True


def _judged(claim: Claim, state: Mapping[str, Any]) -> bool | None:
    try:
        return claim.check.holds(claim.params, state)
    except (KeyError, TypeError, ValueError):
        return None


def _observed(facts: Facts) -> Any:
    values = {dotted(path): value for path, value in facts.items()}
    return next(iter(values.values())) if len(values) == 1 else values
