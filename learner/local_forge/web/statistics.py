"""How the queue does: what waits, what was decided and how, and how old things get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import median

from flask import Response

from learner.local_forge.api.request import forge
from learner.local_forge.records import Pull
from learner.local_forge.web import machine_part
from learner.local_forge.web.desk import Desk, moment, page, span
from learner.local_forge.web.queue import PRIORITIES, priority_of, state_of

desk = Desk("statistics")
AGES = (
    (3600.0, "under an hour"),
    (86400.0, "under a day"),
    (3 * 86400.0, "1 to 3 days"),
    (7 * 86400.0, "3 to 7 days"),
    (float("inf"), "over a week"),
)
WEEKS = 8


@dataclass(frozen=True)
class Bar:
    """One bar of a chart; `parts` are (name, count), drawn beside each other."""

    name: str
    parts: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        return sum(count for _, count in self.parts)


@dataclass(frozen=True)
class Statistics:
    """Counts over all proposals of the learner."""

    waiting: int
    high_waiting: int
    approved: int
    rejected: int
    approval_rate: float | None
    oldest: str
    median_decision: str
    ages: list[Bar]
    weeks: list[Bar]
    reasons: list[Bar]


def is_proposal(pull: Pull) -> bool:
    """True for what the learner proposed, by label or by its machine part."""
    return "learner" in pull.labels or machine_part.read(pull.body) is not None


def count(pulls: Sequence[Pull], now: float) -> Statistics:
    """The numbers at `now`, seconds since the epoch. An approval is a merge, a rejection a closing without one."""
    waiting = [p for p in pulls if p.state == "open"]
    merged = [p for p in pulls if state_of(p) == "merged"]
    closed = [p for p in pulls if state_of(p) == "closed"]
    decided = len(merged) + len(closed)
    ages = [now - moment(p.created_at) for p in waiting]
    took = [moment(p.closed_at) - moment(p.created_at) for p in (*merged, *closed) if p.closed_at]
    priorities = [priority_of(p, machine_part.read(p.body)) for p in waiting]
    reasons = Counter(label[9:] for p in closed for label in p.labels if label.startswith("rejected:"))
    unsaid = sum(not any(label.startswith("rejected:") for label in p.labels) for p in closed)
    reasons.update({"no reason given": unsaid} if unsaid else {})
    return Statistics(
        waiting=len(waiting),
        high_waiting=priorities.count("high"),
        approved=len(merged),
        rejected=len(closed),
        approval_rate=len(merged) / decided if decided else None,
        oldest=span(max(ages)) if ages else "",
        median_decision=span(median(took)) if took else "",
        ages=_ages(list(zip(ages, priorities, strict=True))),
        weeks=_weeks(merged, closed, now),
        reasons=[Bar(name, ((name, n),)) for name, n in reasons.most_common()],
    )


def _ages(waiting: Sequence[tuple[float, str]]) -> list[Bar]:
    bars, low = [], 0.0
    for high, name in AGES:
        here = [priority for age, priority in waiting if low <= age < high]
        bars.append(Bar(name, tuple((p or "none", here.count(p)) for p in (*PRIORITIES, ""))))
        low = high
    return bars


def _weeks(merged: Sequence[Pull], closed: Sequence[Pull], now: float) -> list[Bar]:
    """Decisions of the last weeks, Monday to Sunday in UTC, oldest first."""
    today = datetime.fromtimestamp(now, UTC).date()
    monday = today - timedelta(days=today.weekday())
    bars = []
    for back in range(WEEKS - 1, -1, -1):
        start = monday - timedelta(weeks=back)
        days = {f"{start + timedelta(days=n):%Y-%m-%d}" for n in range(7)}
        counts = [sum((p.closed_at or "")[:10] in days for p in group) for group in (merged, closed)]
        bars.append(Bar(f"{start:%d %b}", (("approved", counts[0]), ("rejected", counts[1]))))
    return bars


@desk.get("/statistics")
def statistics() -> Response:
    here = forge()
    numbers = count([p for p in here.store.all(Pull) if is_proposal(p)], here.clock())
    return page("statistics.html", stats=numbers)
