"""Select: a table of decisions, and laws that hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.models import FailureCluster, FailureType, Memory, Remembered, Verdict
from learner.proposals.select import Selected, select
from learner.runbook_file import RunbookFile, parse
from learner.settings import LimitSettings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
A, B, C = "RB-LIN-A-001", "RB-LIN-B-001", "RB-LIN-C-001"


def runbook(runbook_id: str, version: int = 1) -> RunbookFile:
    return parse(
        f"id: {runbook_id}\nversion: {version}\nname: n\ndescription: d\nplatform: linux\nincident_types: [x]\n"
        "steps: [{id: a, action: wait, params: {seconds: 1}}]\n"
        "verification: [{id: v, check: port_open, params: {port: 80}}]\n".encode()
    )


def cluster(runbook_id: str = A, signature: str = "aaa", **changes: Any) -> FailureCluster:
    base = {
        "runbook_id": runbook_id,
        "runbook_version": 1,
        "signature": signature,
        "title": f"error {signature}",
        "failures": 3,
        "hosts": 2,
        "clients": 1,
        "first_seen": NOW - timedelta(days=1),
        "last_seen": NOW,
        "evidence": (),
    }
    return FailureCluster.model_validate(base | changes)


def pull(runbook_id: str = A, signature: str = "aaa", **changes: Any) -> Remembered:
    base = {
        "number": 7,
        "runbook_id": runbook_id,
        "version": 2,
        "signature": signature,
        "fingerprint": "f" * 64,
        "branch": "learner/x",
        "head": "0" * 40,
        "state": "closed",
        "created_at": NOW - timedelta(days=5),
        "decided_at": NOW - timedelta(days=4),
        "failures": 3,
    }
    return Remembered.model_validate(base | changes)


def verdict(kind: FailureType = FailureType.RUNBOOK_INSUFFICIENT) -> Verdict:
    return Verdict(failure_type=kind, confidence=0.9, decided_by="rule:x", reasoning="r")


def decide(
    clusters: list[FailureCluster],
    pulls: list[Remembered] | None = None,
    limits: LimitSettings | None = None,
    kind: FailureType = FailureType.RUNBOOK_INSUFFICIENT,
    current: dict[str, RunbookFile] | None = None,
) -> Selected:
    return select(
        clusters,
        {c.key: verdict(kind) for c in clusters},
        Memory(pulls=tuple(pulls or ())),
        current if current is not None else {x: runbook(x) for x in (A, B, C)},
        limits or LimitSettings(),
        NOW,
    )


OPEN = {"state": "open", "decided_at": None}


@pytest.mark.parametrize(
    ("changes", "pulls", "limits", "word"),
    [
        ({}, [], {}, None),
        ({"runbook_version": 2}, [], {}, "not_current"),
        ({"runbook_id": "RB-LIN-Z-001"}, [], {}, "unknown_runbook"),
        ({"failures": 1}, [], {}, "min_failures"),
        ({"failures": 1, "severity": "high"}, [], {}, None),
        ({"failures": 1, "severity": "critical"}, [], {"min_hosts": 5}, None),
        ({"hosts": 1}, [], {"min_hosts": 2}, "min_hosts"),
        ({}, [pull(**OPEN)], {}, "one_open"),
        ({}, [pull(signature="bbb", **OPEN)], {}, "one_open"),
        ({}, [pull(touched_by_person=True, **OPEN)], {}, "touched_by_person"),
        ({}, [pull(touched_by_person=True, verdict="changes_requested", **OPEN)], {}, "touched_by_person"),
        ({}, [pull(B, **OPEN)], {}, None),
        ({}, [pull()], {}, "rejected_before"),
        ({}, [pull(signature="bbb")], {}, None),
        ({}, [pull(labels=("learner:revive",))], {}, None),
        ({}, [pull(number=1, labels=("learner:revive",)), pull(number=2, decided_at=NOW)], {}, "rejected_before"),
        ({"failures": 12}, [pull()], {"revive_after_failures": 10}, "rejected_before"),
        ({"failures": 13}, [pull()], {"revive_after_failures": 10}, None),
        ({"failures": 13, "last_seen": NOW - timedelta(days=4)}, [pull()], {"revive_after_failures": 10}, "rejected_before"),
        ({}, [pull(state="merged", version=1, created_at=NOW - timedelta(hours=23))], {}, "cooldown"),
        ({}, [pull(state="merged", version=1, created_at=NOW - timedelta(hours=25))], {}, None),
        ({}, [pull(state="merged", signature="b", created_at=NOW - timedelta(hours=23))], {"cooldown_hours": 1}, None),
        ({}, [pull(B, **OPEN)], {"open_pull_requests": 1}, "open_pull_requests"),
        ({}, [], {"per_run": 0}, "per_run"),
    ],
)  # fmt: skip
def test_the_table(changes: dict[str, Any], pulls: list[Remembered], limits: dict[str, Any], word: str | None) -> None:
    decided = decide([cluster(**changes)], pulls, LimitSettings(**limits))
    reasons = [d.reason.split(":")[0] for d in decided.deferred]
    assert reasons == ([word] if word else [])
    assert [w.kind for w in decided.work] == ([] if word else ["draft"])


@pytest.mark.parametrize("kind", [kind for kind in FailureType if not kind.improvable])
def test_what_no_runbook_can_mend_is_left_to_people(kind: FailureType) -> None:
    decided = decide([cluster()], kind=kind)
    assert [d.reason.split(":")[0] for d in decided.deferred] == ["not_improvable"]


def test_one_work_a_runbook_the_most_urgent_first() -> None:
    clusters = [
        cluster(A, "few"),
        cluster(A, "many", failures=9),
        cluster(B, "low", severity="low", failures=50),
        cluster(C, "high", severity="high"),
    ]
    decided = decide(clusters)
    assert [w.cluster.signature for w in decided.work] == ["high", "many", "low"]
    assert [(d.cluster.signature, d.reason.split(":")[0]) for d in decided.deferred] == [("few", "one_open")]


def test_limits_count_what_is_open_and_what_this_run_opens() -> None:
    clusters = [cluster(x) for x in (A, B, C)]
    assert len(decide(clusters, limits=LimitSettings(per_run=2)).work) == 2
    open_elsewhere = [pull("RB-LIN-D-001", **OPEN)]
    decided = decide(clusters, open_elsewhere, LimitSettings(open_pull_requests=2))
    assert len(decided.work) == 1
    assert {d.reason.split(":")[0] for d in decided.deferred} == {"open_pull_requests"}


def test_a_review_that_asks_for_changes_is_answered_whatever_the_limits() -> None:
    asked = pull(verdict="changes_requested", **OPEN)
    decided = decide([cluster(), cluster(signature="bbb")], [asked], LimitSettings(open_pull_requests=1, per_run=0))
    assert [(w.kind, w.pull, w.cluster.signature) for w in decided.work] == [("revise", asked, "aaa")]
    assert [d.reason.split(":")[0] for d in decided.deferred] == ["one_open"]
    moved_on = decide([cluster()], [asked], current={A: runbook(A, 2)})
    assert moved_on.work == ()


clusters_of = st.builds(
    cluster,
    st.sampled_from([A, B, C, "RB-LIN-Z-001"]),
    st.sampled_from(["aaa", "bbb", "ccc"]),
    failures=st.integers(1, 9),
    hosts=st.integers(0, 3),
    severity=st.sampled_from(["low", "medium", "high", "critical"]),
    runbook_version=st.integers(1, 2),
)
pulls_of = st.builds(
    pull,
    st.sampled_from([A, B, C]),
    st.sampled_from(["aaa", "bbb"]),
    state=st.sampled_from(["open", "closed", "merged"]),
    touched_by_person=st.booleans(),
    verdict=st.sampled_from(["none", "changes_requested"]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(clusters_of, unique_by=lambda c: c.key),
    st.lists(pulls_of, max_size=4, unique_by=lambda p: (p.runbook_id, p.state)),
    st.randoms(use_true_random=False),
    st.integers(0, 4),
)
def test_every_cluster_gets_one_answer_that_does_not_depend_on_order(
    clusters: list[FailureCluster], pulls: list[Remembered], random: Any, most: int
) -> None:
    limits = LimitSettings(per_run=most, open_pull_requests=most)
    decided = decide(clusters, pulls, limits)
    mixed = random.sample(clusters, len(clusters))
    assert decide(mixed, pulls, limits) == decided
    assert sorted(x.cluster.key for x in (*decided.work, *decided.deferred)) == sorted(c.key for c in clusters)
    runbooks = [w.cluster.runbook_id for w in decided.work]
    assert len(runbooks) == len(set(runbooks))
    assert sum(w.kind == "draft" for w in decided.work) <= most
    touched = {p.runbook_id for p in pulls if p.state == "open" and p.touched_by_person}
    assert not touched & set(runbooks)
