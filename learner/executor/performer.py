"""The performers that touch a host: the live one, and the dry one that only looks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from learner.actions import Outcome, Probe
from learner.actions.base import UNKNOWN
from learner.actions.host import Deadline, Host, HostError
from learner.executor.cancel import Cancellation
from learner.executor.capture import read
from learner.facts import Facts, Path, any_touches, dotted, get, merged, touches
from learner.flow import Attempt, Claim, Observation
from learner.template import UndefinedName

LONGEST_LOOK = 5.0
"""Seconds that a dry run gives an action that only looks: nothing will come that it could wait for."""

LEAST_LOOK = 5.0
"""Seconds that a look has at least, also the last one of its window: a host far off or busy is no reason to know nothing."""


def utc_now() -> datetime:
    """The time now."""
    return datetime.now(UTC)


@dataclass
class LivePerformer:
    """Does what it is told on a host. Time is measured by a clock that never jumps."""

    host: Host
    probes: tuple[Probe, ...] = ()
    """What can be read again when something has changed."""
    cancel: Cancellation = field(default_factory=Cancellation)
    began: datetime = field(default_factory=utc_now)
    clock: Callable[[], float] = time.monotonic
    tell: Callable[[str], None] = lambda _line: None
    began_step: Callable[[Attempt], None] = lambda _attempt: None
    _zero: float = field(init=False)

    def __post_init__(self) -> None:
        self._zero = self.clock()

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.began.timestamp() + self.clock() - self._zero, UTC)

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        again = f" (attempt {attempt.number})" if attempt.number > 1 else ""
        self.tell(f"{attempt.phase} {attempt.step.id}: {attempt.action.name}{again}")
        if attempt.phase != "step":
            self.cancel.shield()
        self.began_step(attempt)
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
        left = max(LEAST_LOOK, claim.verification.within_seconds - claim.waited_seconds)
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
    """Looks and tells: read-only actions really run, the rest say what they would change by their effects.

    What an earlier step would have changed is not looked at: the host would answer for a state that never was.
    """

    _opened: set[Path] = field(default_factory=set, init=False)
    """Facts that the steps so far would have changed; the empty path stands for all of them."""

    def perform(self, attempt: Attempt, state: Mapping[str, Any]) -> Outcome:
        action = attempt.action
        if action.read_only and action.name not in ("wait", "escalate"):
            if () in self._opened or any_touches(action.reads(attempt.params), self._opened):
                return _would("would look at what the steps before it leave behind")
            return super().perform(replace(attempt, timeout_seconds=min(attempt.timeout_seconds, LONGEST_LOOK)), state)
        if action.name in ("wait", "escalate"):
            return _would(f"would {action.name}")
        effects = action.effects(attempt.params, state)
        if effects is None:
            self._opened.add(())
            return _would("would run; what it changes is not known beforehand")
        changes = {path: value for path, value in effects.items() if get(state, path) != value}
        self._opened.update(changes)
        if not changes:
            return _would("would change nothing that is known here")
        certain = [f"{dotted(path)} = {json.dumps(value)}" for path, value in changes.items() if value != UNKNOWN]
        open_ones = [dotted(path) for path, value in changes.items() if value == UNKNOWN]
        words = f"would set {', '.join(certain)}" if certain else ""
        if open_ones:
            words += f"{'; ' if words else ''}may change {', '.join(open_ones)}"
        return _would(words, effects)

    def look(self, claim: Claim, state: Mapping[str, Any]) -> Observation:
        return Observation(None, "not judged: nothing was changed")

    def pause(self, seconds: float) -> None:
        return

    def refresh(self, prefixes: frozenset[Path]) -> Facts:
        return {}

    def decide(self, expression: str, error: UndefinedName) -> bool | None:
        # What an earlier step would have said is not known; the step is shown rather than hidden.
        return True


def _would(words: str, effects: Facts | None = None) -> Outcome:
    return Outcome(True, stdout=words, data={"dry_run": True}, facts=effects or {})


def _judged(claim: Claim, state: Mapping[str, Any]) -> bool | None:
    try:
        return claim.check.holds(claim.params, state)
    except (KeyError, TypeError, ValueError):
        return None


def _observed(facts: Facts) -> Any:
    values = {dotted(path): value for path, value in facts.items()}
    return next(iter(values.values())) if len(values) == 1 else values
