"""Hosts where it fails are of another kind than those where it works, and the error is one of kind."""

from __future__ import annotations

import re

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.configuration import host_setting_refused
from learner.triage.rules.environment import _comes_and_goes
from learner.triage.rules.limits import limit_of_this_host
from learner.triage.rules.local_object import CRASHED
from learner.triage.rules.neighbours import port_taken
from learner.triage.rules.repetition import not_idempotent
from learner.triage.rules.timing import _STILL_STARTING, _TIMED_OUT

_OF_KIND = said(
    r"read-only file ?system", r"exec format error", r"cannot execute(?: binary file)?", r"bad CPU type in executable", r"wrong ELF class", r"not a valid Win32 application", r"version .{0,40}(?:not found|required|mismatch|too old|unsupported)", r"not supported", r"unsupported", r"not implemented", r"deprecated|no longer (?:supported|available|present)",
    r"illegal option", r"(?:invalid|unknown|unrecogni[sz]ed|unexpected|bad|extra) (?:option|argument|parameter|flag|character|command|subcommand|characters|key|directive|value)", r"extra characters", r"usage: ", r"command not found", r": not found\b", r"no such (?:file|device|option|command)", r"is not recogni[sz]ed", r"invalid (?:group|user)",
    r"not installed", r"symbol lookup error|undefined symbol", r"could not load (?:type|file or assembly)", r"no valid module file was found", r"module .{0,80}(?:could not be loaded|was not loaded|is not compatible)", r"snap-?in\b", r"cannot open shared object", r"(?:function|method|attribute|module|cmdlet|operator) .{0,60}(?:not found|does not exist|has no attribute|is not defined)", r"SELinux|AppArmor", r"syntax error", r"does not (?:exist|support)", r"unable to locate", r"no match(?:ing)?\b", r"cgroup",
)  # fmt: skip


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def fails_on_another_kind(seen: Seen, case: Case) -> Sign | None:
    """Distribution, version, processor or service manager tell every failure from every success, and the error is one
    of options, formats or things that only some systems have."""
    found = case.contrast.separating("host.os_id", "platform", "host.service_manager", "host.arch", "host.os_version")
    match = _OF_KIND.search(seen.error)
    if not found or not match or seen.others or _comes_and_goes(seen):
        return None
    return Sign(0.88, f"{found}; here: “{first_line(seen.error, match)}”", seen.cite)


_KINDS = ("host.os_id", "platform", "host.service_manager", "host.arch", "host.os_version")
_LASTING = (port_taken, host_setting_refused, limit_of_this_host, not_idempotent)
"""What stays as it is until somebody changes it: found on one kind of host alone, it belongs to that kind."""
_SET_UP = re.compile(
    r"^state\.(?:files\W.*(?:/etc/|/opt/|/usr/|/Library/|/home/|/root/|Program ?Files|ProgramData).*\.exists|services\.[^.]+)$"
)


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def lasts_on_one_kind(seen: Seen, case: Case) -> Sign | None:
    """A port that is held, a limit or a setting stops every host of one kind and none of another: the kind comes with it."""
    found = case.contrast.separating(*_KINDS)
    if not found or len({result.hostname for result in case.results}) < 2:
        return None
    signs = [sign for known in _LASTING if (sign := known.look(seen, case))]
    return Sign(0.97, f"{found}; here: {signs[0].reason}", seen.cite) if signs else None


@rule(FailureType.ENVIRONMENT_DIFFERENCE, last=True)
def only_on_this_kind(seen: Seen, case: Case) -> Sign | None:
    """No rule knows the words; several hosts of one kind say them, and it worked on hosts of another kind alone."""
    found = case.contrast.separating(*_KINDS)
    failed, worked = ({result.hostname for result in runs} for runs in (case.results, case.successes))
    if not found or len(failed) < 2 or len(worked) < 2 or not _lasts(seen):
        return None
    return Sign(0.68, f"{found}; nothing else tells them apart", seen.cite)


@rule(FailureType.ENVIRONMENT_DIFFERENCE, last=True)
def set_up_otherwise(seen: Seen, case: Case) -> Sign | None:
    """No rule knows the words; a settings file or a service that only some hosts have tells every failure from every success."""
    failed, worked = ({result.hostname for result in runs} for runs in (case.results, case.successes))
    if len(failed) < 2 or len(worked) < 2 or not _lasts(seen):
        return None
    for found in case.contrast.differences:
        present = {value for value, _ in (*found.failed, *found.worked)}
        if found.separates and _SET_UP.match(found.name) and (present == {"true", "false"} or "unknown" in present):
            return Sign(0.66, f"{found}; nothing else tells them apart", seen.cite)
    return None


def _lasts(seen: Seen) -> bool:
    """Whether the run failed with words of its own, which are no crash, no silence and nothing that passes."""
    error = seen.error.strip()
    if not seen.step or seen.step.timed_out or seen.others or not error or _SAYS_NOTHING.match(error):
        return False
    return not (_TIMED_OUT.search(error) or _STILL_STARTING.search(error) or CRASHED.search(seen.text))


_SAYS_NOTHING = re.compile(r"(?:exit code|exited with|status) -?\d+$")
