"""What was found on a disk and what was removed from it; the answers of `posix` and `windows`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from learner.actions.base import Outcome
from learner.actions.host import Deadline, Host


@dataclass(frozen=True)
class Found:
    """Large files: the largest of them as (path, bytes), how many there are, and their bytes together."""

    largest: tuple[tuple[str, int], ...]
    count: int
    total_bytes: int
    complaints: str = ""
    """What could not be looked at."""


@dataclass(frozen=True)
class Cleaned:
    """Files that were removed, their bytes, and how many that should have gone are left."""

    removed: int
    freed_bytes: int
    left: int
    complaints: str = ""
    """Why some are left; empty when all went well."""
    timed_out: bool = False


class DiskSystem(Protocol):
    """What a platform can do on a disk; the modules `posix` and `windows` are two."""

    def refusal(self, path: str) -> str | None:
        """Why no step may clean the directory `path`; None when it may. Links are the host's to resolve."""
        ...

    def tidy(self, path: str) -> str:
        """`path` in the one way it is written."""
        ...

    def find_large(
        self, host: Host, deadline: Deadline, path: str, least_bytes: int, older_than_days: int, most: int
    ) -> Found | Outcome:
        """The files below a directory, on its own file system, that hold `least_bytes` or more."""
        ...

    def clean(
        self, host: Host, deadline: Deadline, path: str, patterns: Sequence[str], least_age_seconds: int, keep_last: int
    ) -> Cleaned | Outcome:
        """Remove files right in a directory whose names match, but for the newest ones that are kept."""
        ...
