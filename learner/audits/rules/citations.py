"""Evidence that exists."""

from __future__ import annotations

from collections.abc import Iterator

from learner.audits.base import Change, Evidence, Rule
from learner.models import Finding, Level


class Citations(Rule):
    """Every operation of an edit cites evidence, and what it cites exists.

    A citation names a run that is among the evidence, and a step or check that was recorded in it. Runs of another
    runbook, or of another version, are no evidence for this one.
    """

    name = "citations"

    def look(self, change: Change, evidence: Evidence) -> Iterator[Finding]:
        if change.edit is None:
            return
        old = change.old.runbook
        known = {citation: result for result in evidence.results for citation in result.citations()}
        for i, operation in enumerate(change.edit.operations):
            where = f"edit.operations.{i}"
            invented = tuple(citation for citation in operation.because if citation not in known)
            if invented:
                yield self.says(Level.BLOCK, f"cites what was never recorded: {', '.join(invented)}", where, invented)
            foreign = tuple(
                citation
                for citation in operation.because
                if citation in known
                and (known[citation].runbook_id, known[citation].runbook_version) != (old.id, old.version)
            )
            if foreign:
                told = f"cites runs of another runbook or version than {old.ref}: {', '.join(foreign)}"
                yield self.says(Level.BLOCK, told, where, foreign)
        cited = {citation.partition("#")[0] for citation in change.edit.citations()}
        metadata = change.new.runbook.metadata
        named = set(metadata.generated_from_failures) if metadata else set()
        if unknown := tuple(sorted(named - {result.execution_id for result in evidence.results})):
            told = f"names runs that are no evidence here: {', '.join(unknown)}"
            yield self.says(Level.BLOCK, told, "metadata.generated_from_failures", unknown)
        failed = {result.execution_id for result in evidence.results if result.failed}
        if cited and not cited & failed and cited <= {result.execution_id for result in evidence.results}:
            yield self.says(Level.WARNING, "cites no run that failed", "edit", tuple(sorted(cited)))
