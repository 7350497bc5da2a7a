"""Names, places and locks that are taken; orders that come while another one is at work; things to be undone first."""

from __future__ import annotations

import re

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_TAKEN = said(
    r"duplicated? export", r"field is immutable", r"(?:directory|file|archive|entry|lineage) exists\b",
    r"(?:name|tag|id|label|address|subnet|uid|gid|prefix) .{0,80}(?:is )?(?:already|still) (?:in use|taken|used|exists?|assigned|allocated)", r"cannot re-use a name that is still in use",
    r"\(AlreadyExists\)", r"\bAlreadyExists\b", r"with name \S+ already exists", r"(?:file|path|target|destination|directory|folder|snapshot|archive|repository|branch|tag|key|server block|site|binding|share) .{0,120}already exists",
    r"cannot create a file when that file already exists", r"already exists,? (?:skipping|and is not|use|but)", r"specified service already exists", r"cannot overwrite", r"(?:session|target)s? .{0,40}already present",
    r"overlaps with (?:other|an? existing|the)", r"conflicts? with (?:existing|another|the file|file)", r"conflicting (?:server name|values)", r"duplicate (?:listen|default server|entry|object|session|mount)", r"would be overwritten",
    r"is already (?:in use|attached|bound|registered|connected|open|in the pool|part of|imported|initiali[sz]ed|configured|a member|masked|used|claimed)", r"already (?:bootstrapped|initiali[sz]ed|attached|imported|registered|assigned)",
)  # fmt: skip
_HELD = said(
    r"with \d+ open\b", r"is active for PID", r"can(?:not|\'t) be performed while", r"in its current state",
    r"(?:volume|network|image|device|disk|file|partition|port|resource|filesystem|file ?system|pool|dataset|database|table|user|group|package|module|socket) .{0,80}(?:is|are) (?:still |currently |being )?(?:in use|used by|busy|open|held|active|referenced)",
    r"has (?:active|running|open|dependent|child|connected) (?:endpoints|containers|sessions?|connections|processes|children|clones|files|transactions|jobs)", r"contains a file ?system in use",
    r"(?:is|are) (?:being |currently )?(?:used|held|locked|blocked|claimed) by\b", r"\bis mounted\b", r"mount point busy", r"directory is not empty", r"volume is in use", r"is using its referenced image", r"\(must force\)", r"(?:dataset|pool|target|device) is busy",
    r"being used by (?:another|stopped|running)", r"currently (?:being )?(?:used by|in use|running|logged in)", r"because other objects depend on it", r"other running services are dependent on", r"requested resource is in use",
    r"could not be removed because .{0,60}(?:in use|depend)", r"dependent services", r"module \S+ is in use", r"lock(?:ed)? .{0,40}(?:portion|database)", r"service database is locked",
)  # fmt: skip
_AT_WORK = said(
    r"VSS_E_WRITERERROR_RETRYABLE", r"experienced a transient error",
    r"(?:please )?(?:retry|try restarting) (?:the )?(?:transaction|operation)", r"getting ready to",
    r"another (?:\S+ ){0,3}(?:operation|job|process|instance|command|session|transaction|upgrade|update|installation|backup|run|app|copy|snapshot|rebuild|task|program|server)\b.{0,60}(?:in progress|is (?:already |currently )?(?:running|active|holding|using)|might be running|pending)",
    r"operation (?:is )?already in progress", r"(?:install|upgrade|rollback|backup|scan|resync|rebuild|vacuum|snapshot|election|failover|migration|synchroni[sz]ation|deployment|update|rollout|restore|check|fsck)\)? (?:is )?(?:already |still |currently )?(?:in progress|running|underway|pending)",
    r"has already locked", r"holding the \S+ lock", r"(?:create|acquire|obtain|get|take|release)(?:/acquire)? (?:the |a |an )?(?:\S+ )?lock\b", r"lock wait timeout exceeded", r"deadlock (?:found|detected)", r"could not obtain lock",
    r"canceling statement due to lock timeout", r"due to conflict with recovery", r"\bLockNotAvailable\b", r"could not serialize access", r"write conflict", r"the object has been modified; please apply your changes to the latest version", r"please wait for it to finish",
    r"multiprocess access .{0,40}lock", r"already (?:processing|performing|executing|in progress)", r"system is (?:already )?(?:going down|being (?:shut down|rebooted))",
)  # fmt: skip
_FIRST = said(
    r"invalid PID number \"\" in", r"please run \S+", r"\b(?:remove|delete|stop|close|run|disable|unmount|detach)\b.{0,60} first\b",
    r"(?:must|has to|have to|needs? to|should) (?:first )?be (?:stopped|unmounted|disabled|closed|removed|emptied|empty|running|mounted|enabled|offline|online|detached|deactivated|drained|paused|initiali[sz]ed|upgraded)\b",
    r"please (?:stop|unmount|close|commit|disable|enable|shut ?down|reboot|restart|drain|remove) ", r"(?:reboot|restart) (?:is |of .{1,40} is )?(?:required|needed|pending)\b", r"pending (?:reboot|restart)",
    r"is mounted\.\s+e2fsck: cannot continue", r"use --(?:force|delete-emptydir-data|ignore-daemonsets|disable-eviction|replace|overwrite|allow-\S+)", r"use the -w option", r"you (?:have|must|need) .{0,20}(?:first|before)\b",
    r"(?:start|stop|run|enable|disable|create|mount|unmount|load|initiali[sz]e) (?:it|them) (?:first|with|before)", r"automatic time synchroni[sz]ation is enabled", r"because it is disabled", 
    r"is disabled\.?$", r"unfinished merge", r"(?:rebase|merge|cherry-pick|am) (?:is )?in progress", r"uncommitted changes", r"unmerged files", r"local changes .{0,60}would be overwritten", r"not possible to fast-forward",
    r"divergent branches", r"(?:table|index|database|file ?system|journal|log|volume|array|rpm database|rpmdb) .{0,60}(?:needs|requires|must) (?:be )?(?:repair|recovery|check|upgrade|fsck|rebuil|reindex|replay)", r"run database recovery", r"\bDB_RUNRECOVERY\b",
    r"(?:marked as crashed and )?should be repaired", r"unclean (?:shutdown|file ?system)", r"structure needs cleaning", r"run fsck manually", r"UNEXPECTED INCONSISTENCY", r"run \S+ (?:first|manually)",
)  # fmt: skip
_ABSENT_PLACE = said(
    r"mount point .{0,60}does not exist", r"missing (?:privilege separation )?directory", r"(?:directory|folder|mountpoint|(?<!network.)path) .{0,120}(?:is )?(?:missing|not mounted|not found|does not exist|doesn't exist)", r"cannot stat /proc/sys/",
    r"module \S+ (?:is )?not (?:loaded|found in)", r"(?:special device|device) \S+ does not exist", r"is not a mountpoint",
)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def name_taken(seen: Seen, case: Case) -> Sign | None:
    """What a step makes is there already under its name, or would overwrite something."""
    return _found(seen, _TAKEN, 0.76, "its name or place is taken")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def held_by_something(seen: Seen, case: Case) -> Sign | None:
    """What a step removes or changes is in use by something that was not stopped or let go first."""
    return _found(seen, _HELD, 0.76, "something still holds it")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def another_at_work(seen: Seen, case: Case) -> Sign | None:
    """Another run, job or transaction is at work on the same thing; waiting for it would do."""
    return _found(seen, _AT_WORK, 0.78, "another one is at work on it")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def step_before_is_missing(seen: Seen, case: Case) -> Sign | None:
    """The tool says itself what has to be done before: stop it, unmount it, commit it, repair it, enable it, reboot."""
    return _found(seen, _FIRST, 0.74, "something has to be done before")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def place_is_missing(seen: Seen, case: Case) -> Sign | None:
    """A directory, mount point, device or kernel module that a step needs is not there on hosts of the same kind."""
    if case.on_another_system():
        return None
    return _found(seen, _ABSENT_PLACE, 0.7, "what it needs is not there")


def _found(seen: Seen, pattern: re.Pattern[str], sure: float, why: str) -> Sign | None:
    match = pattern.search(seen.error)
    if not match or not seen.step:
        return None
    return Sign(sure, f"{why}: “{first_line(seen.error, match)}”", seen.cite)
