"""Everything that one run of the learner decided, written down."""

from __future__ import annotations

from typing import Literal

from learner.models.execution import ExecutionId
from learner.models.follow_up import FollowUp
from learner.models.records import Decision, Proposal, SkippedFile, Usage
from learner.strict import Count, Strict, Text, UtcInstant


class News(Strict):
    """More evidence for an open pull request."""

    number: Count
    failures: Count
    newest: tuple[ExecutionId, ...]


class Closing(Strict):
    """An open pull request that `main` made moot."""

    number: Count
    reason: Text


class Answer(Strict):
    """A review that asks for changes and gets an answer instead of a revision."""

    number: Count
    review_id: Count


class Plan(Strict):
    """Everything `learn` decided, written down: what `apply` checks again and carries out."""

    schema_version: Literal["1.0"] = "1.0"
    run_id: Text
    created_at: UtcInstant
    telemetry_commit: str | None
    main_commit: str | None
    decisions: tuple[Decision, ...] = ()
    closings: tuple[Closing, ...] = ()
    news: tuple[News, ...] = ()
    answers: tuple[Answer, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    unverified: tuple[str, ...] = ()
    """Runbook versions whose runs are mostly unverified."""
    usage: Usage = Usage()
    follow_ups: tuple[FollowUp, ...] = ()
    """What follows from merged improvements and from success."""

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        return tuple(d.proposal for d in self.decisions if d.proposal and d.outcome == "proposed")
