"""Runs that somebody or something ended: nothing is learnt from them."""

from __future__ import annotations

from learner.models.execution import ExecutionStatus, FailureType
from learner.triage.case import Case, Seen, Sign, rule, said

_CANCELLED = said(
    r"^cancelled\b",
    r"^canceled by",
    r"KeyboardInterrupt",
    r"terminated by SIGTERM",
    r"executor (?:was )?(?:killed|stopped|restarted)",
)


@rule(FailureType.UNKNOWN, overrules=True)
def cancelled(seen: Seen, case: Case) -> Sign | None:
    """The run was cancelled before it could fail or succeed."""
    result = seen.result
    if result.status is not ExecutionStatus.PARTIAL or not _CANCELLED.search((result.error_message or "").strip()):
        return None
    return Sign(0.95, "the run was cancelled; it says nothing about the runbook", result.execution_id)
