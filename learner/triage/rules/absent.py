"""What a step is to act on is not there at all: the wrong runbook for this host, or its undoing is done already."""

from __future__ import annotations

import re

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.environment import NOT_THERE

_ABSENT = said(
    r"cannot find \w+ object with identifier", r"unknown thread id", r"no such (?:thread|session|query|transaction|connection)\b", r"(?:session|thread|process|query|job|pid) \S+ (?:does not|doesn't) exist",
    r"process or namespace \S+ not found",
    r"no such (?:container|image|volume|network|object|service|process group|unit|pool|database|virtual host|queue|topic|release|plugin|module|job|site|task)\b", r"\(NotFound\)", r"error: release: not found", r"could not find service", r"(?:release|stack|service|machine|domain|container|pod|deployment|queue|topic|site|app pool|task|zone|pool|volume group|logical volume) .{0,80}(?:not found|does not exist|doesn't exist)",
    r"failed to find (?:logical volume|volume group)", r"unknown (?:service|database|unit|site|pool|container|zone|virtual host)\b", r"database \"?\S+ does not exist", r"cannot find (?:any service|service|process)", r"there is no such (?:service|object)", r"is not (?:a known|an installed|a valid) (?:service|site|application pool)",
    r"cannot find (?:path )?'IIS:", r"no installed \S+ (?:service|formula)", r"domain not found", r"no packages? (?:found|matching)", r"the system cannot find the service",
)  # fmt: skip
_UNDOES = re.compile(
    r"(?:^|[\s/;&|])(?:rm|rmi|stop|kill|delete|remove|unload|bootout|disable|uninstall|umount|prune|down|drop|dropdb|userdel|groupdel|purge|detach|revoke|Remove-\w+|Stop-\w+|Disable-\w+)(?:\s|$)"
)


@rule(FailureType.WRONG_RUNBOOK)
def nothing_to_act_on(seen: Seen, case: Case) -> Sign | None:
    """The service, container or database that a step acts on is not on this host under any name."""
    match = _ABSENT.search(seen.error) or NOT_THERE.search(seen.error)
    if not match or not seen.step or case.on_another_system() or _undoes(seen) or seen.others or _unnamed(seen):
        return None
    if _by_longer_name(seen):
        return None
    return Sign(0.64, f"what it is to act on is not there: “{first_line(seen.error, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def undone_already(seen: Seen, case: Case) -> Sign | None:
    """A step stops or removes what is not there: its work is done, and no condition leaves it out."""
    match = _ABSENT.search(seen.error) or NOT_THERE.search(seen.error)
    if not match or not seen.step or case.on_another_system() or not _undoes(seen):
        return None
    return Sign(0.74, f"what it takes away is gone already: “{first_line(seen.error, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def goes_by_a_longer_name(seen: Seen, case: Case) -> Sign | None:
    """What a step acts on is a group or has instances, and the bare name is none of them, as the runbook's own claims or
    the host's state show: `worker:*`, `worker@1`."""
    match = _ABSENT.search(seen.error) or NOT_THERE.search(seen.error)
    longer = _by_longer_name(seen) if match else ""
    if not match or not longer:
        return None
    return Sign(0.78, f"{longer} is what it goes by: “{first_line(seen.error, match)}”", seen.cite)


def _by_longer_name(seen: Seen) -> str:
    """A name in the state or in the runbook's own claims that is a group or an instance of one the failing step was told;
    empty when there is none."""
    words = {str(seen.params.get("name", "")), *seen.spoken.split()} - {""}
    known = [name for name, status in sorted(seen.before.get("services", {}).items()) if status != "unknown"]
    claims = seen.runbook.verification if seen.runbook else ()
    parameters = {f"{{{{ {name} }}}}": str(value) for name, value in seen.result.parameters.items()}
    for claim in claims:
        text = str(claim.params)
        for template, value in parameters.items():
            text = text.replace(template, value)
        known += re.findall(r"[\w.-]+[:@][\w.*%-]+", text)
    return next(
        (
            name
            for name in known
            for word in sorted(words)
            if len(word) > 2 and re.match(rf"{re.escape(word.removesuffix('.service'))}[@:]", name)
        ),
        "",
    )


_HELPERS = {
    "flush_dns_cache": ("systemd-resolved", "nscd", "dnsmasq", "unbound", "named", "bind9"),
    "sync_time": ("chronyd", "chrony", "systemd-timesyncd", "ntpd", "ntp", "ntpsec"),
}


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def helper_not_there(seen: Seen, case: Case) -> Sign | None:
    """A step that names no service speaks to one that is not there: this host has another one for it, or it is stopped."""
    match = _ABSENT.search(seen.error) or NOT_THERE.search(seen.error)
    if not match or not _unnamed(seen) or case.on_another_system():
        return None
    known = [(name, seen.service(name)) for name in _HELPERS[seen.action] if seen.service(name) != "unknown"]
    told = f"; {known[0][0]} is {known[0][1]}" if known else ""
    return Sign(
        0.86 if known else 0.74, f"what would do it is not there: “{first_line(seen.error, match)}”{told}", seen.cite
    )


def _unnamed(seen: Seen) -> bool:
    """Whether the step itself chose the service that it speaks to."""
    return seen.action in _HELPERS


def _undoes(seen: Seen) -> bool:
    return seen.action in ("stop_service", "remove_file", "kill_process") or bool(_UNDOES.search(seen.spoken))
