"""The Windows service controller, by way of PowerShell. Written against Microsoft's documentation, not run by this
project's tests.
"""

from __future__ import annotations

from dataclasses import dataclass

from learner.actions.host import Completed, Host, ServiceStatus

POWERSHELL = ("powershell", "-NoProfile", "-NonInteractive", "-Command")
# Source: Microsoft Learn, Win32_Service class, State and ExitCode; 1077: never started since the last boot.
_STATUS = (
    "$ErrorActionPreference='Stop'; $s = Get-CimInstance Win32_Service -Filter \"Name='$($env:LEARNER_SERVICE)'\"; "
    "if (-not $s) { exit 4 }; '{0} {1}' -f $s.State, $s.ExitCode"
)
_WAIT = "(Get-Service -Name $n).WaitForStatus('{status}', [TimeSpan]::FromSeconds([double]$env:LEARNER_SECONDS))"
_HEAD = "$ErrorActionPreference='Stop'; $n = $env:LEARNER_SERVICE; "


@dataclass(frozen=True)
class WindowsServices:
    """Names travel in the environment: nothing of them becomes part of a script."""

    host: Host
    kind: str = "windows"

    def status(self, name: str) -> ServiceStatus:
        done = self._script(_STATUS, name, 15.0)
        state, _, code = done.stdout.strip().rpartition(" ")
        if not done.success:
            return "unknown"
        if state in ("Running", "Stop Pending", "Pause Pending", "Continue Pending"):
            return "running"
        if state == "Stopped":
            return "stopped" if code in ("0", "1077") else "failed"
        return "stopped" if state in ("Start Pending", "Paused") else "unknown"

    def start(self, name: str, timeout_seconds: float) -> Completed:
        return self._script(f"{_HEAD}Start-Service -Name $n; {_WAIT.format(status='Running')}", name, timeout_seconds)

    def stop(self, name: str, timeout_seconds: float) -> Completed:
        return self._script(
            f"{_HEAD}Stop-Service -Name $n -Force; {_WAIT.format(status='Stopped')}", name, timeout_seconds
        )

    def restart(self, name: str, timeout_seconds: float) -> Completed:
        script = f"{_HEAD}Restart-Service -Name $n -Force; {_WAIT.format(status='Running')}"
        return self._script(script, name, timeout_seconds)

    def reload(self, name: str, timeout_seconds: float) -> Completed:
        # The nearest thing to a reload that Windows knows (Source: sc.exe control, paramchange).
        return self._script(f"{_HEAD}sc.exe control $n paramchange; exit $LASTEXITCODE", name, timeout_seconds)

    def _script(self, script: str, name: str, timeout_seconds: float) -> Completed:
        env = {"LEARNER_SERVICE": name, "LEARNER_SECONDS": f"{max(1.0, timeout_seconds - 1):g}"}
        return self.host.run([*POWERSHELL, script], timeout_seconds=timeout_seconds, env=env)
