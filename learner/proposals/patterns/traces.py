"""What a run's own steps wrote and printed, as far as it tells what is wrong: names that patterns' conditions may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from learner.models import Step, StepExecution

if TYPE_CHECKING:
    from learner.proposals.patterns.situation import Situation

_UNIT = re.compile(
    r"/(?:etc|run|usr/lib|lib|usr/local/lib)/systemd/system/([^/]+\.(?:service|socket|timer|mount|path|slice|target))(?:\.d/[^/]+\.conf)?$"
)
_WRITES = {"write_file": "path", "ensure_line": "path", "restore_file": "path", "copy_file": "destination"}
_LSOF_WIDTH = 9
"""Characters of a program's name that lsof shows unless it is told otherwise (`+c`)."""
_CLEANERS = ("clean_directory", "remove_file", "rotate_logs", "clean_package_cache", "vacuum_journal")
_CLEANING = re.compile(r"(?<![\w-])(?:rm|unlink|prune|logrotate|Remove-Item|del)(?![\w-])|-delete\b")

_BUILD_CACHE = re.compile(r"Build Cache[ \t]+\d+[ \t]+\d+[ \t]+\S+[ \t]+(?!0B)[1-9]")
_TEMPORARY = frozenset({"sessions", "session", "tmp", "temp", "cache", "spool"})

# Services that do the same work on different systems; a host has one of each.
_ROLES: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "chrony chronyd ntp ntpd ntpsec openntpd systemd-timesyncd",
        "systemd-resolved NetworkManager nscd dnsmasq unbound",
        "networking network NetworkManager systemd-networkd wicked",
        "rsyslog syslog-ng syslog metalog",
        "cron crond cronie fcron bcron",
        "firewalld nftables iptables ufw",
    )
)


def traces(situation: Situation) -> dict[str, Any]:
    """- `unread_units`: units of services that the run starts whose files it wrote, with nothing that has systemd read them;
    - `holders`: running services that hold removed files open, by the list of open files that a step printed;
    - `renewed`: the name of the certificate that a step renewed;
    - `build_cache`: whether Docker's own account shows a build cache that nothing uses;
    - `leftovers`: directories of temporary files in which a step that counted found most files → how many;
    - `stand_ins`: running services that do on this host what the failing step's service does elsewhere;
    - `elsewhere`: whether the same version worked on another host."""
    result = situation.failing.result
    done = situation.failing.step or situation.failing.check
    own = str(done.params.get("name") or "") if done else ""
    worked = [step for step in result.executed_steps if step.success and not step.skipped]
    return {
        "unread_units": unread_units(worked),
        "holders": holders(situation.printed, result.state_before.services),
        "renewed": next((str(s.params.get("name")) for s in worked if s.action == "renew_certificate"), ""),
        "build_cache": _BUILD_CACHE.search(situation.printed) is not None,
        "leftovers": leftovers(situation.printed),
        "stand_ins": stand_ins(own, result.state_before.services),
        "elsewhere": any(success.hostname != result.hostname for success in situation.successes),
    }


def words_of(params: Mapping[str, Any]) -> str:
    """The words of a command or script; empty for other steps."""
    argv = params.get("argv")
    return " ".join(map(str, argv)) if isinstance(argv, list) else str(params.get("script", ""))


def unread_units(worked: Sequence[StepExecution]) -> list[str]:
    """The units whose files `worked` wrote before starting their service, without a daemon-reload."""
    if any("daemon-reload" in words_of(step.params) for step in worked):
        return []
    started = {
        str(step.params.get("name")).removesuffix(".service")
        for step in worked
        if step.action in ("start_service", "restart_service", "reload_service")
    }
    found = (_UNIT.search(path) for path in _written(worked))
    units = dict.fromkeys(match[1] for match in found if match)
    return [unit for unit in units if unit.rpartition(".")[0] in started]


def _written(worked: Sequence[StepExecution]) -> Iterator[str]:
    for step in worked:
        if step.action in _WRITES:
            yield str(step.params.get(_WRITES[step.action], ""))
        yield from re.findall(r"(?<![\w.-])/\S+?(?=[\s'\";]|$)", words_of(step.params))


def holders(printed: str, services: Mapping[str, str]) -> dict[str, str]:
    """The running services whose processes `printed` lists with a removed file, by the program's name or by the path."""
    lines = [line for line in printed.splitlines() if "(deleted)" in line]
    running = {name: status for name, status in services.items() if status == "running"}
    programs = {line.split()[0] for line in lines if line.split()}
    by_program = {name: status for name, status in running.items() if any(_runs(name, p) for p in programs)}
    if by_program:
        return by_program
    whole = "\n".join(lines)
    return {name: status for name, status in running.items() if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", whole)}


def _runs(service: str, program: str) -> bool:
    bare = service.removesuffix(".service")
    if len(program) >= _LSOF_WIDTH and bare.startswith(program):
        return True
    return program in (bare, f"{bare}d") or program == bare[:_LSOF_WIDTH] or f"{program}d" == bare


def leftovers(printed: str) -> dict[str, int]:
    """The directory with the most files by a count that `printed` shows, when it is one of sessions or temporary files."""
    counted = re.findall(r"(?m)^\s*(\d{4,10})\s+(/[\w@.+/-]+)\s*$", printed)
    if not counted:
        return {}
    number, directory = max(((int(count), path) for count, path in counted), default=(0, ""))
    parts = set(directory.lower().split("/"))
    return {directory: number} if parts & _TEMPORARY else {}


def stand_ins(own: str, services: Mapping[str, str]) -> dict[str, str]:
    """The running services of the role that `own` has, when the host knows nothing of `own`."""
    if services.get(own, "unknown") != "unknown":
        return {}
    roles = [role for role in _ROLES if own.removesuffix(".service") in role]
    return {
        name: status
        for name, status in services.items()
        if status == "running" and name != own and any(name in role for role in roles)
    }


def cleaners(steps: Sequence[Step]) -> list[str]:
    """The ids of the steps that remove files."""
    return [step.id for step in steps if step.action in _CLEANERS or _CLEANING.search(words_of(step.params))]


def saying(steps: Sequence[Step], word: str) -> list[str]:
    """The ids of the steps whose command or script says `word`."""
    said = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
    return [step.id for step in steps if said.search(words_of(step.params))]
