"""Incidents that would be passed over."""

from __future__ import annotations

from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.errors import LearnerError
from learner.models import ExecutionResult, Finding, Level
from learner.template import evaluate


class Avoidance(Rule):
    """A precondition makes the runbook skip the incident instead of solving it.

    A new precondition that does not hold in the very runs it is made from is refused; so is an edit that is nothing
    but preconditions.
    """

    name = "avoidance"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        old, new = change.old.runbook, change.new.runbook
        added = [expression for expression in new.preconditions if expression not in old.preconditions]
        alone = change.by_machine and not change.touched and not any(pair.new is None for pair in change.steps)
        alone = alone and all(pair.old == pair.new for pair in change.checks)
        for expression in added:
            where = f"preconditions.{new.preconditions.index(expression)}"
            skipped = tuple(r.execution_id for r in evidence.results if r.failed and _holds(expression, r) is False)
            if skipped:
                told = f"would have skipped {len(skipped)} of the runs it is made from: {expression}"
                yield self.says(Level.BLOCK, told, where, skipped[:5])
            elif alone:
                yield self.says(Level.BLOCK, f"does nothing but narrow when the runbook runs: {expression}", where)
            elif _holds(expression, None) is False:
                yield self.says(Level.BLOCK, f"never holds: {expression}", where)
            else:
                yield self.says(
                    Level.WARNING if change.by_machine else Level.NOTICE, f"runs only when {expression}", where
                )
        for expression in old.preconditions:
            if expression not in new.preconditions:
                replaced = len(added) > 0
                level = Level.WARNING if replaced or not change.by_machine else Level.BLOCK
                yield self.says(level, f"runs also when this does not hold: {expression}", "preconditions")


def _holds(expression: str, result: ExecutionResult | None) -> bool | None:
    """Whether a precondition holds in a run's state before; None when that does not say."""
    scope: dict[str, object] = {"steps": {}}
    if result is not None:
        scope |= {**result.parameters, "state": result.state_before.facts(), "host": {"hostname": result.hostname}}
        scope["incident"] = {"incident_type": result.incident_type, "hostname": result.hostname}
    try:
        return bool(evaluate(expression, scope))
    except LearnerError:
        return None
