"""Disks: how full they are, and what makes room on them.

`usage` asks, `cleaning` finds and removes files (by `posix` and `windows`), `upkeep` has the system make room itself.
"""

from __future__ import annotations

from typing import Any

from learner.actions.base import Action, Check
from learner.actions.disk.cleaning import CleanDirectory, FindLargeFiles
from learner.actions.disk.upkeep import CleanPackageCache, RotateLogs, VacuumJournal
from learner.actions.disk.usage import CheckDiskUsage, DiskProbe, DiskUsageBelow

ACTIONS: tuple[Action[Any], ...] = (
    CheckDiskUsage(), FindLargeFiles(), CleanDirectory(), RotateLogs(), VacuumJournal(), CleanPackageCache(),
)  # fmt: skip
CHECKS: tuple[Check[Any], ...] = (DiskUsageBelow(),)

__all__ = ["ACTIONS", "CHECKS", "DiskProbe"]
