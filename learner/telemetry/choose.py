"""Which results a person asked to see."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from learner.errors import LearnerError
from learner.models.execution import ExecutionResult
from learner.telemetry import parse


@dataclass(frozen=True)
class Choice:
    """What results must be like; None and empty ask for nothing."""

    execution_ids: frozenset[str] = frozenset()
    client_id: str | None = None
    hostname: str | None = None
    runbook: str | None = None
    """`RB-LIN-SERVICE-001`, or one version of it: `RB-LIN-SERVICE-001-v2`."""
    status: str | None = None
    since: str | None = None
    """First day, `YYYY-MM-DD`, UTC."""

    def __post_init__(self) -> None:
        if self.since:
            try:
                datetime.strptime(self.since, "%Y-%m-%d")
            except ValueError as e:
                raise LearnerError(f"--since {self.since}: no date", "write it as 2026-11-22") from e
            if len(self.since) != 10:
                raise LearnerError(f"--since {self.since}: no date", "write it as 2026-11-02, with both zeros")

    def path(self, path: str) -> bool:
        """Whether what lies at `path` can be meant, as far as the path tells."""
        place = parse.place(path)
        return place is None or (
            (not self.execution_ids or place.execution_id in self.execution_ids)
            and self.client_id in (None, place.client_id)
            and (self.since is None or place.date.replace("/", "-") >= self.since)
        )

    def holds(self, result: ExecutionResult) -> bool:
        """Whether `result` is meant."""
        return (
            (not self.execution_ids or result.execution_id in self.execution_ids)
            and self.client_id in (None, result.client_id)
            and self.hostname in (None, result.hostname)
            and self.runbook in (None, result.runbook_id, result.runbook_ref)
            and self.status in (None, result.status.value)
            and (self.since is None or f"{result.started_at:%Y-%m-%d}" >= self.since)
        )


def newest(results: Iterable[ExecutionResult], most: int) -> list[ExecutionResult]:
    """The newest `most` of `results`, newest first; no more than these are held."""
    return heapq.nlargest(most, results, key=lambda one: (one.started_at, one.execution_id))
