"""What a program meets after its start is what it was before: its own old registration, or a clock it has not yet asked."""

from __future__ import annotations

from learner.facts import get
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_OLD_REGISTRATION = said(
    r"error while creating ephemeral at \S+, node already exists", r"KeeperErrorCode = NodeExists", r"NodeExistsException", r"DuplicateBrokerRegistration\w*|DUPLICATE_BROKER_REGISTRATION|another broker is (?:already )?registered with that broker id",
    r"(?:member|node|broker|instance|consumer|session|lease|client) .{0,60}is (?:still|already) (?:registered|part of the (?:group|cluster))", r"waiting for (?:the )?(?:old|previous|stale|existing) (?:session|lease|registration|lock|ephemeral)", r"found unregistered .{0,40}session",
    r"previous (?:ephemeral (?:live )?node|session|lease) (?:still exists|has not expired)", r"(?:session|lease) .{0,40}(?:not yet|has not) expired", r"the name \S+ (?:seems to be|is) in use by another Erlang node", r"node with name \S+ is already running on",
    r"UNRELEASED_INSTANCE_ID|FENCED_INSTANCE_ID", r"service with the same id is still registered",
)  # fmt: skip
"""ZooKeeper, Kafka, Solr, HBase, etcd, Erlang: what holds a name for a member that died, until its session is over."""
_NOT_SETTLED = said(
    r"refid: 0{8}\b", r"not synchroni[sz]ed", r"Reference ID +: 0{8}", r"stratum +: 0\b", r"Leap status +: Not synchroni[sz]ed", r"System clock synchroni[sz]ed: no", r"no association id's returned",
    r"source: local cmos clock", r"leap indicator: 3", r"can't synchroni[sz]e: no majority", r"unsynchroni[sz]ed",
)  # fmt: skip
"""chronyc, timedatectl, ntpstat, ntpq and w32tm, before a source was chosen."""
_NEAR_SECONDS = 0.5
"""Nobody calls a clock wrong that is off by less."""
_RESTARTS = ("restart_service", "start_service", "run_command", "run_script", "sync_time")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def old_registration(seen: Seen, case: Case) -> Sign | None:
    """A member of a cluster comes back before its own old session is over, and is taken for a second one."""
    match = _OLD_REGISTRATION.search(seen.text)
    if not match:
        return None
    return Sign(0.84, f"its own former registration is still there: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def clock_not_settled(seen: Seen, case: Case) -> Sign | None:
    """A time service was asked right after its start, before it had chosen a source; when the run ended the clock was right."""
    if seen.check and seen.check.check == "time_offset_below":
        return _stepped_too_early(seen)
    match = _NOT_SETTLED.search(seen.text)
    offset = get(seen.after, ("time", "offset_seconds"))
    if not match or not isinstance(offset, int | float) or abs(offset) > _NEAR_SECONDS or not seen.did(*_RESTARTS):
        return None
    return Sign(
        0.88,
        f"the clock was right to {abs(offset):g} s when the run ended: “{first_line(seen.text, match)}”",
        seen.cite,
    )


_ONE_TRY_SECONDS = 30.0
"""How long a time service may take for its first measurements after a start, without an initial burst."""


def _stepped_too_early(seen: Seen) -> Sign | None:
    """A claim about the clock that failed right after the time service was started, which had not measured anything."""
    daemons = ("chron", "ntp", "timesyncd", "w32time")
    started = [
        step
        for step in seen.did("restart_service", "start_service")
        if any(word in str(step.params.get("name", "")).lower() for word in daemons)
    ]
    waited = sum(step.duration_seconds or 0 for step in seen.result.executed_steps) + (
        seen.check.waited_seconds if seen.check else 0
    )
    for text in seen.shown if started and waited < _ONE_TRY_SECONDS else ():
        if match := _NOT_SETTLED.search(text):
            return Sign(0.84, f"it had not measured anything yet: “{first_line(text, match)}”", seen.cite)
    return None


@rule(FailureType.EXTERNAL_DEPENDENCY)
def no_source_for_long(seen: Seen, case: Case) -> Sign | None:
    """A time service waited long for a source and was given none: they don't answer, or nothing gets through to them."""
    match = _NOT_SETTLED.search(seen.text)
    long = seen.step is not None and (seen.step.duration_seconds or 0) >= 2 * _ONE_TRY_SECONDS
    if (
        not match
        or not long
        or any(
            status in ("stopped", "failed")
            for name, status in seen.after.get("services", {}).items()
            if "chron" in name or "ntp" in name
        )
    ):
        return None
    return Sign(
        0.84,
        f"no source was found in {seen.step.duration_seconds if seen.step else 0:g} s: “{first_line(seen.text, match)}”",
        seen.cite,
    )
