"""What a runbook is for."""

from __future__ import annotations

from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Level


class Scope(Rule):
    """The runbook answers other incidents, on other hosts, with other weight or proof than its parent.

    Platform, incident types, selector, severity, required evidence and compliance controls are people's to change.
    """

    name = "scope"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        old, new = change.old.runbook, change.new.runbook
        grave = Level.BLOCK if change.by_machine else Level.WARNING
        if new.platform != old.platform:
            yield self.says(
                Level.BLOCK if change.by_machine else Level.WARNING, f"{old.platform} became {new.platform}", "platform"
            )
        for kind in sorted(set(new.incident_types) - set(old.incident_types)):
            yield self.says(grave, f"answers {kind} too", "incident_types")
        for kind in sorted(set(old.incident_types) - set(new.incident_types)):
            yield self.says(grave, f"does not answer {kind} any more", "incident_types")
        for label in sorted(old.selector.keys() | new.selector.keys()):
            before, after = old.selector.get(label), new.selector.get(label)
            if before != after:
                told = f"{label}: {before or 'anything'} became {after or 'anything'}"
                narrower = before is None and not change.by_machine
                yield self.says(Level.NOTICE if narrower else grave, told, "selector")
        if new.severity != old.severity:
            yield self.says(
                Level.BLOCK if change.by_machine else Level.NOTICE, f"{old.severity} became {new.severity}", "severity"
            )
        for field in ("evidence_required", "compliance_controls"):
            before_all, after_all = getattr(old, field), getattr(new, field)
            for item in before_all:
                if item not in after_all:
                    yield self.says(grave, f"{item} is not asked for any more", field)
