"""Metrics and alerts."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.models import ExecutionResult, Memory, Remembered
from learner.models.fold import canonical
from learner.models.score import wilson
from learner.report.alerts import alerts
from learner.report.issues import keep, title
from learner.report.metrics import VersionFold, metrics, versions
from learner.report.tables import bar, rate, version_rows
from learner.settings import AlertSettings
from samples import result

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GOOD = {"status": "success", "success": True, "verification_passed": True, "error_message": None}
OPEN = {"status": "success", "success": True, "verification_passed": None, "error_message": None}


def run(number: int, version: int = 1, **changes: Any) -> ExecutionResult:
    return result(execution_id=f"exec-20261122-{number:06d}", runbook_version=version, **changes)


def held(*results: ExecutionResult) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for one in results:
        VersionFold().add(state, one)
    return state


def pull(number: int, state: str, hours: float = 1, priority: str = "high", **changes: Any) -> Remembered:
    return Remembered.model_validate(
        {
            "number": number, "runbook_id": "RB-LIN-SERVICE-001", "version": 2, "signature": "s", "fingerprint": "f",
            "branch": "learner/x", "head": "h", "state": state, "created_at": NOW - timedelta(hours=hours),
            "decided_at": None if state == "open" else NOW - timedelta(hours=hours / 2), "priority": priority, **changes,
        },
        strict=False,
    )  # fmt: skip


@given(st.permutations(range(12)), st.randoms())
def test_the_order_of_results_does_not_matter(order: list[int], _random: random.Random) -> None:
    results = [run(n, 1 + n % 2, **(GOOD if n % 3 else {})) for n in range(12)]
    assert canonical(held(*results)) == canonical(held(*(results[i] for i in order)))


def test_success_counts_verified_runs_of_approved_bytes_only() -> None:
    state = held(run(1), run(2, **GOOD, runbook_blob="a" * 40), run(3, **OPEN), run(4, **GOOD, runbook_blob="b" * 40))
    (v1,) = versions(state, {"RB-LIN-SERVICE-001-v1": frozenset({"a" * 40})})
    assert (v1.verified_successes, v1.failures, v1.unverified, v1.unapproved) == (1, 1, 1, 1)
    assert v1.success_rate == 0.5


def test_nothing_judged_gives_no_rate() -> None:
    (v1,) = versions(held(run(1, **OPEN)))
    assert v1.success_rate is None
    assert rate(v1) == "–"
    assert bar(None) == "··········"


@pytest.mark.parametrize(
    ("k", "n", "low", "high"), [(0, 1, 0.0, 0.793), (1, 1, 0.207, 1.0), (5, 10, 0.237, 0.763), (90, 100, 0.826, 0.945)]
)
def test_wilson_gives_the_published_figures(k: int, n: int, low: float, high: float) -> None:
    interval = wilson(k, n)
    assert interval is not None
    assert (round(interval.low, 3), round(interval.high, 3)) == (low, high)


@given(st.integers(0, 50), st.integers(1, 50))
def test_the_share_lies_in_its_interval(k: int, n: int) -> None:
    k = min(k, n)
    interval = wilson(k, n)
    assert interval is not None
    assert interval.low - 1e-6 <= k / n <= interval.high + 1e-6


def test_decisions_are_counted() -> None:
    memory = Memory(
        pulls=(pull(1, "merged"), pull(2, "closed"), pull(3, "closed", labels=("rejected:moot",)), pull(4, "open"))
    )
    report = metrics({}, memory, NOW)
    assert (report.generated, report.approved, report.rejected, report.approval_rate) == (4, 1, 1, 0.5)
    assert report.improvements_this_week == 1
    assert [review.number for review in report.open_reviews] == [4]


def test_the_four_alerts() -> None:
    results = [run(n, 1, **GOOD) for n in range(10)] + [run(100 + n, 2, **(GOOD if n < 4 else {})) for n in range(10)]
    waiting = [pull(n, "open", hours=30) for n in range(11)]
    decided = [pull(50 + n, "closed") for n in range(4)] + [pull(60, "merged")]
    found = alerts(metrics(held(*results), Memory(pulls=(*waiting, *decided)), NOW), AlertSettings())
    assert [alert.name for alert in found] == ["review-backlog", "approval-rate", "high-priority-waiting", "regression"]
    assert all(alert.next_step for alert in found)


def test_no_alert_without_a_reason() -> None:
    results = [run(n, 1) for n in range(5)] + [run(100 + n, 2, **GOOD) for n in range(5)]
    memory = Memory(pulls=(pull(1, "open", hours=1), pull(2, "merged")))
    assert alerts(metrics(held(*results), memory, NOW), AlertSettings()) == ()
    assert alerts(metrics(held(run(1, 1, **GOOD), run(2, 2)), memory, NOW), AlertSettings()) == (), (
        "one run proves nothing"
    )


def test_the_table_says_what_changed() -> None:
    rows = version_rows(metrics(held(run(1, 1), run(2, 2, **GOOD)), Memory(), NOW))
    assert [row[0] for row in rows] == ["RB-LIN-SERVICE-001-v1", "RB-LIN-SERVICE-001-v2"]
    assert rows[1][-1] == "+100"


class Tracker:
    """An issue tracker in memory."""

    def __init__(self) -> None:
        self.open: dict[str, tuple[int, str, str]] = {}
        self.closed: list[int] = []

    def issues(self, label: str) -> dict[str, tuple[int, str, str]]:
        return dict(self.open)

    def keep_issue(self, title: str, body: str, label: str, number: int | None) -> int:
        self.open[title] = (number or len(self.open) + 1, body, "url")
        return self.open[title][0]

    def close_issue(self, number: int, comment: str) -> None:
        self.closed.append(number)
        self.open = {t: held for t, held in self.open.items() if held[0] != number}


def test_an_alert_is_one_issue_that_closes_by_itself() -> None:
    tracker = Tracker()
    late = metrics({}, Memory(pulls=(pull(1, "open", hours=30),)), NOW)
    found = alerts(late, AlertSettings())
    assert len(list(keep(found, tracker))) == 1
    assert list(keep(found, tracker)) == [], "a second run changed something"
    assert list(tracker.open) == [title("high-priority-waiting")]
    assert len(list(keep((), tracker))) == 1
    assert (tracker.open, tracker.closed) == ({}, [1])
