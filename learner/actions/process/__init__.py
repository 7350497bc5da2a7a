"""Processes, and the host's vital signs: processor and memory.

`actions` holds what a step can do and ask, `table` what a process is, `posix` and `windows` how a platform is asked.
"""

from __future__ import annotations

from typing import Any

from learner.actions.base import Action, Check
from learner.actions.process import actions
from learner.actions.process.actions import ProcessProbe
from learner.actions.process.vital_signs import CpuProbe, CpuUsageBelow, MemoryProbe, MemoryUsageBelow

ACTIONS: tuple[Action[Any], ...] = actions.ACTIONS
CHECKS: tuple[Check[Any], ...] = (*actions.CHECKS, CpuUsageBelow(), MemoryUsageBelow())

__all__ = ["ACTIONS", "CHECKS", "CpuProbe", "MemoryProbe", "ProcessProbe"]
