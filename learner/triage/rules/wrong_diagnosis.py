"""The incident names something else than what is wrong."""

from __future__ import annotations

from learner.facts import get
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.claims import MEASURED, borne_out, exhausted, mounts
from learner.triage.rules.disk import backup_target_full

_NO_SPACE = said(r"no space left on device", r"\bENOSPC\b", r"not enough space on the disk", r"disk (?:is )?full",
                 r"don't have enough free space in", r"database or disk is full", r"write error: disk full")  # fmt: skip
_NO_MEMORY = said(r"out of memory", r"cannot allocate memory", r"\bENOMEM\b", r"oom-kill", r"oom_reaper", r"killed process \d+",
                  r"memory cgroup out of memory", r"not enough memory", r"OutOfMemory(?:Error|Exception)")  # fmt: skip
_NOT_YET = said(r"certificate is not yet valid", r"not yet valid", r"clock skew", r"time (?:difference|skew) .{0,30}too (?:great|large)",
                r"clock skew too great")  # fmt: skip


@rule(FailureType.WRONG_DIAGNOSIS)
def something_else_is_wrong(seen: Seen, case: Case) -> Sign | None:
    """What the incident calls broken was in order, and something else visibly was not."""
    if borne_out(seen) is not False:
        return None
    other = exhausted(seen.before) or (f"{seen.down()[0]} was down" if seen.down() else "")
    if not other:
        return None
    return Sign(
        0.86, f"the incident says {seen.result.incident_type}, but that was in order; {other}", seen.result.execution_id
    )


@rule(FailureType.WRONG_DIAGNOSIS)
def measured_fine(seen: Seen, case: Case) -> Sign | None:
    """The number that the incident is about (processors, memory, disk, clock) was fine before the run began: the alert is
    over, or of another host."""
    if seen.incident_type not in MEASURED or borne_out(seen) is not False or exhausted(seen.before):
        return None
    return Sign(
        0.8 if seen.check else 0.68,
        f"no {seen.incident_type} was to be seen before the run began",
        seen.result.execution_id,
    )


@rule(FailureType.WRONG_DIAGNOSIS)
def full_disk_beneath(seen: Seen, case: Case) -> Sign | None:
    """A full disk stopped a runbook that is about something else; there is a runbook for full disks."""
    match = _NO_SPACE.search(seen.text)
    if not match or case.disk_is_its_business or backup_target_full(seen):
        return None
    known = [(path, used, inodes) for path, used, inodes in mounts(seen.before) if used is not None]
    if known and all((used or 0) < 85 for _, used, _ in known):
        return None  # the recorded state does not bear it out, or it is inodes that are short
    return Sign(0.86 if known else 0.78, f"the disk is full, and that is another incident than {seen.result.incident_type}: "
                f"“{first_line(seen.text, match)}”", seen.cite)  # fmt: skip


@rule(FailureType.WRONG_DIAGNOSIS)
def no_memory_beneath(seen: Seen, case: Case) -> Sign | None:
    """The host ran out of memory beneath a runbook that is about something else."""
    match = _NO_MEMORY.search(seen.text)
    if not match or "memory" in seen.incident_type or "oom" in seen.incident_type:
        return None
    usage = get(seen.before, ("memory", "usage_percent"))
    if isinstance(usage, int | float) and usage < 80:
        return None
    return Sign(0.85 if usage is not None else 0.75, f"the host has no memory left, and that is another incident than "
                f"{seen.result.incident_type}: “{first_line(seen.text, match)}”", seen.cite)  # fmt: skip


@rule(FailureType.WRONG_DIAGNOSIS)
def wrong_clock_beneath(seen: Seen, case: Case) -> Sign | None:
    """The clock is wrong, so that certificates and tickets look too young."""
    match = _NOT_YET.search(seen.text)
    if not match or "time" in seen.incident_type:
        return None
    offset = get(seen.before, ("time", "offset_seconds"))
    if isinstance(offset, int | float) and abs(offset) < 5:
        return None
    return Sign(0.85 if offset is not None else 0.72, f"the clock is wrong, not what the incident names: "
                f"“{first_line(seen.text, match)}”", seen.cite)  # fmt: skip


@rule(FailureType.WRONG_DIAGNOSIS)
def anothers_clock(seen: Seen, case: Case) -> Sign | None:
    """Two clocks differ too much, and this host's is right: the other one is to be set."""
    match = _NOT_YET.search(seen.text)
    offset = get(seen.before, ("time", "offset_seconds"))
    if not match or not isinstance(offset, int | float) or abs(offset) >= 1:
        return None
    return Sign(0.85, f"this host's clock is right to {abs(offset):g} s, so the other one is wrong: "
                f"“{first_line(seen.text, match)}”", seen.cite)  # fmt: skip


@rule(FailureType.WRONG_DIAGNOSIS)
def executor_says_wrong_diagnosis(seen: Seen, case: Case) -> Sign | None:
    """Whoever ran it says that the incident named the wrong thing. A hint: surer rules win, unless the recorded state
    agrees."""
    if seen.result.was_correct_diagnosis is not False or _reason(seen):
        return None
    sure = 0.86 if borne_out(seen) is False else 0.7
    return Sign(sure, "whoever ran it says that the incident named the wrong cause", seen.result.execution_id)


@rule(FailureType.WRONG_DIAGNOSIS, overrules=True)
def person_says_wrong_diagnosis(seen: Seen, case: Case) -> Sign | None:
    """A person who looked says that the incident named the wrong thing, and why: that stands before what texts say."""
    if seen.result.was_correct_diagnosis is not False or not _reason(seen):
        return None
    return Sign(0.95, "a person who looked says that the incident named the wrong cause", seen.result.execution_id)


def _reason(seen: Seen) -> str:
    return (seen.result.human_feedback or "").strip()


_TURNED_AWAY = said(
    r"(?:HTTP(?:/[0-9.]+)?|error:?|status(?: code)?:?|:) ?40[134]\b",
    r"\b40[134], not \d{3}",
    r"\b40[134] (?:unauthorized|forbidden|not found)",
)


@rule(FailureType.WRONG_DIAGNOSIS)
def answers_but_turns_away(seen: Seen, case: Case) -> Sign | None:
    """This host's own server was in order and answers, with a 401, 403 or 404: it is not down, as the incident has it."""
    match = _TURNED_AWAY.search(seen.text)
    if not match or borne_out(seen) is not False or not seen.addresses:
        return None
    if not all(seen.is_own(host) for host, _ in seen.addresses):
        return None
    return Sign(0.84, f"it was up and answers: “{first_line(seen.text, match)}”", seen.cite)
