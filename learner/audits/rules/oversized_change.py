"""Edits that are no edits any more."""

from __future__ import annotations

from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Level

MANY_OPERATIONS = 8


class OversizedChange(Rule):
    """More than half of the runbook changes at once, or nothing does.

    A reviewer can judge a small difference; a rewritten runbook is a new one, and belongs to people.
    """

    name = "oversized-change"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        changed = [pair for pair in change.steps if pair.old != pair.new]
        whole = len(change.steps)
        kept = [pair for pair in changed if pair.old is not None]
        old = len(change.old.runbook.all_steps)
        rewritten = old >= 3 and len(kept) * 2 > old
        if not change.is_first and whole >= 3 and len(changed) * 2 > whole and (rewritten or len(changed) > old + 3):
            yield self.says(Level.WARNING, f"{len(changed)} of {whole} steps are new, changed or gone", "steps")
        if change.edit and len(change.edit.operations) > MANY_OPERATIONS:
            yield self.says(Level.WARNING, f"{len(change.edit.operations)} operations in one edit", "edit.operations")
        if change.by_machine and not self._says_something(change):
            yield self.says(Level.BLOCK, "changes nothing but its version", "version")

    def _says_something(self, change: Change) -> bool:
        def told(which: object) -> object:
            return which.model_copy(update={"version": 1, "metadata": None})  # type: ignore[attr-defined]

        return bool(told(change.old.runbook) != told(change.new.runbook))
