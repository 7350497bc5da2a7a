"""A number that the runbook brings down was on its way when it was looked at."""

from __future__ import annotations

from learner.facts import get
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, rule

_NUMBERS = {"cpu_usage_below": ("cpu", "usage_percent"), "memory_usage_below": ("memory", "usage_percent")}
_ON_ITS_WAY = 0.4
"""How much of the way to the wanted number it has to have come."""
_ACTS = (
    "restart_service",
    "start_service",
    "reload_service",
    "kill_process",
    "run_command",
    "run_script",
    "set_priority",
)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def still_falling(seen: Seen, case: Case) -> Sign | None:
    """Processors or memory were still coming down when the claim looked: lower at the end of the run than at the claim,
    and lower there than before."""
    if not seen.check or seen.check.check not in _NUMBERS or not seen.did(*_ACTS):
        return None
    path = _NUMBERS[seen.check.check]
    wanted = seen.check.params.get("percent")
    observed = seen.check.observed
    at = next(iter(observed.values()), None) if isinstance(observed, dict) else observed
    values = [get(seen.before, path), at, get(seen.after, path), wanted]
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None
    before, at, after, wanted = (float(value) for value in values)
    if not before > at > after or before <= wanted or (before - after) < _ON_ITS_WAY * (before - wanted):
        return None
    return Sign(0.82, f"it fell from {before:g}% to {at:g}% and {after:g}%, and {wanted:g}% is wanted", seen.cite)
