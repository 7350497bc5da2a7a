"""Which record an attempt is of, and what differs between the two besides facts and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learner.flow import Attempt
from learner.replay import complaints
from learner.replay.recording import Record


def same(attempt: Attempt, record: Record, *, rendered: bool = False) -> bool:
    """Whether an attempt is the recorded one: same action, same parameters; which exit codes count is no parameter."""
    if record.step.action != attempt.action.name:
        return False
    if record.step.params and _without_codes(record.step.params) == _without_codes(attempt.rendered):
        return True
    if rendered:
        return False
    # Rendered parameters may lack, hold masked secrets, or rest on facts that were read in between.
    return record.of is not None and _without_codes(record.of.params) == _without_codes(attempt.step.params)


def _without_codes(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if name != "success_exit_codes"}


def accepted(attempt: Attempt, record: Record) -> bool:
    """Whether a recorded failure counts as done only because its exit code is accepted now."""
    codes = getattr(attempt.params, "success_exit_codes", None)
    old = (record.of.params if record.of else record.step.params).get("success_exit_codes", [0])
    code = record.step.exit_code
    return codes is not None and code in codes and code not in old and not record.step.timed_out


def no_longer_accepted(attempt: Attempt, record: Record) -> bool:
    """Whether a recorded success was one only by an exit code that is none any more."""
    codes = getattr(attempt.params, "success_exit_codes", None)
    old = (record.of.params if record.of else record.step.params).get("success_exit_codes", [0])
    return codes is not None and record.step.exit_code in old and record.step.exit_code not in codes


def cut_short(attempt: Attempt, record: Record) -> bool:
    """Whether a recorded success took longer than it may take now."""
    old = (record.of.timeout_seconds if record.of else None) or attempt.action.default_timeout_seconds
    return attempt.timeout_seconds < old and record.attempt_seconds > attempt.timeout_seconds


def alike(one: Record, other: Record) -> bool:
    """Whether two records are of the same step."""
    return one.step.action == other.step.action and one.step.step_id == other.step.step_id


def has_more_rights(attempt: Attempt, record: Record) -> bool:
    """Whether a recorded failure was for want of rights that the attempt has now."""
    had = record.of is not None and record.of.become
    return attempt.step.become and not had and complaints.denied(record.step.error)
