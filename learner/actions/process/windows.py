"""Processes on Windows: CIM's Win32_Process, Stop-Process and priority classes."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

from learner.actions.base import Outcome
from learner.actions.host import Completed, Host
from learner.actions.powershell import Script
from learner.actions.process.scripts import script_in
from learner.actions.process.table import Process, ProcessTable

# A parent's id may have passed on to a younger process; only an older one is an ancestor. What Windows stands on is
# guarded by name: ending one of those stops the machine. Source: Microsoft Learn, "Win32_Process class".
_LOOK = Script(
    r"""
$name = [string]$env:LEARNER_NAME; $file = "$name.exe"
$ids = @(([string]$env:LEARNER_IDS) -split ' ' | Where-Object { $_ })
$all = @(Get-CimInstance -ClassName Win32_Process -Property 'ProcessId', 'ParentProcessId', 'Name', 'CommandLine', 'CreationDate')
$by = @{}; foreach ($one in $all) { $by[[string]$one.ProcessId] = $one }
$stands = 'smss.exe', 'csrss.exe', 'wininit.exe', 'winlogon.exe', 'services.exe', 'lsass.exe'
$vital = @(foreach ($one in $all) { if ($one.ProcessId -le 4 -or $stands -contains $one.Name) { [int64]$one.ProcessId } })
$guarded = New-Object 'System.Collections.Generic.HashSet[int64]'
foreach ($id in $vital) { [void]$guarded.Add($id) }
$at = $by[[string]$PID]
while ($at -and $guarded.Add([int64]$at.ProcessId)) {
  $up = $by[[string]$at.ParentProcessId]
  if ($up -and $up.CreationDate -and $at.CreationDate -and $up.CreationDate -gt $at.CreationDate) { break }
  $at = $up
}
$now = Get-Date
$found = @(foreach ($one in $all) {
  if ($one.ProcessId -eq $PID -or $one.ParentProcessId -eq $PID) { continue }
  $named = $name -and ($one.Name -eq $name -or $one.Name -eq $file)
  $line = [string]$one.CommandLine
  $spoken = $name -and $line.IndexOf($name, [StringComparison]::OrdinalIgnoreCase) -ge 0
  if (-not ($named -or $spoken -or $ids -contains [string]$one.ProcessId)) { continue }
  $owner = Invoke-CimMethod -InputObject $one -MethodName GetOwner -ErrorAction SilentlyContinue
  @{
    pid = [int64]$one.ProcessId; ppid = [int64]$one.ParentProcessId; name = $one.Name
    user = $(if ($owner -and $owner.User) { $owner.User } else { '?' })
    age = $(if ($one.CreationDate) { [int64][Math]::Floor(($now - $one.CreationDate).TotalSeconds) })
    line = $(if ($named) { '' } else { $line.Substring(0, [Math]::Min($line.Length, 2000)) })
  }
})
Answer @{ processes = $found; guarded = @($guarded); vital = $vital }
""",
    ("processes", "guarded", "vital"),
)

# A console program can't be asked to end from outside; one with a window can.
_END = Script(r"""
$failed = @()
foreach ($id in @($env:LEARNER_IDS -split ' ' | Where-Object { $_ })) {
  $one = Get-Process -Id ([int]$id) -ErrorAction SilentlyContinue
  if (-not $one) { continue }
  try {
    if ($env:LEARNER_SIGNAL -eq 'TERM' -and $one.MainWindowHandle -ne [IntPtr]::Zero) { [void]$one.CloseMainWindow() }
    else { Stop-Process -InputObject $one -Force }
  } catch { if (-not $one.HasExited) { $failed += "${id}: $($_.Exception.Message)" } }
}
if ($failed) { throw ($failed -join '; ') }
Answer @{ }
""")

_PRIORITIZE = Script(
    r"""
$before = @{}; $failed = @()
foreach ($id in @($env:LEARNER_IDS -split ' ' | Where-Object { $_ })) {
  try {
    $one = Get-Process -Id ([int]$id)
    $before[$id] = [string]$one.PriorityClass
    $one.PriorityClass = $env:LEARNER_CLASS
  } catch { $failed += "${id}: $($_.Exception.Message)" }
}
if ($failed) { throw ($failed -join '; ') }
Answer @{ before = $before }
""",
    ("before",),
)

SIGNALS = ("TERM", "KILL")
"""KILL ends a process at once; TERM asks one with a window to close, and ends one without, which can't be asked."""


@dataclass(frozen=True)
class WindowsProcess(Process):
    """Names are the same in any case, with or without `.exe`."""

    @property
    def program(self) -> str:
        return self.comm

    @property
    def script(self) -> str | None:
        return script_in(split(self.args), ntpath.basename, folded=True)

    def is_named(self, name: str) -> bool:
        known = {self.comm.lower(), self.comm.lower().removesuffix(".exe"), (self.script or self.comm).lower()}
        return name.lower() in known


def split(command_line: str) -> list[str]:
    """The words of a Windows command line, without their quotes; escaped quotes are not told apart."""
    return [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|([^\s"]+)', command_line)]


def look(host: Host, timeout_seconds: float, name: str | None = None, *pids: int) -> ProcessTable | Outcome:
    """The processes that may have the name, and those with the ids; or the failure to read them."""
    said = _LOOK.ask(host, timeout_seconds, name=name or "", ids=" ".join(map(str, pids)))
    if isinstance(said, Outcome):
        return said
    processes = tuple(
        WindowsProcess(one["pid"], one["ppid"], one["user"], None, one["age"], one["name"], one["line"])
        for one in said["processes"]
    )
    return ProcessTable(processes, frozenset(said["guarded"]), frozenset(said["vital"]))


def refusal(signal: str) -> str | None:
    """Why Windows can't send a signal; None when there is something like it."""
    return None if signal in SIGNALS else f"Windows knows no signal {signal}, only {' and '.join(SIGNALS)}"


def send(host: Host, timeout_seconds: float, signal: str, pids: Sequence[int]) -> Completed:
    """End processes, or ask them to."""
    said = _END.ask(host, timeout_seconds, signal=signal, ids=" ".join(map(str, pids)))
    if isinstance(said, Outcome):
        return Completed(said.exit_code or 1, stderr=said.stderr, timed_out=said.timed_out)
    return Completed(0)


def priority_class(nice: int) -> str:
    """The priority class that stands for a nice value; the highest, RealTime, is never given.

    Source: Microsoft Learn, "ProcessPriorityClass Enum".
    """
    steps = ((-15, "High"), (-5, "AboveNormal"), (4, "Normal"), (14, "BelowNormal"))
    return next((name for most, name in steps if nice <= most), "Idle")


def set_nice(host: Host, timeout_seconds: float, nice: int, processes: Sequence[Process]) -> Outcome:
    """Set the priority class of processes; `data.before` says what it was."""
    chosen = priority_class(nice)
    ids = " ".join(str(process.pid) for process in processes)
    said = _PRIORITIZE.ask(host, timeout_seconds, ids=ids, **{"class": chosen})
    if isinstance(said, Outcome):
        return said
    return Outcome(True, f"{ids}: {chosen}", data={"before": said["before"]})
