"""It works on one kind of system and fails on another: concluded from contrast or from the host's own facts."""

from __future__ import annotations

import re

from learner.mentions import paths_in, services_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.distributions import SAME_SERVICE, belongs_elsewhere, foreign_tool

NOT_THERE = said(
    r"unit \S+ (?:could not be found|not found|not loaded|does not exist)", r"unit file \S+ does not exist", r"not-found",
    r"unrecognized service", r"no such (?:service|process name|group|unit)\b", r"ERROR \(no such (?:process|group)\)",
    r"does not exist as an installed service", r"FAILED 1060:", r"cannot find any service with service name",
    r"could not find (?:the )?(?:requested )?service", r"service \S+ (?:is |was )?not found", r"could not find service",
)  # fmt: skip
_TOOL = said(
    r"command not found", r"\w: not found\b", r"executable file not found in \$PATH", r"no such file or directory",
    r"is not recognized as (?:an internal or external command|the name of a cmdlet)", r"exit code 127\b", r"status=203/EXEC",
    r"\bENOENT\b", r"cannot find (?:the )?(?:path|file)", r"error setting certificate (?:file|verify locations)",
    r"through socket .{1,200} \(2\)",
)  # fmt: skip
VANISHING = re.compile(r"/(?:run|var/run|tmp|var/tmp|var/lock|run/lock|dev/shm)(?:/|$)")
_SPEAKS_OTHERWISE = said(
    r"(?:invalid|illegal|unrecognized|unrecognised|unknown) option", r"unrecognized: -", r"\bBusyBox v\d", r"unknown (?:argument|lvalue|directive|switch|command|operation|verb)\b",
    r"unsupported option", r"unable to locate package", r"no package \S+ available", r"no match for argument", r"unable to find a match",
    r"package \S+ (?:not found|has no installation candidate)", r"nothing provides", r"target not found", r"invalid (?:user|group)\b",
    r"unknown (?:user|group)\b", r"(?:user|group) \S+ does not exist", r"getpwnam\(\"?\S+ failed", r"getgrnam\(\"?\S+ failed",
    r"a parameter cannot be found that matches", r"usage: ", r"no such user", r"syntax error", r"bad substitution", r"not supported on this",
    r"exec format error", r"version .{1,30} not found", r"status=217/USER", r"status=216/GROUP",
)  # fmt: skip
_NO_MANAGER = said(
    r"system has not been booted with systemd", r"failed to connect to bus", r"failed to get d-bus connection",
    r"running in chroot, ignoring", r"systemctl: (?:command )?not found", r"unix://\S*supervisor\S* no such file",
    r"unix://\S*supervisor\S* refused connection", r"rc-service: (?:command )?not found", r"launchctl: (?:command )?not found",
)  # fmt: skip


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def works_on_another_system(seen: Seen, case: Case) -> Sign | None:
    """A name, path, command or option is not there on this kind of system; where it worked is another kind."""
    contrast = case.on_another_system()
    if not contrast:
        return None
    if _comes_and_goes(seen):
        return None
    for pattern, confidence in ((NOT_THERE, 0.93), (_NO_MANAGER, 0.93), (_TOOL, 0.9), (_SPEAKS_OTHERWISE, 0.9)):
        if match := pattern.search(seen.text):
            return Sign(confidence, f"{contrast}; here: “{first_line(seen.text, match)}”", seen.cite)
    check = seen.check
    if check and (
        check.check == "file_exists" or (check.check == "service_running" and "unknown" in str(check.observed))
    ):
        what = check.params.get("path") or check.params.get("name")
        return Sign(0.8, f"{contrast}; {what} is not there here", seen.cite)
    return None


def _comes_and_goes(seen: Seen) -> bool:
    """Whether what is missing lies where things vanish on every system, at a reboot for example."""
    lines = [line for line in seen.text.split("\n") if _TOOL.search(line)]
    paths = [path for line in lines for path in paths_in(line)]
    statuses = seen.before.get("services", {}).values()
    if statuses and all(status == "running" for status in statuses):
        # The socket of a service that runs has not gone; it is somewhere else.
        paths = [path for path in paths if not path.endswith((".sock", ".socket"))]
    return any(VANISHING.match(path) for path in paths)


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def service_has_another_name(seen: Seen, case: Case) -> Sign | None:
    """The service is not there under the name it was asked for, and the host's state shows it under another one."""
    match = NOT_THERE.search(seen.text)
    if not match:
        return None
    asked = {str(seen.params.get("name", "")), *services_in(seen.text)} - {""}
    known = {name for name, status in seen.before.get("services", {}).items() if status != "unknown"}
    for names in SAME_SERVICE:
        wanted = {name for name in asked if name.removesuffix(".service") in names}
        there = sorted(name for name in known - asked if name.removesuffix(".service") in names)
        if wanted and there:
            return Sign(
                0.85,
                f"{sorted(wanted)[0]} is called {there[0]} on this host: “{first_line(seen.text, match)}”",
                seen.cite,
            )
    return None


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def other_service_manager(seen: Seen, case: Case) -> Sign | None:
    """The step speaks to a service manager that this host does not run, as its own facts say."""
    match = _NO_MANAGER.search(seen.text)
    runs = seen.result.host.service_manager
    if not match or not runs or runs.removesuffix("d") in match[0].lower():
        return None
    spoken = "systemd" if "systemd" in match[0].lower() or "bus" in match[0].lower() else ""
    if spoken == runs:
        return None
    return Sign(0.8, f"this host runs {runs}: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def name_of_another_distribution(seen: Seen, case: Case) -> Sign | None:
    """The host's own facts say which distribution it is; the name that was not found is the one others use."""
    match = NOT_THERE.search(seen.text)
    if not match:
        return None
    os_id = seen.result.host.os_id
    for name in sorted({str(seen.params.get("name", "")), *services_in(seen.text)} - {""}):
        if family := belongs_elsewhere(name, os_id):
            return Sign(
                0.78,
                f"{name} is its name on {family} systems, this is {os_id}: “{first_line(seen.text, match)}”",
                seen.cite,
            )
    return None


@rule(FailureType.ENVIRONMENT_DIFFERENCE)
def tool_of_another_distribution(seen: Seen, case: Case) -> Sign | None:
    """The command that was not found is another family's package tool."""
    match = _TOOL.search(seen.text)
    tool = foreign_tool(first_line(seen.text, match), seen.result.host.os_id) if match else ""
    if not match or not tool:
        return None
    return Sign(
        0.85, f"{tool} does not belong to {seen.result.host.os_id}: “{first_line(seen.text, match)}”", seen.cite
    )
