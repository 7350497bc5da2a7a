"""Hosts where it fails are of another kind than those where it works, and the error is one of kind."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.environment import _comes_and_goes

_OF_KIND = said(
    r"read-only file ?system", r"exec format error", r"cannot execute(?: binary file)?", r"bad CPU type in executable", r"wrong ELF class", r"not a valid Win32 application", r"version .{0,40}(?:not found|required|mismatch|too old|unsupported)", r"not supported", r"unsupported", r"not implemented", r"deprecated|no longer (?:supported|available|present)",
    r"illegal option", r"(?:invalid|unknown|unrecogni[sz]ed|unexpected|bad|extra) (?:option|argument|parameter|flag|character|command|subcommand|characters|key|directive|value)", r"extra characters", r"usage: ", r"command not found", r": not found\b", r"no such (?:file|device|option|command)", r"is not recogni[sz]ed", r"invalid (?:group|user)",
    r"not installed", r"symbol lookup error|undefined symbol", r"cannot open shared object", r"(?:function|method|attribute|module|cmdlet|operator) .{0,60}(?:not found|does not exist|has no attribute|is not defined)", r"SELinux|AppArmor", r"syntax error", r"does not (?:exist|support)", r"unable to locate", r"no match(?:ing)?\b", r"cgroup",
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
