"""Verification: each claim has a window to come true in, and then has to stay so."""

from __future__ import annotations

from learner.actions import catalogue
from learner.errors import LearnerError
from learner.flow.known import Known
from learner.flow.parameters import concrete, plain
from learner.flow.performer import Claim, Performer
from learner.models.execution import CheckResult
from learner.models.runbook import Verification

LOOK_EVERY_SECONDS = 0.5


def verdict(checks: list[CheckResult]) -> bool | None:
    """What several claims amount to: one that is false decides, one that is unknown leaves it open."""
    found = [check.passed for check in checks]
    return False if False in found else None if None in found else True


def look_until(verification: Verification, performer: Performer, known: Known) -> CheckResult:
    """What a claim came to: true when it held within its window and stayed so, unknown when it can't be judged."""
    check = catalogue().checks[verification.check]
    try:
        rendered = known.rendered(verification.params)
        params = concrete(check.Params, rendered)
    except LearnerError as e:
        return CheckResult(
            id=verification.id,
            check=verification.check,
            params={},
            passed=None,
            observed=f"params: {e.message}",
        )
    began = performer.now()
    good_since: float | None = None
    while True:
        waited = (performer.now() - began).total_seconds()
        seen = performer.look(Claim(verification, check, params, rendered, waited), known.state)
        known.learn(seen.facts)
        waited = (performer.now() - began).total_seconds()
        good_since = (waited if good_since is None else good_since) if seen.passed is True else None
        if good_since is not None and waited - good_since >= verification.stays_good_seconds:
            break
        # Once it holds, the settle window is over: what counts now is that it stays so.
        if (good_since is None and waited >= verification.within_seconds) or performer.cancelled():
            break
        left = (
            verification.stays_good_seconds - (waited - good_since)
            if good_since is not None
            else verification.within_seconds - waited
        )
        performer.pause(max(0.01, min(LOOK_EVERY_SECONDS, left)))
    cut_short = (
        seen.passed is True and performer.cancelled() and waited - (good_since or 0) < verification.stays_good_seconds
    )
    return CheckResult(
        id=verification.id,
        check=verification.check,
        params=plain(rendered),
        passed=None if cut_short else seen.passed,
        observed=seen.observed,
        waited_seconds=round(max(0.0, waited), 6),
    )
