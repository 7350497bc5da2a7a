"""What no pattern may do whatever it says: edits that the recorded facts speak against."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from learner.models import RunbookEdit, StateCapture
from learner.models.records import InsertStep
from learner.proposals.patterns.needs import mount_points
from learner.proposals.patterns.situation import Situation

_MARK = re.compile(r"\.(?:pid|lock|lck|sock|socket)\b|/(?:lock|LOCK)$|\.s\.PGSQL\.", re.IGNORECASE)
_MOUNTS = re.compile(r"\bmount(?:ed|point|s|\.\w+)?\b|\bfstab\b|\bautomount|\bautofs\b", re.IGNORECASE)
_NO_MOUNT = re.compile(r"mount namespac", re.IGNORECASE)
_FOREIGN = re.compile(r"/(?:mnt|media|net|Volumes)(?:/|$)")
# Words of paths and services → the processes that own what lies there.
_OWNERS: Mapping[str, tuple[str, ...]] = {
    "postgresql": ("postgres", "postmaster"), "postmaster": ("postgres", "postmaster"), "pgsql": ("postgres", "postmaster"),
    "mysql": ("mysqld", "mariadbd"), "mariadb": ("mysqld", "mariadbd"), "mysqld": ("mariadbd",),
    "apache2": ("httpd",), "httpd": ("apache2",), "rabbitmq": ("beam.smp",), "docker": ("dockerd",), "ssh": ("sshd",),
    "elasticsearch": ("java",), "tomcat": ("java",), "kafka": ("java",), "zookeeper": ("java",), "cassandra": ("java",),
}  # fmt: skip
_PORTS: Mapping[str, int] = {
    "postgres": 5432, "postmaster": 5432, "mysql": 3306, "mariadb": 3306, "redis": 6379, "mongo": 27017,
    "memcache": 11211, "rabbitmq": 5672, "elastic": 9200, "nginx": 80, "apache2": 80, "httpd": 80, "sshd": 22,
}  # fmt: skip


def against(edit: RunbookEdit, situations: Sequence[Situation]) -> str | None:
    """Why the facts of one of `situations` speak against `edit`; None when none does."""
    for operation in edit.operations:
        if not isinstance(operation, InsertStep):
            continue
        action, params = operation.step.get("action"), operation.step.get("params")
        if not isinstance(params, dict):
            continue
        for situation in situations:
            if action == "remove_file" and (owner := _owner(str(params.get("path", "")), situation)):
                return f"{params.get('path')} is not left over: {owner}"
            if action == "create_directory" and (mount := _mount(str(params.get("path", "")), situation)):
                return f"{params.get('path')} is no directory to create: {mount}"
            if action == "start_service" and (why := _can_not_start(str(params.get("name", "")), situation)):
                return why
    return None


def _owner(path: str, situation: Situation) -> str | None:
    """What is alive that the file at `path` may belong to; None when nothing is known to be."""
    if not _MARK.search(path):
        return None
    state = _present(situation)
    params = (situation.failing.step or situation.failing.check).params  # type: ignore[union-attr]
    words = _parts(f"{path} {params.get('name') or ''}")
    for name, count in state.processes.items():
        if isinstance(count, int) and count > 0 and (_parts(name) & words or name.lower() in words):
            return f"{count} processes of {name} are alive"
    names = {number for word in words for stem, number in _PORTS.items() if word.startswith(stem)}
    parameters = situation.failing.result.parameters.values()
    named = {value for value in parameters if isinstance(value, int) and not isinstance(value, bool)}
    for port in sorted(names | named):
        if state.ports.get(str(port)) == "listening":
            return f"port {port} is listened on"
    own = str(params.get("name") or "")
    if state.services.get(own) == "running" or any(
        status == "running" and _parts(name) & _parts(path) for name, status in state.services.items()
    ):
        return "its service is running"
    return None


_ENDS = ("stop_service", "kill_process")


def _present(situation: Situation) -> StateCapture:
    """The facts as they stand when the failing step begins: what the run ended itself is judged by the facts after it."""
    result = situation.failing.result
    ended = any(done.success and not done.skipped and done.action in _ENDS for done in result.executed_steps)
    before, after = result.state_before, result.state_after
    if not ended:
        return before
    changes = {
        "processes": {**before.processes, **after.processes},
        "services": {**before.services, **after.services},
        "ports": {**before.ports, **after.ports},
    }
    return before.model_copy(update=changes)


_FORBIDDEN = re.compile(
    r"either because it is disabled|entweder deaktiviert|FAILED 1058|0x80070422|group policy|Gruppenrichtlinie",
    re.IGNORECASE,
)


def _can_not_start(service: str, situation: Situation) -> str | None:
    """Why the failure says that `service` can't be started at all, or is not meant to be; None when it does not."""
    unit = re.escape(service.removesuffix(".service"))
    if _FORBIDDEN.search(situation.text) and re.search(rf"(?<![\w-]){unit}(?![\w-])", situation.text):
        return f"{service} is not to be started: the failure says that it is disabled"
    said = (
        rf"(?<![\w-]){unit}(?:\.service)?['\"]?:? [^\n]{{0,20}}(?:is masked|is disabled|not found|could not be found)"
    )
    return f"{service} is not to be started: the failure says so" if re.search(said, situation.text) else None


def _parts(text: str) -> set[str]:
    """The words of a path or a name that say whose it is, and the names of the same thing's processes."""
    found = {word.lower() for word in re.findall(r"[A-Za-z][A-Za-z0-9.]*[A-Za-z0-9]", text)}
    found |= {word.partition(".")[0] for word in found} | {word.removesuffix("d") for word in found if len(word) > 4}
    found -= _COMMON
    return found | {owner for word in found for owner in _OWNERS.get(word, ())}


_COMMON = frozenset({
    "var", "run", "lib", "tmp", "srv", "opt", "usr", "etc", "data", "main", "lock", "pid", "sock", "socket", "server",
    "service", "log", "cache", "spool", "home", "daemon", "app", "www", "master", "local", "share", "subsys",
})  # fmt: skip


def _mount(path: str, situation: Situation) -> str | None:
    """Why it is a file system or a listener that is missing at `path`, not a directory; None when nothing says so."""
    if _FOREIGN.match(path):
        return "file systems are mounted there"
    services: Mapping[str, Any] = situation.failing.result.state_before.services
    for point, unit in _below(path, services):
        return f"{unit} is down, which mounts {point}"
    if _looked_at(path, situation):
        return "the run looked for a file system that is mounted above it"
    connects = rf"\b(?:connect(?:ion|ing|ed)?|talk|reach)\b[^\n]{{0,80}}{re.escape(path)}/"
    if re.search(connects, situation.text, re.IGNORECASE):
        return "whoever listens there makes it; a client found nobody listening"
    said = _NO_MOUNT.sub("", situation.text)
    return "the failure speaks of a mount" if _MOUNTS.search(said) else None


_MOUNT_TOOLS = re.compile(r"(?:.*/)?(?:findmnt|mountpoint|mount|umount)$")


def _looked_at(path: str, situation: Situation) -> bool:
    """Whether a step asks for the mount of a directory at or above `path`."""
    for done in situation.failing.result.executed_steps:
        argv = done.params.get("argv")
        if not isinstance(argv, list) or not argv or not _MOUNT_TOOLS.match(str(argv[0])):
            continue
        asked = (str(word).rstrip("/") for word in argv[1:])
        if any(word.startswith("/") and f"{path}/".startswith(f"{word}/") for word in asked):
            return True
    return False


def _below(path: str, services: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return ((point, unit) for point, unit in mount_points(services) if f"{path}/".startswith(f"{point}/"))
