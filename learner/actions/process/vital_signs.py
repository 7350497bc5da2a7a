"""The host's vital signs: processor and memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from learner.actions.base import EVERYWHERE, UNKNOWN, Check, Outcome, Probe
from learner.actions.host import Completed, Host, HostError
from learner.actions.powershell import Script
from learner.facts import Facts, Path, get
from learner.strict import Strict

Percent = Annotated[float, Field(ge=0, le=100)]

CPU_USAGE: Path = ("cpu", "usage_percent")
LOAD: Path = ("cpu", "load_average")
MEMORY_USAGE: Path = ("memory", "usage_percent")


class PercentParams(Strict):
    percent: Percent


@dataclass(frozen=True)
class CpuProbe(Probe):
    """`cpu`: usage_percent of all processors over about a second; load_average over 1, 5 and 15 minutes.

    Windows counts no load.
    """

    @property
    def paths(self) -> tuple[Path, ...]:
        return (CPU_USAGE, LOAD)

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        seconds = max(2.0, min(timeout_seconds, 10.0))
        read = {"windows": _windows_cpu, "darwin": _macos_cpu}.get(host.platform, _linux_cpu)
        try:
            return read(host, seconds) or dict.fromkeys(self.paths, UNKNOWN)
        except HostError:
            return dict.fromkeys(self.paths, UNKNOWN)


@dataclass(frozen=True)
class MemoryProbe(Probe):
    """`memory`: usage_percent, free_mb and total_mb (MiB); free is what programs can have without swapping."""

    @property
    def paths(self) -> tuple[Path, ...]:
        return (MEMORY_USAGE, ("memory", "free_mb"), ("memory", "total_mb"))

    def read(self, host: Host, timeout_seconds: float) -> Facts:
        seconds = max(2.0, min(timeout_seconds, 10.0))
        read = {"windows": _windows_memory, "darwin": _macos_memory}.get(host.platform, _linux_memory)
        try:
            return read(host, seconds) or dict.fromkeys(self.paths, UNKNOWN)
        except HostError:
            return dict.fromkeys(self.paths, UNKNOWN)


def _memory(free_kib: float, total_kib: float) -> Facts:
    if total_kib <= 0:
        return {}
    return {
        MEMORY_USAGE: round(100 * (1 - free_kib / total_kib), 1),
        ("memory", "free_mb"): int(free_kib // 1024),
        ("memory", "total_mb"): int(total_kib // 1024),
    }


# ------------------------------------------------------------------------------------------ Linux


def _linux_cpu(host: Host, seconds: float) -> Facts:
    script = "cat /proc/loadavg /proc/stat && { sleep 0.5 2>/dev/null || sleep 1; } && cat /proc/stat"
    done = _sh(host, script, seconds)
    ticks = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("cpu ")]
    load = done.stdout.split()[:3]
    if not done.success or len(ticks) != 2:
        return {}
    usage = busy_percent(*([int(tick) for tick in line] for line in ticks))
    return {CPU_USAGE: UNKNOWN if usage is None else usage, LOAD: [float(part) for part in load]}


def busy_percent(before: list[int], after: list[int]) -> float | None:
    """The share of time that was neither idle nor waiting for a disk, from two `cpu` lines of /proc/stat.

    Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal; what follows is part of user.
    """
    spent = [new - old for old, new in zip(before[:8], after[:8], strict=True)]
    total = sum(spent)
    return round(100 * (1 - sum(spent[3:5]) / total), 1) if total > 0 else None


def _linux_memory(host: Host, seconds: float) -> Facts:
    return parse_meminfo(host.run(["cat", "/proc/meminfo"], timeout_seconds=seconds).stdout)


def parse_meminfo(text: str) -> Facts:
    """The facts in /proc/meminfo; empty when they are not there. Source: proc(5), /proc/meminfo."""
    kib = {found[1]: int(found[2]) for found in re.finditer(r"(?m)^(\w+):\s+([0-9]+) kB$", text)}
    # Kernels before 3.14 say no MemAvailable; this is what people added up then.
    free = kib.get("MemAvailable", sum(kib.get(part, 0) for part in ("MemFree", "Buffers", "Cached")))
    return _memory(free, kib.get("MemTotal", 0))


# ------------------------------------------------------------------------------------------ macOS


def _macos_cpu(host: Host, seconds: float) -> Facts:
    # top's first sample counts from the boot on; the second one is of the second before it.
    return parse_top(_sh(host, "sysctl -n vm.loadavg && top -l 2 -n 0 -s 1", seconds).stdout)


def parse_top(text: str) -> Facts:
    """The facts in `sysctl -n vm.loadavg` and `top -l 2`; empty when they are not there. Source: top(1) of macOS."""
    load = re.match(r"\{ ([0-9.]+) ([0-9.]+) ([0-9.]+) \}", text)
    idle = re.findall(r"(?m)^CPU usage: .*?([0-9.]+)% idle", text)
    if not load or len(idle) < 2:
        return {}
    return {CPU_USAGE: round(100 - float(idle[-1]), 1), LOAD: [float(part) for part in load.groups()]}


def _macos_memory(host: Host, seconds: float) -> Facts:
    return parse_vm_stat(_sh(host, "sysctl -n hw.memsize && vm_stat", seconds).stdout)


def parse_vm_stat(text: str) -> Facts:
    """The facts in `sysctl -n hw.memsize` and `vm_stat`; empty when they are not there.

    Free, speculative and inactive pages can be had at once. Source: vm_stat(1) of macOS.
    """
    total, size = re.match(r"[0-9]+", text), re.search(r"page size of ([0-9]+) bytes", text)
    pages = {
        found[1]: int(found[2]) for found in re.finditer(r"(?m)^Pages (free|speculative|inactive): +([0-9]+)\.", text)
    }
    if not total or not size or "free" not in pages:
        return {}
    return _memory(sum(pages.values()) * int(size[1]) / 1024, int(total[0]) / 1024)


# ---------------------------------------------------------------------------------------- Windows

# LoadPercentage is of one processor, "averaged to the last second". Source: Microsoft Learn, "Win32_Processor class".
_CPU = Script(
    """
Answer @{ percent = (Get-CimInstance -ClassName Win32_Processor | Measure-Object -Property LoadPercentage -Average).Average }
""",
    ("percent",),
)

# In KiB; free is what is "currently unused and available". Source: Microsoft Learn, "Win32_OperatingSystem class".
_MEMORY = Script(
    """
$system = Get-CimInstance -ClassName Win32_OperatingSystem
Answer @{ free = [int64]$system.FreePhysicalMemory; total = [int64]$system.TotalVisibleMemorySize }
""",
    ("free", "total"),
)


def _windows_cpu(host: Host, seconds: float) -> Facts:
    said = _CPU.ask(host, seconds)
    if isinstance(said, Outcome) or not isinstance(said.get("percent"), int | float):
        return {CPU_USAGE: UNKNOWN}
    return {CPU_USAGE: round(float(said["percent"]), 1)}


def _windows_memory(host: Host, seconds: float) -> Facts:
    said = _MEMORY.ask(host, seconds)
    return {} if isinstance(said, Outcome) else _memory(said["free"], said["total"])


# ----------------------------------------------------------------------------------------- claims


def number(state: Mapping[str, Any], path: Path) -> float | None:
    """The number at `path`; None when there is none."""
    value = get(state, path)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


class _VitalSign(Check[PercentParams]):
    Params = PercentParams
    platforms = EVERYWHERE
    path: Path

    def holds(self, p: PercentParams, state: Mapping[str, Any]) -> bool | None:
        usage = number(state, self.path)
        return None if usage is None else usage < p.percent


class CpuUsageBelow(_VitalSign):
    """The processors are busy for less than a share of the time."""

    name = "cpu_usage_below"
    path = CPU_USAGE

    def probe(self, p: PercentParams) -> Probe:
        return CpuProbe()


class MemoryUsageBelow(_VitalSign):
    """Less than a share of the memory is in use."""

    name = "memory_usage_below"
    path = MEMORY_USAGE

    def probe(self, p: PercentParams) -> Probe:
        return MemoryProbe()


def _sh(host: Host, script: str, seconds: float) -> Completed:
    return host.run(["sh", "-c", script], timeout_seconds=seconds, env={"LC_ALL": "C"})
