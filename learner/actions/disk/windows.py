"""Large files and cleaning on Windows, by .NET's own file classes: no link, junction or mounted folder is followed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from learner.actions.base import Outcome
from learner.actions.disk.tally import Cleaned, Found
from learner.actions.host import Deadline, Host
from learner.actions.powershell import Script

_LARGE = Script(
    r"""
$least = [int64]$env:LEARNER_LEAST; $most = [int]$env:LEARNER_MOST
$before = (Get-Date).AddDays(-[int]$env:LEARNER_DAYS)
$link = [IO.FileAttributes]::ReparsePoint
$root = New-Object IO.DirectoryInfo $env:LEARNER_PATH
if (-not $root.Exists) { throw "$($root.FullName): no such directory" }
$found = New-Object 'System.Collections.Generic.List[IO.FileInfo]'; $bytes = [int64]0; $unread = 0
$left = New-Object 'System.Collections.Generic.Stack[IO.DirectoryInfo]'; $left.Push($root)
while ($left.Count) {
  $here = $left.Pop()
  try { $items = $here.GetFileSystemInfos() }
  catch { if ($here -eq $root) { throw }; $unread++; continue }
  foreach ($item in $items) {
    if ($item.Attributes -band $link) { continue }
    if ($item -is [IO.DirectoryInfo]) { $left.Push($item); continue }
    if ($item.Length -lt $least) { continue }
    if ([int]$env:LEARNER_DAYS -and $item.LastWriteTime -gt $before) { continue }
    $found.Add($item); $bytes += $item.Length
  }
}
$largest = @($found | Sort-Object -Property Length -Descending | Select-Object -First $most)
Answer @{
  files = @(foreach ($one in $largest) { @{ path = $one.FullName; bytes = $one.Length } })
  count = $found.Count; bytes = $bytes; unread = $unread
}
""",
    ("files", "count", "bytes", "unread"),
)

# The directory is made this process's own while it works: Windows lets nobody rename or replace it then, nor what it
# stands in. Source: Microsoft Learn, "SetCurrentDirectory function", remarks.
_CLEAN = Script(
    r"""
$keep = [int]$env:LEARNER_KEEP; $age = [int64]$env:LEARNER_AGE
[IO.Directory]::SetCurrentDirectory($env:LEARNER_PATH)
$link = [IO.FileAttributes]::ReparsePoint; $hidden = [IO.FileAttributes]'Hidden, System, ReparsePoint'
$root = New-Object IO.DirectoryInfo $env:LEARNER_PATH
for ($up = $root; $up; $up = $up.Parent) {
  if ($up.Parent -and ($up.Attributes -band $link)) { throw "refused: $($up.FullName) is a link or a mounted folder; name the place itself" }
}
$named = New-Object regex $env:LEARNER_NAMES, 'IgnoreCase, CultureInvariant, Singleline'
$before = (Get-Date).ToUniversalTime().AddSeconds(-$age)
$matching = @($root.GetFiles() | Where-Object { -not ($_.Attributes -band $hidden) -and $named.IsMatch($_.Name) })
$sorted = @($matching | Sort-Object -Property @{ Expression = 'LastWriteTimeUtc'; Descending = $true }, 'Name' | Select-Object -Skip $keep)
$chosen = @($sorted | Where-Object { -not $age -or $_.LastWriteTimeUtc -le $before })
$removed = 0; $freed = [int64]0; $failed = @()
foreach ($one in $chosen) {
  $size = $one.Length
  try { $one.Delete(); $removed++; $freed += $size }
  catch { $failed += "$($one.Name): $($_.Exception.GetBaseException().Message)" }
}
Answer @{ removed = $removed; freed = $freed; left = $chosen.Count - $removed; failed = @($failed | Select-Object -First 20) }
""",
    ("removed", "freed", "left", "failed"),
)

_DIRECTORIES = ("Users", "Program Files", "Program Files (x86)", "ProgramData", "Documents and Settings", "inetpub")
"""Directories of a drive that are never cleaned themselves, nor is what stands right in `Users`."""
_TREES = (
    "Boot", "EFI", "Recovery", "System Volume Information", "$Recycle.Bin", "$WinREAgent", "Config.Msi",
    r"Program Files\WindowsApps", r"Program Files\Common Files", r"Program Files (x86)\Common Files",
    r"ProgramData\Microsoft\Crypto", r"ProgramData\Package Cache",
)  # fmt: skip
"""Never cleaned at any depth."""
_OF_WINDOWS = ("Temp", "Logs", "Minidump", "LiveKernelReports", r"System32\LogFiles", r"SoftwareDistribution\Download")
"""All that may be cleaned below the Windows directory."""


def refusal(path: str) -> str | None:
    """Why no step may clean the directory `path`; None when it may. Links are the host's to find."""
    plain = tidy(path)
    names = plain.split("\\")[4:] if plain.startswith("\\\\") else plain.split("\\")[1:]
    if ".." in names:
        return f"{path} holds .."
    for name in names:
        # Windows knows a file by these names too: C:\PROGRA~1, "C:\Windows."
        if re.search(r"~[0-9]", name) or name != name.rstrip(". "):
            return f"{name} is not how the name is written in full"
    share = re.match(r"\\\\[^\\]+\\([^\\]+)", plain)
    if share and not re.fullmatch(r"[A-Za-z]\$|admin\$", share[1], re.IGNORECASE):
        names = ["a share of its own", *names]
    below = "\\".join(names).lower()
    if share and share[1].lower() == "admin$":
        below = f"windows\\{below}".rstrip("\\")
    if not below or below == "a share of its own":
        return f"{plain} is a whole drive or share"
    if _within(below, ("windows", "windows.old")) and not _within(below, [f"windows\\{free}" for free in _OF_WINDOWS]):
        return f"{plain} belongs to Windows"
    if below in map(str.lower, _DIRECTORIES) or re.fullmatch(r"users\\[^\\]+", below) or _within(below, _TREES):
        return f"{plain} belongs to the system"
    return None


def _within(path: str, trees: Sequence[str]) -> bool:
    return any(path == tree.lower() or path.startswith(f"{tree.lower()}\\") for tree in trees)


def tidy(path: str) -> str:
    """`path` with one backslash between its names and none at its end."""
    share = path.startswith("\\\\")
    plain = re.sub(r"[\\/]+", r"\\", path).rstrip("\\")
    return ("\\" if share else "") + plain


def find_large(
    host: Host, deadline: Deadline, path: str, least_bytes: int, older_than_days: int, most: int
) -> Found | Outcome:
    """The files below a directory that hold `least_bytes` or more."""
    said = _LARGE.ask(host, deadline.remaining(), path=path, least=least_bytes, days=older_than_days, most=most)
    if isinstance(said, Outcome):
        return said
    unread = f"{said['unread']} directories could not be read" if said["unread"] else ""
    return Found(tuple((one["path"], one["bytes"]) for one in said["files"]), said["count"], said["bytes"], unread)


def clean(
    host: Host, deadline: Deadline, path: str, patterns: Sequence[str], least_age_seconds: int, keep_last: int
) -> Cleaned | Outcome:
    """Remove files right in a directory whose names match, but for the newest ones that are kept."""
    names = rf"\A(?:{'|'.join(map(expression, patterns))})\z"
    said = _CLEAN.ask(
        host, deadline.remaining(), path=tidy(path), names=names, age=least_age_seconds, keep=keep_last
    )  # fmt: skip
    if isinstance(said, Outcome):
        return said
    return Cleaned(said["removed"], said["freed"], said["left"], "\n".join(said["failed"]))


def expression(pattern: str) -> str:
    """A shell pattern as a regular expression that .NET and Python read alike; `*` is no leading dot."""
    parts = ["" if pattern.startswith(".") else r"(?!\.)"]
    for piece in re.findall(r"\[!?\]?[^\]]*\]|.", pattern, re.DOTALL):
        if len(piece) > 2:
            chosen = re.sub(r"([\\^\[\]])", r"\\\1", piece[1:-1].removeprefix("!"))
            parts.append(f"[^{chosen}]" if piece[1] == "!" else f"[{chosen}]")
        else:
            parts.append({"*": ".*", "?": "."}.get(piece) or re.escape(piece))
    return "".join(parts)
