"""Metrics: runs and verified success of every runbook version, and what people decided."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field

from learner.models.execution import ExecutionResult, ExecutionStatus
from learner.models.fold import Held, add_counts
from learner.models.memory import Memory
from learner.models.records import Decision, Usage
from learner.models.runbook import RunbookRef, Severity
from learner.models.score import Interval, Score, wilson
from learner.strict import Count, Share, Strict, Text, UtcInstant


class VersionMetrics(Strict):
    """One runbook version's runs of approved bytes."""

    ref: RunbookRef
    runs: Count
    verified_successes: Count
    failures: Count
    unverified: Count
    skipped: Count
    success_rate: Share | None
    """Verified successes over verified successes and failures; None when nothing was judged."""
    interval: Interval | None
    mean_seconds: Annotated[float, Field(ge=0)] | None
    last_run: UtcInstant | None
    unapproved: Count = 0
    """Runs of bytes that `main` never held; counted nowhere else."""

    @property
    def score(self) -> Score:
        """The judged runs alone."""
        return Score(ref=self.ref, verified=self.verified_successes, failed=self.failures, last_run=self.last_run)


class OpenReview(Strict):
    """A proposal that waits for a person."""

    number: Count
    ref: RunbookRef
    priority: Severity
    age_hours: Annotated[float, Field(ge=0)]
    verdict: str


class ForPeople(Strict):
    """Failures that no better runbook would cure, at one client, by cause."""

    client_id: Text
    failure_type: Text
    failures: Count
    runbooks: tuple[RunbookRef, ...]
    example: str


class NearEqual(Strict):
    """Failures of one version that are shown as one, since they differ in a few words only."""

    ref: RunbookRef
    forms: Count
    failures: Count
    title: str
    """The most frequent form."""
    signatures: tuple[str, ...]
    """Of the largest forms, the largest first."""


class KnownHabit(Strict):
    """What the verified runs of a current runbook show besides: nothing failed, so it is for people with time."""

    ref: RunbookRef
    kind: Literal["idle", "second-try", "slower", "shorter"]
    step_id: str
    """Empty for a whole way."""
    words: str
    priority: Literal["low"] = "low"


class Metrics(Strict):
    """The report."""

    at: UtcInstant
    improvements_this_week: Count
    generated: Count
    approved: Count
    rejected: Count
    approval_rate: Share | None
    """Merged over merged and rejected; None before the first decision."""
    open_reviews: tuple[OpenReview, ...]
    versions: tuple[VersionMetrics, ...]
    unverified: tuple[RunbookRef, ...]
    """Versions whose runs are mostly unverified: they lack a verifier."""
    for_people: tuple[ForPeople, ...] = ()
    near_equal: tuple[NearEqual, ...] = ()
    habits: tuple[KnownHabit, ...] = ()
    """Told whether or not `follow_up.optimisations` has them proposed."""
    usage_this_week: Usage = Usage()
    """What models were asked for, and about what it cost."""


@dataclass(frozen=True)
class VersionFold:
    """Counts by runbook version and blob: `{ref: {blob: {…}}}`. All integers, so order does not matter."""

    name: str = "versions"
    version: int = 1

    def add(self, held: Held, result: ExecutionResult) -> None:
        blobs = held.setdefault(result.runbook_ref, {})
        counts = blobs.setdefault(
            result.runbook_blob or "", {"runs": 0, "good": 0, "bad": 0, "open": 0, "skipped": 0, "ms": 0, "last": 0}
        )
        counts["runs"] += 1
        if result.status is ExecutionStatus.SKIPPED:
            counts["skipped"] += 1
        elif result.verified:
            counts["good"] += 1
            counts["ms"] += round((result.duration_seconds or 0.0) * 1000)
        elif result.failed:
            counts["bad"] += 1
        else:
            counts["open"] += 1
        counts["last"] = max(counts["last"], math.floor(result.completed_at.timestamp()))

    def merge(self, held: Held, other: Held) -> None:
        """Add what was held of other runs."""
        for ref, blobs in other.items():
            for blob, theirs in blobs.items():
                counts = held.setdefault(ref, {}).setdefault(blob, theirs)
                if counts is not theirs:
                    last = max(counts["last"], theirs["last"])
                    add_counts(counts, theirs)
                    counts["last"] = last


def versions(held: Held, approved_blobs: Mapping[str, frozenset[str]] | None = None) -> tuple[VersionMetrics, ...]:
    """Metrics of every version, by name and number.

    `approved_blobs` names, by version, the blobs that `main` held; results that say nothing of their blob count
    as approved, since another executor may not know it.
    """
    return tuple(
        _version(ref, blobs, (approved_blobs or {}).get(ref)) for ref, blobs in sorted(held.items(), key=_by_number)
    )


def _by_number(item: tuple[str, Any]) -> tuple[str, int]:
    runbook, _, number = item[0].rpartition("-v")
    return runbook, int(number)


def _version(ref: str, blobs: Mapping[str, Mapping[str, int]], approved: frozenset[str] | None) -> VersionMetrics:
    counted = [counts for blob, counts in blobs.items() if approved is None or blob in approved or not blob]
    foreign = sum(counts["runs"] for blob, counts in blobs.items()) - sum(counts["runs"] for counts in counted)
    total = {key: sum(counts[key] for counts in counted) for key in ("runs", "good", "bad", "open", "skipped", "ms")}
    judged = total["good"] + total["bad"]
    last = max((counts["last"] for counts in counted), default=0)
    return VersionMetrics(
        ref=ref,
        runs=total["runs"],
        verified_successes=total["good"],
        failures=total["bad"],
        unverified=total["open"],
        skipped=total["skipped"],
        success_rate=total["good"] / judged if judged else None,
        interval=wilson(total["good"], judged),
        mean_seconds=round(total["ms"] / 1000 / total["good"], 3) if total["good"] else None,
        last_run=datetime.fromtimestamp(last, UTC) if last else None,
        unapproved=foreign,
    )


def for_people(decisions: Iterable[Decision]) -> tuple[ForPeople, ...]:
    """What the latest decisions left to people, by client and cause, most failures first."""
    groups: dict[tuple[str, str], list[tuple[int, Decision]]] = {}
    for decision in decisions:
        if decision.outcome == "not_improvable":
            for client, failures in decision.cluster.by_client.items():
                groups.setdefault((client, decision.verdict.failure_type.value), []).append((failures, decision))
    found = [
        ForPeople(
            client_id=client,
            failure_type=cause,
            failures=sum(failures for failures, _ in members),
            runbooks=tuple(sorted({decision.cluster.runbook_ref for _, decision in members})),
            example=max(members, key=lambda member: (member[0], member[1].cluster.signature))[1].cluster.title,
        )
        for (client, cause), members in groups.items()
    ]
    return tuple(sorted(found, key=lambda one: (-one.failures, one.client_id, one.failure_type)))


def near_equal(decisions: Iterable[Decision]) -> tuple[NearEqual, ...]:
    """What the latest decisions show as one, most failures first."""
    found: dict[tuple[str, str], NearEqual] = {}
    for decision in decisions:
        cluster, joined = decision.cluster, decision.cluster.joined
        if joined is None or cluster.signature != joined.first:
            continue  # each group is told by its largest
        signatures = (cluster.signature, *(one.signature for one in joined.others))
        found[cluster.runbook_ref, joined.first] = NearEqual(
            ref=cluster.runbook_ref, forms=joined.forms, failures=joined.failures, title=cluster.title, signatures=signatures
        )  # fmt: skip
    return tuple(sorted(found.values(), key=lambda one: (-one.failures, one.ref, one.signatures)))


def metrics(
    held: Held,
    memory: Memory,
    now: datetime,
    approved_blobs: Mapping[str, frozenset[str]] | None = None,
    decisions: Iterable[Decision] = (),
    usage: Usage | None = None,
    habits: Iterable[KnownHabit] = (),
) -> Metrics:
    """The report as of `now`. `decisions` are the latest run's, `usage` is the week's."""
    decisions = tuple(decisions)
    counted = versions(held, approved_blobs)
    merged = [pull for pull in memory.pulls if pull.state == "merged"]
    rejected = [pull for pull in memory.pulls if pull.state == "closed" and "rejected:moot" not in pull.labels]
    decided = len(merged) + len(rejected)
    week = now - timedelta(days=7)
    return Metrics(
        at=now,
        improvements_this_week=sum(1 for pull in merged if pull.decided_at and pull.decided_at >= week),
        generated=len(memory.pulls),
        approved=len(merged),
        rejected=len(rejected),
        approval_rate=len(merged) / decided if decided else None,
        open_reviews=tuple(
            OpenReview(
                number=pull.number,
                ref=pull.ref,
                priority=pull.priority,
                age_hours=round(max(0.0, (now - pull.created_at).total_seconds()) / 3600, 3),
                verdict=pull.verdict,
            )
            for pull in memory.open
        ),
        versions=counted,
        unverified=tuple(v.ref for v in counted if v.runs >= 3 and v.unverified * 2 > v.runs),
        for_people=for_people(decisions),
        near_equal=near_equal(decisions),
        habits=tuple(habits),
        usage_this_week=usage or Usage(),
    )
