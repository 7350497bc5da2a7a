"""What an earlier process left behind: pid files, locks, sockets."""

from __future__ import annotations

import re

from learner.mentions import paths_in
from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.rules.outside import CACHED

_PID = said(
    r"pid ?file .{0,200}(?:exists|already|found|stale)", r"(?:stale|old|existing) pid ?file", r"lock file \"[^\"]*postmaster\.pid\" already exists",
    r"is another (?:instance|process|postmaster|copy|server|daemon)\b.{0,60}(?:running|using)?",
    r"a server is already running\. check \S+\.pid", r"pid file found", r"(?:httpd|apache2?) \(pid \d+\) already running",
    r"otherpid may be", r"another \S+ may already be running", r"appears to still be running with pid", r"check lockfile \S+\.pid",
    r"\S+\.pid['\"’”]?:? (?:already exists|file exists)", r"already running with pid \d+ \(from \S+\)",
)  # fmt: skip
_LOCK = said(
    r"lock ?file .{0,160}(?:exists|already|held|present)", r"unable to (?:create|lock) .{0,160}\.(?:lock|lck)\b", r"could not lock ",
    r"unable to lock the lock file", r"unable to lock \./ibdata1", r"failed to obtain node locks?", r"another \S+ instance is already running",
    r"another instance of certbot is already running", r"\.(?:lock|lck)['\"’”]?: file exists", r"resource temporarily unavailable.{0,40}lock",
    r"failed to (?:acquire|obtain|get) (?:a |an |the )?(?:exclusive )?lock", r"(?:is|are) locked by (?:another|pid|process)",
    r"lock is held by", r"database is locked", r"is already locked", r"remove (?:the )?(?:stale )?lock", r"repository is already locked", r"cannot lock ",
)  # fmt: skip
_PACKAGES = re.compile(r"dpkg|/var/lib/apt|/var/cache/apt|\brpm\b|\byum\b|\bdnf\b|zypp|pacman|\bapk\b", re.IGNORECASE)
_SOCKET = said(r"address already in use", r"\bEADDRINUSE\b", r"file exists", r"another process is .{0,40}socket",
               r"already in use by another process", r"already listening")  # fmt: skip


_ASKS_A_SERVER = re.compile(r"\b(?:dig|host|nslookup|drill|kdig)\b")
_ADDRESS = re.compile(
    r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.])|(?<![\w:])[0-9a-f]{1,4}:[0-9a-f:]{2,}", re.IGNORECASE
)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def resolver_remembers(seen: Seen, case: Case) -> Sign | None:
    """A name server that was asked directly knows the name; this host's resolver still says that there is none."""
    name = str(seen.params.get("name", ""))
    if not name or not (seen.action == "resolve_dns" or (seen.check and seen.check.check == "dns_resolves")):
        return None
    for step in seen.did("run_command", "run_script"):
        words = " ".join(map(str, step.params.get("argv") or [step.params.get("script", "")]))
        if _ASKS_A_SERVER.search(words) and name in words and _ADDRESS.search(step.output):
            return Sign(
                0.88, f"asked directly, {name} has an address; this host's resolver says that it has none", seen.cite
            )
    return None


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def stale_pid_file(seen: Seen, case: Case) -> Sign | None:
    """A pid file of a process that is gone keeps the service from starting."""
    match = _PID.search(seen.text)
    if not match or _PACKAGES.search(first_line(seen.text, match)):
        return None
    if any(seen.service(name) == "running" for name in seen.own_services) or _owner(seen):
        return None  # then the file speaks the truth
    paths = [path for path in paths_in(seen.text) if path.endswith(".pid") or "/run/" in path or "lock" in path]
    known = [path for path in paths if seen.exists(path) is not None]
    if known and not any(seen.exists(path) for path in known):
        return None
    borne_out = bool(known) or any(seen.service(name) in ("failed", "stopped") for name in seen.own_services)
    where = paths[0] if paths else "a pid file"
    return Sign(0.95 if borne_out else 0.85, f"{where} is left over and keeps the service from starting: "
                f"“{first_line(seen.text, match)}”", seen.cite)  # fmt: skip


def _owner(seen: Seen) -> str:
    """A process that was counted alive and bears the name of what did not start; empty when none is known to."""
    for facts in (seen.before, seen.after):
        for name, count in sorted(facts.get("processes", {}).items()):
            if not isinstance(count, int) or count < 1 or len(name) < 3:
                continue
            own = any(service.startswith(name) or name.startswith(service) for service in seen.own_services)
            if own or re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w./-])", seen.text):
                return str(name)
    return ""


def _down(seen: Seen) -> list[str]:
    return [name for name in sorted(seen.own_services) if seen.service(name) in ("failed", "stopped")]


@rule(FailureType.WRONG_DIAGNOSIS)
def runs_beside_its_service(seen: Seen, case: Case) -> Sign | None:
    """What the incident calls crashed is alive, started by something else than its service."""
    match = _PID.search(seen.text)
    owner = _owner(seen) if match else ""
    down = _down(seen)
    if not match or not owner or not down:
        return None
    return Sign(0.88, f"{down[0]} is down, and {owner} runs beside it: “{first_line(seen.text, match)}”. To take its pid "
                "file or the process away would do harm.", seen.cite)  # fmt: skip


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def its_daemon_runs(seen: Seen, case: Case) -> Sign | None:
    """A program that wants to be alone was called while its own service runs."""
    match = _PID.search(seen.text)
    if not match or seen.action not in ("run_command", "run_script"):
        return None
    owner = _owner(seen)
    program = seen.spoken.split()[0].rpartition("/")[2] if seen.spoken.split() else ""
    running = program and any(
        status == "running" and name.startswith(program) for name, status in seen.before.get("services", {}).items()
    )
    if not owner and not running:
        return None
    return Sign(0.86, f"{owner or program} runs already, as a service: “{first_line(seen.text, match)}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def stale_lock(seen: Seen, case: Case) -> Sign | None:
    """A lock file stands in the way that no step looks at."""
    match = _LOCK.search(seen.text)
    if not match or _PACKAGES.search(first_line(seen.text, match)) or (_owner(seen) and _down(seen)):
        return None
    paths = [
        path for path in paths_in(seen.text) if "lock" in path.rsplit("/", 1)[-1] or path.endswith((".lck", ".pid"))
    ]
    if any(seen.exists(path) is False for path in paths):
        return None
    borne_out = any(seen.exists(path) for path in paths)
    where = paths[0] if paths else "a lock"
    return Sign(
        0.92 if borne_out else 0.82, f"{where} is held or left over: “{first_line(seen.text, match)}”", seen.cite
    )


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def stale_socket(seen: Seen, case: Case) -> Sign | None:
    """A Unix socket's file is left over, so that the address counts as in use."""
    match = _SOCKET.search(seen.text)
    if not match:
        return None
    line = first_line(seen.text, match)
    sockets = [path for path in paths_in(line) if path.endswith((".sock", ".socket")) or ".s.PGSQL" in path]
    if not sockets or seen.exists(sockets[0]) is False:
        return None
    return Sign(0.9 if seen.exists(sockets[0]) else 0.84, f"{sockets[0]} is left over: “{line}”", seen.cite)


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def stale_dns_answer(seen: Seen, case: Case) -> Sign | None:
    """The host's own cache still holds an old answer to a name."""
    match = CACHED.search(seen.text)
    if not match:
        return None
    return Sign(0.9, f"the host's cache holds an old answer: “{first_line(seen.text, match)}”", seen.cite)


_STALE_MOUNT = said(r"stale (?:NFS )?file handle", r"transport endpoint is not connected")


@rule(FailureType.RUNBOOK_INSUFFICIENT)
def stale_mount(seen: Seen, case: Case) -> Sign | None:
    """A mount points at what its server no longer has, or its own helper has ended: it has to be mounted again. The
    server is not known to be silent."""
    match = _STALE_MOUNT.search(seen.text)
    silent = any(status == "closed" and ":" in port for port, status in seen.before.get("ports", {}).items())
    if not match or silent or seen.others:
        return None
    return Sign(0.8, f"the mount is a left-over of an earlier one: “{first_line(seen.text, match)}”", seen.cite)
