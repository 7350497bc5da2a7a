"""What the system itself offers to make room: its log rotation, its journal, its package cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from learner.actions.base import (
    POSIX,
    UNKNOWN,
    Action,
    Capabilities,
    Outcome,
    first_installed,
    lacking,
    not_exactly_one,
)
from learner.actions.host import Deadline, Host
from learner.actions.network import NoParams
from learner.actions.paths import HostPath
from learner.facts import Facts, Path
from learner.strict import Integral, Strict

Positive = Annotated[int, Field(ge=1), Integral]


class RotateLogsParams(Strict):
    config: HostPath | None = None
    """logrotate's configuration (on macOS newsyslog's); the system's own when there is none."""


class VacuumJournalParams(Strict):
    keep_days: Positive | None = None
    keep_mb: Positive | None = None


class RotateLogs(Action[RotateLogsParams]):
    """Rotate logs now by the configuration of logrotate (macOS: newsyslog), whether they are due or not."""

    name = "rotate_logs"
    Params = RotateLogsParams
    platforms = POSIX
    idempotent = False
    default_timeout_seconds = 300.0

    def reads(self, p: RotateLogsParams) -> tuple[Path, ...]:
        return (("files", p.config or "/etc/logrotate.conf"),)

    def effects(self, p: RotateLogsParams, facts: Mapping[str, Any]) -> Facts | None:
        # The scripts in the configuration commonly reload or restart what writes the logs.
        return {(family,): UNKNOWN for family in ("disk", "files", "services", "processes", "ports", "endpoints")}

    def capabilities(self, p: RotateLogsParams) -> Capabilities:
        return Capabilities(
            paths=frozenset({p.config or "/etc/logrotate.conf"}), commands=frozenset({"logrotate", "newsyslog"})
        )

    def run(self, p: RotateLogsParams, host: Host, deadline: Deadline) -> Outcome:
        # Source: newsyslog(8) of macOS: -F rotates although it is not time yet.
        of_macos = ["newsyslog", "-F", *(["-f", p.config] if p.config else [])]
        argv = of_macos if host.platform == "darwin" else ["logrotate", "--force", p.config or "/etc/logrotate.conf"]
        return Outcome.of(host.run(argv, timeout_seconds=max(1.0, deadline.remaining())))


class VacuumJournal(Action[VacuumJournalParams]):
    """Remove archived journal files that are older than a number of days, or all but a number of MiB."""

    name = "vacuum_journal"
    Params = VacuumJournalParams
    default_timeout_seconds = 300.0

    def effects(self, p: VacuumJournalParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("disk",): UNKNOWN}

    def capabilities(self, p: VacuumJournalParams) -> Capabilities:
        return Capabilities(commands=frozenset({"journalctl"}), privileges=frozenset({"remove journal files"}))

    def run(self, p: VacuumJournalParams, host: Host, deadline: Deadline) -> Outcome:
        if wrong := not_exactly_one(keep_days=p.keep_days, keep_mb=p.keep_mb):
            return Outcome.failed(f"refused: {wrong}")
        keep = f"--vacuum-time={p.keep_days}d" if p.keep_days else f"--vacuum-size={p.keep_mb}M"
        env = {"LC_ALL": "C"}
        done = host.run(["journalctl", keep], timeout_seconds=max(1.0, deadline.remaining()), env=env)
        return replace(Outcome.of(done), data={"freed_bytes": freed_bytes(done.stdout + "\n" + done.stderr)})


def freed_bytes(text: str) -> int:
    """What journalctl says it freed, over all its directories: `…, freed 1.5G of archived journals from …`."""
    found = re.findall(r"freed ([0-9.]+)([BKMGT])", text)
    return round(sum(float(number) * float(1024 ** "BKMGT".index(unit)) for number, unit in found))


PACKAGE_CACHES: Mapping[str, tuple[str, ...]] = {
    "apt-get": ("clean",),
    "dnf": ("clean", "all"),
    "yum": ("clean", "all"),
    "zypper": ("--non-interactive", "clean"),
    "apk": ("cache", "clean"),
    "pacman": ("-Sc", "--noconfirm"),
}
"""Package managers, in the order they are looked for, and how each drops the packages it has downloaded."""


class CleanPackageCache(Action[NoParams]):
    """Remove the packages that the package manager has downloaded and keeps."""

    name = "clean_package_cache"
    Params = NoParams
    default_timeout_seconds = 300.0

    def effects(self, p: NoParams, facts: Mapping[str, Any]) -> Facts | None:
        return {("disk",): UNKNOWN}

    def capabilities(self, p: NoParams) -> Capabilities:
        return Capabilities(privileges=frozenset({"clean the package cache"}))

    def run(self, p: NoParams, host: Host, deadline: Deadline) -> Outcome:
        manager = first_installed(host, tuple(PACKAGE_CACHES), max(1.0, deadline.remaining()))
        if manager is None:
            return lacking(*PACKAGE_CACHES)
        done = host.run([manager, *PACKAGE_CACHES[manager]], timeout_seconds=max(1.0, deadline.remaining()))
        return replace(Outcome.of(done), data={"package_manager": manager})
