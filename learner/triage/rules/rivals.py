"""Another product does this work on the host already, and on purpose: whose work it is, people decide."""

from __future__ import annotations

import re

from learner.models.execution import FailureType
from learner.triage.case import Case, Seen, Sign, first_line, rule, said
from learner.triage.families import family_of, family_of_port

_MASKED = said(r"\bis masked\b")
_EVERYWHERE = ("systemd-resolved", "systemd-timesyncd", "syslog", "networkmanager")
"""Helpers that stand on nearly every host: that they run is nobody's decision."""
_STARTS = ("start_service", "restart_service")


def rival(seen: Seen) -> str:
    """A service of another product that runs here and does what the failing one would; empty when none is known to.

    Another release or instance of the same product is none: `postgresql@15-main` does not stand in for
    `postgresql@14-main`.
    """
    if seen.action not in _STARTS:
        return ""
    own = str(seen.params.get("name", ""))
    family = family_of(own)
    services = seen.before.get("services", {})
    for name, status in sorted(services.items()):
        if status == "running" and family and family_of(name) == family and not _same_product(name, own):
            return str(name)
    return ""


def rival_at_port(seen: Seen) -> str:
    """The rival that customarily serves a port which the failing service could not have; empty when a process of
    the failing service is alive that may hold it, and when no rival is known."""
    name = rival(seen)
    own = _product(str(seen.params.get("name", "")))
    alive = any(_product(process) == own and count for process, count in seen.before.get("processes", {}).items())
    ports = [port for host, port in seen.addresses if seen.is_own(host)] or sorted(seen.own_ports)
    if not name or alive or not any(family_of_port(port) == family_of(name) for port in ports):
        return ""
    return name


@rule(FailureType.WRONG_DIAGNOSIS)
def masked_for_another(seen: Seen, case: Case) -> Sign | None:
    """The unit is masked and another product runs in its place: it is not to start."""
    match = _MASKED.search(seen.text)
    name = rival(seen) if match else ""
    if not match or not name:
        return None
    return Sign(0.86, f"{name} runs in its place: “{first_line(seen.text, match)}”", seen.cite)


def _same_product(name: str, own: str) -> bool:
    return _product(name) == _product(own) or name.lower().startswith(_EVERYWHERE)


def _product(name: str) -> str:
    """A service's or process's name without its release, instance and ending."""
    bare = re.split(r"[@.\d]", name.lower().removesuffix(".service").removesuffix(".exe"))[0].rstrip("-")
    return _SAME.get(bare, bare)


_SAME = {"httpd": "apache", "apache": "apache", "mysqld": "mysql", "mariadb": "mysql", "mariadbd": "mysql", "sshd": "ssh", "chronyd": "chrony",
         "redis-server": "redis", "postmaster": "postgresql", "postgres": "postgresql", "named": "bind", "exim": "exim", "crond": "cron"}  # fmt: skip
