"""What a Windows host is asked over WinRM. Values are parameters of a script, never text of it.

Each gives one table: its answer with `code` 0, or `code` 1 with `err` (the host's words) and `kind` (the exception).
They hold for PowerShell 5.1 and 7 and were never run; the tests read them with a grammar.
"""

from __future__ import annotations


def _framed(parameters: str, body: str) -> str:
    """`body` as a script with parameters, whose failure is an answer too."""
    return f"""param({parameters})
$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue'
try {{
{body.strip()}
}} catch {{
  $cause = $_.Exception.GetBaseException()
  @{{ code = 1; err = $cause.Message; kind = $cause.GetType().Name; native = [int]$cause.NativeErrorCode; result = [int64]$cause.HResult }}
}}"""


# The quoting is that of CommandLineToArgvW, which programs read their words by. A timeout ends the whole process tree.
RUN = _framed(
    "$Argv, $Environment, $Directory, $Given, $Seconds",
    r"""
$start = New-Object Diagnostics.ProcessStartInfo
$start.FileName = $Argv[0]
$quoted = foreach ($word in @($Argv | Select-Object -Skip 1)) { '"' + (($word -replace '(\\*)"', '$1$1\"') -replace '(\\+)$', '$1$1') + '"' }
$start.Arguments = $quoted -join ' '
$start.UseShellExecute = $false; $start.CreateNoWindow = $true
$start.RedirectStandardOutput = $true; $start.RedirectStandardError = $true; $start.RedirectStandardInput = $true
if ($Directory) { $start.WorkingDirectory = $Directory }
foreach ($key in $Environment.Keys) { $start.EnvironmentVariables[$key] = $Environment[$key] }
$process = [Diagnostics.Process]::Start($start)
$out = $process.StandardOutput.ReadToEndAsync(); $err = $process.StandardError.ReadToEndAsync()
try { if ($Given) { $process.StandardInput.Write($Given) }; $process.StandardInput.Close() } catch [IO.IOException] { }
$late = -not $process.WaitForExit([int]($Seconds * 1000))
if ($late) { & taskkill /T /F /PID $process.Id | Out-Null; $process.WaitForExit(5000) | Out-Null }
$exit = if ($late) { 143 } else { $process.ExitCode }
$kept = { param($task) if ($task.Wait(2000)) { $task.Result } else { '' } }
@{ code = 0; exit = $exit; out = (& $kept $out); err = (& $kept $err); late = $late }
""",
)

READ = _framed(
    "$Path, $Limit",
    r"""
$file = [IO.File]::Open($Path, 'Open', 'Read', 'ReadWrite')
try {
  $bytes = New-Object byte[] ([Math]::Min($Limit, $file.Length)); $have = 0
  while ($have -lt $bytes.Length) {
    $more = $file.Read($bytes, $have, $bytes.Length - $have)
    if (-not $more) { break }
    $have += $more
  }
} finally { $file.Close() }
@{ code = 0; text = [Convert]::ToBase64String($bytes, 0, $have) }
""",
)

# Replace puts a new file in an old one's place at once and keeps the old one's permissions.
WRITE = _framed(
    "$Path, $Text",
    r"""
$new = "$Path.$([Guid]::NewGuid().ToString('N')).learner-new"
try {
  [IO.File]::WriteAllBytes($new, [Convert]::FromBase64String($Text))
  if ([IO.File]::Exists($Path)) { [IO.File]::Replace($new, $Path, $null) } else { [IO.File]::Move($new, $Path) }
} finally { if ([IO.File]::Exists($new)) { [IO.File]::Delete($new) } }
@{ code = 0 }
""",
)

# A place that may not be looked at is no empty one: only "not found" is.
STAT = _framed(
    "$Path",
    r"""
$item = Get-Item -LiteralPath $Path -Force
$since = [int64]($item.LastWriteTimeUtc - (New-Object DateTime 1970, 1, 1)).TotalSeconds
$size = if ($item.PSIsContainer) { 0 } else { $item.Length }
$owner = try { (Get-Acl -LiteralPath $Path).Owner } catch { '' }
@{ code = 0; folder = $item.PSIsContainer; size = [int64]$size; modified = $since; owner = $owner }
""",
)

CONNECT = _framed(
    "$Address, $Port, $Milliseconds",
    r"""
$client = New-Object Net.Sockets.TcpClient
try { $open = $client.ConnectAsync($Address, $Port).Wait($Milliseconds) } finally { $client.Close() }
@{ code = 0; open = $open }
""",
)

# Windows PowerShell may offer no more than TLS 1.0 by itself; 0 leaves the choice to the system, 3072 is TLS 1.2.
HTTP = _framed(
    "$Url, $Seconds",
    r"""
if ([int][Net.ServicePointManager]::SecurityProtocol) { [Net.ServicePointManager]::SecurityProtocol = [int][Net.ServicePointManager]::SecurityProtocol -bor 3072 }
try {
  $answer = Invoke-WebRequest -Uri $Url -UseBasicParsing -TimeoutSec $Seconds -UserAgent learner
  $body = if ($answer.Content -is [byte[]]) { [Text.Encoding]::UTF8.GetString($answer.Content) } else { [string]$answer.Content }
  @{ code = 0; status = [int]$answer.StatusCode; body = $body }
} catch {
  if (-not $_.Exception.Response) { throw }
  @{ code = 0; status = [int]$_.Exception.Response.StatusCode; body = '' }
}
""",
)

RESOLVE = _framed(
    "$Name",
    r"""
@{ code = 0; found = (([Net.Dns]::GetHostAddresses($Name) | ForEach-Object { $_.ToString() }) -join ' ') }
""",
)

FACTS = _framed(
    "",
    r"""
$system = Get-CimInstance -ClassName Win32_OperatingSystem
@{ code = 0; version = [string]$system.Version; arch = [string]$env:PROCESSOR_ARCHITECTURE; name = [string]$env:COMPUTERNAME }
""",
)
