"""Which open clusters are worked on now, and why the others wait. A pure function, so every decision can be explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from learner.models import FailureCluster, Memory, Remembered, Verdict
from learner.runbook_file import RunbookFile
from learner.settings import LimitSettings

_SEVERITIES = ("critical", "high", "medium", "low")
URGENT = ("critical", "high")
"""Severities for which one failure on one host is enough."""


@dataclass(frozen=True)
class Work:
    """A cluster to draft for, or a pull request whose review asks for changes (`pull` is it then)."""

    cluster: FailureCluster
    kind: Literal["draft", "revise"] = "draft"
    pull: Remembered | None = None


@dataclass(frozen=True)
class Deferred:
    """A cluster that waits; `reason` is a machine word, a colon and words for people."""

    cluster: FailureCluster
    reason: str


@dataclass(frozen=True)
class Selected:
    """What to do now, the most urgent first, and what waits."""

    work: tuple[Work, ...]
    deferred: tuple[Deferred, ...]


def select(
    clusters: Sequence[FailureCluster],
    verdicts: Mapping[str, Verdict],
    memory: Memory,
    current: Mapping[str, RunbookFile],
    limits: LimitSettings,
    now: datetime,
    taken: Mapping[str, str] | None = None,
) -> Selected:
    """One `Work` a runbook at most, within the limits; every other cluster is `Deferred` with its reason.

    `verdicts` goes by the clusters' keys, `current` holds the runbooks on `main` by id, `taken` those that this run
    opens another pull request for, and what that is. Reviews that ask for changes come first: somebody is waiting for
    an answer.
    """
    taken = taken or {}
    work: list[Work] = []
    deferred: list[Deferred] = []
    ordered = sorted(clusters, key=_urgency)
    revised = {item.cluster.key: item for item in _reviews(ordered, verdicts, memory, current)}
    work += revised.values()
    room = limits.open_pull_requests - len(memory.open)
    drafts = len(taken)
    for cluster in ordered:
        if cluster.key in revised:
            continue
        reason = _unfit(cluster, verdicts, memory, current, limits, now)
        if reason is None and cluster.runbook_id in taken:
            reason = f"one_open: {taken[cluster.runbook_id]} goes first"
        busy = next((w for w in work if w.cluster.runbook_id == cluster.runbook_id), None)
        if reason is None and busy is not None:
            reason = f"one_open: {busy.cluster.title!r} of the same runbook goes first"
        if reason is None and drafts >= room:
            reason = f"open_pull_requests: {limits.open_pull_requests} may be open at once; review or close some"
        if reason is None and drafts >= limits.per_run:
            reason = f"per_run: one run opens at most {limits.per_run}; the next one goes on"
        if reason is None:
            drafts += 1
            work.append(Work(cluster))
        else:
            deferred.append(Deferred(cluster, reason))
    return Selected(tuple(work), tuple(deferred))


def _urgency(cluster: FailureCluster) -> tuple[int, int, int, str]:
    return _SEVERITIES.index(cluster.severity), -cluster.failures, -cluster.hosts, cluster.key


def _reviews(
    ordered: Sequence[FailureCluster],
    verdicts: Mapping[str, Verdict],
    memory: Memory,
    current: Mapping[str, RunbookFile],
) -> Iterator[Work]:
    """Open pull requests whose reviewers ask for changes, each with the cluster it is about."""
    answered: set[str] = set()
    for pull in memory.open:
        if pull.verdict != "changes_requested" or pull.touched_by_person or pull.runbook_id in answered:
            continue
        for cluster in ordered:
            same = (cluster.runbook_id, cluster.signature) == (pull.runbook_id, pull.signature)
            if same and _off_main(cluster, current) is None and _improvable(cluster, verdicts):
                answered.add(pull.runbook_id)
                yield Work(cluster, "revise", pull)
                break


def _unfit(
    cluster: FailureCluster,
    verdicts: Mapping[str, Verdict],
    memory: Memory,
    current: Mapping[str, RunbookFile],
    limits: LimitSettings,
    now: datetime,
) -> str | None:
    """Why this cluster must wait whatever else there is to do; None when it need not."""
    if reason := _off_main(cluster, current):
        return reason
    if not _improvable(cluster, verdicts):
        verdict = verdicts.get(cluster.key)
        return f"not_improvable: {verdict.failure_type.value if verdict else 'no verdict'}; people look at it"
    pulls = memory.of(cluster.runbook_id)
    for pull in pulls:
        if pull.state == "open":
            if pull.touched_by_person:
                return f"touched_by_person: #{pull.number} holds a person's commits; the learner keeps off"
            return f"one_open: #{pull.number} is open for this runbook"
    if reason := _rejected(cluster, pulls, limits):
        return reason
    urgent = cluster.severity in URGENT
    if cluster.failures < (needed := 1 if urgent else limits.min_failures):
        return f"min_failures: seen {cluster.failures} times, {needed} are needed"
    if cluster.hosts < (needed := 1 if urgent else limits.min_hosts):
        return f"min_hosts: seen on {cluster.hosts} hosts, {needed} are needed"
    newest = max(pulls, key=lambda pull: (pull.created_at, pull.number), default=None)
    if newest is not None and not newest.revived:
        ends = newest.created_at + timedelta(hours=limits.cooldown_hours)
        if now < ends:
            return f"cooldown: #{newest.number} was opened {newest.created_at:%Y-%m-%d %H:%M} UTC; next from {ends:%Y-%m-%d %H:%M} UTC"
    return None


def _rejected(cluster: FailureCluster, pulls: Sequence[Remembered], limits: LimitSettings) -> str | None:
    """The newest decision on this failure counts: a proposal people closed stays closed until one revives it."""
    same = [pull for pull in pulls if pull.signature == cluster.signature and pull.state == "closed"]
    if not same:
        return None
    pull = max(same, key=lambda pull: (pull.decided_at or pull.created_at, pull.number))
    if pull.revived:
        return None
    since = max(0, cluster.failures - pull.failures)
    again = limits.revive_after_failures
    if again and since >= again and pull.decided_at is not None and cluster.last_seen > pull.decided_at:
        return None
    wait = f", or {again - since} more failures" if again else ""
    return f"rejected_before: #{pull.number} was closed unmerged; the label learner:revive{wait} opens it again"


def _off_main(cluster: FailureCluster, current: Mapping[str, RunbookFile]) -> str | None:
    file = current.get(cluster.runbook_id)
    if file is None:
        return f"unknown_runbook: {cluster.runbook_id} is not on main"
    if file.runbook.version != cluster.runbook_version:
        return f"not_current: main has v{file.runbook.version}, these are failures of v{cluster.runbook_version}"
    return None


def _improvable(cluster: FailureCluster, verdicts: Mapping[str, Verdict]) -> bool:
    verdict = verdicts.get(cluster.key)
    return verdict is not None and verdict.failure_type.improvable
