"""What makes room on a disk: finding what is large, and cleaning a directory of files by name and age."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from learner.actions.base import EVERYWHERE, UNKNOWN, Action, Capabilities, Outcome
from learner.actions.disk import posix, windows
from learner.actions.disk.tally import DiskSystem
from learner.actions.host import Deadline, Host
from learner.actions.paths import HostPath, flavour, is_windows, misplaced
from learner.facts import Facts, Path, get
from learner.strict import Count, Matching, Strict

NamePattern = Annotated[str, Matching(r"[^/\x00\n]+", "A shell pattern for a file's name, such as *.log.gz")]

MOST_FILES = 50
"""How many of the largest files are listed."""
MIB = 1024 * 1024


class FindLargeFilesParams(Strict):
    path: HostPath
    min_size_mb: Annotated[float, Field(gt=0)]
    older_than_days: Count | None = None


class CleanDirectoryParams(Strict):
    path: HostPath
    """Files right in this directory are removed, none below it."""
    patterns: Annotated[tuple[NamePattern, ...], Field(min_length=1)]
    """As in a shell, `*` does not stand for a leading dot. On Windows case does not count, and hidden files stay."""
    older_than_days: Count | None = None
    keep_last: Count | None = None
    """The newest files that match are kept, however old they are."""


def system_of(platform: str) -> DiskSystem:
    """What a platform can do on a disk."""
    return windows if platform == "windows" else posix


class FindLargeFiles(Action[FindLargeFilesParams]):
    """List the largest files below a directory, on its own file system, in `data.files`."""

    name = "find_large_files"
    Params = FindLargeFilesParams
    platforms = EVERYWHERE
    read_only = True
    default_timeout_seconds = 300.0

    def reads(self, p: FindLargeFilesParams) -> tuple[Path, ...]:
        return (("files", p.path),)

    def capabilities(self, p: FindLargeFilesParams) -> Capabilities:
        return Capabilities(paths=frozenset({p.path}))

    def run(self, p: FindLargeFilesParams, host: Host, deadline: Deadline) -> Outcome:
        if why := misplaced(p.path, host.platform):
            return Outcome.failed(f"refused: {why}")
        least = math.ceil(p.min_size_mb * MIB)
        found = system_of(host.platform).find_large(host, deadline, p.path, least, p.older_than_days or 0, MOST_FILES)
        if isinstance(found, Outcome):
            return found
        files = [{"path": path, "size_mb": round(size / MIB, 1)} for path, size in found.largest]
        data = {"files": files, "count": found.count, "total_mb": round(found.total_bytes / MIB, 1)}
        words = [f"{file['size_mb']} MiB {file['path']}" for file in files] or ["no such files"]
        return Outcome(True, "\n".join(words), found.complaints, 0, data)


class CleanDirectory(Action[CleanDirectoryParams]):
    """Remove the files of a directory whose names match; not those below it, no links, no directories."""

    name = "clean_directory"
    Params = CleanDirectoryParams
    platforms = EVERYWHERE
    default_timeout_seconds = 300.0

    def reads(self, p: CleanDirectoryParams) -> tuple[Path, ...]:
        return (("files", p.path),)

    def effects(self, p: CleanDirectoryParams, facts: Mapping[str, Any]) -> Facts | None:
        left: Facts = {("disk",): UNKNOWN, ("files", p.path, "modified_at"): UNKNOWN}
        files = get(facts, ("files",), {})
        here = system_of("windows") if is_windows(p.path) else system_of("linux")
        for path in files if isinstance(files, Mapping) else ():
            directory, name = flavour(path).split(path)
            if here.tidy(directory) == here.tidy(p.path) and any(_matches(name, pattern) for pattern in p.patterns):
                left[("files", path)] = UNKNOWN
        return left

    def capabilities(self, p: CleanDirectoryParams) -> Capabilities:
        paths = frozenset(flavour(p.path).join(p.path, pattern) for pattern in p.patterns)
        return Capabilities(paths=paths, privileges=frozenset({"remove files"}))

    def run(self, p: CleanDirectoryParams, host: Host, deadline: Deadline) -> Outcome:
        here = system_of(host.platform)
        if why := misplaced(p.path, host.platform) or here.refusal(p.path):
            return Outcome.failed(f"refused: {why}")
        age = (p.older_than_days or 0) * 86_400
        done = here.clean(host, deadline, p.path, p.patterns, age, p.keep_last or 0)
        if isinstance(done, Outcome):
            return done
        data = {"removed": done.removed, "freed_bytes": done.freed_bytes, "left": done.left}
        words = f"removed {done.removed} file{'s' * (done.removed != 1)}, {done.freed_bytes / MIB:.1f} MiB"
        code = 1 if done.complaints else 0
        return Outcome(not code, words, done.complaints, code, data, timed_out=done.timed_out)


def _matches(name: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
