"""A Windows host over WinRM, by way of pypsrp (the `winrm` extra).

Written against the documentation of pypsrp and of PowerShell; not run by this project's tests, which have no Windows.
Every command travels as a PowerShell script whose values are parameters, never text of the script.
"""

from __future__ import annotations

import base64
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from learner.actions.host import Completed, FileStat, HostError, HttpAnswer, ServiceManager
from learner.errors import LearnerError
from learner.executor.hosts import posix
from learner.executor.hosts.processes import HEAD_BYTES, TAIL_BYTES, Output
from learner.executor.service_managers import choose
from learner.models.execution import HostFacts

PASSWORD_ENV = "LEARNER_WINRM_PASSWORD"  # noqa: S105 the variable's name
_PATTERN = re.compile(
    r"winrm://(?:(?P<user>[^@/\s:]+)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?/?"
)

# The child runs in a job of its own by its process tree: taskkill /T ends what it started.
_RUN = r"""
param($Argv, $Environment, $Directory, $Given, $Seconds)
$start = New-Object System.Diagnostics.ProcessStartInfo
$start.FileName = $Argv[0]
$quoted = foreach ($word in @($Argv | Select-Object -Skip 1)) { '"' + (($word -replace '(\\*)"', '$1$1\"') -replace '(\\+)$', '$1$1') + '"' }
$start.Arguments = $quoted -join ' '
$start.UseShellExecute = $false
$start.RedirectStandardOutput = $true; $start.RedirectStandardError = $true; $start.RedirectStandardInput = $true
if ($Directory) { $start.WorkingDirectory = $Directory }
foreach ($key in $Environment.Keys) { $start.EnvironmentVariables[$key] = $Environment[$key] }
try { $process = [System.Diagnostics.Process]::Start($start) }
catch { return @{ code = 127; out = ''; err = "$($Argv[0]): command not found"; late = $false } }
$out = $process.StandardOutput.ReadToEndAsync(); $err = $process.StandardError.ReadToEndAsync()
if ($Given) { $process.StandardInput.Write($Given) }
$process.StandardInput.Close()
$late = -not $process.WaitForExit([int]($Seconds * 1000))
if ($late) { & taskkill /T /F /PID $process.Id | Out-Null; $process.WaitForExit(5000) | Out-Null }
$code = if ($late) { 143 } else { $process.ExitCode }
$kept = { param($task) if ($task.Wait(2000)) { $task.Result } else { '' } }
@{ code = $code; out = (& $kept $out); err = (& $kept $err); late = $late }
"""


class WinRmHost:
    """A Windows host. `close` gives the connection up."""

    platform = "windows"

    def __init__(self, address: str, *, cancelled: Callable[[], bool] = lambda: False) -> None:
        """The password is read from `LEARNER_WINRM_PASSWORD`; without one Kerberos or the logged-on user is tried.

        Raises: `LearnerError` when the extra is missing, the address is none, or the host can't be reached.
        """
        found = _PATTERN.fullmatch(address)
        if not found:
            raise LearnerError(
                f"{address} is no address of a host", "write winrm://user@host or winrm://user@host:port"
            )
        try:
            from pypsrp.powershell import RunspacePool
            from pypsrp.wsman import WSMan
        except ImportError as e:
            raise LearnerError("winrm:// needs pypsrp", "pip install 'runbook-learner[winrm]'") from e
        password = os.environ.get(PASSWORD_ENV)
        self.address = address
        self._cancelled = cancelled
        self._services: ServiceManager | None = None
        try:
            self._connection = WSMan(
                found["host"], port=int(found["port"] or 5986), username=found["user"], password=password, ssl=True,
                cert_validation=True, auth="negotiate", connection_timeout=15,
            )  # fmt: skip
            self._pool: Any = RunspacePool(self._connection)
            self._pool.open()
            self.name = self.run(["hostname"], timeout_seconds=20.0).stdout.strip() or found["host"]
        except LearnerError:
            raise
        except Exception as e:  # pypsrp and what it stands on raise families of their own
            raise LearnerError(
                f"{address}: {type(e).__name__}: {e}", f"check WinRM over HTTPS there, and {PASSWORD_ENV}"
            ) from e

    def close(self) -> None:
        """Give the connection up."""
        try:
            self._pool.close()
            self._connection.close()
        except Exception:  # it is given up either way
            return

    @property
    def services(self) -> ServiceManager:
        if self._services is None:
            self._services = choose(self)
        return self._services

    def elevated(self) -> WinRmHost:
        # A WinRM session of an administrator is elevated already; there is no sudo to go through.
        return self

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_seconds: float,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        stdin: str | None = None,
    ) -> Completed:
        """Run a command without a shell; on the host a timeout ends its whole process tree."""
        answer = self._ask(
            _RUN, timeout_seconds + 15.0, Argv=list(argv), Environment=dict(env or {}), Directory=cwd, Given=stdin,
            Seconds=max(0.1, timeout_seconds),
        )  # fmt: skip
        out, dropped = _capped(str(answer.get("out") or ""))
        err, more = _capped(str(answer.get("err") or ""))
        return Completed(int(answer["code"]) & 0xFFFFFFFF, out, err, bool(answer.get("late")), dropped + more)

    def _ask(self, script: str, seconds: float, **values: Any) -> dict[str, Any]:
        """What a script gave: one table."""
        from pypsrp.powershell import PowerShell, PSInvocationState

        shell: Any = PowerShell(self._pool)
        shell.add_script(script)
        for name, value in values.items():
            shell.add_parameter(name, value)
        try:
            shell.begin_invoke()
            ends_at = time.monotonic() + seconds
            while shell.state == PSInvocationState.RUNNING:
                if self._cancelled() or time.monotonic() > ends_at:
                    shell.stop()
                    return {"code": 143, "out": "", "err": "", "late": not self._cancelled()}
                shell.poll_invoke(timeout=1)
            given = shell.end_invoke() or shell.output
        except Exception as e:  # pypsrp and what it stands on raise families of their own
            raise HostError(f"{self.address}: {type(e).__name__}: {e}", "unreachable") from e
        if not given:
            raise HostError(f"{self.address}: PowerShell gave no answer")
        last = given[-1]
        held = last if isinstance(last, dict) else getattr(last, "adapted_properties", {})
        return {str(key): value for key, value in dict(held).items()}

    def read_file(self, path: str, limit_bytes: int = 1 << 20) -> bytes:
        script = """param($Path, $Limit)
if (-not (Test-Path -LiteralPath $Path -PathType Leaf)) { return @{ code = 1 } }
$file = [IO.File]::OpenRead($Path); try { $bytes = New-Object byte[] ([Math]::Min($Limit, $file.Length)); $n = $file.Read($bytes, 0, $bytes.Length) }
finally { $file.Close() }
@{ code = 0; text = [Convert]::ToBase64String($bytes, 0, $n) }"""
        answer = self._ask(script, 60.0, Path=path, Limit=limit_bytes)
        if answer["code"]:
            raise HostError(f"{path}: no such file or directory", "missing")
        return base64.b64decode(str(answer["text"]))

    def write_file(self, path: str, content: bytes, mode: str | None = None) -> None:
        script = """param($Path, $Text)
$new = "$Path.learner-new"
try { [IO.File]::WriteAllBytes($new, [Convert]::FromBase64String($Text)); Move-Item -LiteralPath $new -Destination $Path -Force -ErrorAction Stop; @{ code = 0 } }
catch { @{ code = 1; err = $_.Exception.Message } }"""
        answer = self._ask(script, 60.0, Path=path, Text=base64.b64encode(content).decode())
        if answer["code"]:
            raise HostError(f"{path}: {answer.get('err')}")

    def stat(self, path: str) -> FileStat | None:
        script = """param($Path)
$item = Get-Item -LiteralPath $Path -Force -ErrorAction SilentlyContinue
if (-not $item) { return @{ code = 1 } }
$since = [int64](($item.LastWriteTimeUtc - [DateTime]'1970-01-01').TotalSeconds)
@{ code = 0; folder = $item.PSIsContainer; size = [int64]$item.Length; modified = $since; owner = (Get-Acl -LiteralPath $Path).Owner }"""
        answer = self._ask(script, 30.0, Path=path)
        if answer["code"]:
            return None
        # Windows has no octal permissions; what stands for them says nothing.
        kind = "directory" if answer["folder"] else "file"
        return FileStat(kind, int(answer["size"]), "0000", str(answer["owner"]), float(answer["modified"]))  # type: ignore[arg-type]

    def connect(self, address: str, port: int, timeout_seconds: float) -> str | None:
        script = """param($Address, $Port, $Milliseconds)
$client = New-Object Net.Sockets.TcpClient
try { if ($client.ConnectAsync($Address, $Port).Wait($Milliseconds)) { @{ code = 0 } } else { @{ code = 1; err = 'timed out' } } }
catch { @{ code = 1; err = $_.Exception.GetBaseException().Message } } finally { $client.Close() }"""
        answer = self._ask(
            script, timeout_seconds + 10, Address=address, Port=port, Milliseconds=int(timeout_seconds * 1000)
        )
        if not answer["code"]:
            return None
        words = str(answer.get("err"))
        return "connection refused" if "actively refused" in words else posix.reason(words) or words.lower()

    def http_get(self, url: str, timeout_seconds: float) -> HttpAnswer:
        script = """param($Url, $Seconds)
try { $a = Invoke-WebRequest -Uri $Url -UseBasicParsing -TimeoutSec $Seconds -UserAgent learner; @{ code = [int]$a.StatusCode; body = [string]$a.Content } }
catch { $r = $_.Exception.Response; if ($r) { @{ code = [int]$r.StatusCode; body = '' } } else { @{ code = 0; body = $_.Exception.Message } } }"""
        answer = self._ask(script, timeout_seconds + 10, Url=url, Seconds=max(1, int(timeout_seconds)))
        body = str(answer.get("body") or "")
        if answer["code"]:
            return HttpAnswer(int(answer["code"]), body[: posix.BODY_BYTES])
        return HttpAnswer(None, error=posix.reason(body) or body.lower())

    def resolve(self, name: str, timeout_seconds: float) -> list[str]:
        script = """param($Name)
try { @{ code = 0; found = (([Net.Dns]::GetHostAddresses($Name) | ForEach-Object { $_.ToString() }) -join ' ') } } catch { @{ code = 0; found = '' } }"""
        return sorted(set(str(self._ask(script, timeout_seconds + 5, Name=name).get("found") or "").split()))

    def facts(self) -> HostFacts:
        """What kind of machine it is."""
        script = (
            "$o = Get-CimInstance Win32_OperatingSystem; @{ version = $o.Version; arch = $env:PROCESSOR_ARCHITECTURE }"
        )
        answer = self._ask(script, 30.0)
        return HostFacts(
            os_id="windows", os_version=str(answer.get("version")), arch=str(answer.get("arch")).lower(), service_manager="windows"
        )  # fmt: skip


def _capped(text: str) -> tuple[str, int]:
    """Head and tail of a text, and how many bytes between them were dropped."""
    raw = text.encode("utf-8", "replace")
    if len(raw) <= HEAD_BYTES + TAIL_BYTES:
        return text, 0
    kept = Output()
    kept.add(raw)
    return kept.text(), kept.dropped
