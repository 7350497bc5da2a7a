"""Steps that must not run twice."""

from __future__ import annotations

from collections.abc import Iterator

from learner.actions import catalogue
from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Level


class Idempotence(Rule):
    """A new step that nobody promises to be harmless the second time, and that nothing holds back.

    Runbooks run again on the next incident, and are retried. A command or script needs a `when` that says whether
    its work is still to be done.
    """

    name = "idempotence"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        for pair in change.touched:
            assert pair.new is not None
            action = catalogue().actions[pair.new.action]
            if action.idempotent or action.read_only or pair.new.when is not None:
                continue
            if pair.old is None or pair.old.action != pair.new.action or pair.old.when is not None:
                yield self.says(
                    Level.NOTICE, f"{action.name} runs every time: a `when` could say whether it must", pair.where
                )
            elif pair.new.retries.attempts > 1 and pair.old.retries.attempts == 1:
                yield self.says(Level.NOTICE, f"{action.name} is tried again after it half worked", pair.where)
