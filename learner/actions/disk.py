"""Disks: how full they are, and what makes room on them."""

from __future__ import annotations

import fnmatch
import math
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from learner.actions.base import (
    LINUX,
    POSIX,
    UNKNOWN,
    Action,
    Capabilities,
    Check,
    Outcome,
    Probe,
    first_installed,
    lacking,
    not_exactly_one,
)
from learner.actions.host import Deadline, Host, HostError
from learner.actions.network import NoParams
from learner.actions.process import Percent
from learner.facts import Facts, Path, get
from learner.strict import Count, Integral, Matching, Strict

RootedPath = Annotated[str, Matching(r"/[^\x00\n]*", "An absolute path on the host")]
NamePattern = Annotated[str, Matching(r"[^/\x00\n]+", "A shell pattern for a file's name, such as *.log.gz")]
Positive = Annotated[int, Field(ge=1), Integral]

MOST_FILES = 50
"""How many of the largest files are listed."""


class DiskParams(Strict):
    path: RootedPath = "/"


class FindLargeFilesParams(Strict):
    path: RootedPath
    min_size_mb: Annotated[float, Field(gt=0)]
    older_than_days: Count | None = None


class CleanDirectoryParams(Strict):
    path: RootedPath
    """Files right in this directory are removed, none below it."""
    patterns: Annotated[tuple[NamePattern, ...], Field(min_length=1)]
    """As in a shell, `*` does not stand for a leading dot."""
    older_than_days: Count | None = None
    keep_last: Count | None = None
    """The newest files that match are kept, however old they are."""


class RotateLogsParams(Strict):
    config: RootedPath | None = None
    """logrotate's configuration; /etc/logrotate.conf when there is none."""


class VacuumJournalParams(Strict):
    keep_days: Positive | None = None
    keep_mb: Positive | None = None


class DiskUsageBelowParams(Strict):
    percent: Percent
    path: RootedPath = "/"


@dataclass(frozen=True)
class DiskProbe(Probe):
    """`disk.mounts.<path>`: usage_percent, free_gb (GiB) and inodes_percent of what the path stands on.

    Of `/` it also gives `disk.usage_percent`, `disk.free_gb` and `disk.total_gb`.
    """

    path: str = "/"

    @property
    def paths(self) -> tuple[Path, ...]:
        mount = (("disk", "mounts", self.path),)
        return (
            (*(("disk", key) for key in ("usage_percent", "free_gb", "total_gb")), *mount)
            if self.path == "/"
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
    """How full a file system is; sizes in GiB, `inodes_percent` None where it counts none."""

    usage_percent: int
    free_gb: float
    total_gb: float
    inodes_percent: int | None


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
    gib = 1024 * 1024
    total, free = int(found[1]) / gib, int(found[3]) / gib
    return Usage(int(found[4]), round(free, 2), round(total, 2), int(share[1]) if share else None)


def look(host: Host, path: str, timeout_seconds: float) -> Outcome:
    """How full the file system of `path` is: facts and `data`, or the failure to read it."""
    script = 'LC_ALL=C; export LC_ALL; df -Pk "$1" && echo && { df -Pi "$1" 2>/dev/null || :; }'
    done = host.run(["sh", "-c", script, "sh", path], timeout_seconds=max(1.0, timeout_seconds))
    if not done.success:
        return Outcome.of(done)
    blocks, _, inodes = done.stdout.partition("\n\n")
    usage = parse_df(blocks, inodes)
    if usage is None:
        return Outcome.failed(f"{path}: df gives no sizes for it")
    at = ("disk", "mounts", path)
    facts: Facts = {(*at, "usage_percent"): usage.usage_percent, (*at, "free_gb"): usage.free_gb}
    data: dict[str, Any] = {"usage_percent": usage.usage_percent, "free_gb": usage.free_gb, "total_gb": usage.total_gb}
    if path == "/":
        facts = {("disk", key): value for key, value in data.items()} | facts
    if usage.inodes_percent is not None:
        data["inodes_percent"] = facts[(*at, "inodes_percent")] = usage.inodes_percent
    return Outcome(True, f"{path}: {usage.usage_percent}% used, {usage.free_gb:g} GiB free", data=data, facts=facts)


class CheckDiskUsage(Action[DiskParams]):
    """Read how full the disk of a path is into `data.usage_percent`, `data.free_gb` and `data.inodes_percent`."""

    name = "check_disk_usage"
    Params = DiskParams
    platforms = POSIX
    read_only = True

    def reads(self, p: DiskParams) -> tuple[Path, ...]:
        return DiskProbe(p.path).paths

    def capabilities(self, p: DiskParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))

    def run(self, p: DiskParams, host: Host, deadline: Deadline) -> Outcome:
        return look(host, p.path, deadline.remaining())


_HAS = """for program in %s; do
  command -v "$program" >/dev/null || { echo "$program: command not found" >&2; exit 127; }
done
LC_ALL=C; export LC_ALL
newline='
'
"""

# A name that holds a newline would look like two; such files are left out.
_LARGE = (
    _HAS % "find stat sort awk"
    + """root=$(cd -P -- "$1" && pwd -P) || exit 1
[ -r "$root" ] || { echo "$1: permission denied" >&2; exit 1; }
most=$2; shift 2
find "$root" -xdev -type f ! -path "*$newline*" "$@" -exec stat -c '%s %n' {} + | sort -rn | awk -v most="$most" '
NR <= most { print }
{ count++; bytes += $1 }
END { printf "%d %.0f\\n", count, bytes }'"""
)


class FindLargeFiles(Action[FindLargeFilesParams]):
    """List the largest files below a directory, on its own file system, in `data.files`."""

    name = "find_large_files"
    Params = FindLargeFilesParams
    platforms = LINUX
    read_only = True
    default_timeout_seconds = 300.0

    def reads(self, p: FindLargeFilesParams) -> tuple[Path, ...]:
        return (("files", p.path),)

    def capabilities(self, p: FindLargeFilesParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))

    def run(self, p: FindLargeFilesParams, host: Host, deadline: Deadline) -> Outcome:
        # find's +n means more than n.
        wanted = ["-size", f"+{math.ceil(p.min_size_mb * 1024 * 1024) - 1}c"]
        if p.older_than_days:
            wanted += ["-mtime", f"+{p.older_than_days - 1}"]
        argv = ["sh", "-c", _LARGE, "sh", p.path, str(MOST_FILES), *wanted]
        done = host.run(argv, timeout_seconds=max(1.0, deadline.remaining()))
        *listed, summary = done.stdout.removesuffix("\n").split("\n")
        totals = re.fullmatch("([0-9]+) ([0-9]+)", summary)
        if not done.success or not totals:
            return Outcome.of(replace(done, exit_code=done.exit_code or 1, stdout=""))
        files = []
        for line in listed:
            size, _, path = line.partition(" ")
            if size.isdigit() and path:
                files.append({"path": path, "size_mb": round(int(size) / (1024 * 1024), 1)})
        data = {"files": files, "count": int(totals[1]), "total_mb": round(int(totals[2]) / (1024 * 1024), 1)}
        words = [f"{file['size_mb']} MiB {file['path']}" for file in files] or ["no such files"]
        return Outcome(True, "\n".join(words), done.stderr, done.exit_code, data)


# fmt: off
_DIRECTORIES = frozenset({
    "/etc", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/usr", "/usr/include", "/usr/local",
    "/usr/local/bin", "/usr/local/lib", "/usr/local/sbin", "/usr/share", "/var", "/var/lib", "/var/mail", "/var/spool",
    "/Applications", "/Library", "/Users", "/Volumes", "/private", "/private/etc", "/private/var",
})
"""System directories that are never cleaned themselves; what lies below them may be."""
_TREES = (
    "/bin", "/boot", "/dev", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/sbin", "/sys", "/usr/bin", "/usr/lib",
    "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/sbin", "/System",
)
"""Never cleaned at any depth."""
# fmt: on


def refusal(path: str) -> str | None:
    """Why no step may clean the directory `path`; None when it may. Links are the host's to resolve."""
    if not path.startswith("/"):
        return f"{path} is no absolute path"
    if ".." in path.split("/"):
        return f"{path} holds .."
    plain = _plain(path)
    if plain == "/":
        return "/ is the whole system"
    if plain in _DIRECTORIES or any(plain == tree or plain.startswith(f"{tree}/") for tree in _TREES):
        return f"{plain} belongs to the system"
    return None


def _plain(path: str) -> str:
    """`path` with one slash between its names and none at its end."""
    return posixpath.normpath(re.sub("/+", "/", path))


_RESOLVE = """[ -h "$1" ] && { echo "refused: $1 is a symbolic link; name the directory itself" >&2; exit 1; }
cd -P -- "$1" && pwd -P"""

# The directory is entered once and worked in from inside, so that nothing can be put in its place meanwhile.
# What was removed is told by looking before and after: a removal can fail in the middle.
_CLEAN = (
    _HAS % "find stat sort awk sed tr xargs"
    + """{ cd -P -- "$1" && [ "$(pwd -P)" = "$1" ]; } || { echo "$1: is not where it was" >&2; exit 1; }
keep=$2 age=$3 now=$(date +%s); shift 3
chosen() {
  find . ! -name . -prune -type f ! -name "*$newline*" "$@" -exec stat -c '%Y %s %n' {} + | sort -k1,1nr -k3r |
    awk -v keep="$keep" -v age="$age" -v now="$now" 'NR > keep && now - $1 >= age'
}
total() { awk '{ count++; bytes += $2 } END { printf "%d %.0f\\n", count, bytes }'; }
chosen "$@" | total
chosen "$@" | sed 's/^-\\{0,1\\}[0-9]* [0-9]* //' | tr '\\n' '\\0' | xargs -0 rm -f --
status=$?
chosen "$@" | total
[ "$status" = 0 ]"""
)


class CleanDirectory(Action[CleanDirectoryParams]):
    """Remove the files of a directory whose names match; not those below it, no links, no directories."""

    name = "clean_directory"
    Params = CleanDirectoryParams
    platforms = LINUX
    default_timeout_seconds = 300.0

    def reads(self, p: CleanDirectoryParams) -> tuple[Path, ...]:
        return (("files", p.path),)

    def effects(self, p: CleanDirectoryParams, facts: Mapping[str, Any]) -> Facts | None:
        left: Facts = {("disk",): UNKNOWN, ("files", p.path, "modified_at"): UNKNOWN}
        files = get(facts, ("files",), {})
        for path in files if isinstance(files, Mapping) else ():
            directory, name = posixpath.split(path)
            if directory == _plain(p.path) and any(_matches(name, pattern) for pattern in p.patterns):
                left[("files", path)] = UNKNOWN
        return left

    def capabilities(self, p: CleanDirectoryParams) -> Capabilities:
        paths = frozenset(posixpath.join(p.path, pattern) for pattern in p.patterns)
        return Capabilities(paths=paths, privileges=frozenset({"remove files"}))

    def run(self, p: CleanDirectoryParams, host: Host, deadline: Deadline) -> Outcome:
        if why := refusal(p.path):
            return Outcome.failed(f"refused: {why}")
        found = host.run(["sh", "-c", _RESOLVE, "sh", _plain(p.path)], timeout_seconds=max(1.0, deadline.remaining()))
        if not found.success:
            return Outcome.of(found)
        real = found.stdout.removesuffix("\n")
        if why := refusal(real):
            return Outcome.failed(f"refused: {p.path} leads to {real}, and {why}")
        age = (p.older_than_days or 0) * 86_400
        # A file whose time lies ahead of the clock is removed too when no age is asked for.
        wanted = [str(p.keep_last or 0), str(age) if age else "-99999999999", *_named(p.patterns)]
        done = host.run(["sh", "-c", _CLEAN, "sh", real, *wanted], timeout_seconds=max(1.0, deadline.remaining()))
        totals = re.fullmatch("([0-9]+) ([0-9]+)\n([0-9]+) ([0-9]+)\n", done.stdout)
        if not totals:
            return Outcome.of(replace(done, exit_code=done.exit_code or 1))
        removed, freed = int(totals[1]) - int(totals[3]), int(totals[2]) - int(totals[4])
        data = {"removed": removed, "freed_bytes": freed, "left": int(totals[3])}
        words = f"removed {removed} file{'s' * (removed != 1)}, {freed / (1024 * 1024):.1f} MiB"
        return replace(Outcome.of(done), stdout=words, data=data)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _named(patterns: tuple[str, ...]) -> list[str]:
    """The patterns as an expression of find."""
    words = ["("]
    for pattern in patterns:
        hidden = [] if pattern.startswith(".") else ["!", "-name", ".*"]
        words += [*(["-o"] if len(words) > 1 else []), *hidden, "-name", pattern]
    return [*words, ")"]


class RotateLogs(Action[RotateLogsParams]):
    """Rotate logs now by logrotate's configuration, whether they are due or not."""

    name = "rotate_logs"
    Params = RotateLogsParams
    idempotent = False
    default_timeout_seconds = 300.0

    def _config(self, p: RotateLogsParams) -> str:
        return p.config or "/etc/logrotate.conf"

    def reads(self, p: RotateLogsParams) -> tuple[Path, ...]:
        return (("files", self._config(p)),)

    def effects(self, p: RotateLogsParams, facts: Mapping[str, Any]) -> Facts | None:
        # The scripts in the configuration commonly reload or restart what writes the logs.
        return {(family,): UNKNOWN for family in ("disk", "files", "services", "processes", "ports", "endpoints")}

    def capabilities(self, p: RotateLogsParams) -> Capabilities:
        return Capabilities(paths=frozenset({self._config(p)}), commands=frozenset({"logrotate"}))

    def run(self, p: RotateLogsParams, host: Host, deadline: Deadline) -> Outcome:
        argv = ["logrotate", "--force", self._config(p)]
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


class DiskUsageBelow(Check[DiskUsageBelowParams]):
    """The disk of a path is less full than a share, in bytes and, where it counts them, in inodes."""

    name = "disk_usage_below"
    Params = DiskUsageBelowParams
    platforms = POSIX

    def probe(self, p: DiskUsageBelowParams) -> Probe:
        return DiskProbe(p.path)

    def holds(self, p: DiskUsageBelowParams, state: Mapping[str, Any]) -> bool | None:
        usage = get(state, ("disk", "mounts", p.path, "usage_percent"))
        if usage is None and p.path == "/":
            usage = get(state, ("disk", "usage_percent"))
        # Without a free inode no file can be made, however much room there is.
        inodes = get(state, ("disk", "mounts", p.path, "inodes_percent"), 0)
        known = [value for value in (usage, inodes) if isinstance(value, int | float) and not isinstance(value, bool)]
        if any(value >= p.percent for value in known):
            return False
        return True if len(known) == 2 else None

    def capabilities(self, p: DiskUsageBelowParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))


ACTIONS: tuple[Action[Any], ...] = (
    CheckDiskUsage(),
    FindLargeFiles(),
    CleanDirectory(),
    RotateLogs(),
    VacuumJournal(),
    CleanPackageCache(),
)
CHECKS: tuple[Check[Any], ...] = (DiskUsageBelow(),)
