"""Something that the runbook could make or bring is not there: a directory, a file, a tool."""

from __future__ import annotations

import re

from learner.actions.paths import flavour
from learner.mentions import paths_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.distributions import foreign_tool
from learner.triage.rules.environment import VANISHING

_NO_SUCH = said(
    r"no such file or directory", r"\bENOENT\b", r"directory nonexistent", r"no such directory", r"cannot find path",
    r"(?:cannot|could not|can't|couldn't) (?:find|open|create|access|stat) (?:the )?(?:file|directory|folder|path)", r"DirectoryNotFoundException",
    r"the system cannot find the (?:path|file) specified", r"could not find a part of the path", r"directory .{1,200} (?:does not exist|not found|is missing)",
    r"(?:path|folder|dir) .{1,200} does not exist", r"missing directory", r"FileNotFoundError", r"/\S+ does not exist", r"not a directory",
)  # fmt: skip
_CHDIR = said(r"status=200/CHDIR", r"status=23[38]/\w+_DIRECTORY", r"status=24[01]/\w+_DIRECTORY", r"status=209/STDOUT",
              r"can't chdir to", r"can't cd to", r"error retrieving current directory", r"changing to the requested working directory failed", r"failed to set up mount namespacing")  # fmt: skip
_NOT_FOUND = said(
    r"command not found", r"executable file not found in (?:\$PATH|%PATH%)", r"exit code 127\b", r"status=203/EXEC",
    r"is not recognized as (?:an internal or external command|the name of a cmdlet)", r"/usr/bin/env: .{1,60}no such file",
    r"(?:^|\n)\S*(?:sh|bash|dash)(?:: line)?:? ?\d*:? ?\S+: not found", r"failed to (?:execute|run) (?:command|child)",
    r"unable to (?:execute|locate) (?:program|executable)", r"no such program", r"required (?:tool|command|program) .{0,60}(?:missing|not (?:found|installed))",
    r"is not installed\b", r"ModuleNotFoundError", r"cannot find (?:the )?(?:command|program)", r"command .{1,40} not found",
    r"No such file or directory: '[^/']+'", r"Errno::ENOENT.{0,40} - [a-z][\w.-]*$",
)  # fmt: skip
# What is only read can't be made out of nothing: an empty directory would hide that data is gone.
_READS = said(r"cannot stat", r"cannot access", r"can't read", r"(?:^|\n)\s*(?:cat|ls|head|tail|grep|du|stat|source|\.): ", r"(?:source|input) (?:file|directory|path)",
              r"for reading", r"nothing to back ?up")  # fmt: skip
_WRITES = ("write_file", "copy_file", "backup_file", "ensure_line", "create_directory")
_BINDS = said(r"\bbind(?:ing)?\b", r"\blisten(?:ing)?\b")
_SHARED_LIBRARY = said(r"error while loading shared libraries")
_VOLATILE = re.compile(r"/(?:run|var/run|tmp|var/tmp|var/log|var/cache|var/spool|var/lock|run/lock|dev/shm)(?:/|$)")
_GIVEN = re.compile(
    r"/(?:etc|boot|usr|root|home|bin|sbin|lib\d*|opt)(?:/|$)|\.(?:conf|cfg|cnf|ini|ya?ml|json|toml|pem|key|crt|cer)$"
)
_EXECUTABLE = re.compile(r"/(?:s?bin|libexec)/[^/]+$")
_SOCKET = re.compile(r"\.sock(?:et)?$|\.s\.PGSQL\.\d+$")


def _named(seen: Seen) -> list[str]:
    """Paths that stand in lines saying that something is not there."""
    found = {}
    for line in seen.text.split("\n"):
        if _NO_SUCH.search(line) or _CHDIR.search(line):
            found.update(dict.fromkeys(_without_places(line)))
    return list(found)


def _without_places(line: str) -> list[str]:
    """Paths in a line, but not where the words themselves stand (`… in /etc/nginx/nginx.conf:12`)."""
    return paths_in(re.sub(r"\bin /\S+:\d+\b|^\S*/(?:nginx|sh|bash|env):", " ", line))


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def missing_directory(seen: Seen, case: Case) -> Sign | None:
    """A directory that goes away by itself (at boot, with a package, in a clean-up) is not there."""
    match = _NO_SUCH.search(seen.text) or _CHDIR.search(seen.text)
    if not match:
        return None
    line = first_line(seen.text, match)
    elsewhere = bool(case.on_another_system())
    for path in _named(seen):
        folder = flavour(path).dirname(path)
        if _EXECUTABLE.search(path) or seen.exists(path) or _dependency_socket(seen, path):
            continue
        if elsewhere and not VANISHING.match(path):
            continue
        absent = folder if seen.exists(folder) is False else path
        if absent == folder or (seen.exists(path) is False and "." not in flavour(path).basename(path)):
            return Sign(0.95, f"{absent} is not there, as the state before shows: “{line}”", seen.cite)
        if seen.exists(folder):
            continue  # then the file itself is missing
        if _VOLATILE.match(path):
            why = f"{path} can't be made or found, and its place does not outlive a reboot or clean-up: “{line}”"
            return Sign(0.85, why, seen.cite)
        # Whatever writes there only lacks the directory; what is to be found there can't be made.
        writes = seen.action in _WRITES and path in (seen.params.get("path"), seen.params.get("destination"))
        if writes or (not _GIVEN.search(path) and not _READS.search(line)):
            return Sign(0.75, f"{path} is not there: “{line}”", seen.cite)
    if _BINDS.search(seen.text) and not elsewhere:  # its own socket's place; the words name it on another line
        for path in paths_in(seen.text):
            folder = flavour(path).dirname(path)
            if seen.exists(folder) is False:
                return Sign(0.9, f"{folder} is not there, as the state before shows: “{line}”", seen.cite)
    if _CHDIR.search(seen.text) and not elsewhere:
        return Sign(0.8, f"a directory that the service needs is not there: “{line}”", seen.cite)
    return None


def _dependency_socket(seen: Seen, path: str) -> bool:
    """Whether the path is where a client looks for another service's socket: then the service is what is missing."""
    return bool(_SOCKET.search(path)) and bool(
        re.search(r"connect|is the server running|daemon", seen.text, re.IGNORECASE)
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def missing_file(seen: Seen, case: Case) -> Sign | None:
    """A file is not there that the runbook can bring back: it is one that programs make, or there is a backup."""
    match = _NO_SUCH.search(seen.text)
    if not match or case.on_another_system():
        return None
    for path in _named(seen):
        if _EXECUTABLE.search(path) or seen.exists(path) or _dependency_socket(seen, path):
            continue
        backups = [name for name, facts in seen.before.get("files", {}).items()
                   if name.startswith(path) and name != path and isinstance(facts, dict) and facts.get("exists")]  # fmt: skip
        if backups:
            return Sign(0.85, f"{path} is gone and {backups[0]} is there: “{first_line(seen.text, match)}”", seen.cite)
        if not _GIVEN.search(path) and seen.exists(flavour(path).dirname(path)):
            return Sign(0.85, f"{path} is not there, its directory is: “{first_line(seen.text, match)}”", seen.cite)
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def missing_tool(seen: Seen, case: Case) -> Sign | None:
    """A program that the runbook calls is not installed, and it is not the system that makes the difference."""
    match = _NOT_FOUND.search(seen.text)
    if case.on_another_system() or (match and foreign_tool(first_line(seen.text, match), seen.result.host.os_id)):
        return None
    exit_127 = bool(seen.step and seen.step.exit_code == 127)
    if not match:
        executables = [path for path in _named(seen) if _EXECUTABLE.search(path)]
        if not executables and not exit_127:
            return None
        what = executables[0] if executables else "a program"
        return Sign(0.85, f"{what} is not installed: “{seen.error.strip()[:160]}”", seen.cite)
    if _SHARED_LIBRARY.search(seen.text):
        return None
    sure = exit_127 or seen.action in ("run_command", "run_script")
    return Sign(0.88 if sure else 0.8, f"a program is not installed: “{first_line(seen.text, match)}”", seen.cite)
