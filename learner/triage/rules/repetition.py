"""Steps that work once only: done a second time they fail on what they did the first time."""

from __future__ import annotations

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said

_ALREADY = said(
    r"(?:cannot|could not|failed to) (?:create|make) (?:directory|symbolic link|hard link|user|group|database|network|volume).{0,200}(?:file )?exists", r"file exists$",
    r"(?:user|group|role|database|relation|table|index|network|volume|container|rule|entry|service|item) .{0,80}already exists", r"is already a member of",
    r"ERROR \(already started\)", r"ERROR \(not running\)", r"(?:service|process|instance|it|job) .{0,60}(?:is )?already (?:running|started|active|enabled|registered)",
    r"FAILED 1056:", r"FAILED 1062:", r"has already been started", r"service has not been started", r"already (?:mounted|exported|a mount point)", r"not mounted",
    r"container name .{1,80} is already in use", r"already installed and", r"patch .{0,40}already applied|reversed \(or previously applied\) patch",
    r"(?:no such process|process not found)$", r"already in list", r"service is not started\b", r"NET HELPMSG (?:3521|2182)", r"bootstrap failed: 5: input/output error",
    r"service already (?:loaded|bootstrapped)", r"duplicate (?:key|entry|rule)", r"nothing to (?:do|commit|reload)",
    r"bad rule \(does a matching rule exist", r"RTNETLINK answers: file exists", r"\bEEXIST\b", r"0 bytes? to (?:clean|free)",
)  # fmt: skip
# Orders that only a running service takes.
_NOT_RUNNING = said(
    r"unknown instance",
    r"(?:is )?not (?:running|active|loaded|started)\b",
    r"cannot reload",
    r"no such process",
    r"has not been started",
)
_WANTS_RUNNING = ("stop_service", "reload_service", "kill_process")
_NOT_HERE = said(r"\.(?:lock|lck|pid|sock)\b", r"address already in use", r"pid ?file", r"lock file")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def not_idempotent(seen: Seen, case: Case) -> Sign | None:
    """A step fails because its work is done already; a condition or a tolerant command is missing."""
    if not seen.step:
        return None
    match = _ALREADY.search(seen.error)
    if not match and seen.action in _WANTS_RUNNING:
        match = _NOT_RUNNING.search(seen.error)
    if not match:
        return None
    line = first_line(seen.error, match)
    if _NOT_HERE.search(line):
        return None
    return Sign(0.85, f"what the step does was done already: “{line}”", seen.cite)
