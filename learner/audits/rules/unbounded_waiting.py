"""Time that is not bounded."""

from __future__ import annotations

from collections.abc import Iterator

from learner.actions import catalogue
from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Goto, Level, Runbook, Step

LONG_SECONDS = 3600.0


class UnboundedWaiting(Rule):
    """A run may take more than an hour, or go round in circles.

    Timeouts times attempts plus the pauses between, waits, the verification's windows; and jumps back to an
    earlier step, or to itself, that nothing counts.
    """

    name = "unbounded-waiting"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        long = False
        for pair in change.touched:
            assert pair.new is not None
            now = worst_seconds(pair.new)
            before = worst_seconds(pair.old) if pair.old else 0.0
            if now > LONG_SECONDS and now > before * 1.01:
                long = True
                yield self.says(Level.WARNING, f"may take {_said(now)} on its own", pair.where)
        book = change.new.runbook
        order = {step.id: i for i, step in enumerate(book.steps)}
        for i, step in enumerate(book.steps):
            if not isinstance(step.on_failure, Goto) or order[step.on_failure.goto] > i:
                continue
            old = next((s for s in change.old.runbook.steps if s.id == step.id), None)
            if old is None or old.on_failure != step.on_failure:
                told = f"goes back to {step.on_failure.goto} as long as it fails, up to 200 steps"
                yield self.says(Level.WARNING, told, f"steps.{step.id}")
        now, before = _whole(book), _whole(change.old.runbook)
        if not long and now > LONG_SECONDS and now > before * 1.01:
            yield self.says(Level.WARNING, f"a run may take {_said(now)}; it was {_said(before)}", "steps")


def worst_seconds(step: Step) -> float:
    """The longest a step can take, its attempts and the pauses between them together."""
    retry = step.retries
    action = catalogue().actions[step.action]
    once = step.timeout_seconds or action.default_timeout_seconds
    pauses = 0.0
    for n in range(retry.attempts - 1):
        pauses += retry.delay_seconds * retry.backoff**n
        if pauses > 1e9:
            break
    return once * retry.attempts + pauses


def _whole(book: Runbook) -> float:
    checks = sum(claim.within_seconds + claim.stays_good_seconds for claim in book.verification)
    return sum(worst_seconds(step) for step in book.all_steps) + checks


def _said(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
