"""How full a disk is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Check, Outcome, Probe
from learner.actions.host import Deadline, Host, HostError
from learner.actions.paths import HostPath, misplaced
from learner.actions.powershell import Script
from learner.actions.process.vital_signs import Percent
from learner.facts import Facts, Path, get
from learner.strict import Strict

ROOT = "/"
"""The disk that the system stands on; on Windows the system's drive."""


class DiskParams(Strict):
    path: HostPath = ROOT
    """On Windows `/` stands for the system's drive."""


class DiskUsageBelowParams(Strict):
    percent: Percent
    path: HostPath = ROOT
    """On Windows `/` stands for the system's drive."""


@dataclass(frozen=True)
class DiskProbe(Probe):
    """`disk.mounts.<path>`: usage_percent, free_gb (GiB) and inodes_percent of what the path stands on.

    Of `/` it also gives `disk.usage_percent`, `disk.free_gb` and `disk.total_gb`.
    """

    path: str = ROOT

    @property
    def paths(self) -> tuple[Path, ...]:
        mount = (("disk", "mounts", self.path),)
        return (
            (*(("disk", key) for key in ("usage_percent", "free_gb", "total_gb")), *mount)
            if self.path == ROOT
            else mount
        )

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        try:
            outcome = look(host, self.path, min(timeout_seconds, 10.0))
        except HostError:
            return self.unread()
        return outcome.facts or self.unread()

    def unread(self) -> Facts:
        """The facts when nothing could be read."""
        top = {path: UNKNOWN for path in self.paths if path[1] != "mounts"}
        return top | {("disk", "mounts", self.path, key): UNKNOWN for key in ("usage_percent", "free_gb")}


@dataclass(frozen=True)
class Usage:
    """How full a file system is; sizes in GiB, `inodes_percent` None where it counts none (as on Windows)."""

    usage_percent: int
    free_gb: float
    total_gb: float
    inodes_percent: int | None = None


GIB = 1024**3
_DF = re.compile(r"\s([0-9]+)\s+([0-9]+)\s+(-?[0-9]+)\s+([0-9]+)%\s+/.*")


def parse_df(blocks: str, inodes: str) -> Usage | None:
    """What `df -Pk` and `df -Pi` say of one path; None when they do not.

    Source: POSIX.1-2017, df, STDOUT (-P): file system, total, used, available, capacity, mounted on.
    """
    found = _DF.search(blocks)
    if not found or not int(found[1]):
        return None
    # Of inodes Linux prints IUsed and IFree where the sizes would stand, the BSDs append them to the sizes.
    share = re.search(r"\s([0-9]+)%\s+/", inodes) if re.search(r"IUse%|%iused", inodes) else None
    total, free = int(found[1]) * 1024 / GIB, int(found[3]) * 1024 / GIB
    return Usage(int(found[4]), round(free, 2), round(total, 2), int(share[1]) if share else None)


# Get-Volume knows volumes mounted in a folder too, where a drive letter would speak of another disk.
# Source: Microsoft Learn, "Get-Volume", -FilePath, Size and SizeRemaining.
_VOLUME = Script(
    r"""
$path = $env:LEARNER_PATH
if ($path -eq '/') { $path = "$env:SystemDrive\" }
$volume = Get-Volume -FilePath $path
Answer @{ total = [int64]$volume.Size; free = [int64]$volume.SizeRemaining }
""",
    ("total", "free"),
)


def volume_usage(total_bytes: int, free_bytes: int) -> Usage | None:
    """What Windows says of one volume, rounded up as df does; None when it has no size."""
    if total_bytes <= 0:
        return None
    used = -(-100 * (total_bytes - free_bytes) // total_bytes)
    return Usage(used, round(free_bytes / GIB, 2), round(total_bytes / GIB, 2))


_SHARES = 'df -Pk "$1" && echo && { df -Pi "$1" 2>/dev/null || :; }'


def _read(host: Host, path: str, timeout_seconds: float) -> Usage | Outcome:
    if host.platform == "windows":
        said = _VOLUME.ask(host, timeout_seconds, path=path)
        return said if isinstance(said, Outcome) else volume_usage(said["total"], said["free"]) or _sizeless(path)
    argv, env = ["sh", "-c", _SHARES, "sh", path], {"LC_ALL": "C"}
    done = host.run(argv, timeout_seconds=max(1.0, timeout_seconds), env=env)
    blocks, _, inodes = done.stdout.partition("\n\n")
    return (parse_df(blocks, inodes) or _sizeless(path)) if done.success else Outcome.of(done)


def _sizeless(path: str) -> Outcome:
    return Outcome.failed(f"{path}: the host gives no sizes for it")


def look(host: Host, path: str, timeout_seconds: float) -> Outcome:
    """How full the file system of `path` is: facts and `data`, or the failure to read it."""
    if path != ROOT and (why := misplaced(path, host.platform)):
        return Outcome.failed(f"refused: {why}")
    usage = _read(host, path, timeout_seconds)
    if isinstance(usage, Outcome):
        return usage
    at = ("disk", "mounts", path)
    facts: Facts = {(*at, "usage_percent"): usage.usage_percent, (*at, "free_gb"): usage.free_gb}
    data: dict[str, Any] = {"usage_percent": usage.usage_percent, "free_gb": usage.free_gb, "total_gb": usage.total_gb}
    if path == ROOT:
        facts = {("disk", key): value for key, value in data.items()} | facts
    if usage.inodes_percent is not None:
        data["inodes_percent"] = facts[(*at, "inodes_percent")] = usage.inodes_percent
    return Outcome(True, f"{path}: {usage.usage_percent}% used, {usage.free_gb:g} GiB free", data=data, facts=facts)


class CheckDiskUsage(Action[DiskParams]):
    """Read how full the disk of a path is into `data.usage_percent`, `data.free_gb` and `data.inodes_percent`."""

    name = "check_disk_usage"
    Params = DiskParams
    platforms = EVERYWHERE
    read_only = True

    def reads(self, p: DiskParams) -> tuple[Path, ...]:
        return DiskProbe(p.path).paths

    def capabilities(self, p: DiskParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))

    def run(self, p: DiskParams, host: Host, deadline: Deadline) -> Outcome:
        return look(host, p.path, deadline.remaining())


class DiskUsageBelow(Check[DiskUsageBelowParams]):
    """The disk of a path is less full than a share, in bytes and, where it counts them, in inodes."""

    name = "disk_usage_below"
    Params = DiskUsageBelowParams
    platforms = EVERYWHERE

    def probe(self, p: DiskUsageBelowParams) -> Probe:
        return DiskProbe(p.path)

    def holds(self, p: DiskUsageBelowParams, state: Mapping[str, Any]) -> bool | None:
        usage = get(state, ("disk", "mounts", p.path, "usage_percent"))
        if usage is None and p.path == ROOT:
            usage = get(state, ("disk", "usage_percent"))
        # Without a free inode no file can be made, however much room there is.
        inodes = get(state, ("disk", "mounts", p.path, "inodes_percent"), 0)
        known = [value for value in (usage, inodes) if isinstance(value, int | float) and not isinstance(value, bool)]
        if any(value >= p.percent for value in known):
            return False
        return True if len(known) == 2 else None

    def capabilities(self, p: DiskUsageBelowParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))
