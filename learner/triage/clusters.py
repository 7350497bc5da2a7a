"""Failures of one runbook version that share a signature, counted over all of history, and its successes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from learner.models.execution import ExecutionResult, ExecutionStatus
from learner.models.fold import Held, add_counts, keep_smallest, smallest_of
from learner.models.records import FailureCluster
from learner.models.runbook import Severity
from learner.triage.signature import Signature, signature

MOST_EVIDENCE = 10
MOST_SUCCESSES = 20
NEAR = 0.85
"""From this likeness on two signatures are shown as one. 1 is equal words."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RANK = {"critical": 0, "high": 1, "medium": 2, "low": 3}

# What the system said went wrong. Two errors that differ in it have two causes, however alike they read.
_CAUSES = (
    "permission denied", "operation not permitted", "access denied", "access is denied", "no such file", "not found",
    "already exists", "file exists", "already in use", "already running", "connection refused", "timed out", "timeout",
    "no route to host", "unreachable", "could not resolve", "name resolution", "no space left", "out of memory",
    "cannot allocate memory", "read-only file system", "too many open files", "not a directory", "is a directory",
    "directory not empty", "resource busy", "target is busy", "resource temporarily unavailable", "broken pipe",
    "connection reset", "not running", "syntax error", "masked", "expired",
)  # fmt: skip


class ClusterFold:
    """Per runbook version and signature: counts, hosts, clients, first and last time, and the first runs."""

    name = "clusters"
    version = 2

    def add(self, held: Held, result: ExecutionResult) -> None:
        """Add a failed run; others leave `held` as it is."""
        if not result.failed:
            return
        found = signature(result)
        of_version = held.setdefault(result.runbook_ref, {})
        entry = of_version.get(found.key)
        started = _micros(result.started_at)
        if entry is None:
            entry = of_version[found.key] = _entry(found, started)
        entry["failures"] += 1
        host = hashlib.sha256(f"{result.client_id}\0{result.hostname}".encode()).hexdigest()[:12]
        entry["hosts"][host] = entry["hosts"].get(host, 0) + 1
        entry["clients"][result.client_id] = entry["clients"].get(result.client_id, 0) + 1
        entry["first"] = min(entry["first"], started)
        entry["last"] = max(entry["last"], started)
        entry["evidence"] = keep_smallest(entry["evidence"], [started, result.execution_id], MOST_EVIDENCE)

    def merge(self, held: Held, other: Held) -> None:
        """Add what was held of other runs."""
        for ref, entries in other.items():
            of_version = held.setdefault(ref, {})
            for key, theirs in entries.items():
                entry = of_version.setdefault(key, theirs)
                if entry is theirs:
                    continue
                entry["failures"] += theirs["failures"]
                add_counts(entry["hosts"], theirs["hosts"])
                add_counts(entry["clients"], theirs["clients"])
                entry["first"] = min(entry["first"], theirs["first"])
                entry["last"] = max(entry["last"], theirs["last"])
                entry["evidence"] = smallest_of(entry["evidence"], theirs["evidence"], MOST_EVIDENCE)


class SuccessFold:
    """Per runbook version: runs, verified successes, unverified runs, and the first verified ones."""

    name = "successes"
    version = 1

    def add(self, held: Held, result: ExecutionResult) -> None:
        """Add a run; a skipped one touched nothing and counts as nothing."""
        if result.status is ExecutionStatus.SKIPPED:
            return
        entry = held.setdefault(result.runbook_ref, {"runs": 0, "verified": 0, "unverified": 0, "evidence": []})
        entry["runs"] += 1
        if result.verified:
            entry["verified"] += 1
            run = [_micros(result.started_at), result.execution_id]
            entry["evidence"] = keep_smallest(entry["evidence"], run, MOST_SUCCESSES)
        elif not result.failed and result.verification_passed is None:
            entry["unverified"] += 1

    def merge(self, held: Held, other: Held) -> None:
        """Add what was held of other runs."""
        for ref, theirs in other.items():
            if ref not in held:
                held[ref] = theirs
                continue
            entry: Held = held[ref]
            for count in ("runs", "verified", "unverified"):
                entry[count] += theirs[count]
            entry["evidence"] = smallest_of(entry["evidence"], theirs["evidence"], MOST_SUCCESSES)


def open_clusters(held: Held, severities: Mapping[str, Severity]) -> list[FailureCluster]:
    """Every cluster in a `ClusterFold`'s `held`: gravest runbook first, then most failures, then by key.

    `severities` says how grave each runbook is, by its id; one that is not there counts as medium.
    """
    found = []
    for ref, of_version in held.items():
        runbook_id, _, version = ref.rpartition("-v")
        for key, entry in of_version.items():
            found.append(
                FailureCluster(
                    runbook_id=runbook_id,
                    runbook_version=int(version),
                    signature=key,
                    title=entry["title"],
                    action=entry["action"],
                    step_id=entry["step"],
                    check=entry["check"],
                    failures=entry["failures"],
                    hosts=len(entry["hosts"]),
                    clients=len(entry["clients"]),
                    first_seen=_instant(entry["first"]),
                    last_seen=_instant(entry["last"]),
                    severity=severities.get(runbook_id, "medium"),
                    evidence=tuple(execution_id for _, execution_id in entry["evidence"]),
                    by_client=dict(sorted(entry["clients"].items())),
                )
            )
    return sorted(found, key=lambda cluster: (_RANK[cluster.severity], -cluster.failures, cluster.key))


def successes_of(held: Held, runbook_ref: str) -> tuple[str, ...]:
    """The ids of the first verified successes of a version, out of a `SuccessFold`'s `held`."""
    return tuple(execution_id for _, execution_id in held.get(runbook_ref, {}).get("evidence", ()))


def join(clusters: Sequence[FailureCluster]) -> list[list[FailureCluster]]:
    """The clusters in groups to be shown as one, whatever their order was.

    Two are near when they are of the same version, step, action and check, name the same causes and share most of
    their words; a group is everything that is near by way of others. Largest cluster first within a group, groups by
    their first.
    """
    ordered = sorted(clusters, key=lambda cluster: (-cluster.failures, cluster.key))
    parent = list(range(len(ordered)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    families: dict[tuple[Any, ...], list[int]] = {}
    for i, cluster in enumerate(ordered):
        place = (cluster.runbook_ref, cluster.step_id, cluster.action, cluster.check, _causes(cluster.title))
        families.setdefault(place, []).append(i)
    for members in families.values():
        words = {i: _shingles(ordered[i].title) for i in members}
        for at, i in enumerate(members):
            for j in members[at + 1 :]:
                if root(i) != root(j) and _likeness(words[i], words[j]) >= NEAR:
                    parent[max(root(i), root(j))] = min(root(i), root(j))
    groups: dict[int, list[FailureCluster]] = {}
    for i, cluster in enumerate(ordered):
        groups.setdefault(root(i), []).append(cluster)
    return [groups[i] for i in sorted(groups)]


def _entry(found: Signature, started: int) -> dict[str, Any]:
    return {
        "title": found.title,
        "action": found.action,
        "step": found.step_id,
        "check": found.check,
        "failures": 0,
        "hosts": {},
        "clients": {},
        "first": started,
        "last": started,
        "evidence": [],
    }


def _shingles(title: str) -> Counter[str]:
    """Words and pairs of neighbouring words."""
    words = title.lower().split()
    return Counter([*words, *(f"{one} {two}" for one, two in pairwise(words))])


def _likeness(one: Counter[str], other: Counter[str]) -> float:
    """The Dice coefficient of two bags of words: 0 nothing shared, 1 equal.

    Source: Dice, L. R. (1945), "Measures of the Amount of Ecologic Association Between Species".
    """
    both = one.total() + other.total()
    return 2 * (one & other).total() / both if both else 1.0


def _causes(title: str) -> frozenset[str]:
    lowered = title.lower()
    return frozenset(cause for cause in _CAUSES if cause in lowered)


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
