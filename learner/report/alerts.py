"""The four alerts of the product; `learner report --check` fails when one of them speaks."""

from __future__ import annotations

from collections.abc import Iterator

from learner.models.records import Level
from learner.report.metrics import Metrics, VersionMetrics
from learner.settings import AlertSettings
from learner.strict import Strict, Text


class Alert(Strict):
    """Something that a platform owner should look at."""

    name: Text
    level: Level
    message: Text
    next_step: Text
    subjects: tuple[str, ...] = ()
    """Pull requests or versions it speaks of."""


def alerts(metrics: Metrics, settings: AlertSettings) -> tuple[Alert, ...]:
    """The alerts that hold now."""
    return (
        *_backlog(metrics, settings),
        *_approval(metrics, settings),
        *_waiting(metrics, settings),
        *_regressions(metrics, settings),
    )


def _backlog(metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    waiting = len(metrics.open_reviews)
    if waiting > settings.review_backlog:
        yield Alert(
            name="review-backlog",
            level=Level.WARNING,
            message=f"{waiting} proposals wait for a review; {settings.review_backlog} are the limit",
            next_step="review or close the oldest, or lower limits.open_pull_requests",
            subjects=tuple(f"#{review.number}" for review in metrics.open_reviews),
        )


def _approval(metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    decided = metrics.approved + metrics.rejected
    rate = metrics.approval_rate
    if rate is not None and decided >= settings.min_runs and rate < settings.approval_rate:
        yield Alert(
            name="approval-rate",
            level=Level.WARNING,
            message=f"{metrics.approved} of {decided} decided proposals were approved ({rate:.0%})",
            next_step="read why the others were closed; raise limits.min_failures or narrow the patterns that misfire",
        )


def _waiting(metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    late = [r for r in metrics.open_reviews if r.priority == "high" and r.age_hours > settings.high_priority_hours]
    if late:
        oldest = max(review.age_hours for review in late)
        yield Alert(
            name="high-priority-waiting",
            level=Level.WARNING,
            message=f"{len(late)} high-priority proposals have waited for up to {oldest:.0f} h",
            next_step="review them first",
            subjects=tuple(f"#{review.number} {review.ref}" for review in late),
        )


def _regressions(metrics: Metrics, settings: AlertSettings) -> Iterator[Alert]:
    """A version whose verified success is lower than that of the version it was to improve on."""
    by_ref = {version.ref: version for version in metrics.versions}
    for new in metrics.versions:
        runbook, _, number = new.ref.rpartition("-v")
        old = by_ref.get(f"{runbook}-v{int(number) - 1}")
        if old and _worse(new, old, settings.min_runs):
            yield Alert(
                name="regression",
                level=Level.WARNING,
                message=f"{new.ref} succeeds in {new.success_rate or 0:.0%} of {_judged(new)} judged runs; "
                f"{old.ref} did in {old.success_rate or 0:.0%} of {_judged(old)}",
                next_step=f"look at `learner explain {new.ref}`; once the intervals tell, a pull request labelled revert takes it back",
                subjects=(new.ref, old.ref),
            )


def _judged(version: VersionMetrics) -> int:
    return version.verified_successes + version.failures


def _worse(new: VersionMetrics, old: VersionMetrics, least: int) -> bool:
    if new.success_rate is None or old.success_rate is None or _judged(new) < least or not _judged(old):
        return False
    return new.success_rate < old.success_rate
