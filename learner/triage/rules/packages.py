"""Package managers: locked, interrupted, out of date, unmet."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_LOCKED = said(
    r"could not get lock /var/\S*(?:dpkg|apt)", r"unable to acquire the dpkg frontend lock", r"unable to lock (?:directory|the administration directory|database)",
    r"waiting for cache lock", r"another app is currently holding the yum lock", r"is holding the (?:yum|dnf) lock", r"can't create transaction lock on",
    r"system management is locked by", r"failed to (?:init transaction|lock database)", r"unable to lock database", r"another installation is already in progress",
    r"exit(?:ed with)? code 1618", r"another active homebrew", r"dpkg: error: dpkg (?:frontend lock|status database) .{0,20}(?:is )?locked",
    r"waiting for process with pid \d+ to finish", r"could not open lock file /var/lib/dpkg/\S+ - open \(11",
)  # fmt: skip
_INTERRUPTED = said(
    r"dpkg was interrupted", r"dpkg --configure -a", r"--fix-broken install", r"apt(?:-get)? -f install", r"unmet dependencies", r"held broken packages",
    r"yum-complete-transaction", r"unfinished transactions remaining", r"rpmdb(?:: | open) ?failed|rpmdb: .{0,60}(?:damaged|corrupt)",
)  # fmt: skip
_ASKS = said(
    r"unable to initialize frontend", r"conffile prompt", r"do you want to continue\? \[y/n\].{0,10}abort", r"is this ok \[y/[nd/]+\]",
    r"use -y to", r"operation aborted by (?:the )?user",
)  # fmt: skip
_STALE_LISTS = said(
    r"maybe run apt-get update", r"404 +not found \[IP: [^\]]+\]", r"run .?apt(?:-get)? update.? (?:first|and try)", r"metadata .{0,40}(?:is )?(?:expired|out of date)",
    r"release file .{0,120}(?:is expired|is not valid anymore)", r"changed its '(?:suite|codename|version|label|origin)' value",
)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def package_manager_locked(seen: Seen, case: Case) -> Sign | None:
    """Another run of the package manager holds its lock; waiting for it would have done."""
    match = _LOCKED.search(seen.text)
    if not match:
        return None
    return Sign(
        0.95, f"the package manager is busy or its lock is left over: “{first_line(seen.text, match)}”", seen.cite
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def packages_half_done(seen: Seen, case: Case) -> Sign | None:
    """An earlier installation was interrupted; the package manager itself says how to finish it."""
    match = _INTERRUPTED.search(seen.text)
    if not match:
        return None
    return Sign(0.88, f"an earlier installation is not finished: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def package_tool_asks(seen: Seen, case: Case) -> Sign | None:
    """The package tool wants to ask a question, and nobody is there to answer."""
    match = _ASKS.search(seen.text)
    if not match:
        return None
    return Sign(0.88, f"the package tool waits for an answer: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def package_lists_old(seen: Seen, case: Case) -> Sign | None:
    """The lists name packages that the mirror no longer has; the runbook does not update them first."""
    match = _STALE_LISTS.search(seen.text)
    if not match:
        return None
    return Sign(0.85, f"the package lists are old: “{first_line(seen.text, match)}”", seen.cite)
