"""A version that is what it says it is."""

from __future__ import annotations

from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Level


class Identity(Rule):
    """The new version is the next one of the same runbook, and says so.

    Another id, a version that is not the parent's plus one, metadata that names another parent or that says no
    person need look.
    """

    name = "identity"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        old, new = change.old.runbook, change.new.runbook
        if new.id != old.id:
            yield self.says(Level.BLOCK, f"{old.id} became {new.id}", "id")
        same = change.old.text == change.new.text
        if new.version != old.version + 1 and not same:
            yield self.says(Level.BLOCK, f"version {new.version} follows version {old.version}", "version")
        metadata = new.metadata
        if metadata is None:
            return
        if metadata.parent_runbook not in (None, old.ref) and metadata != old.metadata:
            yield self.says(
                Level.BLOCK, f"names {metadata.parent_runbook} as its parent, not {old.ref}", "metadata.parent_runbook"
            )
        elif metadata.parent_runbook not in (None, old.ref) and change.by_machine:
            yield self.says(
                Level.BLOCK,
                f"still names {metadata.parent_runbook} as its parent, not {old.ref}",
                "metadata.parent_runbook",
            )
        asked = old.metadata.requires_human_review if old.metadata else None
        if metadata.requires_human_review is False and (change.by_machine or asked is not False):
            yield self.says(Level.BLOCK, "says that no person need look at it", "metadata.requires_human_review")
