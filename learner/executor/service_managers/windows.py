"""The Windows service controller, by way of PowerShell. Written against Microsoft's documentation, not run by this
project's tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from learner.actions.base import Outcome
from learner.actions.host import Completed, Host, ServiceStatus
from learner.actions.powershell import Script

# The name is compared, not made part of a query. Source: Microsoft Learn, "Win32_Service class", State and ExitCode.
_STATUS = Script(
    r"""
$service = @(Get-CimInstance -ClassName Win32_Service -Property 'Name', 'State', 'ExitCode' | Where-Object { $_.Name -eq $env:LEARNER_SERVICE })
if (-not $service) { throw "there is no service $env:LEARNER_SERVICE" }
Answer @{ state = $service[0].State; code = [int64]$service[0].ExitCode }
""",
    ("state", "code"),
)


def _order(command: str, status: str) -> Script:
    """A script that gives an order and waits for the status that it leads to."""
    return Script(
        rf"""
{command}
(Get-Service -Name $env:LEARNER_SERVICE).WaitForStatus('{status}', [TimeSpan]::FromSeconds([int]$env:LEARNER_SECONDS))
Answer @{{ status = '{status}' }}
""",
        ("status",),
    )


_START = _order("Start-Service -Name $env:LEARNER_SERVICE", "Running")
_STOP = _order("Stop-Service -Name $env:LEARNER_SERVICE -Force", "Stopped")
_RESTART = _order("Restart-Service -Name $env:LEARNER_SERVICE -Force", "Running")

NEVER_STARTED = 1077
"""ERROR_SERVICE_NEVER_STARTED: not since the last boot. Source: Microsoft Learn, "System Error Codes"."""


@dataclass(frozen=True)
class WindowsServices:
    """Names travel in the environment: nothing of them becomes part of a script."""

    host: Host
    kind: str = "windows"

    def status(self, name: str) -> ServiceStatus:
        said = _STATUS.ask(self.host, 15.0, service=name)
        if isinstance(said, Outcome):
            return "unknown"
        state, code = said["state"], said["code"]
        if state in ("Running", "Stop Pending", "Pause Pending", "Continue Pending"):
            return "running"
        if state == "Stopped":
            return "stopped" if code in (0, NEVER_STARTED) else "failed"
        return "stopped" if state in ("Start Pending", "Paused") else "unknown"

    def start(self, name: str, timeout_seconds: float) -> Completed:
        return self._give(_START, name, timeout_seconds)

    def stop(self, name: str, timeout_seconds: float) -> Completed:
        return self._give(_STOP, name, timeout_seconds)

    def restart(self, name: str, timeout_seconds: float) -> Completed:
        return self._give(_RESTART, name, timeout_seconds)

    def reload(self, name: str, timeout_seconds: float) -> Completed:
        # The nearest thing to a reload that Windows knows. Source: Microsoft Learn, "sc.exe control", paramchange.
        return self.host.run(["sc.exe", "control", name, "paramchange"], timeout_seconds=timeout_seconds)

    def _give(self, script: Script, name: str, timeout_seconds: float) -> Completed:
        # The script's own wait ends a little earlier than its process would be ended, so that it can say why.
        seconds = max(1, int(timeout_seconds) - 1)
        said = script.ask(self.host, timeout_seconds, service=name, seconds=seconds)
        if isinstance(said, Outcome):
            return Completed(said.exit_code or 1, said.stdout, said.stderr, said.timed_out)
        return Completed(0, str(said["status"]))
